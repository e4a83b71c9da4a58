import Glibc
import Primitives
import TestSupport

/// A thread that makes, writes, syncs, truncates, renames and removes files in a directory of its own, and
/// keeps a log of what was acknowledged. It goes on after errors, without what they left in doubt.
final class FaultWorker: Sendable {
    /// The tree as it was once an operation had been answered.
    struct Step {
        var instant: Deadline
        var tree: AcknowledgedTree
        var what: String
    }

    private struct State {
        var steps: [Step]
        var operations = 0
        var failures: [String] = []
        var isStopping = false
        var keepsNames = false
        var isGone = false
    }

    let directory: String
    /// Keeps every step, not only the last.
    private let keepsHistory: Bool
    private let state: Monitor<State>
    private let thread = Locked<TestThread?>(nil)

    init(directory: String, seed: UInt64, keepsHistory: Bool) {
        self.directory = directory
        self.keepsHistory = keepsHistory
        state = Monitor(
            State(steps: [Step(instant: .now, tree: AcknowledgedTree(), what: "nothing")]))
        let started = TestThread(name: "fault worker") { [self] in
            var program = FaultProgram(directory: directory, seed: seed)
            while !state.withLock({ $0.isStopping || $0.isGone }) {
                let result = program.step(keepsNames: state.withLock { $0.keepsNames })
                note(program.tree, result)
            }
            // What could not be synced while the server was away is still in the daemon.
            if !state.withLock({ $0.isGone }) {
                note(program.tree, program.syncAll())
                state.withLock { state in
                    if keepsHistory { return }
                    state.steps = [Step(instant: .now, tree: program.tree, what: "the end")]
                }
            }
        }
        thread.withLock { $0 = started }
    }

    private func note(_ tree: AcknowledgedTree, _ result: FaultProgram.Result) {
        state.change { state in
            state.operations += 1
            let step = Step(instant: .now, tree: tree, what: result.what)
            if !keepsHistory { state.steps = [] }
            if keepsHistory, let before = result.beforeSync {
                state.steps.append(
                    Step(instant: before.instant, tree: before.tree, what: "writes"))
            }
            state.steps.append(step)
            guard let error = result.error else { return }
            state.failures.append("\(result.what): \(error)")
            // The daemon is gone: no operation can succeed any more.
            state.isGone = [ENOTCONN, ECONNABORTED, ENODEV].contains(error.rawValue)
        }
    }

    /// Waits until so many more operations were answered; false if there are none.
    func waitForOperations(_ count: Int, limitSeconds: Int = 60) -> Bool {
        let before = state.withLock { $0.operations }
        return state.wait(until: .after(milliseconds: limitSeconds * 1_000)) { state -> Bool? in
            if state.operations >= before + count { return true }
            return state.isGone ? false : nil
        } ?? false
    }

    /// From the next operation on, no names change and no file is cut; or they do again.
    func keepNames(_ keepsNames: Bool) { state.withLock { $0.keepsNames = keepsNames } }

    /// Ends the thread: syncs what is not yet, unless the daemon is gone.
    func stop() {
        state.change { $0.isStopping = true }
        thread.withLock { $0 }?.join()
    }

    var steps: [Step] { state.withLock { $0.steps } }
    var operations: Int { state.withLock { $0.operations } }
    var failures: [String] { state.withLock { $0.failures } }

    /// What is wrong with the directory; empty when it is as it was after some step at or behind `instant`
    /// (`nil`: after the last one).
    func mismatches(since instant: Deadline? = nil) throws(Errno) -> [String] {
        let found = try FoundTree(directory)
        let steps = steps
        var first: [String]?
        // From the end: mostly nothing is lost.
        for index in steps.indices.reversed() {
            if first == nil || found.hasNames(of: steps[index].tree) {
                let wrong = found.mismatches(with: steps[index].tree)
                if wrong.isEmpty { return [] }
                first = first ?? wrong.map { "\(directory): \($0)" }
            }
            // The step before the first one that is too late to be lost is the oldest that is allowed.
            guard let instant, steps[index].instant > instant else { break }
        }
        return first ?? []
    }
}
