import CFuse
import CUring
import Glibc
import Primitives
import Synchronization

/// Which way requests come from the kernel.
public enum TransportChoice: String, Sendable, Codable, CaseIterable {
    /// io_uring where the kernel has it for FUSE (root switches it on), otherwise the device.
    case auto
    /// read(2) and writev(2) of /dev/fuse.
    case device
    /// FUSE over io_uring (Linux 6.14 and later, module parameter `enable_uring`).
    case uring
}

/// FUSE over io_uring: beside libfuse's loop, which goes on to serve what the kernel sends by the device
/// (INIT, FORGET, INTERRUPT), threads of our own that hand requests to libfuse's decoder.
///
/// Source: Documentation/filesystems/fuse/fuse-io-uring.rst of Linux.
final class RingTransport: @unchecked Sendable {
    /// The connection's session, which outlives the threads.
    let session: OpaquePointer
    unowned let server: FuseServer
    let payloadBytes: Int

    /// No lock: written before the threads exist.
    private var threads: [RingThread] = []
    /// Rank: leaf.
    private let runners = Locked<[WorkerThread]>([])

    /// Makes all rings, so that nothing can be missing once the kernel was told that they are there.
    ///
    /// EPERM or ENOSYS where io_uring is forbidden (sysctl kernel.io_uring_disabled, seccomp), ENOMEM.
    init(
        _ server: FuseServer, session: OpaquePointer, payloadBytes: Int, threads count: Int
    ) throws(Errno) {
        self.server = server
        self.session = session
        self.payloadBytes = payloadBytes
        let cpus = Self.possibleCPUs()
        for _ in 0..<Self.threadsPerCPU(count, cpus: cpus) {
            for cpu in 0..<cpus {
                threads.append(
                    try RingThread(
                        self, cpu: UInt16(cpu), device: fuse_session_fd(session)))
            }
        }
    }

    /// The kernel took the answer to INIT. Requests wait until each CPU has an entry.
    func start() {
        runners.withLock { runners in
            for (index, thread) in threads.enumerated() {
                runners.append(
                    WorkerThread(name: "apusfs-ring-\(index)") { [self] in
                        guard let error = thread.run() else { return }
                        server.ringFailed(error)
                    })
            }
        }
    }

    /// After the connection has ended.
    func stop() {
        threads.forEach { $0.end() }
        let all = runners.withLock { runners in
            defer { runners = [] }
            return runners
        }
        all.forEach { $0.join() }
    }

    /// More threads than this are made only for the second one of each CPU.
    private static let usualThreads = 64

    /// `count` threads for each CPU: all programs may be on one. Fewer where there are many CPUs, but two,
    /// since a handler may wait.
    static func threadsPerCPU(_ count: Int, cpus: Int) -> Int {
        max(2, min(count, usualThreads / cpus))
    }

    /// Requests that came over rings.
    var requests: UInt64 { threads.reduce(0) { $0 + $1.requests.load(ordering: .relaxed) } }

    /// What requests can be put into, of all threads.
    var entryCount: Int { threads.reduce(0) { $0 + $1.entryCount.load(ordering: .relaxed) } }

    // MARK: What the system has

    /// FUSE's module parameter; a kernel without FUSE over io_uring has none.
    private static let parameter = "/sys/module/fuse/parameters/enable_uring"

    enum Switch { case missing, refused, wasOn, isOn }

    /// Switches the kernel's parameter on, which takes root. Mounts that do not ask for rings do not change.
    static func switchOn() -> Switch {
        guard let value = SystemFile.contents(of: parameter)?.first else { return .missing }
        if value == UInt8(ascii: "Y") { return .wasOn }
        return SystemFile.write("Y", to: parameter) ? .isOn : .refused
    }

    /// Sees to it that the kernel will offer rings, and that this process may have some.
    static func require() throws(FuseError) {
        switch switchOn() {
        case .missing:
            throw .noRings(reason: "it takes Linux 6.14 or newer, built with FUSE_IO_URING")
        case .refused:
            throw .noRings(reason: "root has to switch it on: echo Y > \(parameter)")
        case .wasOn, .isOn: break
        }
        var error: Int32 = 0
        guard let ring = apusfs_ring_create(RingThread.commands, -1, 0, &error) else {
            throw .noRings(reason: "io_uring_setup: \(Errno(rawValue: error))")
        }
        apusfs_ring_free(ring)
    }

    /// The kernel has a queue for each CPU that it may ever bring up.
    static func possibleCPUs() -> Int {
        let list = SystemFile.contents(of: "/sys/devices/system/cpu/possible") ?? []
        return numberOfCPUs(String(decoding: list, as: UTF8.self))
            ?? max(1, sysconf(Int32(_SC_NPROCESSORS_CONF)))
    }

    /// Of a list as `0-3,8`: how many it has. `nil` when it is none.
    static func numberOfCPUs(_ list: some StringProtocol) -> Int? {
        var count = 0
        for part in list.split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1],
                first <= last
            else { return nil }
            count += last - first + 1
        }
        return count > 0 ? count : nil
    }
}
