public import KeyValue
import Logging
import Primitives

/// Connections that carry the blocks of a session, as their server lists them.
///
/// Blocks are changed by plain commands, which no script refuses for a session that is gone. So a connection
/// that carries them is named after its session, and the session is looked at after that. Whoever ends a
/// session deletes its hash, and then has the server end the connections of that name: one that was named
/// before is ended with all that is still on its way, one that is named later finds no session.
enum SessionClients {
    /// Behind the name of the program. A session's key has no colon.
    static func suffix(_ session: Bytes) -> String {
        ":" + String(decoding: session, as: UTF8.self)
    }

    /// The numbers of the connections of a session in a reply to CLIENT LIST.
    static func identifiers(in list: Bytes, of session: Bytes, database: Int) -> [Int64] {
        let suffix = Bytes(Self.suffix(session).utf8)
        return list.split(separator: UInt8(ascii: "\n")).compactMap { line in
            var fields: [ArraySlice<UInt8>: ArraySlice<UInt8>] = [:]
            for word in line.split(separator: UInt8(ascii: " ")) {
                guard let sign = word.firstIndex(of: UInt8(ascii: "=")) else { continue }
                fields[word[..<sign]] = word[(sign + 1)...]
            }
            func field(_ name: String) -> ArraySlice<UInt8> { fields[Bytes(name.utf8)[...]] ?? [] }
            guard field("name").suffix(suffix.count).elementsEqual(suffix),
                field("db").elementsEqual(String(database).utf8)
            else { return nil }
            return Int64(decimal: Bytes(field("id")))
        }
    }
}

extension RedisStore {
    public func end(session: Bytes) throws(StoreError) {
        do throws(StoreError) {
            let list = try ask("LIST", "TYPE", "NORMAL")
            guard case .bulk(let text)? = list.first else {
                throw .protocolViolation("a list of connections that is no text")
            }
            for client in SessionClients.identifiers(
                in: text, of: session, database: endpoint.database)
            {
                _ = try ask("KILL", "ID", String(client))
            }
        } catch {
            guard case .notAuthorized(let reason) = error else { throw error }
            // The lease is left, by which a mount stops by itself.
            logger.warning(
                "cannot end the connections of a session that is gone",
                metadata: ["reason": "\(reason)"])
        }
    }

    private func ask(_ words: String...) throws(StoreError) -> [Reply] {
        try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            exchange.commands.begin("CLIENT", arguments: 1 + words.count)
            for word in words { exchange.commands.add(word) }
            try call(exchange, on: metadataLane)
            try exchange.checkForErrors()
            return exchange.replies
        }
    }
}
