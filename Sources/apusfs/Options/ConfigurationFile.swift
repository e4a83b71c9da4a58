import Glibc
import Primitives

/// A file of options, one a line: `name = value`, or a name alone for a switch. Empty lines and lines that
/// begin with `#` say nothing.
enum ConfigurationFile {
    static let limitBytes = 1 << 20

    struct Line: Equatable {
        var number: Int
        var name: String
        var value: String?
    }

    static func read(_ path: String) throws(CommandFailure) -> [Line] {
        let file = try TrustedFile.open(path, O_RDONLY, called: "configuration file")
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try file.readAll(limit: limitBytes)
        } catch {
            throw CommandFailure(path, "cannot read the configuration file", errno: error.rawValue)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure("\(path): the configuration file is not UTF-8 text")
        }
        return lines(of: text)
    }

    /// A value is what stands behind the first `=`, without the spaces around it, or between double quotes.
    static func lines(of text: String) -> [Line] {
        var lines: [Line] = []
        let all = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in all.enumerated() {
            let line = trimmed(line)
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = trimmed(parts[0]).replacing("_", with: "-")
            let value = parts.count == 2 ? trimmed(parts[1]) : nil
            lines.append(Line(number: index + 1, name: String(name), value: value.map(unquoted)))
        }
        return lines
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }

    private static func unquoted(_ text: Substring) -> String {
        text.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"")
            ? String(text.dropFirst().dropLast()) : String(text)
    }
}
