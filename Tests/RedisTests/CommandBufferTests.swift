import Glibc
import KeyValue
import Primitives
import Testing

@testable import Redis

@Suite struct CommandBufferTests {
    /// What would go to the server.
    private func stream(_ commands: CommandBuffer) -> Bytes {
        var pieces: [iovec] = []
        commands.appendPieces(to: &pieces)
        let bytes = pieces.flatMap {
            Bytes(UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len))
        }
        #expect(bytes.count == commands.totalBytes)
        return withExtendedLifetime(commands) { bytes }
    }

    @Test func `words of every type are encoded as a server reads them`() {
        let commands = CommandBuffer(capacity: 1)
        commands.begin("A", arguments: 10)
        commands.add("text" as String)
        commands.add(bytes("b\r\n"))
        commands.add(0)
        commands.add(-12)
        commands.add(UInt64.max)
        commands.add(Int64.min)
        commands.add(InlineBlockHeader(low: 0x3837_3635_3433_3231, high: 0x3837_3635_3433_3231))
        commands.add("")
        commands.add(Bytes())
        #expect(
            String(decoding: stream(commands), as: UTF8.self)
                == "*10\r\n$1\r\nA\r\n$4\r\ntext\r\n$3\r\nb\r\n\r\n$1\r\n0\r\n$3\r\n-12\r\n"
                + "$20\r\n18446744073709551615\r\n$20\r\n-9223372036854775808\r\n"
                + "$16\r\n1234567812345678\r\n$0\r\n\r\n$0\r\n\r\n")
        #expect(commands.commandCount == 1)
    }

    @Test(arguments: [0, 1, 511, 512, 513, 100_000])
    func `a large payload is sent from where it is, a small one is copied`(count: Int) {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        payload.withUnsafeBytes { payload in
            let commands = CommandBuffer()
            for _ in 0..<2 {
                commands.begin("SET", arguments: 3)
                commands.add(bytes("k"))
                commands.add(InlineBlockHeader(low: 1, high: 2), payload: payload)
            }
            #expect(commands.payloads.count == (count < 512 ? 0 : 2))
            #expect(
                commands.payloads.allSatisfy { $0.bytes.baseAddress == payload.baseAddress })
            let one =
                bytes("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$\(count + 16)\r\n")
                + InlineBlockHeader(low: 1, high: 2).bytes + Bytes(payload) + bytes("\r\n")
            #expect(stream(commands) == one + one)
            commands.clear()
            #expect(stream(commands).isEmpty && commands.commandCount == 0)
        }
    }

    @Test func `a batch is as many words as its command says`() throws {
        let key = bytes("k")
        let batch = Batch(
            id: BatchID(session: bytes("s"), slot: 63, sequence: 7),
            conditions: [
                .keyExists(key), .keyAbsent(key), .fieldExists(key: key, field: []),
                .fieldAbsent(key: key, field: []), .fieldEquals(key: key, field: [], value: []),
                .valueEquals(key: bytes("v"), value: []),
            ],
            mutations: [
                .append(
                    BlockAppend(
                        key: bytes("m"), field: [], blocks: [bytes("n"), bytes("o")], start: 1,
                        blockBytes: 2, header: InlineBlockHeader(low: 1, high: 2), comparing: 8,
                        payload: bytes("x"))),
                .set(key: bytes("a"), value: []), .delete(key: key),
                .setFields(key: bytes("b"), []),
                .setFields(key: bytes("c"), (0..<1_001).map { Pair("\($0)", "") }),
                .deleteFields(key: bytes("d"), []),
                .deleteFields(key: bytes("e"), (0..<500).map { bytes("\($0)") }),
                .increment(key: bytes("f"), field: [], by: 1),
                .raise(key: bytes("g"), field: [], to: 1),
                .addMember(key: bytes("h"), Member([], score: 1)),
                .removeMember(key: bytes("i"), name: []),
                .addMemberDue(key: bytes("j"), name: [], inMilliseconds: 1),
                .publish(channel: [], key: bytes("l"), field: [], message: []),
            ])
        let commands = CommandBuffer()
        // A wrong count is a precondition that fails.
        commands.addCommit(batch, try BatchChecks(batch).checks, patched: [bytes("p")])
        let source = Whole(stream(commands))
        guard case .array(let words) = try ReplyReader(source: source).readReply() else {
            Issue.record("no list")
            return
        }
        #expect(
            words[..<4].map { $0 } == [
                .bulk(bytes("EVALSHA")), .bulk(Script.commit.digest), .bulk(bytes("1")),
                .bulk(bytes("s")),
            ])
        #expect(words[4] == .bulk(bytes("7")) && words[5] == .bulk(bytes("b63")))
    }

    private final class Whole: ByteSource {
        private var rest: ArraySlice<UInt8>

        init(_ bytes: Bytes) { rest = bytes[...] }

        func receive(
            into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer
        ) throws(LinkFailure) -> Int {
            let count = min(rest.count, first.count)
            if count == 0 { throw .closedByServer }
            first.copyBytes(from: rest.prefix(count))
            rest = rest.dropFirst(count)
            return count
        }
    }
}
