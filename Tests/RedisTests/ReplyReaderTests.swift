import KeyValue
import TestSupport
import Testing

@testable import Redis

/// Hands out bytes in pieces of sizes that a generator chooses, then ends.
final class Chunks: ByteSource {
    private var rest: ArraySlice<UInt8>
    private var random: SeededRandom
    private let largest: Int

    init(_ bytes: Bytes, seed: UInt64, largest: Int) {
        rest = bytes[...]
        random = SeededRandom(seed: seed)
        self.largest = largest
    }

    func receive(
        into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer
    ) throws(LinkFailure) -> Int {
        precondition(!first.isEmpty, "a read into nothing")
        let count = min(
            rest.count, first.count + second.count, Int(random.next() % UInt64(largest)) + 1)
        if count == 0 { throw .closedByServer }
        first.copyBytes(from: rest.prefix(min(count, first.count)))
        second.copyBytes(from: rest.prefix(count).dropFirst(first.count))
        rest = rest.dropFirst(count)
        return count
    }
}

@Suite struct ReplyReaderTests {
    private func read(_ text: Bytes, seed: UInt64 = 1, largest: Int = 1 << 20) throws -> Reply {
        let source = Chunks(text, seed: seed, largest: largest)
        return try ReplyReader(source: source).readReply()
    }

    private static let everything: (text: Bytes, replies: [Reply]) = {
        let odd = (0..<3_000).map { UInt8(truncatingIfNeeded: $0) }
        let big = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 3) }
        let pieces: [(Bytes, Reply)] = [
            (bytes("+OK\r\n"), .simple("OK")), (bytes("-ERR no\r\n"), .error(bytes("ERR no"))),
            (bytes(":-12\r\n"), .integer(-12)), (bytes("$-1\r\n"), .null),
            (bytes("*-1\r\n"), .null),
            (bytes("$0\r\n\r\n"), .bulk([])), (bytes("+\r\n"), .simple("")),
            (bytes("$3000\r\n") + odd + bytes("\r\n"), .bulk(odd)),
            (bytes("$100000\r\n") + big + bytes("\r\n"), .bulk(big)), (bytes("*0\r\n"), .array([])),
            (
                bytes("*3\r\n:1\r\n*2\r\n$2\r\n\r\n\r\n$-1\r\n-E\r\n"),
                .array([
                    .integer(1), .array([.bulk([13, 10]), .null]), .error(bytes("E")),
                ])
            ),
        ]
        return (pieces.flatMap(\.0), pieces.map(\.1))
    }()

    @Test(arguments: [(1, 7), (2, 31), (3, 170), (4, 1_000), (5, 1 << 20)])
    func `replies are the same however the bytes arrive`(seed: Int, largest: Int) throws {
        let source = Chunks(Self.everything.text, seed: UInt64(seed), largest: largest)
        let reader = ReplyReader(source: source)
        for reply in Self.everything.replies { #expect(try reader.readReply() == reply) }
        #expect(!reader.hasBytes)
        #expect(throws: LinkFailure.closedByServer) { try reader.readReply() }
        #expect(reader.receivedBytes == UInt64(Self.everything.text.count))
    }

    @Test(arguments: 0..<30)
    func `blocks go to their destinations however the bytes arrive`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let room = [100, 5_000, 16_384, 40_000][Int(random.next() % 4)]
        var text = Bytes()
        var expected: [(Result<BlockLoadAnswer, BlockRefusal>, Bytes)] = []
        for _ in 0..<8 {
            switch random.next() % 6 {
            case 0:
                text += bytes("$-1\r\n")
                expected.append((.success(.absent), []))
            case 1:
                text += bytes("$15\r\n") + Bytes(repeating: 13, count: 15) + bytes("\r\n")
                expected.append((.success(.tooShort), []))
            case 2:
                text += bytes("-WRONGTYPE x\r\n")
                expected.append((.failure(BlockRefusal(text: bytes("WRONGTYPE x"))), []))
            default:
                let count = Int(random.next() % UInt64(room + room / 8))
                let payload = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                let header = InlineBlockHeader(low: random.next(), high: random.next())
                text += bytes("$\(count + 16)\r\n") + header.bytes + payload + bytes("\r\n")
                expected.append(
                    count > room
                        ? (.success(.tooLong(payloadBytes: count)), [])
                        : (.success(.loaded(header: header, payloadBytes: count)), payload))
            }
        }
        text += bytes("+END\r\n")
        let source = Chunks(text, seed: seed, largest: [7, 40, 5_000, 1 << 20][Int(seed % 4)])
        let reader = ReplyReader(source: source)
        for (answer, payload) in expected {
            var memory = Bytes(repeating: 0xEE, count: room + 8)
            let found = try memory.withUnsafeMutableBytes { buffer throws(LinkFailure) in
                try reader.readBlock(into: .init(rebasing: buffer[..<room]))
            }
            #expect(found == answer)
            #expect(memory.starts(with: payload))
            #expect(memory[room...] == Bytes(repeating: 0xEE, count: 8)[...])
        }
        #expect(try reader.readReply() == .simple("END"))
    }

    @Test(arguments: [
        "?\r\n", "\r\n", "+no end\n", "$5\r\nabcdefg", "$abc\r\n", "$-2\r\n", "$9999999999\r\n",
        "*99999999999\r\n", ":\r\n", ":1x\r\n", ":9223372036854775808\r\n", "$ 5\r\n", "$+5\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "HTTP/1.1 200 OK\r\n",
    ])
    func `what no server sends is an error`(text: String) {
        #expect {
            try read(bytes(text))
        } throws: { error in
            if case LinkFailure.malformedReply? = error as? LinkFailure { true } else { false }
        }
    }

    @Test func `an endless line is an error before it fills the memory`() {
        #expect(throws: LinkFailure.malformedReply("endless line")) {
            try read(bytes("+") + Bytes(repeating: 65, count: 1 << 20))
        }
    }

    @Test func `a size is claimed in vain: nothing is allocated for bytes that do not come`() {
        for text in ["$536870912\r\nabc", "*16777216\r\n:1\r\n"] {
            #expect(throws: LinkFailure.closedByServer) { try read(bytes(text)) }
        }
    }

    @Test(arguments: 0..<500)
    func `random bytes end in a reply or an error`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let alphabet = bytes("$*+-:0123456789\r\n\r\n\r\nab")
        let text = (0..<200).map { _ in alphabet[Int(random.next() % UInt64(alphabet.count))] }
        let reader = ReplyReader(source: Chunks(text, seed: seed, largest: 50))
        var replies = 0
        do {
            while true {
                _ = try reader.readReply()
                replies += 1
            }
        } catch {
            #expect(replies <= 100)
        }
    }
}
