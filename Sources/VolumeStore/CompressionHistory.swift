/// Whether compressing the blocks of a file pays, as far as was seen. A value without clock or lock.
///
/// A file none of whose last blocks shrank is tried now and then only: compressing costs more than storing, and
/// archives, pictures and what is encrypted never shrink.
struct CompressionHistory: Hashable {
    /// After so many blocks in a row that did not shrink, most are not tried.
    static let patience = 8
    /// Of those, one of so many is tried nevertheless.
    static let probeInterval = 32

    private var failures = 0
    private var skipped = 0

    init() {}

    /// Asked for each block that could be compressed, in order.
    mutating func shouldTry() -> Bool {
        guard failures >= Self.patience else { return true }
        skipped += 1
        guard skipped >= Self.probeInterval else { return false }
        skipped = 0
        return true
    }

    /// What became of a block that was tried. One that shrank makes all be tried again.
    mutating func note(shrank: Bool) {
        failures = shrank ? 0 : min(failures + 1, Self.patience)
        if shrank { skipped = 0 }
    }
}
