import TestSupport
import Testing

@testable import Redis

@Suite struct PipelineStateTests {
    @Test func `a lone caller writes, reads and is done`() {
        var state = PipelineState()
        let (ticket, action) = state.submit()
        #expect(action == .write(tickets: 0..<1))
        #expect(state.didWrite(own: ticket) == .init(action: .read))
        #expect(state.didAnswer(own: ticket, hasBytes: false) == .init(action: .done))
        #expect(state.isIdle)
    }

    @Test func `callers who come during a write are written together by the writer`() {
        var state = PipelineState()
        _ = state.submit()
        #expect(state.submit() == (1, .wait))
        #expect(state.submit() == (2, .wait))
        #expect(state.didWrite(own: 0) == .init(action: .write(tickets: 1..<3)))
        #expect(state.didWrite(own: 0) == .init(action: .read))
        #expect(
            state.didAnswer(own: 0, hasBytes: true) == .init(action: .read, wake: nil))
        #expect(state.didAnswer(own: 0, hasBytes: true) == .init(action: .read, wake: 1))
        #expect(state.didAnswer(own: 0, hasBytes: false) == .init(action: .done, wake: 2))
    }

    @Test func `a caller who comes during a read writes at once and reads when its turn comes`() {
        var state = PipelineState()
        _ = state.submit()
        _ = state.didWrite(own: 0)
        #expect(state.submit() == (1, .write(tickets: 1..<2)))
        #expect(state.didWrite(own: 1) == .init(action: .wait))
        #expect(
            state.didAnswer(own: 0, hasBytes: false) == .init(action: .done, nextReader: 1))
        #expect(state.didAnswer(own: 1, hasBytes: false) == .init(action: .done))
    }

    @Test func `a writer told to read while it writes takes the signal that says so`() {
        var state = PipelineState()
        _ = state.submit()
        _ = state.didWrite(own: 0)
        _ = state.submit()
        #expect(
            state.didAnswer(own: 0, hasBytes: false) == .init(action: .done, nextReader: 1))
        #expect(state.didWrite(own: 1) == .init(action: .wait))
    }

    @Test func `a writer answered while it wrote for others hands the reading on`() {
        var state = PipelineState()
        _ = state.submit()
        _ = state.didWrite(own: 0)
        _ = state.submit()
        _ = state.submit()
        // The first caller reads its own answer and, with it, the second's.
        _ = state.didAnswer(own: 0, hasBytes: true)
        #expect(state.didAnswer(own: 0, hasBytes: false) == .init(action: .done, wake: 1))
        #expect(state.didWrite(own: 1) == .init(action: .write(tickets: 2..<3)))
        #expect(state.didWrite(own: 1) == .init(action: .wait, nextReader: 2))
    }

    @Test func `a broken link fails every unanswered exchange, told apart by whether it was sent`()
    {
        var state = PipelineState()
        for _ in 0..<2 { _ = state.submit() }
        _ = state.didWrite(own: 0)
        _ = state.didWrite(own: 0)
        _ = state.didAnswer(own: 0, hasBytes: true)
        _ = state.submit()
        _ = state.submit()
        state.linkBroke(.reader)
        #expect(!state.isAbandoned)
        state.linkBroke(.writer)
        #expect(state.isAbandoned)
        let (sent, unsent) = state.failAll()
        #expect(sent == 1..<3)
        #expect(unsent == 3..<4)
        #expect(state.isIdle && !state.isBroken)
        #expect(state.submit() == (4, .write(tickets: 4..<5)))
    }

    /// Callers as they behave in `Lane`, stepped in random order: whoever has something to do is picked.
    @Test(arguments: 0..<200)
    func `no caller is forgotten, whatever the order of events`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var state = PipelineState()
        var doing: [Int: PipelineState.Action] = [:]
        /// Signals that wait to be taken.
        var signals: [Int: PipelineState.Action] = [:]
        var left = 40
        var finished = 0
        /// Replies come only to what has been written whole.
        var replied = 0
        while finished < 40 {
            let able = doing.keys.filter { ticket in
                switch doing[ticket] {
                case .wait: signals[ticket] != nil
                case .read: state.answered < replied
                default: true
                }
            }.sorted()
            if left > 0, able.isEmpty || random.next() % 3 == 0 {
                let (ticket, action) = state.submit()
                doing[ticket] = action
                left -= 1
                continue
            }
            guard let ticket = able.randomElement(using: &random) else {
                Issue.record("everybody waits; seed \(seed)")
                return
            }
            var step = PipelineState.Step(action: .wait)
            switch doing[ticket] {
            case .write(let tickets)?:
                replied = max(replied, tickets.upperBound)
                step = state.didWrite(own: ticket)
            case .read?:
                step = state.didAnswer(
                    own: ticket, hasBytes: state.answered + 1 < replied && random.next() % 2 == 0)
            case .wait?: step.action = signals.removeValue(forKey: ticket) ?? .wait
            case .done?, nil: Issue.record("a caller who is done was picked")
            }
            if let woken = step.wake { signals[woken] = .done }
            if let reader = step.nextReader { signals[reader] = .read }
            doing[ticket] = step.action
            if step.action == .done {
                // A signal left over would reach whoever uses the exchange next.
                #expect(signals[ticket] == nil, "seed \(seed)")
                doing[ticket] = nil
                finished += 1
            }
        }
        #expect(state.isIdle && !state.isWriting && state.reader == nil)
    }
}
