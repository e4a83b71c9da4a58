import KeyValue
import Primitives
import Redis

extension KeyStore {
    /// What is read at once, as one moment of the value: no more elements than this, and of large ones as many
    /// as are likely to take so much memory.
    private static let pageElements: Int64 = 1_000
    private static let pageBytes: Int64 = 4 << 20

    /// The text of a list, set, sorted set or stream. Up to a thousand elements, unless they are large, are
    /// read by one command and are one moment of the value; more are read page by page, so that nobody waits
    /// for it. EFBIG beyond `limitBytes`.
    func render(
        _ key: Bytes, _ type: ValueType, _ format: KeyspaceOptions.Format, limitBytes: Int
    ) throws(Errno) -> Bytes {
        var rendering = Rendering(type: type, format: format)
        switch type {
        case .list: try renderList(key, &rendering, try pages("LLEN", key, limitBytes))
        case .set: try renderSet(key, &rendering, try pages("SCARD", key, limitBytes))
        case .sortedSet: try renderSortedSet(key, &rendering, try pages("ZCARD", key, limitBytes))
        case .stream: try renderStream(key, &rendering, try pages("XLEN", key, limitBytes))
        case .string, .hash, .other: throw .notSupported
        }
        rendering.finish()
        return rendering.text
    }

    /// How a value is read.
    private struct Pages {
        /// Elements of one.
        var count: Int
        /// Whether the value is no more than one of them.
        var isOne: Bool
        /// Bytes of the text.
        var limitBytes: Int
    }

    private func pages(
        _ length: StaticString, _ key: Bytes, _ limitBytes: Int
    ) throws(Errno) -> Pages {
        let replies = try perform([
            RedisCommand(length, key), RedisCommand("MEMORY", Bytes("USAGE".utf8), key),
        ])
        let elements = try integer(replies[0])
        var count = Self.pageElements
        // An estimate; a user who may not ask reads a thousand at a time.
        if case .integer(let bytes) = replies[1], bytes > Self.pageBytes {
            count = min(count, max(1, elements * Self.pageBytes / bytes))
        }
        return Pages(count: Int(count), isOne: elements <= count, limitBytes: limitBytes)
    }

    private func check(_ rendering: Rendering, _ limitBytes: Int) throws(Errno) {
        guard rendering.text.count <= limitBytes else { throw .fileTooLarge }
    }

    private func renderList(
        _ key: Bytes, _ rendering: inout Rendering, _ pages: Pages
    ) throws(Errno) {
        try forEachRange(of: key, "LRANGE", pages) { elements throws(Errno) in
            for element in elements { rendering.add(element) }
            try check(rendering, pages.limitBytes)
            return elements.count
        }
    }

    /// Reads by position, page by page, until `body` says that a page had fewer elements than asked for.
    private func forEachRange(
        of key: Bytes, _ name: StaticString, adding more: [Bytes] = [], _ pages: Pages,
        _ body: ([Bytes]) throws(Errno) -> Int
    ) throws(Errno) {
        for start in stride(from: 0, to: Int.max, by: pages.count) {
            let range = [
                Bytes(decimal: Int64(start)), Bytes(decimal: Int64(start + pages.count - 1)),
            ]
            let command = RedisCommand(name, [key] + range + more)
            let count = try body(try texts(try perform(command, isBulky: true)))
            guard count == pages.count else { return }
        }
    }

    /// In the order of the bytes, since a set has none of its own.
    private func renderSet(
        _ key: Bytes, _ rendering: inout Rendering, _ pages: Pages
    ) throws(Errno) {
        var members: [Bytes] = []
        if pages.isOne {
            members = try texts(try perform(RedisCommand("SMEMBERS", key), isBulky: true))
        } else {
            members = try membersByPage(key, pages)
        }
        members.sort { $0.lexicographicallyPrecedes($1) }
        for (index, member) in members.enumerated() where index == 0 || members[index - 1] != member
        {
            rendering.add(member)
        }
        try check(rendering, pages.limitBytes)
    }

    private func membersByPage(_ key: Bytes, _ pages: Pages) throws(Errno) -> [Bytes] {
        var members: [Bytes] = []
        var size = 0
        var cursor: UInt64 = 0
        repeat {
            let reply = try perform(
                RedisCommand(
                    "SSCAN", key, Bytes(decimal: cursor), Bytes("COUNT".utf8),
                    Bytes(decimal: UInt64(pages.count))), isBulky: true)
            guard case .array(let parts) = reply, parts.count == 2, case .bulk(let text) = parts[0],
                let next = UInt64(decimal: text)
            else { throw malformed("SSCAN") }
            cursor = next
            let some = try texts(parts[1])
            members += some
            size += some.reduce(0) { $0 + $1.count }
            guard size <= pages.limitBytes else { throw .fileTooLarge }
        } while cursor != 0
        return members
    }

    private func renderSortedSet(
        _ key: Bytes, _ rendering: inout Rendering, _ pages: Pages
    ) throws(Errno) {
        let scores = [Bytes("WITHSCORES".utf8)]
        try forEachRange(of: key, "ZRANGE", adding: scores, pages) { words throws(Errno) in
            for index in stride(from: 0, to: words.count - 1, by: 2) {
                rendering.add(member: words[index], score: words[index + 1])
            }
            try check(rendering, pages.limitBytes)
            return words.count / 2
        }
    }

    private func renderStream(
        _ key: Bytes, _ rendering: inout Rendering, _ pages: Pages
    ) throws(Errno) {
        var from = Bytes("-".utf8)
        while true {
            let reply = try perform(
                RedisCommand(
                    "XRANGE", key, from, Bytes("+".utf8), Bytes("COUNT".utf8),
                    Bytes(decimal: UInt64(pages.count))), isBulky: true)
            guard case .array(let entries) = reply else { throw malformed("XRANGE") }
            for entry in entries {
                guard case .array(let parts) = entry, parts.count == 2,
                    case .bulk(let id) = parts[0]
                else { throw malformed("XRANGE") }
                rendering.add(id: id, pairs: try texts(parts[1]))
                from = Bytes("(".utf8) + id
            }
            try check(rendering, pages.limitBytes)
            guard entries.count == pages.count else { return }
        }
    }
}
