import KeyValue
import Primitives
import Synchronization

/// Connections that were lost on this side but may live on at the server, with commands still waiting in
/// their buffers. Whoever changes anything has the server end them first, so that an old write does not
/// land on a newer one.
final class Zombies: Sendable {
    /// More than lanes can lose at a time; older ones are long dead.
    private static let maximumKept = 256

    private let known = Locked<[RedisIdentity]>([])
    private let count = Atomic<Int>(0)

    /// Costs one atomic load while there are none, which is nearly always.
    var areSome: Bool { count.load(ordering: .acquiring) > 0 }

    func add(_ identity: RedisIdentity) {
        known.withLock { known in
            known.append(identity)
            if known.count > Self.maximumKept { known.removeFirst() }
            count.store(known.count, ordering: .releasing)
        }
    }

    /// Those of the server process `run`; a process that is gone took its connections along, and what still
    /// reaches one that is the primary no longer is thrown away by it.
    func identities(of run: Bytes) -> (living: [RedisIdentity], gone: [RedisIdentity]) {
        known.withLock { known in
            (known.filter { $0.run == run }, known.filter { $0.run != run })
        }
    }

    func remove(_ buried: [RedisIdentity]) {
        known.withLock { known in
            known.removeAll { buried.contains($0) }
            count.store(known.count, ordering: .releasing)
        }
    }
}
