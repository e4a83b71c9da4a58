import CHiredis
import Glibc
import KeyValue
import Primitives

/// What hiredis is used for: connecting, and the conversation before the first command of a lane.
enum HiredisLink {
    static let oldestMajorVersion = 7

    typealias Context = UnsafeMutablePointer<redisContext>

    static func connect(
        _ address: RedisEndpoint.Address, _ timeoutMilliseconds: Int
    ) throws(ConnectFailure) -> Context {
        let limit = timeval(
            tv_sec: timeoutMilliseconds / 1_000, tv_usec: timeoutMilliseconds % 1_000 * 1_000)
        let made: Context?
        switch address {
        case .tcp(let host, let port):
            made = redisConnectWithTimeout(host, Int32(clamping: port), limit)
        case .unix(let path):
            guard path.utf8.count < 108 else {
                throw .rejected(.unavailable("the path of the socket is longer than 107 bytes"))
            }
            made = redisConnectUnixWithTimeout(path, limit)
        }
        guard let context = made else { throw .unreachable("out of memory") }
        guard context.pointee.err == 0 else {
            defer { redisFree(context) }
            throw .unreachable(errorText(context))
        }
        guard redisSetTimeout(context, limit) == REDIS_OK else {
            defer { redisFree(context) }
            throw .unreachable(errorText(context))
        }
        if case .tcp = address { redisEnableKeepAlive(context) }
        return context
    }

    /// Asks a sentinel where the primary `name` is; all of it ends in about `timeoutMilliseconds`. Credentials
    /// are sent only if it wants some.
    static func ask(
        _ sentinel: RedisEndpoint.Address, _ name: String, _ endpoint: RedisEndpoint,
        _ timeoutMilliseconds: Int
    ) throws(ConnectFailure) -> SentinelAnswer {
        let deadline = Deadline.after(milliseconds: timeoutMilliseconds)
        let context = try connect(sentinel, timeoutMilliseconds)
        defer { redisFree(context) }
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name].map { Bytes($0.utf8) }
        try append(context, question)
        let answer = SentinelAnswer(try reply(context, until: deadline))
        guard answer == .wantsPassword else { return answer }
        let credentials: [String]
        if let password = endpoint.sentinelPassword {
            credentials = [password]
        } else if let password = endpoint.password {
            credentials = (endpoint.user.map { [$0] } ?? []) + [password]
        } else {
            return answer
        }
        try append(context, (["AUTH"] + credentials).map { Bytes($0.utf8) })
        try append(context, question)
        if case .error(let text) = try reply(context, until: deadline) {
            return SentinelAnswer(.error(text))
        }
        return SentinelAnswer(try reply(context, until: deadline))
    }

    /// As `reply`, for a server that might send a reply bit by bit for ever.
    private static func reply(
        _ context: Context, until deadline: Deadline
    ) throws(ConnectFailure) -> Reply {
        var isWritten: Int32 = 0
        while isWritten == 0 {
            guard redisBufferWrite(context, &isWritten) == REDIS_OK else {
                throw .unreachable(errorText(context))
            }
        }
        while true {
            var answer: UnsafeMutableRawPointer?
            guard redisGetReplyFromReader(context, &answer) == REDIS_OK else {
                throw .unreachable(errorText(context))
            }
            if let answer {
                defer { freeReplyObject(answer) }
                // SAFETY: hiredis hands out a redisReply, which lives until it is freed above.
                return copy(answer.assumingMemoryBound(to: redisReply.self))
            }
            guard !deadline.hasPassed else { throw .unreachable(LinkFailure.timedOut.text) }
            guard redisBufferRead(context) == REDIS_OK else {
                throw .unreachable(errorText(context))
            }
        }
    }

    /// Authenticates, selects the database, loads the scripts: two round trips. With a session the connection
    /// gets its name, and then a look whether that is there.
    static func greet(
        _ context: Context, _ endpoint: RedisEndpoint, _ options: RedisOptions,
        _ moreScripts: [Script], session: Bytes?
    ) throws(ConnectFailure) -> (
        greeting: RedisGreeting, identity: RedisIdentity?, hasSession: Bool
    ) {
        var hello = ["HELLO", "2"]
        if let password = endpoint.password {
            hello += ["AUTH", endpoint.user ?? "default", password]
        }
        hello += ["SETNAME", options.safeClientName + (session.map(SessionClients.suffix) ?? "")]
        try append(context, hello.map { Bytes($0.utf8) })
        let welcome = try reply(context)
        let (greeting, client) = try read(welcome: welcome)

        // A connection begins in database 0, and some users may read there and not select.
        let selects = endpoint.database != 0
        if selects {
            try append(context, [Bytes("SELECT".utf8), Bytes(String(endpoint.database).utf8)])
        }
        if let session { try append(context, [Bytes("EXISTS".utf8), session]) }
        try append(context, ["INFO", "server", "persistence"].map { Bytes($0.utf8) })
        let scripts = options.loadsScripts ? Script.all + moreScripts : []
        for script in scripts {
            try append(context, [Bytes("SCRIPT".utf8), Bytes("LOAD".utf8), script.text])
        }
        if !options.touchesKeys {
            try append(context, ["CLIENT", "NO-TOUCH", "ON"].map { Bytes($0.utf8) })
        }
        if selects { try check(try reply(context)) }
        var hasSession = false
        if session != nil {
            let answer = try reply(context)
            try check(answer)
            hasSession = answer == .integer(1)
        }
        let information = try reply(context)
        for script in scripts {
            let answer = try reply(context)
            try check(answer)
            guard answer == .bulk(script.digest) else {
                throw .rejected(.protocolViolation("the server names a script differently"))
            }
        }
        // An older server does not know this one.
        if !options.touchesKeys { _ = try reply(context) }
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

    private static func append(_ context: Context, _ words: [Bytes]) throws(ConnectFailure) {
        let lengths = words.map(\.count)
        // SAFETY: hiredis copies the words before the call returns; they lie in one array until then.
        let result = words.flatMap { $0 }.withUnsafeBufferPointer { all in
            all.withMemoryRebound(to: CChar.self) { characters in
                var start = 0
                var pointers: [UnsafePointer<CChar>?] = lengths.map { length in
                    defer { start += length }
                    return characters.baseAddress.map { $0 + start }
                }
                return redisAppendCommandArgv(context, Int32(words.count), &pointers, lengths)
            }
        }
        guard result == REDIS_OK else { throw .unreachable(errorText(context)) }
    }

    private static func reply(_ context: Context) throws(ConnectFailure) -> Reply {
        var answer: UnsafeMutableRawPointer?
        guard redisGetReply(context, &answer) == REDIS_OK, let answer else {
            throw .unreachable(errorText(context))
        }
        defer { freeReplyObject(answer) }
        // SAFETY: hiredis hands out a redisReply, which lives until it is freed above.
        return copy(answer.assumingMemoryBound(to: redisReply.self))
    }

    private static func copy(_ reply: UnsafePointer<redisReply>) -> Reply {
        let value = reply.pointee
        var text: Bytes {
            // SAFETY: hiredis says how many bytes `str` has.
            value.str.map { Bytes(UnsafeRawBufferPointer(start: $0, count: value.len)) } ?? []
        }
        switch value.type {
        case REDIS_REPLY_STRING: return .bulk(text)
        case REDIS_REPLY_STATUS: return .simple(text)
        case REDIS_REPLY_ERROR: return .error(text)
        case REDIS_REPLY_INTEGER: return .integer(value.integer)
        case REDIS_REPLY_ARRAY:
            return .array(
                (0..<value.elements).map { index in
                    // SAFETY: `element` has `elements` pointers, none of them nil.
                    value.element[index].map { copy($0) } ?? .null
                })
        default: return .null
        }
    }

    private static func errorText(_ context: Context) -> String {
        // What hiredis makes of a receive time limit is "Resource temporarily unavailable".
        if context.pointee.err == REDIS_ERR_IO, errno == EAGAIN { return LinkFailure.timedOut.text }
        return withUnsafeBytes(of: context.pointee.errstr) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
