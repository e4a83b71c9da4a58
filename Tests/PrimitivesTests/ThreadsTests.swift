import Primitives
import Synchronization
import Testing

@Suite struct LockedTests {
    /// Runs `body` on several threads and waits for all.
    private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let threads = (0..<count).map { index in
            WorkerThread(name: "test-\(index)") { body(index) }
        }
        for thread in threads { thread.join() }
    }

    /// `~Copyable` values cannot be captured by a closure that escapes.
    private final class Shared: Sendable {
        let count = Locked(0)
        let monitor = Monitor<[Int]>([])
        let stripes = StripedLocks(count: 8)
    }

    @Test func `additions of many threads are all counted`() {
        let shared = Shared()
        onThreads(8) { _ in
            for _ in 0..<5_000 { shared.count.withLock { $0 += 1 } }
        }
        #expect(shared.count.withLock { $0 } == 40_000)
    }

    @Test func `an error leaves the lock free`() {
        let lock = Locked(0)
        #expect(throws: Errno.busy) {
            try lock.withLock { value throws(Errno) in
                value = 1
                throw .busy
            }
        }
        #expect(lock.withLock { $0 } == 1)
    }

    @Test func `the value is released with the lock`() {
        final class Item {}
        weak var released: Item?
        do {
            let item = Item()
            released = item
            let lock = Locked(item)
            lock.withLock { _ in }
        }
        #expect(released == nil)
    }

    @Test func `values of every alignment fit behind the mutex`() {
        struct Odd { var bytes: (UInt8, UInt8, UInt8) = (1, 2, 3) }
        #expect(Locked(Odd()).withLock { $0.bytes.2 } == 3)
        #expect(Locked(SIMD16<UInt32>(repeating: 9)).withLock { $0[15] } == 9)
        #expect(Locked(()).withLock { _ in 5 } == 5)
    }

    @Test func `a waiting thread sees each change and gets the first that suits it`() {
        let shared = Shared()
        let waiter = WorkerThread(name: "waiter") {
            let found: Int? = shared.monitor.wait { values in
                values.count >= 100 ? values.count : nil
            }
            #expect(found == 100)
            shared.monitor.change { $0.append(-1) }
        }
        for index in 0..<100 { shared.monitor.change { $0.append(index) } }
        waiter.join()
        #expect(shared.monitor.withLock { $0.last } == -1)
    }

    @Test func `a wait ends at its deadline, not before and not never`() {
        let monitor = Monitor(0)
        let deadline = Deadline.after(milliseconds: 30)
        let result: Bool? = monitor.wait(until: deadline) { _ in nil }
        #expect(result == nil)
        #expect(deadline.hasPassed)
        let atOnce: Int? = monitor.wait(until: deadline) { $0 }
        #expect(atOnce == 0, "what is there already is found after the deadline, too")
    }

    // MARK: Stripes

    @Test func `exclusive holders of one inode exclude each other and readers`() {
        let shared = Shared()
        let holders = Atomic<Int>(0)
        onThreads(6) { index in
            for round in 0..<500 {
                if (round + index).isMultiple(of: 3) {
                    shared.stripes.withExclusive(InodeID(5)) {
                        #expect(holders.exchange(1_000, ordering: .relaxed) == 0)
                        holders.store(0, ordering: .relaxed)
                    }
                } else {
                    shared.stripes.withShared(InodeID(13)) {
                        #expect(holders.load(ordering: .relaxed) == 0, "13 shares the stripe of 5")
                    }
                }
            }
        }
    }

    @Test func `two readers of one stripe are inside at the same time`() {
        let shared = Shared()
        onThreads(2) { index in
            shared.stripes.withShared(InodeID(1)) {
                shared.monitor.change { $0.append(index) }
                let both: Bool? = shared.monitor.wait(until: .after(milliseconds: 10_000)) {
                    $0.count == 2 ? true : nil
                }
                #expect(both == true)
            }
        }
    }

    @Test func `several inodes are locked in any order without deadlock, each stripe once`() {
        let shared = Shared()
        onThreads(6) { index in
            let inodes = [InodeID(1), InodeID(2), InodeID(9), InodeID(3)]
            let order = index.isMultiple(of: 2) ? inodes : inodes.reversed()
            for _ in 0..<500 {
                shared.stripes.withExclusive(order) {}
            }
        }
        shared.stripes.withExclusive([]) {}
    }

    @Test func `neighbouring inodes have stripes of their own`() {
        let stripes = StripedLocks(count: 16)
        #expect(Set((1...16).map { stripes.index(of: InodeID($0)) }).count == 16)
        #expect((0..<16).contains(stripes.index(of: InodeID(.max))))
    }

    @Test func `an error leaves the stripe free`() {
        let stripes = StripedLocks(count: 2)
        #expect(throws: Errno.busy) {
            try stripes.withExclusive(InodeID(1)) { () throws(Errno) in throw .busy }
        }
        stripes.withExclusive(InodeID(1)) {}
    }

    // MARK: Threads

    @Test func `join waits for the function, and a second join returns`() {
        let shared = Shared()
        let thread = WorkerThread(name: "a name longer than fifteen bytes") {
            let _: Bool? = shared.monitor.wait { $0.isEmpty ? nil : true }
            shared.count.withLock { $0 = 7 }
        }
        shared.monitor.change { $0.append(1) }
        thread.join()
        #expect(shared.count.withLock { $0 } == 7)
        thread.join()
    }

    @Test func `a thread that nobody keeps still runs to its end`() {
        let shared = Shared()
        _ = WorkerThread(name: "alone") { shared.monitor.change { $0.append(1) } }
        let done: Bool? = shared.monitor.wait { $0.isEmpty ? nil : true }
        #expect(done == true)
    }
}
