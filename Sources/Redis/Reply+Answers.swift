import KeyValue
import Primitives

// What replies mean. A reply of a shape that its command never has is a violation of the protocol.
extension Reply {
    private static func unexpected(_ what: StaticString) -> StoreError {
        .protocolViolation("a reply of another shape than \(what) has")
    }

    /// The answer to a read that is one command.
    func answer(to read: Read) throws(StoreError) -> ReadAnswer {
        switch read {
        case .value: return .value(try text())
        case .fields(_, let fields):
            if fields.isEmpty { return .values([]) }
            var values: [Bytes?] = []
            for element in try elements("HMGET", count: fields.count) {
                values.append(try element.text())
            }
            return .values(values)
        case .allFields: return .pairs(try pairs())
        case .hashes: preconditionFailure("hashes are read past the replies")
        case .fieldCount: return .count(Int(try integer()))
        case .page:
            let (next, pairs) = try page()
            return .page(next: next, pairs)
        case .follow:
            let parts = try elements("a dependent read", count: 2)
            return .followed(value: try parts[0].text(), target: try parts[1].pairs())
        case .followPage: return try followedPage()
        case .members: return .members(try members())
        case .time:
            let parts = try elements("TIME", count: 2)
            // What a hostile server says must not overflow.
            let (seconds, microseconds) = (try parts[0].number(), try parts[1].number())
            guard (0...1 << 53).contains(seconds), (0..<1_000_000).contains(microseconds) else {
                throw Self.unexpected("TIME")
            }
            return .time(milliseconds: seconds * 1_000 + microseconds / 1_000)
        case .existence: return .existing([try integer() == 1])
        case .keys:
            let parts = try elements("SCAN", count: 2)
            return .keys(next: try parts[0].cursor(), try parts[1].texts())
        }
    }

    func integer() throws(StoreError) -> Int64 {
        guard case .integer(let value) = self else { throw Self.unexpected("a number") }
        return value
    }

    func page() throws(StoreError) -> (next: UInt64, [Pair]) {
        let parts = try elements("HSCAN", count: 2)
        return (try parts[0].cursor(), try parts[1].pairs())
    }

    private func followedPage() throws(StoreError) -> ReadAnswer {
        let parts = try elements("a dependent page", count: 3)
        let pairs = try parts[1].pairs()
        if case .null = parts[2] {
            return .followedPage(next: try parts[0].cursor(), pairs, targets: nil)
        }
        var targets: [[Pair]] = []
        for element in try parts[2].elements("a dependent page", count: pairs.count) {
            targets.append(try element.pairs())
        }
        return .followedPage(next: try parts[0].cursor(), pairs, targets: targets)
    }

    private func members() throws(StoreError) -> [Member] {
        try pairs().map { pair throws(StoreError) in
            guard let score = Self.score(pair.value) else {
                throw .protocolViolation("a score that is no number")
            }
            return Member(pair.field, score: score)
        }
    }

    /// Others than ApusFS may have put a fraction or an infinity there: the whole number below, within the
    /// numbers that a batch can store.
    private static func score(_ text: Bytes) -> Int64? {
        if let score = Int64(decimal: text) { return score }
        guard let score = Double(String(decoding: text, as: UTF8.self)), !score.isNaN else {
            return nil
        }
        return Int64(min(max(score, -0x1p53), 0x1p53).rounded(.down))
    }

    private func pairs() throws(StoreError) -> [Pair] {
        guard case .array(let elements) = self, elements.count.isMultiple(of: 2) else {
            throw Self.unexpected("a hash")
        }
        var pairs: [Pair] = []
        pairs.reserveCapacity(elements.count / 2)
        for index in stride(from: 0, to: elements.count, by: 2) {
            guard case .bulk(let field) = elements[index],
                case .bulk(let value) = elements[index + 1]
            else { throw Self.unexpected("a hash") }
            pairs.append(Pair(field, value))
        }
        return pairs
    }

    private func texts() throws(StoreError) -> [Bytes] {
        guard case .array(let elements) = self else { throw Self.unexpected("a list of keys") }
        return try elements.map { element throws(StoreError) in
            guard let bytes = try element.text() else { throw Self.unexpected("a list of keys") }
            return bytes
        }
    }

    private func text() throws(StoreError) -> Bytes? {
        switch self {
        case .bulk(let bytes): return bytes
        case .null: return nil
        case .simple, .error, .integer, .array: throw Self.unexpected("a string")
        }
    }

    private func number() throws(StoreError) -> Int64 {
        guard let value = try text().flatMap({ Int64(decimal: $0) }) else {
            throw Self.unexpected("a number")
        }
        return value
    }

    private func cursor() throws(StoreError) -> UInt64 {
        guard let value = try text().flatMap({ UInt64(decimal: $0) }) else {
            throw Self.unexpected("a cursor")
        }
        return value
    }

    private func elements(_ what: StaticString, count: Int) throws(StoreError) -> [Reply] {
        guard case .array(let elements) = self, elements.count == count else {
            throw Self.unexpected(what)
        }
        return elements
    }
}
