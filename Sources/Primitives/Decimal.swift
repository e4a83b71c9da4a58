/// Numbers as Redis stores them: ASCII decimal digits, `-` in front of negative ones.
extension [UInt8] {
    public init(decimal value: Int64) {
        self = value < 0 ? [UInt8(ascii: "-")] : []
        appendDecimal(value.magnitude)
    }

    public init(decimal value: UInt64) {
        self = []
        appendDecimal(value)
    }

    public mutating func appendDecimal(_ value: UInt64) {
        var rest = value
        let start = count
        repeat {
            append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        self[start...].reverse()
    }
}

extension UInt64 {
    /// `nil` unless `text` is 1 to 20 digits, without superfluous leading zeros, that fit.
    // Inlinable: unspecialized it was half of the daemon's time in `ls -l` (Benchmarks, list-cold).
    @inlinable
    public init?(decimal text: some Collection<UInt8>) {
        guard (1...20).contains(text.count) else { return nil }
        if text.count > 1, text.first == UInt8(ascii: "0") { return nil }
        var value: UInt64 = 0
        for byte in text {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        self = value
    }
}

extension Int64 {
    /// `nil` unless `text` is a decimal number in the form that `[UInt8](decimal:)` writes.
    @inlinable
    public init?(decimal text: some Collection<UInt8>) {
        guard let first = text.first else { return nil }
        guard first == UInt8(ascii: "-") else {
            guard let value = UInt64(decimal: text), value <= UInt64(Int64.max) else { return nil }
            self = Int64(value)
            return
        }
        guard let magnitude = UInt64(decimal: text.dropFirst()), magnitude != 0 else { return nil }
        guard magnitude <= Int64.min.magnitude else { return nil }
        self = magnitude == Int64.min.magnitude ? .min : -Int64(magnitude)
    }
}
