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
}
