import KeyValue
import Primitives

/// What is said before the first command of a lane.
struct Greeting {
    static let oldestMajorVersion = 7

    private let conversation: Conversation
    /// How long each answer may take.
    private let stepMilliseconds: Int

    init(_ conversation: Conversation, stepMilliseconds: Int) {
        self.conversation = conversation
        self.stepMilliseconds = stepMilliseconds
    }

    private func reply() throws(ConnectFailure) -> Reply {
        try conversation.reply(until: .after(milliseconds: stepMilliseconds))
    }

    /// Authenticates, selects the database, loads the scripts: two round trips. With a session the connection
    /// gets its name, and then a look whether that is there.
    func greet(
        _ endpoint: RedisEndpoint, _ options: RedisOptions, _ moreScripts: [Script],
        session: Bytes?
    ) throws(ConnectFailure) -> (
        greeting: RedisGreeting, identity: RedisIdentity?, hasSession: Bool
    ) {
        var hello = ["2"]
        if let password = endpoint.password {
            hello += ["AUTH", endpoint.user ?? "default", password]
        }
        hello += ["SETNAME", options.safeClientName + (session.map(SessionClients.suffix) ?? "")]
        conversation.ask(RedisCommand("HELLO", hello.map { Bytes($0.utf8) }))
        let welcome = try reply()
        let (greeting, client) = try Self.read(welcome: welcome)

        // A connection begins in database 0, and some users may read there and not select.
        let selects = endpoint.database != 0
        if selects {
            conversation.ask(RedisCommand("SELECT", Bytes(decimal: UInt64(endpoint.database))))
        }
        if let session { conversation.ask(RedisCommand("EXISTS", session)) }
        conversation.ask(
            RedisCommand("INFO", Bytes("server".utf8), Bytes("persistence".utf8)))
        let scripts = options.loadsScripts ? Script.all + moreScripts : []
        for script in scripts {
            conversation.ask(RedisCommand("SCRIPT", Bytes("LOAD".utf8), script.text))
        }
        if !options.touchesKeys {
            conversation.ask(
                RedisCommand("CLIENT", Bytes("NO-TOUCH".utf8), Bytes("ON".utf8)))
        }
        if selects { try Self.check(try reply()) }
        var hasSession = false
        if session != nil {
            let answer = try reply()
            try Self.check(answer)
            hasSession = answer == .integer(1)
        }
        let information = try reply()
        for script in scripts {
            let answer = try reply()
            try Self.check(answer)
            guard answer == .bulk(script.digest) else {
                throw .rejected(.protocolViolation("the server names a script differently"))
            }
        }
        // An older server does not know this one.
        if !options.touchesKeys { _ = try reply() }
        var run: Bytes?
        // A user who may not use INFO: connections that were lost cannot be told apart.
        if case .bulk(let text) = information {
            let facts = RedisInformation(text)
            // Without scripts nothing of the greeting was refused for it.
            if facts["loading"] == "1" { throw .notYet("the server is loading its data") }
            run = facts["run_id"].map { Bytes($0.utf8) }
        }
        return (
            greeting,
            run.flatMap { run in client.map { RedisIdentity(run: run, client: $0) } }, hasSession
        )
    }

    private static func read(
        welcome: Reply
    ) throws(ConnectFailure) -> (RedisGreeting, client: Int64?) {
        if case .error(let text) = welcome, text.starts(with: "ERR unknown command".utf8) {
            throw .rejected(tooOld("older than 6.0"))
        }
        try check(welcome)
        guard case .array(let words) = welcome else {
            throw .rejected(.protocolViolation("the greeting is no list"))
        }
        var greeting = RedisGreeting(version: "", isReplica: false)
        var client: Int64?
        for index in stride(from: 0, to: words.count - 1, by: 2) {
            switch (words[index], words[index + 1]) {
            case (.bulk(let name), .bulk(let value)) where name.elementsEqual("version".utf8):
                greeting.version = String(decoding: value, as: UTF8.self)
            case (.bulk(let name), .bulk(let value)) where name.elementsEqual("role".utf8):
                greeting.isReplica = value.elementsEqual("replica".utf8)
            case (.bulk(let name), .integer(let value)) where name.elementsEqual("id".utf8):
                client = value
            default: break
            }
        }
        greeting.clientID = client
        guard let major = Int(greeting.version.prefix { $0 != "." }) else {
            throw .rejected(.protocolViolation("the server does not say its version"))
        }
        guard major >= oldestMajorVersion else { throw .rejected(tooOld(greeting.version)) }
        return (greeting, client)
    }

    private static func tooOld(_ version: String) -> StoreError {
        .protocolViolation(
            "the server is Redis \(version); \(oldestMajorVersion).0 or newer is needed")
    }

    private static func check(_ reply: Reply) throws(ConnectFailure) {
        guard case .error(let text) = reply else { return }
        switch ErrorKind(text) {
        case .tryLater, .unknownScript:
            throw .notYet(String(decoding: text, as: UTF8.self))
        case .refused(let error): throw .rejected(error)
        }
    }
}
