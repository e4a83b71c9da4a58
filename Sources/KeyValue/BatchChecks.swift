import Primitives

/// What has to be looked at between a batch's conditions and its first mutation, so that no mutation
/// can fail after another one ran.
///
/// Both stores carry these checks out; what the batch itself settles (a condition that names the kind of
/// a key, an earlier mutation that made or deleted it) is left out.
package struct BatchChecks: Equatable {
    package enum Check: Hashable, Sendable {
        /// The key is a hash or absent.
        case isHash(key: Bytes)
        /// The key is an ordered set or absent.
        case isOrderedSet(key: Bytes)
        /// The field is absent or a decimal number within ±2^53, and still is with `by` added.
        case isSummand(key: Bytes, field: Bytes, by: Int64)
        /// The field is absent or a decimal signed 64-bit number.
        case isNumber(key: Bytes, field: Bytes)
        /// As `isSummand` for the field, and the payload fits where the field says: otherwise the batch fails
        /// as if a condition did not hold.
        case fits(BlockAppend)
    }

    /// Sums beyond ±2^53 cannot be told apart in a Lua script.
    package static let largestSum: Int64 = 1 << 53

    /// 2^63 / 2^53: so many additions of at most 2^53 cannot overflow a stored number.
    package static let maximumMutations = 1_000

    package private(set) var checks: [Check] = []
    private var kinds: [(key: Bytes, kind: Kind)] = []
    private var positions: [Bytes: Int] = [:]

    /// What is known of a key at some place of the batch.
    private enum Kind { case unknown, absent, string, hash, orderedSet }

    /// Up to this many keys are searched one by one, which costs less than hashing them.
    private static let linearKeys = 12

    /// Throws `.wrongKind` for a batch that contradicts itself (a hash mutation of a key that it just
    /// set to a string, an increment of a field that it just set to something else than a number, a
    /// summand beyond ±2^53) and `.protocolViolation` for one of more than `maximumMutations`.
    package init(_ batch: Batch) throws(StoreError) {
        guard batch.mutations.count <= Self.maximumMutations else {
            throw .protocolViolation("a batch of more than \(Self.maximumMutations) mutations")
        }
        for condition in batch.conditions { learn(from: condition) }
        for (index, mutation) in batch.mutations.enumerated() {
            try check(mutation, at: index, in: batch)
        }
    }

    package static func == (left: BatchChecks, right: BatchChecks) -> Bool {
        left.checks == right.checks
    }

    private mutating func learn(from condition: Condition) {
        switch condition {
        case .keyExists: break
        case .keyAbsent(let key): note(key, .absent)
        case .fieldExists(let key, _), .fieldEquals(let key, _, _), .fieldAbsent(let key, _):
            if kind(of: key) == .unknown { note(key, .hash) }
        case .valueEquals(let key, _): note(key, .string)
        }
    }

    private mutating func check(
        _ mutation: Mutation, at index: Int, in batch: Batch
    ) throws(StoreError) {
        switch mutation {
        case .set(let key, _): note(key, .string)
        case .delete(let key): note(key, .absent)
        case .setFields(let key, let pairs):
            guard !pairs.isEmpty else { return }
            try need(.hash, key, elseCheck: .isHash(key: key))
        case .deleteFields(let key, let fields):
            guard !fields.isEmpty else { return }
            try need(.hash, key, elseCheck: .isHash(key: key))
        case .increment(let key, let field, let amount):
            try needSummand(key, field, amount, before: index, in: batch)
        case .publish(_, let key, let field, _):
            try needSummand(key, field, 1, before: index, in: batch)
        case .raise(let key, let field, _):
            try need(.hash, key, elseCheck: nil)
            if try !isSettled(key, field, asSummand: false, before: index, in: batch) {
                checks.append(.isNumber(key: key, field: field))
            }
        case .addMember(let key, _), .removeMember(let key, _), .addMemberDue(let key, _, _):
            try need(.orderedSet, key, elseCheck: .isOrderedSet(key: key))
        case .append(let append):
            guard index == 0 else {
                throw .protocolViolation("an append that is not a batch's first mutation")
            }
            try need(.hash, append.key, elseCheck: nil)
            checks.append(.fits(append))
        }
    }

    private mutating func needSummand(
        _ key: Bytes, _ field: Bytes, _ amount: Int64, before index: Int, in batch: Batch
    ) throws(StoreError) {
        guard amount.magnitude <= UInt64(Self.largestSum) else { throw .wrongKind }
        try need(.hash, key, elseCheck: nil)
        if try !isSettled(key, field, asSummand: true, before: index, in: batch) {
            checks.append(.isSummand(key: key, field: field, by: amount))
        }
    }

    private mutating func need(_ kind: Kind, _ key: Bytes, elseCheck: Check?) throws(StoreError) {
        switch self.kind(of: key) {
        case .unknown: if let elseCheck { checks.append(elseCheck) }
        case .absent: break
        case let known: guard known == kind else { throw .wrongKind }
        }
        // A check by number also finds a key of another kind, so the kind is known from here on.
        note(key, kind)
    }

    /// Whether the batch itself says that the field holds a number or nothing at mutation `index`.
    private func isSettled(
        _ key: Bytes, _ field: Bytes, asSummand: Bool, before index: Int, in batch: Batch
    ) throws(StoreError) -> Bool {
        let limit = asSummand ? UInt64(Self.largestSum) : .max
        for mutation in batch.mutations[..<index].reversed() {
            switch mutation {
            case .delete(key): return true
            case .setFields(key, let pairs):
                guard let pair = pairs.last(where: { $0.field == field }) else { continue }
                guard let number = Int64(decimal: pair.value), number.magnitude <= limit else {
                    throw .wrongKind
                }
                return true
            case .deleteFields(key, let fields) where fields.contains(field): return true
            case .raise(key, field, let value):
                guard value.magnitude <= limit else { throw .wrongKind }
            case .set, .delete, .setFields, .deleteFields, .increment, .raise, .addMember,
                .removeMember, .addMemberDue, .publish, .append:
                continue
            }
        }
        return batch.conditions.contains(.keyAbsent(key))
            || batch.conditions.contains(.fieldAbsent(key: key, field: field))
    }

    private func position(of key: Bytes) -> Int? {
        kinds.count <= Self.linearKeys
            ? kinds.firstIndex { $0.key == key } : positions[key]
    }

    private func kind(of key: Bytes) -> Kind {
        position(of: key).map { kinds[$0].kind } ?? .unknown
    }

    private mutating func note(_ key: Bytes, _ kind: Kind) {
        if let position = position(of: key) {
            kinds[position].kind = kind
            return
        }
        kinds.append((key, kind))
        if kinds.count == Self.linearKeys + 1 {
            for (position, known) in kinds.enumerated() { positions[known.key] = position }
        } else if kinds.count > Self.linearKeys {
            positions[key] = kinds.count - 1
        }
    }
}
