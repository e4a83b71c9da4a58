import Testing

@testable import Redis

@Suite struct ReplyPollingTests {
    @Test func `a server that answers soon is looked for at each wait`() {
        var polling = ReplyPolling()
        for _ in 0..<100 {
            let looks = polling.begin()
            #expect(looks)
            polling.end(foundReply: true)
        }
    }

    @Test func `a server that is slow is looked for at one wait in 64`() {
        var polling = ReplyPolling()
        var looks = 0
        for _ in 0..<6_400 where polling.begin() {
            looks += 1
            polling.end(foundReply: false)
        }
        #expect((100...106).contains(looks))
    }

    @Test func `one reply in time ends the pause`() {
        var polling = ReplyPolling()
        for _ in 0..<6 {
            while !polling.begin() {}
            polling.end(foundReply: false)
        }
        while !polling.begin() {}
        polling.end(foundReply: true)
        #expect(polling == ReplyPolling())
    }
}
