import FileSystem
import Primitives
import Testing

@testable import FuseServer

@Suite struct LockWaitTests {
    private let ticket = LockTicket(7)

    @Test func `a lock that is free is answered as the call returns`() {
        var wait = LockWait()
        #expect(wait.returned(.success(.taken)) == .answer(nil))
        #expect(wait.answered(nil) == .none)
        #expect(wait.interrupted() == .none)
    }

    @Test func `an answer before the return of the call waits for it`() {
        var wait = LockWait()
        #expect(wait.answered(nil) == .none)
        #expect(wait.interrupted() == .none)
        #expect(wait.returned(.success(.later(ticket))) == .answer(nil))
        #expect(wait.answered(.interrupted) == .none)
    }

    @Test func `an answer afterwards goes out at once, and once`() {
        var wait = LockWait()
        #expect(wait.returned(.success(.later(ticket))) == .none)
        #expect(wait.answered(nil) == .answer(nil))
        #expect(wait.answered(.interrupted) == .none)
        #expect(wait.interrupted() == .none)
    }

    @Test func `an interruption cancels, whenever it comes`() {
        var early = LockWait()
        #expect(early.interrupted() == .none)
        #expect(early.returned(.success(.later(ticket))) == .cancel(ticket))
        #expect(early.answered(.interrupted) == .answer(.interrupted))
        var late = LockWait()
        #expect(late.returned(.success(.later(ticket))) == .none)
        #expect(late.interrupted() == .cancel(ticket))
        #expect(late.answered(nil) == .answer(nil))
    }

    @Test func `a refusal is the answer`() {
        var wait = LockWait()
        #expect(wait.returned(.failure(.tryAgain)) == .answer(.tryAgain))
    }
}
