import KeyValue
import Primitives
import Redis

extension KeyStore {
    /// Whether the server sends keyspace notifications, as far as it lets us know: one that does not let us
    /// look may send them.
    var sendsNotifications: Bool {
        do throws(Errno) {
            let words = try texts(
                try checked(
                    try perform(
                        [
                            RedisCommand(
                                "CONFIG", Bytes("GET".utf8), Bytes("notify-keyspace-events".utf8))
                        ]
                    )[0]))
            guard words.count == 2 else { return false }
            return words[1].contains(UInt8(ascii: "K"))
        } catch {
            return error == .accessDenied
        }
    }
}
