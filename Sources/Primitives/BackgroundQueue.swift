/// Runs work beside those who ask for it, on few threads that start with the first piece.
///
/// For what may as well not happen, such as reading ahead: pieces beyond the limit are dropped.
public final class BackgroundQueue: Sendable {
    public typealias Work = @Sendable () -> Void

    private struct State {
        var queue: [Work] = []
        var isStopping = false
        var threads: [WorkerThread] = []
    }

    private enum Step {
        case work(Work)
        case stop
    }

    private let name: String
    private let threadCount: Int
    private let limit: Int
    private let state = Monitor(State())

    /// `limit`: how many pieces may wait.
    public init(name: String, threadCount: Int, limit: Int) {
        self.name = name
        self.threadCount = threadCount
        self.limit = limit
    }

    /// False when the piece is dropped: too many wait, or the queue has been stopped.
    @discardableResult
    public func enqueue(_ work: @escaping Work) -> Bool {
        state.change { state in
            if state.isStopping || state.queue.count >= limit { return false }
            state.queue.append(work)
            if state.threads.isEmpty {
                state.threads = (0..<threadCount).map { index in
                    WorkerThread(name: "\(name)-\(index)") { [self] in run() }
                }
            }
            return true
        }
    }

    /// Waits until running pieces are over; those that wait are dropped.
    public func stop() {
        let threads = state.change { state in
            state.isStopping = true
            state.queue = []
            defer { state.threads = [] }
            return state.threads
        }
        for thread in threads { thread.join() }
    }

    private func run() {
        while true {
            let step: Step? = state.wait { state in
                if state.isStopping { return .stop }
                return state.queue.isEmpty ? nil : .work(state.queue.removeFirst())
            }
            switch step {
            case .work(let work): work()
            case .stop, nil: return
            }
        }
    }
}
