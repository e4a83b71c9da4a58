public import KeyValue

/// A reply in RESP2.
public enum Reply: Hashable, Sendable {
    case simple(Bytes)
    case error(Bytes)
    case integer(Int64)
    case bulk(Bytes)
    case array([Reply])
    case null

    static func simple(_ text: StaticString) -> Reply {
        .simple(text.withUTF8Buffer { Bytes($0) })
    }
}

extension Reply {
    /// What an error reply means; `nil` for every other reply.
    public var failure: StoreError? {
        guard case .error(let text) = self else { return nil }
        switch ErrorKind(text) {
        case .refused(let error): return error
        case .unknownScript, .tryLater:
            return .unavailable(String(decoding: text, as: UTF8.self))
        }
    }
}

/// What an error reply asks of the client; Redis says it by the first word.
enum ErrorKind: Equatable {
    /// The script cache was emptied: load the scripts and send again. Nothing happened.
    case unknownScript
    /// The server cannot answer just now; nothing happened.
    case tryLater
    case refused(StoreError)

    init(_ text: Bytes) {
        let word = String(decoding: text.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
        let message = String(decoding: text, as: UTF8.self)
        switch word {
        case "NOSCRIPT": self = .unknownScript
        case "LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN": self = .tryLater
        // A transaction that was refused says why behind a colon.
        case "EXECABORT":
            let parts = message.split(separator: ": ", maxSplits: 1)
            self =
                parts.count == 2
                ? ErrorKind(Bytes(parts[1].utf8)) : .refused(.protocolViolation(message))
        case "OOM": self = .refused(.outOfMemory)
        // The second is the end of a WAIT by a server that becomes a replica.
        case "READONLY", "UNBLOCKED": self = .refused(.readOnly)
        case "ERR" where message.hasPrefix("ERR WAIT cannot be used with replica"):
            self = .refused(.readOnly)
        case "NOAUTH", "WRONGPASS", "NOPERM": self = .refused(.notAuthorized(message))
        case "WRONGTYPE": self = .refused(.wrongKind)
        case "MISCONF" where message.contains("No space left on device"):
            self = .refused(.outOfMemory)
        // The server cannot write to its disk or has too few replicas, and takes no changes meanwhile.
        case "MISCONF", "NOREPLICAS": self = .refused(.unavailable(message))
        // What the ACL forbids within a script has no word of its own in Redis 7.0.
        case "ERR" where message.hasPrefix("ERR The user executing the script"):
            self = .refused(.notAuthorized(message))
        default: self = .refused(.protocolViolation(message))
        }
    }
}
