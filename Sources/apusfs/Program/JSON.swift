import FoundationEssentials

/// JSON for `--json`, the record of a mount and the pipe to the daemon.
enum JSON {
    /// Keys in order, so that the text is the same each time.
    static func text(_ value: some Encodable, isPretty: Bool = true) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if isPretty { encoder.outputFormatting.insert(.prettyPrinted) }
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self)
        } catch {
            preconditionFailure("a value of ours that JSON cannot hold: \(error)")
        }
    }

    static func value<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8]
    ) throws(CommandFailure) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw CommandFailure("malformed record: \(error)")
        }
    }
}
