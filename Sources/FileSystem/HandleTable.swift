public import Primitives

/// Open files or directories by the number that the kernel passes back.
public final class HandleTable<Item: AnyObject & Sendable>: Sendable {
    @usableFromInline static var shardCount: UInt64 { 16 }

    @usableFromInline struct Contents {
        @usableFromInline var items: [UInt64: Item] = [:]
        @usableFromInline var next: UInt64
    }

    @usableFromInline final class Shard: Sendable {
        @usableFromInline let contents: Locked<Contents>

        init(first: UInt64) { contents = Locked(Contents(next: first)) }
    }

    @usableFromInline let shards: [Shard]

    public init() {
        // Numbers of shard n are n + 16, n + 32, …: the low bits lead back, and 0 is no handle.
        shards = (0..<Self.shardCount).map { Shard(first: $0 + Self.shardCount) }
    }

    /// `hint` spreads handles over the shards.
    @inlinable
    public func insert(_ item: Item, hint: InodeID) -> HandleID {
        let shard = shards[Int(hint.rawValue % Self.shardCount)]
        return shard.contents.withLock { contents in
            let number = contents.next
            contents.next += Self.shardCount
            contents.items[number] = item
            return HandleID(number)
        }
    }

    /// EBADF for a number that was never given out or was removed.
    @inlinable
    public func item(_ handle: HandleID) throws(Errno) -> Item {
        let found = shards[Int(handle.rawValue % Self.shardCount)].contents.withLock {
            $0.items[handle.rawValue]
        }
        guard let found else { throw .badFileDescriptor }
        return found
    }

    @inlinable @discardableResult
    public func remove(_ handle: HandleID) -> Item? {
        shards[Int(handle.rawValue % Self.shardCount)].contents.withLock {
            $0.items.removeValue(forKey: handle.rawValue)
        }
    }

    /// How many handles are given out at this moment.
    public var count: Int {
        shards.reduce(0) { sum, shard in sum + shard.contents.withLock { $0.items.count } }
    }

    /// All items of this moment.
    public func snapshot() -> [Item] {
        shards.flatMap { shard in shard.contents.withLock { Array($0.items.values) } }
    }
}
