import KeyValue
import Primitives

/// Makes the text of a list, a set, a sorted set or a stream, element by element.
///
/// As text, one element is one line: `\\` stands for a backslash, `\n` for a newline; in a sorted set the
/// score and a tab come first, in a stream the id, then each field and its value behind tabs, where a tab
/// of theirs is `\t`. As JSON, the whole is an array; what is not UTF-8 is `{"base64": "..."}`.
struct Rendering: Sendable {
    let type: ValueType
    let format: KeyspaceOptions.Format
    private(set) var text = Bytes()
    private var isEmpty = true

    init(type: ValueType, format: KeyspaceOptions.Format) {
        self.type = type
        self.format = format
        if format == .json { text += "[".utf8 }
    }

    /// An element of a list or a set.
    mutating func add(_ element: Bytes) {
        begin()
        switch format {
        case .text: appendLine(element)
        case .json: Self.appendJSON(element, to: &text)
        }
        end()
    }

    /// A member of a sorted set; the score as Redis writes it.
    mutating func add(member: Bytes, score: Bytes) {
        begin()
        switch format {
        case .text:
            text += score
            text.append(UInt8(ascii: "\t"))
            appendLine(member)
        case .json:
            text += "{\"member\":".utf8
            Self.appendJSON(member, to: &text)
            text += ",\"score\":".utf8
            // JSON has no infinity.
            let isNumber = score.allSatisfy {
                UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || "+-.eE".utf8.contains($0)
            }
            if isNumber { text += score } else { Self.appendJSON(score, to: &text) }
            text.append(UInt8(ascii: "}"))
        }
        end()
    }

    /// An entry of a stream; fields and values alternate.
    mutating func add(id: Bytes, pairs: [Bytes]) {
        begin()
        switch format {
        case .text:
            text += id
            for word in pairs {
                text.append(UInt8(ascii: "\t"))
                appendLine(word, escapingTabs: true)
            }
        case .json:
            text += "{\"id\":".utf8
            Self.appendJSON(id, to: &text)
            text += ",\"fields\":[".utf8
            for (index, word) in pairs.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                if index.isMultiple(of: 2) { text.append(UInt8(ascii: "[")) }
                Self.appendJSON(word, to: &text)
                if !index.isMultiple(of: 2) { text.append(UInt8(ascii: "]")) }
            }
            text += "]}".utf8
        }
        end()
    }

    mutating func finish() {
        if format == .json { text += Bytes(isEmpty ? "]\n".utf8 : "\n]\n".utf8) }
    }

    private mutating func begin() {
        guard format == .json else { return }
        text += Bytes(isEmpty ? "\n".utf8 : ",\n".utf8)
    }

    private mutating func end() {
        isEmpty = false
        if format == .text { text.append(UInt8(ascii: "\n")) }
    }

    private mutating func appendLine(_ bytes: Bytes, escapingTabs: Bool = false) {
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\\"): text += "\\\\".utf8
            case UInt8(ascii: "\n"): text += "\\n".utf8
            case UInt8(ascii: "\t") where escapingTabs: text += "\\t".utf8
            default: text.append(byte)
            }
        }
    }

    /// RFC 8259: a string where the bytes are UTF-8.
    static func appendJSON(_ bytes: Bytes, to text: inout Bytes) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            text += "{\"base64\":\"".utf8
            text += base64(bytes)
            text += "\"}".utf8
            return
        }
        text.append(UInt8(ascii: "\""))
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), byte]
            case 0..<0x20:
                text += "\\u00".utf8
                text += NameCoding.escape(byte).dropFirst()
            default: text.append(byte)
            }
        }
        text.append(UInt8(ascii: "\""))
    }

    /// RFC 4648, with padding.
    static func base64(_ bytes: Bytes) -> Bytes {
        let digits = Bytes(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text = Bytes()
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = (0..<3).reduce(0) { sum, index in
                sum << 8 | (index < group.count ? Int(group[start + index]) : 0)
            }
            for index in 0..<4 {
                text.append(
                    index <= group.count
                        ? digits[bits >> (18 - 6 * index) & 63] : UInt8(ascii: "="))
            }
        }
        return text
    }
}
