import KeyValue
import Primitives

/// Some commands of one caller and the replies to them: what travels through a lane as a whole.
///
/// It belongs to its caller, except while `Lane.perform` runs: then the lane's writer reads `commands`,
/// and the lane's reader fills the rest.
final class Exchange: @unchecked Sendable {
    enum Signal {
        case none
        case answered
        /// The caller takes over the reading.
        case read
        /// The link broke; `sent` says whether the commands may have reached the server.
        case failed(sent: Bool, LinkFailure)
    }

    let commands = CommandBuffer()
    /// When not empty, each command is a GET whose reply goes to the load of the same position.
    var loads: [BlockLoad] = []
    var deadline = Deadline.now
    /// Whether anything is changed by the commands.
    var mutates = false
    /// Whether the commands, carried out twice, have the effect of once.
    var mayResend = true
    /// The session for which blocks are changed: sent over connections only that were made while it was
    /// there, and are ended with it.
    var session: Bytes?

    /// Which of the commands have hashes as replies.
    private var hashRuns: [(first: Int, count: Int)] = []
    private var hashLists: [HashList] = []
    private var hashRefusals: [BlockRefusal] = []
    private(set) var replies: [Reply] = []
    private(set) var blocks: [Result<BlockLoadAnswer, BlockRefusal>] = []

    private let signal = Monitor(Signal.none)

    /// Makes it as new, but for the memory of its buffers.
    func clear() {
        commands.clear()
        loads = []
        hashRuns = []
        mutates = false
        mayResend = true
        session = nil
        rewind()
    }

    /// Forgets the replies, so that the commands can be sent again.
    func rewind() {
        replies.removeAll(keepingCapacity: true)
        blocks.removeAll(keepingCapacity: true)
        hashLists = []
        hashRefusals = []
        signal.withLock { $0 = .none }
    }

    /// Reads all replies to the commands.
    func readReplies(from reader: ReplyReader) throws(LinkFailure) {
        guard loads.isEmpty else {
            for load in loads { blocks.append(try reader.readBlock(into: load.destination)) }
            return
        }
        var position = 0
        for run in hashRuns {
            try readPlain(run.first - position, from: reader)
            try readHashes(run.count, from: reader)
            position = run.first + run.count
        }
        try readPlain(commands.commandCount - position, from: reader)
    }

    private func readPlain(_ count: Int, from reader: ReplyReader) throws(LinkFailure) {
        for _ in 0..<count { replies.append(try reader.readReply()) }
    }

    private func readHashes(_ count: Int, from reader: ReplyReader) throws(LinkFailure) {
        var list = HashList()
        for _ in 0..<count {
            if let refusal = try reader.readHash(into: &list) { hashRefusals.append(refusal) }
        }
        hashLists.append(list)
    }

    func takeLastReply() -> Reply? { replies.popLast() }

    /// The next `count` commands are HGETALL; their replies become one list. Said before they are added.
    func expectHashes(_ count: Int) { hashRuns.append((commands.commandCount, count)) }

    /// The lists in the order in which they were expected.
    func takeHashes() -> HashList { hashLists.isEmpty ? HashList() : hashLists.removeFirst() }

    /// Errors among the replies, also those within the reply of EXEC, in order.
    var errors: [ErrorKind] {
        var errors: [ErrorKind] = []
        for reply in replies { Self.collect(reply, &errors) }
        for case .failure(let refusal) in blocks { errors.append(ErrorKind(refusal.text)) }
        for refusal in hashRefusals { errors.append(ErrorKind(refusal.text)) }
        return errors
    }

    var hasOnlyErrors: Bool {
        replies.allSatisfy { if case .error = $0 { true } else { false } }
    }

    private static func collect(_ reply: Reply, _ errors: inout [ErrorKind]) {
        switch reply {
        case .error(let text): errors.append(ErrorKind(text))
        case .array(let elements):
            for case .error(let text) in elements { errors.append(ErrorKind(text)) }
        case .simple, .integer, .bulk, .null: break
        }
    }

    func wake(_ signal: Signal) { self.signal.change { $0 = signal } }

    /// Waits for a signal; `nil` after some time without one. There is always somebody at the lane who sends
    /// one by the deadline.
    func awaitSignal(limitMilliseconds: Int) -> Signal? {
        signal.wait(until: .after(milliseconds: limitMilliseconds)) { signal -> Signal? in
            if case .none = signal { return nil }
            defer { signal = .none }
            return signal
        }
    }
}

/// Exchanges that are used again.
final class ExchangePool: Sendable {
    /// As many callers as rarely meet; more make their own.
    private static let keptExchanges = 64

    private let free = Locked<[Exchange]>([])

    /// Runs `body` with an exchange of the caller's own.
    func withExchange<Result>(
        deadline: Deadline, _ body: (Exchange) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        let exchange = free.withLock { $0.popLast() } ?? Exchange()
        exchange.deadline = deadline
        defer {
            exchange.clear()
            free.withLock { free in
                if free.count < Self.keptExchanges { free.append(exchange) }
            }
        }
        return try body(exchange)
    }
}
