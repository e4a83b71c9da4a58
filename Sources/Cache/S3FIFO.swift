/// Decides which block leaves when memory is needed: S3-FIFO (Yang et al., SOSP 2023, "FIFO queues are all
/// you need for cache eviction"). What is seen once passes through a small queue and leaves without
/// disturbing the main queue, so that one pass over a big file does not empty the cache. A hit moves
/// nothing: it counts.
///
/// One difference to the paper: a program that reads a file in small pieces touches each block many times
/// within moments, which says nothing about the block being wanted again. A touch therefore counts only
/// when some other blocks came in since the last one (`correlationWindow`), and then one is enough to be
/// promoted.
///
/// A value: no lock, no clock, no memory of blocks. Nodes are numbers that the caller keeps.
struct S3FIFO<Payload: BitwiseCopyable> {
    typealias Node = Int32
    static var none: Node { -1 }

    enum Queue: UInt8 { case small, main, free }

    private struct Record {
        var payload: Payload
        var hash: UInt64
        /// Toward the head (younger) and the tail (older); `next` also links free records.
        var previous: Node
        var next: Node
        var touchedAt: UInt32
        var frequency: UInt8
        var queue: Queue
    }

    private struct List {
        var head: Node = -1
        var tail: Node = -1
        var count = 0
    }

    private var records: [Record] = []
    private var firstFree: Node = -1
    private var small = List()
    private var main = List()
    private var ghost: Ghost
    /// Counts insertions; wraps.
    private var clock: UInt32 = 0

    private static var frequencyLimit: UInt8 { 3 }

    /// `nominalCount`: about how many blocks there is room for; it sizes the memory of what left.
    init(nominalCount: Int) {
        ghost = Ghost(capacity: max(8, nominalCount))
    }

    var count: Int { small.count + main.count }
    var smallCount: Int { small.count }
    var mainCount: Int { main.count }

    /// The small queue is entitled to a tenth.
    private var smallTarget: Int { max(1, count / 10) }

    private var correlationWindow: UInt32 { UInt32(max(1, smallTarget / 4)) }

    /// Lets a block in. It goes to the main queue when it left the small one not long ago, or when
    /// `isProven` says that it stood in the main queue before.
    mutating func insert(_ payload: Payload, hash: UInt64, isProven: Bool = false) -> Node {
        clock &+= 1
        let queue: Queue = isProven || ghost.contains(hash) ? .main : .small
        let record = Record(
            payload: payload, hash: hash, previous: -1, next: -1, touchedAt: clock, frequency: 0,
            queue: queue)
        let node: Node
        if firstFree >= 0 {
            node = firstFree
            firstFree = records[Int(node)].next
            records[Int(node)] = record
        } else {
            node = Node(records.count)
            records.append(record)
        }
        pushHead(node, to: queue)
        return node
    }

    /// A hit.
    mutating func touch(_ node: Node) {
        let index = Int(node)
        guard clock &- records[index].touchedAt >= correlationWindow else { return }
        records[index].touchedAt = clock
        if records[index].frequency < Self.frequencyLimit { records[index].frequency += 1 }
    }

    /// Takes a block out for another reason than eviction; returns the queue in which it stood.
    @discardableResult
    mutating func remove(_ node: Node) -> Queue {
        let queue = records[Int(node)].queue
        precondition(queue != .free, "a node is removed once")
        unlink(node)
        release(node)
        return queue
    }

    /// Takes out the block that is worth least among those that may leave; `nil` when none may.
    ///
    /// `mayLeave` is asked for each candidate and must not change during the call.
    mutating func evict(mayLeave: (Payload) -> Bool) -> Payload? {
        var smallSkips = 0
        var mainSkips = 0
        while true {
            let smallIsOpen = smallSkips < small.count
            let mainIsOpen = mainSkips < main.count
            if smallIsOpen, small.count > smallTarget || !mainIsOpen {
                let node = small.tail
                if records[Int(node)].frequency > 0 {
                    move(node, to: .main)
                } else if mayLeave(records[Int(node)].payload) {
                    ghost.insert(records[Int(node)].hash)
                    return takeOut(node)
                } else {
                    smallSkips += 1
                    move(node, to: .small)
                }
            } else if mainIsOpen {
                let node = main.tail
                if records[Int(node)].frequency > 0 {
                    let left = records[Int(node)].frequency - 1
                    move(node, to: .main)
                    records[Int(node)].frequency = left
                } else if mayLeave(records[Int(node)].payload) {
                    return takeOut(node)
                } else {
                    mainSkips += 1
                    move(node, to: .main)
                }
            } else {
                return nil
            }
        }
    }

    private mutating func takeOut(_ node: Node) -> Payload {
        let payload = records[Int(node)].payload
        unlink(node)
        release(node)
        return payload
    }

    /// To the head of a queue, with no hits to its credit.
    private mutating func move(_ node: Node, to queue: Queue) {
        unlink(node)
        records[Int(node)].frequency = 0
        pushHead(node, to: queue)
    }

    private mutating func release(_ node: Node) {
        records[Int(node)].queue = .free
        records[Int(node)].next = firstFree
        firstFree = node
    }

    private mutating func pushHead(_ node: Node, to queue: Queue) {
        records[Int(node)].queue = queue
        withList(queue) { list, records in
            records[Int(node)].previous = -1
            records[Int(node)].next = list.head
            if list.head >= 0 { records[Int(list.head)].previous = node } else { list.tail = node }
            list.head = node
            list.count += 1
        }
    }

    private mutating func unlink(_ node: Node) {
        let previous = records[Int(node)].previous
        let next = records[Int(node)].next
        withList(records[Int(node)].queue) { list, records in
            if previous >= 0 { records[Int(previous)].next = next } else { list.head = next }
            if next >= 0 { records[Int(next)].previous = previous } else { list.tail = previous }
            list.count -= 1
        }
    }

    private mutating func withList(_ queue: Queue, _ body: (inout List, inout [Record]) -> Void) {
        switch queue {
        case .small: body(&small, &records)
        case .main: body(&main, &records)
        case .free: preconditionFailure("a free node stands in no queue")
        }
    }
}

/// Remembers by their hash the last `capacity` blocks that left the small queue.
private struct Ghost {
    private var ring: [UInt64]
    private var position = 0
    /// The place in the ring where a hash was written last.
    private var places: [UInt64: Int] = [:]

    init(capacity: Int) {
        ring = Array(repeating: 0, count: capacity)
    }

    func contains(_ hash: UInt64) -> Bool { places[hash] != nil }

    mutating func insert(_ hash: UInt64) {
        let old = ring[position]
        if places[old] == position { places[old] = nil }
        ring[position] = hash
        places[hash] = position
        position = (position + 1) % ring.count
    }
}
