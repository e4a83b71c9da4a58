import TestSupport
import Testing

@testable import Cache

/// The same policy with plain arrays: the head of a queue is at index 0.
private struct ReferencePolicy {
    struct Item: Equatable {
        var key: Int
        var frequency = 0
        var touchedAt: Int
    }

    var small: [Item] = []
    var main: [Item] = []
    var ghost: [Int] = []
    var clock = 0
    let ghostCapacity: Int

    var count: Int { small.count + main.count }
    var smallTarget: Int { max(1, count / 10) }
    var window: Int { max(1, smallTarget / 4) }

    mutating func insert(_ key: Int, isProven: Bool) {
        clock += 1
        let item = Item(key: key, touchedAt: clock)
        if isProven || ghost.contains(key) {
            main.insert(item, at: 0)
        } else {
            small.insert(item, at: 0)
        }
    }

    private func touched(_ item: Item) -> Item {
        guard clock - item.touchedAt >= window else { return item }
        return Item(key: item.key, frequency: min(3, item.frequency + 1), touchedAt: clock)
    }

    mutating func touch(_ key: Int) {
        small = small.map { $0.key == key ? touched($0) : $0 }
        main = main.map { $0.key == key ? touched($0) : $0 }
    }

    mutating func remove(_ key: Int) {
        small.removeAll { $0.key == key }
        main.removeAll { $0.key == key }
    }

    mutating func evict(mayLeave: (Int) -> Bool) -> Int? {
        var smallSkips = 0
        var mainSkips = 0
        while smallSkips < small.count || mainSkips < main.count {
            let mainIsOpen = mainSkips < main.count
            if smallSkips < small.count, small.count > smallTarget || !mainIsOpen {
                var item = small.removeLast()
                if item.frequency > 0 {
                    item.frequency = 0
                    main.insert(item, at: 0)
                } else if mayLeave(item.key) {
                    ghost.append(item.key)
                    if ghost.count > ghostCapacity { ghost.removeFirst() }
                    return item.key
                } else {
                    smallSkips += 1
                    small.insert(item, at: 0)
                }
            } else {
                var item = main.removeLast()
                if item.frequency > 0 {
                    item.frequency -= 1
                    main.insert(item, at: 0)
                } else if mayLeave(item.key) {
                    return item.key
                } else {
                    mainSkips += 1
                    item.frequency = 0
                    main.insert(item, at: 0)
                }
            }
        }
        return nil
    }
}

@Suite struct S3FIFOTests {
    @Test func `long random histories agree with queues made of arrays`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var generator = SeededRandom(seed: seed)
        for _ in 0..<30 {
            let capacity = Int.random(in: 8...60, using: &generator)
            var policy = S3FIFO<Int>(nominalCount: capacity)
            var reference = ReferencePolicy(ghostCapacity: capacity)
            var nodes: [Int: Int32] = [:]
            for _ in 0..<600 {
                let key = Int.random(in: 1...(capacity * 3), using: &generator)
                switch Int.random(in: 0..<10, using: &generator) {
                case 0:
                    if let node = nodes.removeValue(forKey: key) {
                        policy.remove(node)
                        reference.remove(key)
                    }
                case 1:
                    let forbidden = Int.random(in: 0...4, using: &generator)
                    let left = policy.evict { $0 % 5 > forbidden }
                    #expect(left == reference.evict { $0 % 5 > forbidden }, "seed \(seed)")
                    if let left { nodes[left] = nil }
                default:
                    if let node = nodes[key] {
                        policy.touch(node)
                        reference.touch(key)
                        continue
                    }
                    if nodes.count >= capacity {
                        let left = policy.evict { _ in true }
                        #expect(left == reference.evict { _ in true }, "seed \(seed)")
                        if let left { nodes[left] = nil }
                    }
                    let isProven = Int.random(in: 0..<10, using: &generator) == 0
                    nodes[key] = policy.insert(key, hash: UInt64(key), isProven: isProven)
                    reference.insert(key, isProven: isProven)
                }
                #expect(policy.smallCount == reference.small.count, "seed \(seed)")
                #expect(policy.mainCount == reference.main.count, "seed \(seed)")
            }
        }
    }

    /// A cache of `room` numbers in front of nothing.
    private struct Simulation {
        var policy: S3FIFO<Int>
        var nodes: [Int: Int32] = [:]
        let room: Int
        var misses = 0

        init(room: Int) {
            self.room = room
            policy = S3FIFO(nominalCount: room)
        }

        mutating func read(_ key: Int, touches: Int = 1) {
            if nodes[key] == nil {
                misses += 1
                if nodes.count == room, let left = policy.evict(mayLeave: { _ in true }) {
                    nodes[left] = nil
                }
                nodes[key] = policy.insert(key, hash: UInt64(key))
            }
            guard let node = nodes[key] else { return }
            for _ in 0..<touches { policy.touch(node) }
        }
    }

    @Test(arguments: [1, 31]) func `one pass over a big file leaves what is in use`(touches: Int) {
        var cache = Simulation(room: 100)
        for _ in 0..<5 { for key in 0..<80 { cache.read(key, touches: touches) } }
        // Things that are seen once make the queues take their shape.
        for key in 500..<560 { cache.read(key, touches: touches) }
        for key in 0..<80 { cache.read(key) }
        for key in 1_000..<3_000 { cache.read(key, touches: touches) }
        cache.misses = 0
        for key in 0..<80 { cache.read(key) }
        #expect(cache.misses <= 4, "an LRU cache would miss all 80")
    }

    @Test func `what comes back soon after it left is kept for longer`() {
        var cache = Simulation(room: 20)
        for key in 0..<21 { cache.read(key) }
        #expect(cache.nodes[0] == nil)
        cache.read(0)
        for key in 100..<160 { cache.read(key) }
        #expect(cache.nodes[0] != nil, "it stands in the main queue")
    }

    @Test func `nothing leaves when nothing may`() {
        var policy = S3FIFO<Int>(nominalCount: 8)
        #expect(policy.evict { _ in true } == nil)
        for key in 0..<8 { _ = policy.insert(key, hash: UInt64(key), isProven: key % 2 == 0) }
        #expect(policy.evict { _ in false } == nil)
        #expect(policy.count == 8)
        // The one that may is found wherever it stands.
        for key in [6, 3, 0, 7] {
            #expect(policy.evict { $0 == key } == key)
        }
        #expect(policy.count == 4)
    }
}
