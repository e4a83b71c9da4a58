import KeyValue

/// The answer to INFO: lines of `name:value`.
struct RedisInformation {
    private var values: [String: String] = [:]

    init(_ text: Bytes) {
        for line in text.split(whereSeparator: { $0 == 10 || $0 == 13 }) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let name = String(decoding: line[..<colon], as: UTF8.self)
            values[name] = String(decoding: line[(colon + 1)...], as: UTF8.self)
        }
    }

    subscript(name: String) -> String? { values[name] }

    func number(_ name: String) -> UInt64? { values[name].flatMap { UInt64($0) } }

    /// The memory in use that counts for `maxmemory`; `nil` when it was not asked for, or not answered.
    var limitedMemory: UInt64? {
        guard let used = number("used_memory") else { return nil }
        return used - min(used, number("mem_not_counted_for_evict") ?? 0)
    }
}
