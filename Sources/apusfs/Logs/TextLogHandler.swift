import Logging
import Primitives

/// Writes log messages as lines: `LABEL: MESSAGE key=value ...`.
struct TextLogHandler: LogHandler {
    let label: String
    let destination: LogDestination
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(label: String, destination: LogDestination, level: Logger.Level) {
        self.label = label
        self.destination = destination
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        if let more = event.metadata { fields.merge(more) { _, new in new } }
        let tail = fields.sorted { $0.key < $1.key }.map {
            " \($0.key)=\(Self.oneWord("\($0.value)"))"
        }
        let head = Self.oneLine("\(event.message)")
        destination.write(
            level: event.level, time: .now, message: "\(label): \(head)\(tail.joined())")
    }

    /// A file name in a message must not be able to fake another line of the log.
    static func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            return text
        }
        return text.unicodeScalars.map { scalar in
            scalar.value < 0x20 || scalar.value == 0x7F
                ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
        }.joined()
    }

    private static func oneWord(_ text: String) -> String {
        let line = oneLine(text)
        return line.contains(" ") ? "\"\(line)\"" : line
    }
}
