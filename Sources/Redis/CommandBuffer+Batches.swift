import KeyValue

extension CommandBuffer {
    /// Fields of one HSET or HDEL: `unpack` in Lua hands over at most some thousand values.
    static let fieldsPerCommand = 500

    /// Encodes a batch as a call of `Script.commit`. `patched` are keys of strings that commands before
    /// it in the same transaction change in place: the batch does not happen unless they are strings.
    func addCommit(_ batch: Batch, _ checks: [BatchChecks.Check], patched: [Bytes] = []) {
        let plan = CommitWords(batch, checks, patched)
        begin("EVALSHA", arguments: 9 + plan.count)
        add(Script.commit.digest)
        add(1)
        add(batch.routingKey)
        if let id = batch.id {
            add(id.sequence)
            add(id.field)
        } else {
            add("")
            add("")
        }
        add(batch.conditions.count)
        add(checks.count + patched.count)
        add(batch.isRemembered ? "1" : "0" as StaticString)
        for condition in batch.conditions { add(condition) }
        for check in checks { add(check) }
        for key in patched {
            add("STRLEN")
            add(key)
        }
        for mutation in batch.mutations { add(mutation) }
    }

    private func add(_ condition: Condition) {
        switch condition {
        case .keyExists(let key): addExistence(key, wanted: "1")
        case .keyAbsent(let key): addExistence(key, wanted: "0")
        case .fieldExists(let key, let field): addExistence(key, field, wanted: "1")
        case .fieldAbsent(let key, let field): addExistence(key, field, wanted: "0")
        case .fieldEquals(let key, let field, let value):
            add("4")
            add(value)
            add("HGET")
            add(key)
            add(field)
        case .valueEquals(let key, let value):
            add("3")
            add(value)
            add("GET")
            add(key)
        }
    }

    private func addExistence(_ key: Bytes, wanted: StaticString) {
        add("3")
        add(wanted)
        add("EXISTS")
        add(key)
    }

    private func addExistence(_ key: Bytes, _ field: Bytes, wanted: StaticString) {
        add("4")
        add(wanted)
        add("HEXISTS")
        add(key)
        add(field)
    }

    private func add(_ check: BatchChecks.Check) {
        switch check {
        case .isHash(let key):
            add("HLEN")
            add(key)
        case .isOrderedSet(let key):
            add("ZCARD")
            add(key)
        case .isNumber(let key, let field):
            add("N")
            add(key)
            add(field)
        case .isSummand(let key, let field, let amount):
            add("S")
            add(key)
            add(field)
            add(amount)
        case .fits(let append):
            add("A")
            add(append.key)
            add(append.field)
            add(append.start)
            add(append.blockBytes)
            add(append.header)
            add(append.comparing)
            add(append.payload)
            add(append.blocks.count)
            for key in append.blocks { add(key) }
        }
    }

    private func add(_ mutation: Mutation) {
        switch mutation {
        case .set(let key, let value): addAll("SET", key, value)
        case .delete(let key):
            add("2")
            add("UNLINK")
            add(key)
        case .setFields(let key, let pairs):
            for start in stride(from: 0, to: pairs.count, by: Self.fieldsPerCommand) {
                let some = pairs[start..<min(start + Self.fieldsPerCommand, pairs.count)]
                add(2 + 2 * some.count)
                add("HSET")
                add(key)
                for pair in some {
                    add(pair.field)
                    add(pair.value)
                }
            }
        case .deleteFields(let key, let fields):
            for start in stride(from: 0, to: fields.count, by: Self.fieldsPerCommand) {
                let some = fields[start..<min(start + Self.fieldsPerCommand, fields.count)]
                add(2 + some.count)
                add("HDEL")
                add(key)
                for field in some { add(field) }
            }
        case .increment(let key, let field, let amount):
            addAll("HINCRBY", key, field, amount)
        case .raise(let key, let field, let value): addAll("RAISE", key, field, value)
        case .addMember(let key, let member):
            add("4")
            add("ZADD")
            add(key)
            add(member.score)
            add(member.name)
        case .removeMember(let key, let name): addAll("ZREM", key, name)
        case .addMemberDue(let key, let name, let milliseconds):
            add("4")
            add("DUE")
            add(key)
            add(milliseconds)
            add(name)
        case .publish(let channel, let key, let field, let message):
            add("5")
            add("PUBLISH")
            add(key)
            add(field)
            add(channel)
            add(message)
        case .append(let append):
            add("2")
            add("APPEND")
            add(append.key)
        }
    }

    private func addAll(_ name: StaticString, _ key: Bytes, _ word: Bytes) {
        add("3")
        add(name)
        add(key)
        add(word)
    }

    private func addAll(_ name: StaticString, _ key: Bytes, _ field: Bytes, _ number: Int64) {
        add("4")
        add(name)
        add(key)
        add(field)
        add(number)
    }
}

/// How many words a batch becomes, which a command has to say at its beginning.
private struct CommitWords {
    private(set) var count = 0

    init(_ batch: Batch, _ checks: [BatchChecks.Check], _ patched: [Bytes]) {
        for condition in batch.conditions {
            switch condition {
            case .keyExists, .keyAbsent, .valueEquals: count += 4
            case .fieldExists, .fieldAbsent, .fieldEquals: count += 5
            }
        }
        for check in checks {
            switch check {
            case .isHash, .isOrderedSet: count += 2
            case .isNumber: count += 3
            case .isSummand: count += 4
            case .fits(let append): count += 9 + append.blocks.count
            }
        }
        count += 2 * patched.count
        for mutation in batch.mutations {
            switch mutation {
            case .delete, .append: count += 3
            case .set, .removeMember: count += 4
            case .increment, .raise, .addMember, .addMemberDue: count += 5
            case .publish: count += 6
            case .setFields(_, let pairs):
                count += 3 * Self.commands(for: pairs.count) + 2 * pairs.count
            case .deleteFields(_, let fields):
                count += 3 * Self.commands(for: fields.count) + fields.count
            }
        }
    }

    private static func commands(for fields: Int) -> Int {
        (fields + CommandBuffer.fieldsPerCommand - 1) / CommandBuffer.fieldsPerCommand
    }
}

extension Batch {
    /// A key of the batch: with it Redis Cluster finds the slot that all of them share.
    var routingKey: Bytes {
        id?.session ?? conditions.first?.key ?? mutations.first?.key ?? []
    }
}
