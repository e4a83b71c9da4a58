import FileSystem
import Primitives

/// Where a request for a lock that is answered later stands. A value: `PendingLocks` acts.
///
/// The answer, an interruption and the return of the filesystem's call come in any order, from three
/// threads; the request is answered once, after the call has returned.
struct LockWait: Equatable {
    enum Action: Equatable {
        case none
        /// `nil`: the lock is taken.
        case answer(Errno?)
        case cancel(LockTicket)
    }

    private enum Phase: Equatable {
        case starting(isInterrupted: Bool)
        /// The answer came before the call returned.
        case answeredEarly(Errno?)
        case waiting(LockTicket)
        case over
    }

    private var phase = Phase.starting(isInterrupted: false)

    mutating func returned(_ result: Result<LockStart, Errno>) -> Action {
        switch (phase, result) {
        case (.answeredEarly(let errno), _):
            phase = .over
            return .answer(errno)
        case (.starting, .success(.taken)):
            phase = .over
            return .answer(nil)
        case (.starting, .failure(let errno)):
            phase = .over
            return .answer(errno)
        case (.starting(let isInterrupted), .success(.later(let ticket))):
            phase = .waiting(ticket)
            return isInterrupted ? .cancel(ticket) : .none
        case (.waiting, _), (.over, _):
            return .none
        }
    }

    mutating func answered(_ errno: Errno?) -> Action {
        switch phase {
        case .starting:
            phase = .answeredEarly(errno)
            return .none
        case .waiting:
            phase = .over
            return .answer(errno)
        case .answeredEarly, .over:
            return .none
        }
    }

    mutating func interrupted() -> Action {
        switch phase {
        case .starting:
            phase = .starting(isInterrupted: true)
            return .none
        case .waiting(let ticket): return .cancel(ticket)
        case .answeredEarly, .over: return .none
        }
    }
}
