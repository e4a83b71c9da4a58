import Primitives

/// Runs readahead beside the readers, on few threads that start with the first request.
final class Prefetcher: @unchecked Sendable {
    static let threadCount = 2
    /// Requests that wait; more are dropped, because readahead that comes late is of no use.
    static let queueLimit = 64

    typealias Work = @Sendable ([BlockAddress]) -> Void

    private struct State {
        var queue: [[BlockAddress]] = []
        var isStopping = false
        var threads: [WorkerThread] = []
    }

    private enum Step {
        case load([BlockAddress])
        case stop
    }

    private let state = Monitor(State())

    /// Queues a request for `work`, which is the same in each call.
    func enqueue(_ addresses: [BlockAddress], work: @escaping Work) {
        state.change { state in
            if state.isStopping || state.queue.count >= Self.queueLimit { return }
            state.queue.append(addresses)
            if state.threads.isEmpty {
                state.threads = (0..<Self.threadCount).map { index in
                    WorkerThread(name: "prefetch-\(index)") { [self] in run(work) }
                }
            }
        }
    }

    /// Waits until running requests are over; those that wait are dropped.
    func stop() {
        let threads = state.change { state in
            state.isStopping = true
            state.queue = []
            defer { state.threads = [] }
            return state.threads
        }
        for thread in threads { thread.join() }
    }

    private func run(_ work: Work) {
        while true {
            let step: Step? = state.wait { state in
                if state.isStopping { return .stop }
                return state.queue.isEmpty ? nil : .load(state.queue.removeFirst())
            }
            switch step {
            case .load(let addresses): work(addresses)
            case .stop, nil: return
            }
        }
    }
}
