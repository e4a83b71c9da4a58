import KeyValue
import Primitives

/// What Redis has no place for and the mount remembers while it lives: permissions, owners and times that
/// were set or seen, of the places that were last concerned.
final class RememberedAttributes: Sendable {
    struct Values: Sendable {
        var permissions: UInt32?
        var userID: UInt32?
        var groupID: UInt32?
        var accessTime: Timestamp?
        var modificationTime: Timestamp?
        var changeTime: Timestamp?
    }

    private struct State {
        var values: [Place: Values] = [:]
        var order: [Place] = []
    }

    /// Beyond twice as many places the older half is forgotten.
    private static let keptPlaces = 32_768

    /// Rank: a leaf.
    private let state = Locked(State())

    func values(of place: Place) -> Values? { state.withLock { $0.values[place] } }

    func change(_ place: Place, _ body: (inout Values) -> Void) {
        state.withLock { state in
            if state.values[place] == nil { state.order.append(place) }
            body(&state.values[place, default: Values()])
            guard state.order.count > 2 * Self.keptPlaces else { return }
            for old in state.order.prefix(Self.keptPlaces) { state.values[old] = nil }
            state.order.removeFirst(Self.keptPlaces)
        }
    }

    /// The contents changed now.
    func touch(_ place: Place) {
        let now = Timestamp.now
        change(place) { values in
            values.modificationTime = now
            values.changeTime = now
        }
    }

    func forget(_ place: Place) {
        state.withLock { state in
            // The order keeps the place, which is harmless: it is forgotten a second time later.
            state.values[place] = nil
        }
    }

    func move(_ place: Place, to new: Place) {
        guard let values = values(of: place) else { return forget(new) }
        forget(place)
        change(new) { $0 = values }
    }
}
