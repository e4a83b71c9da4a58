import KeyValue
import Primitives
import Redis

/// Connections for edits, used again.
final class SessionPool: Sendable {
    private struct State {
        var idle: [RedisSession] = []
        var taken = 0
    }

    /// Files that can be open for writing at a time.
    static let maximumTaken = 512
    private static let maximumIdle = 8

    private let store: KeyStore
    /// Rank: a leaf.
    private let state = Locked(State())

    init(store: KeyStore) { self.store = store }

    /// ENFILE when too many are taken.
    func take() throws(Errno) -> RedisSession {
        let (mayTake, idle) = state.withLock { state -> (Bool, RedisSession?) in
            guard state.taken < Self.maximumTaken else { return (false, nil) }
            state.taken += 1
            while let session = state.idle.popLast() {
                if !session.hasEnded { return (true, session) }
            }
            return (true, nil)
        }
        guard mayTake else { throw .tooManyOpenFiles }
        if let idle { return idle }
        do throws(StoreError) {
            return try store.redis.makeSession()
        } catch {
            state.withLock { $0.taken -= 1 }
            throw store.report(error)
        }
    }

    /// What is still watched on it does no harm: whoever takes it begins anew.
    func giveBack(_ session: RedisSession) {
        state.withLock { state in
            state.taken -= 1
            if !session.hasEnded, state.idle.count < Self.maximumIdle { state.idle.append(session) }
        }
    }
}
