import Primitives
import Synchronization
import TestSupport
import Testing

@Suite struct ParallelLoopTests {
    @Test(arguments: [1, 2, 5]) func `each round is run once, in loops at once`(width: Int) {
        let loop = ParallelLoop(name: "test", width: width)
        let total = Locked(0)
        let callers = (0..<4).map { caller in
            TestThread(name: "caller") {
                for count in 0..<40 {
                    let rounds = Locked<[Int]>([])
                    loop.run(count) { round in rounds.withLock { $0.append(round) } }
                    let seen = rounds.withLock { $0.sorted() }
                    #expect(seen == Array(0..<count), "caller \(caller)")
                    total.withLock { $0 += seen.count }
                }
            }
        }
        for caller in callers { caller.join() }
        loop.end()
        #expect(total.withLock { $0 } == 4 * (0..<40).reduce(0, +))
    }

    @Test func `several threads work on one loop`() {
        let loop = ParallelLoop(name: "test", width: 2)
        let running = Monitor(0)
        // Each of the two rounds goes on once the other one has begun.
        loop.run(2) { _ in
            running.change { $0 += 1 }
            let _: Void? = running.wait { $0 == 2 ? () : nil }
        }
        loop.end()
        #expect(running.withLock { $0 } == 2)
    }

    @Test func `nobody holds the closure of a loop that has ended`() {
        let loop = ParallelLoop(name: "test", width: 3)
        let rounds = Locked(0)
        // A helper that lets go too late ends the process (withoutActuallyEscaping).
        for _ in 0..<50_000 { loop.run(2) { _ in rounds.withLock { $0 += 1 } } }
        loop.end()
        #expect(rounds.withLock { $0 } == 100_000)
    }

    @Test func `behind its end a loop is the caller's alone`() {
        let loop = ParallelLoop(name: "test", width: 3)
        loop.end()
        let rounds = Locked(0)
        loop.run(5) { _ in rounds.withLock { $0 += 1 } }
        #expect(rounds.withLock { $0 } == 5)
    }
}
