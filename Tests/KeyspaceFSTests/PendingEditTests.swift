import KeyValue
import TestSupport
import Testing

@testable import KeyspaceFS

/// A string as Redis keeps it.
private struct StoredString {
    var bytes: Bytes

    mutating func apply(_ step: PendingEdit.Step) {
        switch step {
        case .replace(let new): bytes = new
        case .cut(let length): bytes = Bytes(bytes.prefix(length))
        case .append(let more): bytes += more
        case .setRange(let offset, let new):
            let missing = offset + new.count - bytes.count
            if missing > 0 { bytes += Bytes(repeating: 0, count: missing) }
            bytes.replaceSubrange(offset..<offset + new.count, with: new)
        }
    }
}

@Suite struct PendingEditTests {
    private func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `random edits are stored and read as by an array of bytes`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = (0..<random.below(60)).map { _ in UInt8(random.below(256)) }
        var stored = StoredString(bytes: model)
        var edit = PendingEdit(storedLength: model.count)
        for _ in 0..<60 {
            switch random.below(8) {
            case 0:
                let length = random.below(80)
                edit.truncate(to: length)
                model =
                    Bytes(model.prefix(length))
                    + Bytes(repeating: 0, count: max(0, length - model.count))
            case 1:
                for step in edit.steps() { stored.apply(step) }
                edit.didStore()
                #expect(stored.bytes == model, "seed \(seed)")
            case 2...3:
                let start = random.below(90)
                let range = start..<start + random.below(40)
                let wanted = edit.storedRange(for: range)
                let found = edit.contents(
                    of: range,
                    stored: Bytes(stored.bytes[wanted.clamped(to: 0..<stored.bytes.count)]))
                #expect(found == Bytes(model[range.clamped(to: 0..<model.count)]), "seed \(seed)")
            default:
                let new = (0..<random.below(20)).map { _ in UInt8(random.below(256)) }
                let offset = random.below(80)
                edit.write(new, at: offset)
                guard !new.isEmpty else { continue }
                model += Bytes(repeating: 0, count: max(0, offset + new.count - model.count))
                model.replaceSubrange(offset..<offset + new.count, with: new)
            }
            #expect(edit.size == model.count, "seed \(seed)")
        }
    }

    @Test func `one byte of a large value moves one byte`() {
        var edit = PendingEdit(storedLength: 100 << 20)
        edit.write([1], at: 5_000_000)
        #expect(edit.steps() == [.setRange(offset: 5_000_000, [1])])
    }

    @Test func `what is written at the end is appended`() {
        var edit = PendingEdit(storedLength: 3)
        edit.write(bytes("de"), at: 3)
        #expect(edit.steps() == [.append(bytes("de"))])
    }

    @Test func `a file that is written anew is stored by one command`() {
        var edit = PendingEdit(storedLength: 100)
        edit.truncate(to: 0)
        edit.write(bytes("new"), at: 0)
        edit.write(bytes("er"), at: 3)
        #expect(edit.steps() == [.replace(bytes("newer"))])
    }

    @Test func `a hole at the end is one byte`() {
        var edit = PendingEdit(storedLength: 0)
        edit.truncate(to: 1_000_000)
        #expect(edit.steps() == [.replace([]), .setRange(offset: 999_999, [0])])
    }

    @Test func `an edit goes on top of what others have stored`() {
        var edit = PendingEdit(storedLength: 4)
        edit.write(bytes("X"), at: 1)
        edit.rebase(storedLength: 9)
        #expect(edit.size == 9)
        #expect(edit.steps() == [.setRange(offset: 1, bytes("X"))])
    }

    @Test func `nothing changed is nothing to store`() {
        var edit = PendingEdit(storedLength: 4)
        edit.truncate(to: 4)
        edit.write([], at: 2)
        #expect(!edit.isDirty && edit.steps().isEmpty)
    }
}
