import KeyValue

/// Patterns as SCAN understands them (`stringmatchlen` of Redis): `*`, `?`, `[a-z]`, `[^x]`, `\`.
enum Glob {
    static func matches(_ text: Bytes, _ pattern: Bytes) -> Bool {
        matches(text[...], pattern[...])
    }

    private static func matches(
        _ text: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>
    ) -> Bool {
        var text = text
        var pattern = pattern
        // Where to go on when the star that was seen last has to take one more byte.
        var star: (pattern: ArraySlice<UInt8>, text: ArraySlice<UInt8>)?
        while true {
            if let byte = pattern.first, byte == UInt8(ascii: "*") {
                pattern = pattern.dropFirst()
                star = (pattern, text)
                continue
            }
            if text.isEmpty && pattern.isEmpty { return true }
            if let byte = text.first, let rest = step(byte, pattern) {
                text = text.dropFirst()
                pattern = rest
                continue
            }
            guard let last = star, !last.text.isEmpty else { return false }
            star = (last.pattern, last.text.dropFirst())
            pattern = last.pattern
            text = last.text.dropFirst()
        }
    }

    /// What is left of the pattern when `byte` matches its first element.
    private static func step(
        _ byte: UInt8, _ pattern: ArraySlice<UInt8>
    ) -> ArraySlice<UInt8>? {
        guard let first = pattern.first else { return nil }
        let rest = pattern.dropFirst()
        switch first {
        case UInt8(ascii: "?"): return rest
        case UInt8(ascii: "["): return set(byte, rest)
        case UInt8(ascii: "\\"):
            guard let escaped = rest.first else { return byte == first ? rest : nil }
            return byte == escaped ? rest.dropFirst() : nil
        default: return byte == first ? rest : nil
        }
    }

    /// A set of bytes, behind its `[`. One that does not end reaches to the end of the pattern.
    private static func set(
        _ byte: UInt8, _ pattern: ArraySlice<UInt8>
    ) -> ArraySlice<UInt8>? {
        var rest = pattern
        let isNegated = rest.first == UInt8(ascii: "^")
        if isNegated { rest = rest.dropFirst() }
        var isMember = false
        while let next = rest.popFirst(), next != UInt8(ascii: "]") {
            var low = next
            if next == UInt8(ascii: "\\"), let escaped = rest.popFirst() {
                isMember = isMember || escaped == byte
                continue
            }
            guard rest.first == UInt8(ascii: "-"), rest.count >= 2 else {
                isMember = isMember || low == byte
                continue
            }
            rest = rest.dropFirst()
            var high = rest.removeFirst()
            if low > high { swap(&low, &high) }
            isMember = isMember || (low...high).contains(byte)
        }
        return isMember != isNegated ? rest : nil
    }
}
