import Synchronization

/// Threads that take a part in loops whose rounds do not depend on each other.
///
/// Any number of threads may run loops at once; each works on its own, helped by those of the pool that
/// are idle, so a loop never waits for another one. The threads are started by the first loop that has
/// more than one round, and end with the pool.
public final class ParallelLoop: Sendable {
    private final class Loop: @unchecked Sendable {
        let count: Int
        // SAFETY: set to nil by the caller of `run` once no helper is left, who may hold the loop a little
        // longer, and must not hold the closure.
        private var body: (@Sendable (Int) -> Void)?
        private let next = Atomic(0)
        /// Guarded by the pool's monitor.
        let helpers = Atomic(0)

        init(count: Int, body: @escaping @Sendable (Int) -> Void) {
            self.count = count
            self.body = body
        }

        var isTakenUp: Bool { next.load(ordering: .relaxed) >= count }

        /// Runs rounds until none is left.
        func work() {
            while true {
                let round = next.add(1, ordering: .relaxed).oldValue
                guard round < count else { return }
                body?(round)
            }
        }

        func forgetBody() { body = nil }
    }

    private enum Step {
        case work(Loop)
        case end
    }

    private struct State {
        var loops: [Loop] = []
        var threads: [WorkerThread] = []
        var isEnding = false
    }

    private let name: String
    private let helperCount: Int
    /// A leaf: nothing is called while it is held.
    private let state: Monitor<State>

    /// `width`: how many threads work on one loop at most, its caller included.
    public init(name: String, width: Int) {
        precondition(width > 0, "a loop has a thread")
        self.name = name
        helperCount = width - 1
        state = Monitor(State())
    }

    /// Ends the threads. No loop runs, and none is run afterwards.
    public func end() {
        let threads = state.change { state in
            state.isEnding = true
            defer { state.threads = [] }
            return state.threads
        }
        for thread in threads { thread.join() }
    }

    /// Calls `body` once with each number below `count`, on several threads in any order, and returns when
    /// all calls have. What they wrote is seen by the caller.
    public func run(_ count: Int, _ body: @Sendable (Int) -> Void) {
        guard count > 1, helperCount > 0 else {
            for round in 0..<count { body(round) }
            return
        }
        withoutActuallyEscaping(body) { body in
            let loop = Loop(count: count, body: body)
            state.change { state in
                state.loops.append(loop)
                startThreads(&state)
            }
            loop.work()
            state.change { $0.loops.removeAll { $0 === loop } }
            let _: Void? = state.wait { _ in
                loop.helpers.load(ordering: .relaxed) == 0 ? () : nil
            }
            loop.forgetBody()
        }
    }

    private func startThreads(_ state: inout State) {
        guard state.threads.isEmpty, !state.isEnding else { return }
        state.threads = (0..<helperCount).map { number in
            WorkerThread(name: "\(name)-\(number)") { [self] in help() }
        }
    }

    private func help() {
        while true {
            let step: Step? = state.wait { state in
                if state.isEnding { return .end }
                guard let loop = state.loops.first(where: { !$0.isTakenUp }) else { return nil }
                loop.helpers.add(1, ordering: .relaxed)
                return .work(loop)
            }
            guard case .work(let loop) = step else { return }
            loop.work()
            _ = state.change { _ in loop.helpers.subtract(1, ordering: .relaxed) }
        }
    }
}
