import Glibc
import Primitives
import Synchronization

/// Signals, taken by a thread that waits for them (sigwait(3)): a handler could do next to nothing.
enum Signals {
    /// Blocks them in the calling thread and those that it starts from now on.
    static func block(_ signals: [Int32]) {
        var set = signalSet(signals)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// A write to a pipe or socket whose reader has gone is an error, not the end of the process.
    static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

    /// Calls `handler` with each of the signals, which have to be blocked, from a thread of its own,
    /// until the handler answers false or the process ends.
    static func handle(_ signals: [Int32], _ handler: @escaping @Sendable (Int32) -> Bool) {
        _ = WorkerThread(name: "signals") {
            var set = signalSet(signals)
            while true {
                var number: Int32 = 0
                if sigwait(&set, &number) == 0, !handler(number) { return }
            }
        }
    }

    private static func signalSet(_ signals: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return set
    }
}

/// While a mount is being waited for: Ctrl-C ends the process that is mounting, in order, rather than
/// leaving it to itself.
final class Interruption: Sendable {
    private let process: ProcessHandle
    private let state = Atomic<Bool>(false)

    /// To be blocked before the process is started.
    static let signals = [SIGINT, SIGTERM]

    init(passOnTo process: ProcessHandle) {
        self.process = process
        let id = process.id
        Signals.handle(Self.signals) { [weak self] _ in
            guard let self else { return false }
            self.state.store(true, ordering: .relaxed)
            kill(id, SIGTERM)
            return true
        }
    }

    var hasCome: Bool { state.load(ordering: .relaxed) }
}
