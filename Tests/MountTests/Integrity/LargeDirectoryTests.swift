import Primitives
import TestSupport
import Testing

extension MountTests {
    @Suite struct LargeDirectoryTests {
        @Test func `a large directory is listed completely while others create and remove in it`()
            throws
        {
            try withMount(limitSeconds: 400 + Scale.directoryEntries / 400) { mount in
                let directory = mount.path + "/large"
                try SystemCall.mkdir(directory)
                let kept = Set((0..<Scale.directoryEntries).map { "kept-\($0)" })
                for name in kept { try SystemCall.writeFile("\(directory)/\(name)") }

                let churn = Churn(directory: directory)
                for _ in 0..<3 {
                    let entries = try Listing.entries(directory).map(\.name)
                    #expect(kept.isSubset(of: entries), "an entry that stayed was not listed")
                    #expect(Set(entries).count == entries.count, "an entry was listed twice")
                }
                let rounds = churn.stop()
                #expect(churn.failures == [])
                #expect(rounds > 0, "nothing changed during the listing")

                try mount.remount()
                let names = try Listing.entries(directory).map(\.name)
                #expect(Set(names) == kept.union([".", ".."]))
                #expect(names.count == kept.count + 2)
                for name in kept { try SystemCall.unlink("\(directory)/\(name)") }
                try SystemCall.rmdir(directory)
            }
        }
    }
}

/// Two threads that make and remove files in a directory until they are told to stop.
private final class Churn: Sendable {
    private struct State {
        var isStopping = false
        var rounds = 0
        var failures: [String] = []
    }

    private let state = Locked(State())
    private let threads = Locked<[TestThread]>([])

    init(directory: String) {
        let started = (0..<2).map { number in
            TestThread(name: "churn") { [self] in
                var round = 0
                while state.withLock({ !$0.isStopping }) {
                    do throws(Errno) {
                        let path = "\(directory)/churn-\(number)-\(round)"
                        try SystemCall.writeFile(path)
                        try SystemCall.rename(path, path + "-renamed")
                        try SystemCall.unlink(path + "-renamed")
                    } catch {
                        state.withLock { $0.failures.append("\(error)") }
                        return
                    }
                    round += 1
                    state.withLock { $0.rounds += 1 }
                }
            }
        }
        threads.withLock { $0 = started }
    }

    /// How often a file was made and removed.
    func stop() -> Int {
        state.withLock { $0.isStopping = true }
        for thread in threads.withLock({ $0 }) { thread.join() }
        return state.withLock { $0.rounds }
    }

    var failures: [String] { state.withLock { $0.failures } }
}
