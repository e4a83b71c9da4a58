import Primitives
import Telemetry

extension MemoryStore {
    /// Applies a batch while all of its keys are held.
    func apply(_ batch: Batch) throws(StoreError) -> CommitOutcome {
        let checks = try BatchChecks(batch).checks
        let outcome = try shards.withKeys(keys(of: batch)) { () throws(StoreError) in
            if let remembered = try remembered(batch.id) { return remembered }
            for (index, condition) in batch.conditions.enumerated() {
                if try holds(condition) { continue }
                let failed = CommitOutcome.conditionFailed(index: index)
                remember(failed, of: batch)
                return failed
            }
            for check in checks {
                if try holds(check) { continue }
                let failed = CommitOutcome.conditionFailed(index: batch.conditions.count)
                remember(failed, of: batch)
                return failed
            }
            if let first = batch.mutations.first, first.needsMemory, isFull { throw .outOfMemory }
            if let bytes = batch.appendedBytes, !hasRoom(forBlocks: bytes) { throw .outOfMemory }
            var sums: [Int64] = []
            for mutation in batch.mutations { carryOut(mutation, &sums) }
            let committed = CommitOutcome.committed(sums: sums)
            remember(committed, of: batch)
            return committed
        }
        switch outcome {
        case .committed: metrics.add(.batchesCommitted)
        case .conditionFailed: metrics.add(.batchConditionsFailed)
        }
        return outcome
    }

    private func keys(of batch: Batch) -> [Bytes] {
        var keys = batch.conditions.map(\.key) + batch.mutations.map(\.key)
        if let id = batch.id { keys.append(id.session) }
        for case .append(let append) in batch.mutations { keys += append.blocks }
        return keys
    }

    private func holds(_ condition: Condition) throws(StoreError) -> Bool {
        switch condition {
        case .keyExists(let key): shards.item(key) != nil
        case .keyAbsent(let key): shards.item(key) == nil
        case .fieldExists(let key, let field): try shards.hash(key)?[field] != nil
        case .fieldAbsent(let key, let field): try shards.hash(key)?[field] == nil
        case .fieldEquals(let key, let field, let value): try shards.hash(key)?[field] == value
        case .valueEquals(let key, let value): try shards.string(key)?.bytes == value
        }
    }

    private func holds(_ check: BatchChecks.Check) throws(StoreError) -> Bool {
        switch check {
        case .isHash(let key): _ = try shards.hash(key)
        case .isOrderedSet(let key): _ = try shards.members(key)
        case .isNumber(let key, let field):
            guard let value = try shards.hash(key)?[field] else { return true }
            guard Int64(decimal: value) != nil else { throw .wrongKind }
        case .isSummand(let key, let field, let amount):
            _ = try summand(key, field, amount)
        case .fits(let append):
            let length = try summand(append.key, append.field, Int64(append.payload.count))
            guard let pieces = append.pieces(behind: length) else { return false }
            for piece in pieces {
                let block = try shards.string(append.blocks[piece.block])
                if let block, !block.begins(with: append.header, comparing: append.comparing) {
                    return false
                }
            }
        }
        return true
    }

    private func summand(
        _ key: Bytes, _ field: Bytes, _ amount: Int64
    ) throws(StoreError) -> Int64 {
        guard let value = try shards.hash(key)?[field] else { return 0 }
        let largest = UInt64(BatchChecks.largestSum)
        guard let number = Int64(decimal: value), number.magnitude <= largest,
            (number + amount).magnitude <= largest
        else { throw .wrongKind }
        return number
    }

    private func append(_ append: BlockAppend, _ sums: inout [Int64]) {
        let length = increment(append.key, append.field, by: Int64(append.payload.count))
        let before = length - Int64(append.payload.count)
        guard let pieces = append.pieces(behind: before) else {
            preconditionFailure("whether it fits was checked")
        }
        var made: Int64 = 0
        for piece in pieces {
            let key = append.blocks[piece.block]
            let block: StoredString
            if case .string(let known) = shards.item(key) {
                block = known
            } else {
                block = StoredString(append.header.bytes)
                shards.put(key, .string(block))
                made += 1
            }
            append.payload.withUnsafeBytes { payload in
                shards.changeString(block) {
                    $0.patch(
                        at: BlockHeader.byteCount + piece.position,
                        UnsafeRawBufferPointer(rebasing: payload[piece.payload]))
                }
            }
        }
        sums += [length, made]
    }

    private func carryOut(_ mutation: Mutation, _ sums: inout [Int64]) {
        switch mutation {
        case .set(let key, let value): shards.put(key, .string(StoredString(value)))
        case .delete(let key): shards.remove(key)
        case .setFields(let key, let pairs):
            shards.changeHash(key) { hash in for pair in pairs { hash[pair.field] = pair.value } }
        case .deleteFields(let key, let fields):
            shards.changeHash(key) { hash in for field in fields { hash[field] = nil } }
        case .increment(let key, let field, let amount):
            sums.append(increment(key, field, by: amount))
        case .raise(let key, let field, let value):
            shards.changeHash(key) { hash in
                let known = hash[field].flatMap { Int64(decimal: $0) }
                if known.map({ $0 >= value }) != true { hash[field] = Bytes(decimal: value) }
            }
        case .addMember(let key, let member):
            shards.changeMembers(key) { $0.add(member.name, score: member.score) }
        case .removeMember(let key, let name): shards.changeMembers(key) { $0.remove(name) }
        case .addMemberDue(let key, let name, let milliseconds):
            let due = nowMilliseconds + milliseconds
            shards.changeMembers(key) { $0.add(name, score: due) }
        case .publish(let channel, let key, let field, let message):
            let number = increment(key, field, by: 1)
            sums.append(number)
            subscribers.publish(channel, Bytes(decimal: number) + [UInt8(ascii: " ")] + message)
        case .append(let append): self.append(append, &sums)
        }
    }

    private func increment(_ key: Bytes, _ field: Bytes, by amount: Int64) -> Int64 {
        var sum: Int64 = 0
        shards.changeHash(key) { hash in
            sum = (hash[field].flatMap { Int64(decimal: $0) } ?? 0) + amount
            hash[field] = Bytes(decimal: sum)
        }
        return sum
    }
}

extension Condition {
    /// The key that it looks at.
    package var key: Bytes {
        switch self {
        case .keyExists(let key), .keyAbsent(let key), .fieldExists(let key, _),
            .fieldAbsent(let key, _), .fieldEquals(let key, _, _), .valueEquals(let key, _):
            key
        }
    }
}

extension Mutation {
    /// The key that it changes.
    package var key: Bytes {
        switch self {
        case .set(let key, _), .delete(let key), .setFields(let key, _), .deleteFields(let key, _),
            .increment(let key, _, _), .raise(let key, _, _), .addMember(let key, _),
            .removeMember(let key, _), .addMemberDue(let key, _, _), .publish(_, let key, _, _):
            key
        case .append(let append): append.key
        }
    }

    /// Whether a full store refuses it, as Redis does by the command that carries it out.
    var needsMemory: Bool {
        switch self {
        case .delete, .deleteFields, .removeMember: false
        case .set, .setFields, .increment, .raise, .addMember, .addMemberDue, .publish, .append:
            true
        }
    }
}
