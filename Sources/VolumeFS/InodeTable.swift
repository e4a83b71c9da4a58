import Primitives
import VolumeStore

/// The inodes that the kernel refers to, by count, and the states of those that are in use.
///
/// A count is two words; a state is some hundred bytes. Counts are exact and kept as long as the kernel
/// refers; states are dropped beyond a limit while they are idle, since the store knows everything that
/// an idle state knows.
final class InodeTable: Sendable {
    private static let shardCount = 64

    private struct Contents {
        var references: [InodeID: UInt64] = [:]
        var states: [InodeID: InodeState] = [:]
    }

    private final class Shard: Sendable {
        let contents = Locked(Contents())
    }

    private let shards: [Shard]
    private let statesPerShard: Int

    init(stateLimit: Int) {
        shards = (0..<Self.shardCount).map { _ in Shard() }
        statesPerShard = max(8, stateLimit / Self.shardCount)
    }

    private func shard(of inode: InodeID) -> Shard {
        shards[Int(truncatingIfNeeded: inode.rawValue) & (Self.shardCount - 1)]
    }

    func state(of inode: InodeID) -> InodeState? {
        shard(of: inode).contents.withLock { $0.states[inode] }
    }

    /// The state of the record's inode, made or brought up to date from it. `isCurrent` is asked under
    /// the shard's lock: whether nothing has changed since the record was fetched. A state that is
    /// fresh knows better than what was fetched.
    func install(
        _ record: InodeRecord, addingReference: Bool, isCurrent: () -> Bool
    ) -> InodeState {
        shard(of: record.id).contents.withLock { contents in
            if addingReference { contents.references[record.id, default: 0] += 1 }
            if let state = contents.states[record.id] {
                state.withFacts { facts in
                    if !facts.isFresh && isCurrent() { facts.absorb(record) }
                }
                return state
            }
            let state = InodeState(record: record, isFresh: isCurrent())
            contents.states[record.id] = state
            if contents.states.count > statesPerShard { Self.dropIdle(&contents) }
            return state
        }
    }

    /// Counts one more kernel reference.
    func addReference(_ inode: InodeID) {
        shard(of: inode).contents.withLock { $0.references[inode, default: 0] += 1 }
    }

    /// Whether the kernel was told of the inode and has not forgotten it.
    func isReferenced(_ inode: InodeID) -> Bool {
        shard(of: inode).contents.withLock { $0.references[inode] != nil }
    }

    /// All inodes that the kernel refers to at this moment.
    func referencedInodes() -> [InodeID] {
        shards.flatMap { shard in shard.contents.withLock { Array($0.references.keys) } }
    }

    /// Gives references back. More than were counted would be a mistake of the kernel's or ours; the
    /// count stops at zero.
    func forget(_ inode: InodeID, count: UInt64) {
        shard(of: inode).contents.withLock { contents in
            guard let references = contents.references[inode] else { return }
            guard references <= count else {
                contents.references[inode] = references - count
                return
            }
            contents.references[inode] = nil
            Self.dropIdle(inode, &contents)
        }
    }

    /// The kernel always has the root, without having been told of it.
    private static func dropIdle(_ inode: InodeID, _ contents: inout Contents) {
        guard inode != .root, let state = contents.states[inode],
            state.withFacts({ $0.isIdle })
        else { return }
        contents.states[inode] = nil
    }

    /// Forgets the state of an inode that is gone from the store.
    func remove(_ inode: InodeID) {
        shard(of: inode).contents.withLock { contents in
            guard let state = contents.states[inode], state.withFacts({ $0.isIdle }) else { return }
            contents.states[inode] = nil
        }
    }

    /// Forgets the state of an inode that the kernel has forgotten while it was still in use here, or had
    /// something to be stored.
    func removeUnreferenced(_ inode: InodeID) {
        shard(of: inode).contents.withLock { contents in
            if contents.references[inode] == nil { Self.dropIdle(inode, &contents) }
        }
    }

    /// All states of this moment.
    func snapshot() -> [InodeState] {
        shards.flatMap { shard in shard.contents.withLock { Array($0.states.values) } }
    }

    /// How many inodes the kernel refers to, and how many references there are.
    var referenceTotals: (inodes: Int, references: UInt64) {
        shards.reduce(into: (0, 0)) { totals, shard in
            shard.contents.withLock { contents in
                totals.0 += contents.references.count
                totals.1 += contents.references.values.reduce(0, +)
            }
        }
    }

    /// Drops an eighth of the shard's states, those that are idle and that nobody is looking at. A
    /// state that somebody holds must stay: a second one beside it would split what is known.
    private static func dropIdle(_ contents: inout Contents) {
        var wanted = max(1, contents.states.count / 8)
        var dropped: [InodeID] = []
        var index = contents.states.startIndex
        while index != contents.states.endIndex && wanted > 0 {
            let isUnused = isKnownUniquelyReferenced(&contents.states.values[index])
            if isUnused, contents.states[index].value.withFacts({ $0.isIdle }) {
                dropped.append(contents.states[index].key)
                wanted -= 1
            }
            contents.states.formIndex(after: &index)
        }
        for inode in dropped { contents.states[inode] = nil }
    }
}
