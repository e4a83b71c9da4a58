import CLinux

/// Hides passwords in the arguments that `ps` shows of this process.
///
/// The password of a source is overwritten in place, before anything else is done; for the instant
/// between the start of the program and this it could be seen, which is why `--help` recommends a
/// password file.
enum ArgumentVeil {
    /// Where the password stands in one argument: its bytes, if it holds any.
    ///
    /// Everything between the first colon behind the `//` and the last `@` is taken, whether or not
    /// the source is well formed: `redis://user:PASSWORD@host`.
    static func secretBytes(of argument: String) -> Range<Int>? {
        let bytes = Array(argument.utf8)
        guard let scheme = firstIndex(of: "://", in: bytes) else { return nil }
        let start = scheme + 3
        guard let at = bytes.lastIndex(of: UInt8(ascii: "@")), at > start,
            let colon = bytes[start..<at].firstIndex(of: UInt8(ascii: ":")), colon + 1 < at
        else { return nil }
        return colon + 1..<at
    }

    /// Overwrites the passwords in the arguments of this process.
    static func hideSecrets(in arguments: [String]) {
        for (index, argument) in arguments.enumerated() {
            guard let range = secretBytes(of: argument) else { continue }
            apusfs_mask_argument(Int32(index), range.lowerBound, range.count)
        }
    }

    private static func firstIndex(of text: StaticString, in bytes: [UInt8]) -> Int? {
        let wanted = Array("\(text)".utf8)
        return bytes.indices.first { bytes[$0...].starts(with: wanted) }
    }
}
