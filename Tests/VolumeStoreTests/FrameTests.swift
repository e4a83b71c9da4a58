import Codecs
import KeyValue
import Primitives
import Testing

@testable import VolumeStore

@Suite struct FrameTests {
    @Test func `the bytes of a frame are those of the format`() {
        #expect(
            BlockFrame.raw(epoch: 0x030201).header.bytes == [
                0x41, 0x50, 1, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0,
            ])
        #expect(
            BlockFrame.packed(
                codec: 2, originalBytes: 0x010203, checksum: 0xA1B2_C3D4, epoch: 0
            ).header.bytes == [
                0x41, 0x50, 1, 2, 0, 0, 0, 0, 0x03, 0x02, 0x01, 0, 0xD4, 0xC3, 0xB2, 0xA1,
            ])
    }

    @Test func `raw and packed frames differ in what a conditional patch compares`() {
        let raw = BlockFrame.raw(epoch: 0).header
        let packed = BlockFrame.packed(codec: 1, originalBytes: 9, checksum: 0, epoch: 0).header
        #expect(raw.low != packed.low)
        #expect(BlockFrame.comparedBytes == 8)
    }

    @Test(arguments: [0, 1, 4_095, 4_096])
    func `a raw frame of any length up to a block is read`(_ bytes: Int) throws {
        let frame = BlockFrame.raw(epoch: 5)
        #expect(
            try BlockFrame(parsing: frame.header, payloadBytes: bytes, blockBytes: 4_096) == frame)
    }

    @Test(arguments: [(1, 0), (4_096, 4_095), (4_096, 1)])
    func `a packed frame is read as it was written`(_ original: Int, _ payload: Int) throws {
        let frame = BlockFrame.packed(
            codec: 1, originalBytes: original, checksum: .max, epoch: (1 << 24) - 1)
        #expect(
            try BlockFrame(parsing: frame.header, payloadBytes: payload, blockBytes: 4_096) == frame
        )
    }

    struct Hostile: CustomTestStringConvertible {
        let testDescription: String
        var header = BlockFrame.packed(codec: 1, originalBytes: 100, checksum: 0, epoch: 0).header
        var payload = 50

        init(_ description: String, _ change: (inout Hostile) -> Void) {
            testDescription = description
            change(&self)
        }
    }

    static let hostile = [
        Hostile("another magic") { $0.header.low ^= 1 },
        Hostile("another version") { $0.header.low ^= 1 << 16 },
        Hostile("unknown flags") { $0.header.low |= 1 << 32 },
        Hostile("a claim beyond the block") {
            $0.header.high = 4_097
        },
        Hostile("a claim of 4 GiB") { $0.header.high = 0xFFFF_FFFF },
        Hostile("a claim of nothing") { $0.header.high = 0 },
        Hostile("a payload that did not shrink") { $0.payload = 100 },
        Hostile("a payload beyond the block") { $0.payload = 4_097 },
        Hostile("a raw frame with a length") {
            $0.header = InlineBlockHeader(low: BlockFrame.raw(epoch: 0).header.low, high: 1)
        },
        Hostile("zeros") { $0.header = InlineBlockHeader(low: 0, high: 0) },
    ]

    @Test(arguments: hostile)
    func `a frame that cannot be right is refused`(_ hostile: Hostile) {
        #expect(throws: FormatError.self) {
            try BlockFrame(
                parsing: hostile.header, payloadBytes: hostile.payload, blockBytes: 4_096)
        }
    }
}

@Suite struct ChangeMessageTests {
    static let message = ChangeMessage(
        session: SessionID(300),
        changes: [
            .attributes(InodeID(1)), .entry(parent: InodeID(1 << 52), name: [0x20, 0, 0xFF]),
            .entry(parent: InodeID(2), name: []),
            .data(InodeID(3), DataID(4), blocks: 5..<1 << 40), .removed(InodeID(127)),
            .removed(InodeID(128)), .sessions, .everything,
        ])

    @Test func `a message is read as it was written`() throws {
        #expect(try ChangeMessage(parsing: Self.message.stored) == Self.message)
        let (number, message) = try ChangeMessage.parseNumbered(
            Bytes("18446744073709551615 ".utf8) + Self.message.stored)
        #expect(number == .max)
        #expect(message == Self.message)
    }

    @Test func `a message that ends early is refused or is a shorter one, never a crash`() throws {
        let whole = Self.message.stored
        for count in 0..<whole.count {
            guard let message = try? ChangeMessage(parsing: whole[..<count]) else { continue }
            #expect(Self.message.changes.starts(with: message.changes))
        }
    }

    @Test func `random bytes are never a crash`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<5_000 {
            let count = Int.random(in: 0..<40, using: &generator)
            var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            if count > 2 {
                bytes[0] = ChangeMessage.version
                bytes[2] = [97, 101, 100, 114, 115, 42].randomElement(using: &generator) ?? 97
            }
            _ = try? ChangeMessage(parsing: bytes)
            _ = try? ChangeMessage.parseNumbered(Bytes("1 ".utf8) + bytes)
        }
    }

    @Test(
        arguments: [
            [], [2, 1], [1, 0x80], [1, 1, 0x41], [1, 1, 101, 1, 200],
            [1] + Array(repeating: 0xFF, count: 12),
            [1, 1] + Array(repeating: 115, count: 17),
        ] as [Bytes])
    func `a message that cannot be right is refused`(_ bytes: Bytes) {
        #expect(throws: FormatError.self) { try ChangeMessage(parsing: bytes) }
    }
}
