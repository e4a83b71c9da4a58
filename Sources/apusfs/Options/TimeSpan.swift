/// A length of time as people write it: `1`, `0.5`, `30s`, `250ms`, `2m`, `1h`; seconds without a unit.
struct TimeSpan: Equatable, Sendable, Codable {
    let milliseconds: Int

    init(milliseconds: Int) { self.milliseconds = milliseconds }

    /// A year: longer than any limit that means something, and far from overflow.
    static let maximum = TimeSpan(milliseconds: 365 * 86_400_000)

    /// `nil` unless `text` is a number with at most three decimals and one of the units, up to a year.
    init?(_ text: String) {
        let number = text.prefix { $0.isASCIIDigit || $0 == "." }
        let units = ["": 1_000, "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
        guard let unit = units[text[number.endIndex...].lowercased()] else { return nil }
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        guard let whole = parts.first.flatMap({ Int($0) }), parts.count <= 2,
            whole <= Self.maximum.milliseconds / unit
        else { return nil }
        var thousandths = 0
        if parts.count == 2 {
            guard (1...3).contains(parts[1].count),
                let value = Int(parts[1] + String(repeating: "0", count: 3 - parts[1].count))
            else { return nil }
            thousandths = value
        }
        let total = whole * unit + thousandths * unit / 1_000
        guard total <= Self.maximum.milliseconds else { return nil }
        milliseconds = total
    }

    var seconds: Double { Double(milliseconds) / 1_000 }
}

extension TimeSpan: CustomStringConvertible {
    var description: String {
        milliseconds.isMultiple(of: 1_000) ? "\(milliseconds / 1_000)s" : "\(milliseconds)ms"
    }
}
