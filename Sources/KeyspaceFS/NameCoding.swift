import KeyValue

/// Turns a part of a key into the name of a file and back, byte for byte, without a table: a name can hold
/// everything but `/` and NUL, a part everything but the separator.
///
/// A *token* is `%`, any number of `25`, and one of a few tails; every other `%` stands for itself:
///
/// - `%2F`, `%00`, `%2E` in a name are a slash, a NUL, a dot in the part;
/// - `%XX` of the separator in a part is the separator in the name;
/// - `%empty`, `%value`, `%more`, `%dot` in a name are marks (`NameMark`).
///
/// What is literally a token gets one more `25` on the way that would read it as one, and loses it on the
/// way back. So both directions are exact: `name(of: part(of: n))` is `n` unless `n` holds escapes that
/// nobody needs, and `part(of: name(of: p))` is always `p`.
struct NameCoding: Hashable, Sendable {
    /// `nil`: parts hold everything (fields of hashes, names below the deepest level).
    let separator: UInt8?

    private enum Tail: Equatable {
        case byte(UInt8)
        case separator
        case mark
    }

    private struct Token {
        var tail: Tail
        var text: ArraySlice<UInt8>
        /// How many `25` stand before the tail.
        var depth: Int
        var count: Int { 1 + 2 * depth + text.count }
    }

    private static let percent = UInt8(ascii: "%")
    private static let slash = UInt8(ascii: "/")
    private static let dot = UInt8(ascii: ".")
    static let emptyName = Bytes("%empty".utf8)
    private static let marks = ["empty", "value", "more", "dot"].map { Bytes($0.utf8) }
    private static let escaped: [(Bytes, UInt8)] = [
        (Bytes("2F".utf8), slash), (Bytes("00".utf8), 0), (Bytes("2E".utf8), dot),
    ]

    /// Parts that would be `.` and `..` because the separator is a dot.
    private static let dots: [(part: Bytes, name: Bytes)] = [
        (Bytes("%2E".utf8), Bytes("%dot".utf8)), (Bytes("%2E%2E".utf8), Bytes("%dotdot".utf8)),
    ]

    init(separator: UInt8?) { self.separator = separator }

    /// The name of a part. `escapingDots`: dots behind the first byte are escaped (the key of a field).
    func name(of part: Bytes, escapingDots: Bool = false) -> Bytes {
        if part.isEmpty { return Self.emptyName }
        if separator == Self.dot, let found = Self.dots.first(where: { $0.part == part }) {
            return found.name
        }
        if !escapingDots, part.allSatisfy({ $0 == Self.dot }), part.count <= 2 {
            return Bytes(part.map { _ in Self.escape(Self.dot) }.joined())
        }
        var name = Bytes()
        name.reserveCapacity(part.count)
        var index = 0
        while index < part.count {
            let byte = part[index]
            switch byte {
            case Self.percent:
                guard let token = token(in: part, at: index) else {
                    name.append(byte)
                    break
                }
                if token.tail == .separator, token.depth == 0 {
                    if let separator { name.append(separator) }
                } else {
                    let change = token.tail == .separator ? -1 : 1
                    Self.append(token, depth: token.depth + change, to: &name)
                }
                index += token.count
                continue
            case Self.slash, 0: name += Self.escape(byte)
            case Self.dot where escapingDots && index > 0: name += Self.escape(byte)
            default: name.append(byte)
            }
            index += 1
        }
        return name
    }

    /// The part that a name stands for; `nil` when it stands for none.
    func part(of name: Bytes) -> Bytes? {
        if name == Self.emptyName { return [] }
        if separator == Self.dot, let found = Self.dots.first(where: { $0.name == name }) {
            return found.part
        }
        guard !name.isEmpty else { return nil }
        var part = Bytes()
        part.reserveCapacity(name.count)
        var index = 0
        while index < name.count {
            let byte = name[index]
            if byte == Self.percent, let token = token(in: name, at: index) {
                switch (token.tail, token.depth) {
                case (.byte(let value), 0): part.append(value)
                case (.mark, 0): return nil
                case (.separator, _): Self.append(token, depth: token.depth + 1, to: &part)
                case (.byte, _), (.mark, _):
                    Self.append(token, depth: token.depth - 1, to: &part)
                }
                index += token.count
                continue
            }
            if byte == separator {
                part += Self.escape(byte)
            } else {
                part.append(byte)
            }
            index += 1
        }
        guard let separator else { return part }
        return part.contains(separator) ? nil : part
    }

    /// The length of what begins at `index` of a name and must not be cut apart.
    func unbreakableCount(in name: Bytes, at index: Int) -> Int {
        token(in: name, at: index)?.count ?? 1
    }

    static func escape(_ byte: UInt8) -> Bytes {
        let digits = Bytes("0123456789ABCDEF".utf8)
        return [percent, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }

    private static func append(_ token: Token, depth: Int, to text: inout Bytes) {
        text.append(percent)
        for _ in 0..<depth { text += [UInt8(ascii: "2"), UInt8(ascii: "5")] }
        text += token.text
    }

    private func token(in text: Bytes, at start: Int) -> Token? {
        guard text[start] == Self.percent else { return nil }
        var depth = 0
        while text[(start + 1 + 2 * depth)...].starts(with: [UInt8(ascii: "2"), UInt8(ascii: "5")])
        {
            depth += 1
        }
        let rest = text[(start + 1 + 2 * depth)...]
        if let separator, separator != Self.slash {
            let digits = Self.escape(separator).dropFirst()
            if rest.starts(with: digits) {
                return Token(tail: .separator, text: rest.prefix(2), depth: depth)
            }
        }
        for (digits, byte) in Self.escaped where rest.starts(with: digits) {
            return Token(tail: .byte(byte), text: rest.prefix(2), depth: depth)
        }
        for mark in Self.marks where rest.starts(with: mark) {
            return Token(tail: .mark, text: rest.prefix(mark.count), depth: depth)
        }
        return nil
    }
}

/// What may stand at the end of a name.
enum NameMark {
    /// The key itself, where a directory of keys below it has its plain name.
    static let value = Bytes("%value".utf8)
    /// A directory in which a name longer than 255 bytes goes on.
    static let more = Bytes("%more".utf8)
}

extension Bytes {
    /// This without the mark at its end; `nil` when it does not end so.
    func without(mark: Bytes) -> Bytes? {
        guard count >= mark.count, suffix(mark.count).elementsEqual(mark) else { return nil }
        return Bytes(dropLast(mark.count))
    }
}
