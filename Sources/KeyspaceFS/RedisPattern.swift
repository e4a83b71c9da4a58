import KeyValue
import Redis

/// Patterns that this view gives to SCAN.
enum RedisPattern {
    static func beginning(with prefix: Bytes) -> Bytes {
        GlobPattern.literal(prefix) + [UInt8(ascii: "*")]
    }
}
