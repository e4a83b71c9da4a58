/// Pages of zeros within a block. Pure.
enum ZeroPages {
    /// What programs take for the smallest piece of a file: a page of memory, a block of ext4.
    static let bytes = 4_096

    /// The whole pages of which `range` has a part; the last page of a file ends with it.
    static func pages(touching range: Range<UInt64>, fileSize: UInt64) -> Range<UInt64> {
        let size = UInt64(bytes)
        let behind = (range.upperBound - 1) / size * size + size
        return range.lowerBound / size * size..<min(fileSize, behind)
    }

    /// Where the first page in `range` begins that is all zeros, or is not. `range` begins at a page.
    static func first(
        in block: UnsafeRawBufferPointer, _ range: Range<Int>, isZero: Bool
    ) -> Int? {
        stride(from: range.lowerBound, to: range.upperBound, by: bytes).first { start in
            let page = block[start..<min(start + bytes, range.upperBound)]
            return page.allSatisfy { $0 == 0 } == isZero
        }
    }
}
