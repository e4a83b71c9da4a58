import CLinux
import Glibc
import Primitives
import TestSupport

/// Another client of a server, which asks for a sign of life all the time and notes how long it takes.
final class PingMeter: Sendable {
    private let samples = Locked<[Int64]>([])
    private let isStopped = Monitor(false)
    private let thread = Locked<TestThread?>(nil)

    init(_ path: String) {
        let worker = TestThread(name: "ping") { [self] in run(path) }
        thread.withLock { $0 = worker }
    }

    private func run(_ path: String) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        let isConnected = withUnixAddress(path) { connect(descriptor, $0, $1) == 0 }
        guard isConnected else { return }
        let question = Array("PING\r\n".utf8)
        var answer = [UInt8](repeating: 0, count: 64)
        while isStopped.wait(until: .after(milliseconds: 1), for: { $0 ? true : nil }) == nil {
            let start = apusfs_monotonic_nanoseconds()
            guard write(descriptor, question, question.count) == question.count,
                read(descriptor, &answer, answer.count) > 0
            else { return }
            let took = apusfs_monotonic_nanoseconds() - start
            samples.withLock { $0.append(took) }
        }
    }

    /// Ends it; microseconds: the median, the slowest of a hundred, the slowest.
    func finish() -> (count: Int, median: Int64, p99: Int64, maximum: Int64) {
        isStopped.change { $0 = true }
        thread.withLock { $0 }?.join()
        let sorted = samples.withLock { $0.sorted() }
        guard let last = sorted.last else { return (0, 0, 0, 0) }
        return (
            sorted.count, sorted[sorted.count / 2] / 1_000, sorted[sorted.count * 99 / 100] / 1_000,
            last / 1_000
        )
    }
}
