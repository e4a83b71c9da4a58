/// A number of bytes as people write it: `4096`, `512M`, `2GiB`, `1.5G` is refused.
///
/// `K`, `M`, `G`, `T` and `KiB`, `MiB`, `GiB`, `TiB` are powers of 1,024; `kB`, `MB`, `GB`, `TB` are
/// powers of 1,000. Case does not matter.
struct ByteSize: Equatable, Sendable {
    let bytes: Int

    init(bytes: Int) { self.bytes = bytes }

    /// `nil` unless `text` is a whole number with one of the units, of at most 2^62 bytes.
    init?(_ text: String) {
        let digits = text.prefix { $0.isASCIIDigit }
        guard let number = Int(digits), let unit = Self.units[text[digits.endIndex...].lowercased()]
        else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow, product <= 1 << 62 else { return nil }
        bytes = product
    }

    private static let units: [String: Int] = {
        var units = ["": 1, "b": 1]
        for (power, letter) in ["k", "m", "g", "t"].enumerated() {
            let binary = 1 << (10 * (power + 1))
            units[letter] = binary
            units["\(letter)ib"] = binary
            units["\(letter)b"] = (0...power).reduce(1) { product, _ in product * 1_000 }
        }
        return units
    }()
}

extension ByteSize: CustomStringConvertible {
    /// The largest binary unit that divides it: `124 KiB`.
    var description: String {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
        where bytes != 0 && bytes.isMultiple(of: 1 << shift) {
            return "\(bytes >> shift) \(unit)"
        }
        return "\(bytes) B"
    }

    /// Two or three digits in the largest unit that fits, for people: `1.5 GiB`.
    static func rounded(_ bytes: UInt64) -> String {
        for (shift, unit) in [(50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
        where bytes >= 1 << shift {
            let tenths = ((bytes >> (shift - 10)) * 10) >> 10
            return tenths >= 100
                ? "\(tenths / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
        }
        return "\(bytes) B"
    }
}
