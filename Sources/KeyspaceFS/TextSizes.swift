import KeyValue
import Primitives

/// Sizes of texts that were counted, for as long as the server announces changes and has announced none of
/// theirs.
final class TextSizes: Sendable {
    private struct State {
        var isLive = false
        var sizes: [Bytes: UInt64] = [:]
        var order: [Bytes] = []
        /// Keys that are being counted, by how many, and whether they were changed meanwhile.
        var counted: [Bytes: (users: Int, isChanged: Bool)] = [:]
    }

    /// Beyond twice as many keys the older half is forgotten.
    private static let keptKeys = 16_384

    /// Rank: a leaf.
    private let state = Locked(State())

    /// Nothing is kept while changes are not announced.
    func setLive(_ isLive: Bool) {
        state.withLock { state in
            state.isLive = isLive
            forgetAll(&state)
        }
    }

    func forgetAll() { state.withLock { forgetAll(&$0) } }

    private func forgetAll(_ state: inout State) {
        state.sizes = [:]
        state.order = []
        for key in state.counted.keys { state.counted[key]?.isChanged = true }
    }

    func known(_ key: Bytes) -> UInt64? { state.withLock { $0.sizes[key] } }

    /// Somebody has changed the key.
    func forget(_ key: Bytes) {
        state.withLock { state in
            // The order keeps it, which is harmless: it is forgotten a second time later.
            state.sizes[key] = nil
            state.counted[key]?.isChanged = true
        }
    }

    /// Runs `body`, which finds out the sizes of `keys` (`nil`: it did not), and keeps those that have not
    /// changed meanwhile.
    func count(
        _ keys: [Bytes], _ body: () throws(Errno) -> [UInt64?]
    ) throws(Errno) -> [UInt64?] {
        state.withLock { state in
            for key in keys { state.counted[key, default: (0, false)].users += 1 }
        }
        var sizes: [UInt64?] = []
        defer {
            state.withLock { state in
                for (index, key) in keys.enumerated() {
                    end(key, index < sizes.count ? sizes[index] : nil, &state)
                }
            }
        }
        sizes = try body()
        return sizes
    }

    private func end(_ key: Bytes, _ size: UInt64?, _ state: inout State) {
        guard let counting = state.counted[key] else { return }
        state.counted[key] = counting.users == 1 ? nil : (counting.users - 1, counting.isChanged)
        guard let size, state.isLive, !counting.isChanged else { return }
        if state.sizes.updateValue(size, forKey: key) == nil { state.order.append(key) }
        guard state.order.count > 2 * Self.keptKeys else { return }
        for old in state.order.prefix(Self.keptKeys) { state.sizes[old] = nil }
        state.order.removeFirst(Self.keptKeys)
    }
}
