import KeyValue
import Primitives

/// The scripts that were made for the shapes of batches that come again and again. What comes once is
/// interpreted.
final class BatchScripts: Sendable {
    /// A server keeps every script that it was ever given.
    private static let maximumScripts = 64
    /// Shapes that are counted: more of them are interpreted.
    private static let maximumShapes = 256

    enum Answer {
        case interpret
        /// The server has it.
        case call(Script)
        /// To be loaded by the caller, who says how that went with `didLoad`.
        case load(Script)
    }

    private enum Entry {
        case seen(times: Int)
        case loading(Script)
        case loaded(Script)
    }

    private struct State {
        var entries: [BatchForm.Shape: Entry] = [:]
        var scripts: [Script] = []
    }

    private let uses: Int
    private let state = Locked(State())

    /// A shape gets its script at its use number `uses`, from 1; none if there are never so many.
    init(uses: Int) { self.uses = uses }

    var isUsed: Bool { uses != .max }

    /// Everything that a new connection loads beside `Script.all`.
    var loaded: [Script] { state.withLock { $0.scripts } }

    func script(for shape: BatchForm.Shape) -> Answer {
        let isDue = state.withLock { state -> Answer? in
            switch state.entries[shape] {
            case .loaded(let script): return .call(script)
            case .loading: return .interpret
            case .seen(let times):
                guard times + 1 >= uses else {
                    state.entries[shape] = .seen(times: times + 1)
                    return .interpret
                }
            case nil:
                guard state.entries.count < Self.maximumShapes else { return .interpret }
                guard uses <= 1 else {
                    state.entries[shape] = .seen(times: 1)
                    return .interpret
                }
            }
            return state.scripts.count < Self.maximumScripts ? nil : .interpret
        }
        if let isDue { return isDue }
        let script = BatchCompiler.script(for: shape)
        return state.withLock { state in
            if case .loading = state.entries[shape] { return .interpret }
            if case .loaded(let script) = state.entries[shape] { return .call(script) }
            state.entries[shape] = .loading(script)
            return .load(script)
        }
    }

    func didLoad(_ script: Script, for shape: BatchForm.Shape, _ isLoaded: Bool) {
        state.withLock { state in
            state.entries[shape] = isLoaded ? .loaded(script) : .seen(times: 0)
            if isLoaded { state.scripts.append(script) }
        }
    }
}
