import Primitives
import TestSupport
import Testing

@Suite struct TestThreadTests {
    @Test func `what a thread of a test finds wrong is an issue of that test`() {
        let found = Locked<Test.ID?>(nil)
        withKnownIssue {
            TestThread(name: "finds") {
                found.withLock { $0 = Test.current?.id }
                Issue.record("the thread found something")
            }.join()
        }
        #expect(found.withLock { $0 } != nil)
        #expect(found.withLock { $0 } == Test.current?.id)
    }

    @Test func `a thread of a test runs beside those that wait`() {
        let arrived = Monitor(0)
        let threads = (0..<32).map { number in
            TestThread(name: "waits \(number)") {
                arrived.change { $0 += 1 }
                let _: Void? = arrived.wait { $0 == 32 ? () : nil }
            }
        }
        for thread in threads { thread.join() }
        #expect(arrived.withLock { $0 } == 32)
    }
}
