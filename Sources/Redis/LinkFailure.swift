import Glibc

/// Why a connection cannot be used any more.
enum LinkFailure: Error, Hashable {
    case closedByServer
    /// No answer before the deadline of an exchange.
    case timedOut
    /// The program that waits for the answer was killed.
    case interrupted
    case system(code: Int32)
    /// TLS broke down; says why.
    case tls(String)
    /// By Sentinel: the server is the primary no longer.
    case demoted
    /// Bytes that no Redis server sends.
    case malformedReply(String)

    /// For people, as the reason of `StoreError.unavailable`.
    var text: String {
        switch self {
        case .closedByServer: "the server closed the connection"
        case .timedOut: "the server does not answer"
        case .interrupted: "the program that waited was killed"
        case .demoted: "the server is no primary any more"
        case .system(let code): String(cString: strerror(code))
        case .tls(let text): text
        case .malformedReply(let what): "malformed reply: \(what)"
        }
    }
}
