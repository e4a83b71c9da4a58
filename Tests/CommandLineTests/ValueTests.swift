import Primitives
import Testing

@testable import apusfs

@Suite struct ByteSizeTests {
    @Test(arguments: [
        ("0", 0), ("4096", 4_096), ("1k", 1_024), ("1K", 1_024), ("1KiB", 1_024), ("1kB", 1_000),
        ("512M", 536_870_912), ("2GiB", 2_147_483_648), ("2gib", 2_147_483_648),
        ("1GB", 1_000_000_000), ("3T", 3 << 40), ("1MB", 1_000_000), ("7b", 7),
        ("4194304T", 1 << 62),
    ])
    func `a size with a unit is that many bytes`(text: String, bytes: Int) {
        #expect(ByteSize(text)?.bytes == bytes)
    }

    @Test(arguments: [
        "", "M", "-1", "+1", "1.5G", "1 G", " 1", "1x", "1MM", "1iB", "0x10", "١", "4194305T",
        "99999999999999999999", "9223372036854775807K",
    ])
    func `what is no size is refused`(text: String) {
        #expect(ByteSize(text) == nil)
    }

    @Test(arguments: [
        (0, "0 B"), (1, "1 B"), (1_024, "1 KiB"), (126_976, "124 KiB"), (1 << 30, "1 GiB"),
        (1_025, "1025 B"), (3 << 40, "3 TiB"),
    ])
    func `a size prints exactly`(bytes: Int, text: String) {
        #expect("\(ByteSize(bytes: bytes))" == text)
    }

    @Test(arguments: [
        (0 as UInt64, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (1_536, "1.5 KiB"),
        (10_240, "10 KiB"), (1 << 30, "1.0 GiB"), (UInt64.max, "16383 PiB"),
    ])
    func `a rounded size has its largest unit`(bytes: UInt64, text: String) {
        #expect(ByteSize.rounded(bytes) == text)
    }
}

@Suite struct TimeSpanTests {
    @Test(arguments: [
        ("0", 0), ("1", 1_000), ("0.5", 500), ("1.25", 1_250), ("30s", 30_000), ("250ms", 250),
        ("2m", 120_000), ("1h", 3_600_000), ("1.5m", 90_000), ("365d", 31_536_000_000),
        ("0.001", 1),
    ])
    func `a time with a unit is that many milliseconds`(text: String, milliseconds: Int) {
        #expect(TimeSpan(text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "s", "-1", "+1", "1.", ".5", "1.0001", "1..5", "1 s", "1y", "366d", "1e3", "nan",
        "99999999999999999999", "9223372036854775807h",
    ])
    func `what is no time is refused`(text: String) {
        #expect(TimeSpan(text) == nil)
    }
}

@Suite struct SpellingTests {
    @Test(arguments: [
        ("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "ba", 2),
    ])
    func `the distance counts changed letters`(left: String, right: String, distance: Int) {
        #expect(Spelling.distance(left, right) == distance)
        #expect(Spelling.distance(right, left) == distance)
    }

    @Test func `only a near word is suggested`() {
        #expect(Spelling.nearest(to: "stauts", among: ["status", "mount"]) == "status")
        #expect(Spelling.nearest(to: "xyzzy", among: ["status", "mount"]) == nil)
    }
}

@Suite struct ClockTextTests {
    @Test(arguments: [
        (0 as Int64, "1970-01-01T00:00:00.000Z"),
        (
            1_767_225_599_999_999_999,
            "2025-12-31T23:59:59.999Z"
        ),
        (-1, "1969-12-31T23:59:59.999Z"),
    ])
    func `a time is written as RFC 3339 has it`(nanoseconds: Int64, text: String) {
        #expect(ClockText.utc(Timestamp(nanoseconds: nanoseconds)) == text)
    }
}
