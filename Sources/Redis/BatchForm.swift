import KeyValue

/// A batch taken apart into its shape, which a script can be made for, and what that script is called with.
///
/// Batches of one kind of operation share one shape: they differ in keys, names and numbers only.
struct BatchForm {
    /// What a script needs to know. Numbers are positions: keys in `KEYS`, everything else in `operands`.
    struct Shape: Hashable, Sendable {
        /// KEYS[1] is the session, and the first two words are sequence and slot.
        var hasID: Bool
        var isRemembered: Bool
        var steps: [Step] = []
    }

    enum Step: Hashable, Sendable {
        // Conditions.
        case keyExists(key: UInt8, wanted: Bool)
        case fieldExists(key: UInt8, field: UInt8, wanted: Bool)
        case fieldEquals(key: UInt8, field: UInt8, value: UInt8)
        case valueEquals(key: UInt8, value: UInt8)
        // Checks.
        case isHash(key: UInt8)
        case isOrderedSet(key: UInt8)
        case isNumber(key: UInt8, field: UInt8)
        /// With what the first step adds that counts in this field.
        case isSummand(key: UInt8, field: UInt8)
        /// Of a block: its key shares no slot with the others, so it is no entry of `KEYS`.
        case isString(operand: UInt8)
        // Mutations.
        case set(key: UInt8, value: UInt8)
        case delete(key: UInt8)
        case setFields(key: UInt8, first: UInt8, count: UInt8)
        case deleteFields(key: UInt8, first: UInt8, count: UInt8)
        case increment(key: UInt8, field: UInt8, by: UInt8)
        case raise(key: UInt8, field: UInt8, to: UInt8)
        case addMember(key: UInt8, score: UInt8, name: UInt8)
        case removeMember(key: UInt8, name: UInt8)
        case addMemberDue(key: UInt8, milliseconds: UInt8, name: UInt8)
        case publish(channel: UInt8, key: UInt8, field: UInt8, message: UInt8)
    }

    enum Operand {
        case bytes(Bytes)
        case number(Int64)
    }

    /// More keys or operands than this are left to the interpreter: such batches are rare, and each would
    /// be a shape of its own.
    private static let maximumOperands = 100

    private(set) var shape: Shape
    private(set) var keys: [Bytes] = []
    private(set) var operands: [Operand] = []
    /// Fields that are compared with each other: where they stand among the operands.
    private var fields: [(name: Bytes, place: UInt8)] = []

    /// `nil` for a batch that is too large, or appends. `patched`: as for the interpreter.
    init?(_ batch: Batch, _ checks: [BatchChecks.Check], patched: [Bytes]) {
        shape = Shape(hasID: batch.id != nil, isRemembered: batch.isRemembered)
        let count = batch.conditions.count + checks.count + patched.count + batch.mutations.count
        guard count <= Self.maximumOperands else { return nil }
        shape.steps.reserveCapacity(count)
        operands.reserveCapacity(2 * count)
        if let id = batch.id { keys.append(id.session) }
        for condition in batch.conditions { add(condition) }
        for check in checks {
            guard add(check) else { return nil }
        }
        for key in patched { shape.steps.append(.isString(operand: add(key))) }
        for mutation in batch.mutations {
            guard add(mutation) else { return nil }
        }
        guard operands.count <= Self.maximumOperands, keys.count <= Self.maximumOperands else {
            return nil
        }
    }

    private mutating func add(_ condition: Condition) {
        let step: Step =
            switch condition {
            case .keyExists(let key): .keyExists(key: place(key), wanted: true)
            case .keyAbsent(let key): .keyExists(key: place(key), wanted: false)
            case .fieldExists(let key, let field):
                .fieldExists(key: place(key), field: add(field), wanted: true)
            case .fieldAbsent(let key, let field):
                .fieldExists(key: place(key), field: add(field), wanted: false)
            case .fieldEquals(let key, let field, let value):
                .fieldEquals(key: place(key), field: add(field), value: add(value))
            case .valueEquals(let key, let value):
                .valueEquals(key: place(key), value: add(value))
            }
        shape.steps.append(step)
    }

    /// `false` for a check that is left to the interpreter: what costs there are the bytes.
    private mutating func add(_ check: BatchChecks.Check) -> Bool {
        switch check {
        case .isHash(let key): shape.steps.append(.isHash(key: place(key)))
        case .isOrderedSet(let key): shape.steps.append(.isOrderedSet(key: place(key)))
        case .isNumber(let key, let field):
            shape.steps.append(.isNumber(key: place(key), field: place(of: field)))
        case .isSummand(let key, let field, _):
            shape.steps.append(.isSummand(key: place(key), field: place(of: field)))
        case .fits: return false
        }
        return true
    }

    /// `false` when there are more operands than a place can tell, and for what is left to the interpreter.
    private mutating func add(_ mutation: Mutation) -> Bool {
        switch mutation {
        case .set(let key, let value):
            shape.steps.append(.set(key: place(key), value: add(value)))
        case .delete(let key): shape.steps.append(.delete(key: place(key)))
        case .setFields(let key, let pairs):
            guard 2 * pairs.count + operands.count <= Self.maximumOperands else { return false }
            let first = UInt8(operands.count)
            for pair in pairs { operands += [.bytes(pair.field), .bytes(pair.value)] }
            guard !pairs.isEmpty else { break }
            shape.steps.append(
                .setFields(key: place(key), first: first, count: UInt8(2 * pairs.count)))
        case .deleteFields(let key, let names):
            guard names.count + operands.count <= Self.maximumOperands else { return false }
            let first = UInt8(operands.count)
            for name in names { operands.append(.bytes(name)) }
            guard !names.isEmpty else { break }
            shape.steps.append(
                .deleteFields(key: place(key), first: first, count: UInt8(names.count)))
        case .increment(let key, let field, let amount):
            shape.steps.append(
                .increment(key: place(key), field: place(of: field), by: add(amount)))
        case .raise(let key, let field, let value):
            shape.steps.append(.raise(key: place(key), field: place(of: field), to: add(value)))
        case .addMember(let key, let member):
            shape.steps.append(
                .addMember(key: place(key), score: add(member.score), name: add(member.name)))
        case .removeMember(let key, let name):
            shape.steps.append(.removeMember(key: place(key), name: add(name)))
        case .addMemberDue(let key, let name, let milliseconds):
            shape.steps.append(
                .addMemberDue(key: place(key), milliseconds: add(milliseconds), name: add(name)))
        case .publish(let channel, let key, let field, let message):
            shape.steps.append(
                .publish(
                    channel: add(channel), key: place(key), field: place(of: field),
                    message: add(message)))
        case .append: return false
        }
        return operands.count <= Self.maximumOperands && keys.count <= Self.maximumOperands
    }

    /// Where a key stands in `KEYS`, from 0.
    private mutating func place(_ key: Bytes) -> UInt8 {
        if let known = keys.firstIndex(of: key) { return UInt8(known) }
        keys.append(key)
        return UInt8(truncatingIfNeeded: keys.count - 1)
    }

    /// Where a field stands whose name tells which number is meant: equal names share a place.
    private mutating func place(of field: Bytes) -> UInt8 {
        if let known = fields.first(where: { $0.name == field }) { return known.place }
        let place = add(field)
        fields.append((field, place))
        return place
    }

    private mutating func add(_ word: Bytes) -> UInt8 { append(.bytes(word)) }

    private mutating func add(_ number: Int64) -> UInt8 { append(.number(number)) }

    private mutating func append(_ operand: Operand) -> UInt8 {
        operands.append(operand)
        return UInt8(truncatingIfNeeded: operands.count - 1)
    }
}

extension CommandBuffer {
    /// A call of the script that was made for the form's shape.
    func addCall(of script: Script, _ form: BatchForm, id: BatchID?) {
        let arguments = 3 + form.keys.count + (id == nil ? 0 : 2) + form.operands.count
        begin("EVALSHA", arguments: arguments)
        add(script.digest)
        add(form.keys.count)
        for key in form.keys { add(key) }
        if let id {
            add(id.sequence)
            add(id.field)
        }
        for operand in form.operands {
            switch operand {
            case .bytes(let bytes): add(bytes)
            case .number(let number): add(number)
            }
        }
    }
}
