import KeyValue
import Primitives
import Redis

extension KeyStore {
    /// Whether the server announces every change of a key by keyspace notifications; `nil` when it does not
    /// let us look.
    var sendsNotifications: Bool? {
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
            let classes = Set(words[1])
            // K: by key. A is all of: generic, strings, lists, sets, hashes, sorted sets, expired and
            // evicted keys, streams.
            return classes.isSuperset(of: "K".utf8)
                && (classes.isSuperset(of: "A".utf8) || classes.isSuperset(of: "g$lshzxet".utf8))
        } catch {
            return error == .accessDenied ? nil : false
        }
    }
}
