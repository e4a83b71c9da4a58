import Primitives

// What a store remembers of the batches that it was sent: the field `b<slot>` of the session's hash holds
// `<sequence> <answer>`. The answer is `c`, then the sums, each behind a space; or `f <index>`.
extension MemoryStore {
    /// The answer to the batch of this id if it was sent before. The caller holds the session's key.
    func remembered(_ id: BatchID?) throws(StoreError) -> CommitOutcome? {
        guard let id else { return nil }
        guard let session = try shards.hash(id.session) else { throw .fenced }
        guard let text = session[id.field] else { return nil }
        guard let (sequence, outcome) = RememberedAnswer.parse(text) else {
            throw .protocolViolation("a remembered answer that cannot be right")
        }
        if sequence < id.sequence { return nil }
        if sequence == id.sequence { return outcome }
        throw .protocolViolation("a batch came after a later one of its slot")
    }

    func remember(_ outcome: CommitOutcome, of batch: Batch) {
        guard let id = batch.id, batch.isRemembered else { return }
        shards.changeHash(id.session) { session in
            session[id.field] = RememberedAnswer.text(sequence: id.sequence, outcome)
        }
    }
}

extension BatchID {
    /// The field of the session's hash that remembers this slot's last batch.
    package var field: Bytes { [UInt8(ascii: "b")] + Bytes(decimal: UInt64(slot)) }
}

extension Batch {
    /// Whether its answer is kept: one that changes nothing may be judged anew, and one that deletes its
    /// own session leaves nothing behind to remember it by.
    package var isRemembered: Bool {
        guard let id, !mutations.isEmpty else { return false }
        return !mutations.contains(.delete(key: id.session))
    }
}

/// `<sequence> c[ <sum>]…` or `<sequence> f <index>`.
package enum RememberedAnswer {
    package static func text(sequence: UInt64, _ outcome: CommitOutcome) -> Bytes {
        var text = Bytes(decimal: sequence)
        switch outcome {
        case .committed(let sums):
            text += Bytes(" c".utf8)
            for sum in sums { text += [UInt8(ascii: " ")] + Bytes(decimal: sum) }
        case .conditionFailed(let index): text += Bytes(" f ".utf8) + Bytes(decimal: UInt64(index))
        }
        return text
    }

    /// `nil` for a text that cannot be right.
    package static func parse(_ text: Bytes) -> (sequence: UInt64, outcome: CommitOutcome)? {
        guard let space = text.firstIndex(of: UInt8(ascii: " ")),
            let sequence = UInt64(decimal: text[..<space]),
            let outcome = outcome(text[(space + 1)...])
        else { return nil }
        return (sequence, outcome)
    }

    /// Reads what stands behind the sequence number; `nil` for a text that cannot be right.
    package static func outcome(_ text: ArraySlice<UInt8>) -> CommitOutcome? {
        let parts = text.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard let word = parts.first else { return nil }
        let numbers = parts[1...].compactMap { Int64(decimal: $0) }
        guard numbers.count == parts.count - 1 else { return nil }
        if word.elementsEqual("c".utf8) { return .committed(sums: numbers) }
        guard word.elementsEqual("f".utf8), numbers.count == 1, numbers[0] >= 0 else { return nil }
        return .conditionFailed(index: Int(numbers[0]))
    }
}
