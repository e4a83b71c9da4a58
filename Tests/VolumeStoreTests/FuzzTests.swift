import FileSystem
import KeyValue
import Primitives
import TestSupport
import Testing

@testable import VolumeStore

/// What a hostile or damaged store may hold: it is refused, or read as what it is.
@Suite struct FuzzTests {
    @Test func `any fields are an inode or no record`() {
        let sound = ["m": "33188", "n": "1", "a": "5", "t": "6", "c": "7", "d": "9", "s": "77"]
        let names = "mugnsatcrdlfkbpyxjezq".map { String($0) }
        var readable = 0
        let count = Fuzz.run("records") { fuzz in
            var fields = sound.mapValues { Bytes($0.utf8) }
            for _ in 0..<fuzz.below(4) {
                let value = fuzz.below(2) == 0 ? fuzz.number() : fuzz.bytes(70)
                fields[fuzz.pick(names)] = fuzz.below(4) == 0 ? nil : value
            }
            let pairs = fields.map { Pair(Bytes($0.key.utf8), $0.value) }
            do throws(FormatError) {
                let record = try InodeRecord(
                    parsing: pairs, id: InodeID(1 + fuzz.next() % 1_000))
                readable += 1
                _ = record.hasStaleTail
            } catch {
                // Refused, which is allowed.
            }
        }
        #expect(readable > 0 && readable < count)
    }

    @Test func `any bytes are a value of the format or none`() {
        let message = ChangeMessage(
            session: SessionID(7),
            changes: [
                .attributes(InodeID(3)), .entry(parent: InodeID(1), name: Bytes("name".utf8)),
                .data(InodeID(3), DataID(4), blocks: 2..<9), .removed(InodeID(5)), .sessions,
            ]
        ).stored
        var table = LockTable()
        table.take(
            LockTable.Held(
                owner: LockOwner(session: SessionID(2), family: .record, number: 9),
                mode: .exclusive, range: 5...99, processID: 3))
        let seeds: [Bytes] = [
            message, Bytes("12 ".utf8) + message, table.stored, Bytes("17:f".utf8),
            Bytes("d17:3:9".utf8),
            Bytes("i17".utf8), Bytes("a17".utf8), Bytes("t17".utf8), Bytes("3:17".utf8),
        ]
        var readable = 0
        let count = Fuzz.run("values") { fuzz in
            let value = fuzz.mutated(fuzz.pick(seeds))
            for kind in 0..<5 where Self.isReadable(value, as: kind) { readable += 1 }
        }
        #expect(readable > 0 && readable < count * 5)
    }

    private static func isReadable(_ value: Bytes, as kind: Int) -> Bool {
        do throws(FormatError) {
            switch kind {
            case 0: _ = try ChangeMessage(parsing: value)
            case 1: _ = try ChangeMessage.parseNumbered(value)
            case 2: _ = try LockTable(parsing: value)
            case 3: _ = try EntryValue(parsing: value)
            default: _ = try GarbageItem(parsing: value)
            }
            return true
        } catch {
            return false
        }
    }

    @Test func `any frame is read within its block or refused`() {
        let blockBytes = 4_096
        var readable = 0
        Fuzz.run("frames") { fuzz in
            let sound = BlockFrame.packed(
                codec: UInt8(1 + fuzz.below(2)), originalBytes: 1 + fuzz.below(blockBytes),
                checksum: 0, epoch: 0
            ).header
            let header = InlineBlockHeader(
                low: fuzz.below(2) == 0 ? sound.low : sound.low ^ (1 << UInt64(fuzz.below(64))),
                high: fuzz.below(2) == 0 ? sound.high : fuzz.next())
            do throws(FormatError) {
                let frame = try BlockFrame(
                    parsing: header, payloadBytes: fuzz.below(2 * blockBytes),
                    blockBytes: blockBytes)
                readable += 1
                if case .packed(_, let originalBytes, _) = frame.content {
                    #expect((0...blockBytes).contains(originalBytes))
                }
            } catch {
                // Refused, which is allowed.
            }
        }
        #expect(readable > 0)
    }
}
