import Primitives
import Testing

@Suite struct DecimalTests {
    @Test(arguments: [0, 1, 9, 10, 99, 100, 12_345, UInt64.max - 1, .max])
    func `an unsigned number comes back from its digits`(value: UInt64) {
        let text = [UInt8](decimal: value)
        #expect(text == Array(String(value).utf8))
        #expect(UInt64(decimal: text) == value)
    }

    @Test(arguments: [Int64.min, .min + 1, -10, -1, 0, 1, 10, .max])
    func `a signed number comes back from its digits`(value: Int64) {
        let text = [UInt8](decimal: value)
        #expect(text == Array(String(value).utf8))
        #expect(Int64(decimal: text) == value)
    }

    @Test(arguments: [
        "", "+1", "01", "00", " 1", "1 ", "1a", "a", "18446744073709551616",
        "99999999999999999999", "100000000000000000000", "-0", "-", "--1", "1.0", "0x1",
    ])
    func `anything else is not a number`(text: String) {
        #expect(UInt64(decimal: Array(text.utf8)) == nil)
        #expect(Int64(decimal: Array(text.utf8)) == nil)
    }

    @Test func `a number that does not fit its type is refused`() {
        #expect(UInt64(decimal: Array("-1".utf8)) == nil)
        #expect(Int64(decimal: Array("9223372036854775808".utf8)) == nil)
        #expect(Int64(decimal: Array("-9223372036854775809".utf8)) == nil)
    }

    @Test func `digits are appended behind what is there`() {
        var text = Array("i".utf8)
        text.appendDecimal(1_203)
        #expect(text == Array("i1203".utf8))
    }
}

@Suite struct TimestampTests {
    @Test(arguments: [
        Int64.min, .min + 5, -1_000_000_001, -1_000_000_000, -999_999_999, -1, 0, 1, 999_999_999,
        1_000_000_000, .max - 5, .max,
    ])
    func `seconds and the rest make the same instant again`(nanoseconds: Int64) {
        let time = Timestamp(nanoseconds: nanoseconds)
        #expect((0..<1_000_000_000).contains(time.subsecondNanoseconds))
        #expect(
            Timestamp(seconds: time.seconds, nanoseconds: time.subsecondNanoseconds) == time)
    }

    @Test func `before 1970 seconds are rounded toward the past, as in struct timespec`() {
        let time = Timestamp(nanoseconds: -1)
        #expect(time.seconds == -1)
        #expect(time.subsecondNanoseconds == 999_999_999)
    }

    @Test func `what cannot be stored becomes the nearest instant that can`() {
        #expect(Timestamp(seconds: .max, nanoseconds: 0).nanoseconds == .max)
        #expect(Timestamp(seconds: .max, nanoseconds: 999_999_999).nanoseconds == .max)
        #expect(Timestamp(seconds: .min, nanoseconds: 0).nanoseconds == .min)
        #expect(Timestamp(seconds: .min, nanoseconds: 999_999_999).nanoseconds == .min)
        #expect(Timestamp(seconds: 9_223_372_036, nanoseconds: 854_775_808).nanoseconds == .max)
        #expect(Timestamp(seconds: 9_223_372_036, nanoseconds: 854_775_807).nanoseconds == .max)
    }

    @Test func `now lies after this test was written`() {
        #expect(Timestamp.now > Timestamp(seconds: 1_760_000_000, nanoseconds: 0))
    }
}

@Suite struct DeadlineTests {
    @Test func `what lies before now has passed, and what lies ahead has not`() {
        #expect(Deadline.now.hasPassed)
        #expect(Deadline.after(milliseconds: -1).hasPassed)
        #expect(Deadline.after(milliseconds: 0).hasPassed)
        let ahead = Deadline.after(milliseconds: 3_600_000)
        #expect(!ahead.hasPassed)
        #expect((3_500_000...3_600_000).contains(ahead.remainingMilliseconds))
    }

    @Test func `a wait is rounded up, so that it never ends early`() {
        let ahead = Deadline(
            monotonicNanoseconds: Deadline.now.monotonicNanoseconds + 60_000_000_001)
        #expect((59_000...60_001).contains(ahead.remainingMilliseconds))
    }

    @Test(arguments: [Int.max, Int.max / 1_000_000 + 1, Int.max / 1_000_000])
    func `a period too long to count never ends`(milliseconds: Int) {
        #expect(!Deadline.after(milliseconds: milliseconds).hasPassed)
        #expect(Deadline.after(milliseconds: -milliseconds).hasPassed)
        #expect(Deadline(monotonicNanoseconds: .max).remainingMilliseconds > 0)
        #expect(Deadline(monotonicNanoseconds: .min).remainingMilliseconds == 0)
    }
}

@Suite struct BlockSizeTests {
    @Test func `sizes are multiples of 4 KiB up to 1 MiB`() {
        for bytes in [4_096, 8_192, 126_976, 1_048_576] {
            #expect(BlockSize(bytes: bytes)?.bytes == bytes)
        }
        for bytes in [-4_096, 0, 1, 4_095, 4_097, 6_000, 1_048_577, 1_052_672, .max, .min] {
            #expect(BlockSize(bytes: bytes) == nil)
        }
        #expect(BlockSize.standard.bytes == 124 * 1_024)
    }

    @Test(arguments: [4_096, 126_976, 1_048_576])
    func `every offset has its block and its place in it`(bytes: Int) throws {
        let size = try #require(BlockSize(bytes: bytes))
        let length = UInt64(bytes)
        let last = FileOffset.maximum.bytes
        for offset in [0, 1, length - 1, length, length + 1, 7 * length + 3, last - 1, last] {
            let block = size.block(containing: FileOffset(offset))
            let position = size.position(of: FileOffset(offset))
            #expect((0..<bytes).contains(position))
            #expect(block.rawValue * length + UInt64(position) == offset)
        }
    }

    @Test func `a file has as many blocks as hold its bytes`() throws {
        let size = try #require(BlockSize(bytes: 4_096))
        let counts: [(UInt64, UInt64)] = [
            (0, 0), (1, 1), (4_095, 1), (4_096, 1), (4_097, 2), (8_192, 2),
            (FileOffset.maximum.bytes, 1 << 51),
        ]
        for (bytes, blocks) in counts { #expect(size.blockCount(forSize: bytes) == blocks) }
        #expect(size.blockCount(forSize: .max) == 1 << 52)
    }
}

@Suite struct IdentifiersTests {
    @Test func `the blocks of one file and the first blocks of many files spread evenly`() {
        let byIndex = (0..<64_000).map {
            BlockAddress(data: DataID(7), index: BlockIndex(UInt64($0)))
        }
        let byData = (0..<64_000).map {
            BlockAddress(data: DataID(UInt64($0)), index: BlockIndex(0))
        }
        for addresses in [byIndex, byData] {
            var shards = [Int](repeating: 0, count: 64)
            for address in addresses { shards[Int(address.mixed & 63)] += 1 }
            // 1,000 each, with a standard deviation of 31.
            #expect(shards.allSatisfy { (800...1_200).contains($0) })
            #expect(Set(addresses.map(\.mixed)).count == addresses.count)
        }
    }

    @Test func `an errno says what strerror says`() {
        #expect(Errno.noEntry.description == "No such file or directory")
        #expect(Errno(rawValue: 2) == .noEntry)
    }
}
