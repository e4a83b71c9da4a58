public import KeyValue

/// What a subscription listens to: the commands that begin it, and what the server's messages mean.
enum SubscriptionTopic: Sendable {
    /// Messages published on a channel.
    case channel(Bytes)
    /// Names of keys that begin with `prefix` and were changed by anybody, as the server tells a client that
    /// caches (CLIENT TRACKING in broadcasting mode): in any database, whatever its configuration.
    case trackedKeys(prefix: Bytes)
    /// The same by keyspace notifications of one database, as far as `notify-keyspace-events` sends them.
    case keyspaceEvents(prefix: Bytes, database: Int)

    enum Meaning: Equatable {
        case confirmation
        case messages([Bytes])
        /// Everything may have changed (FLUSHALL).
        case everything
        case malformed
        case other
    }

    static let invalidationChannel: StaticString = "__redis__:invalidate"

    /// A client that does not know its own number cannot be told about keys.
    func commands(clientID: Int64?) -> [RedisCommand] {
        switch self {
        case .channel(let name): return [RedisCommand("SUBSCRIBE", name)]
        case .trackedKeys(let prefix):
            // The messages go to this connection itself: RESP2 knows them only as a subscription.
            let words: [Bytes] =
                [Bytes("TRACKING".utf8), Bytes("ON".utf8), Bytes("REDIRECT".utf8)]
                + [Bytes("\(clientID ?? 0)".utf8), Bytes("BCAST".utf8)]
                + (prefix.isEmpty ? [] : [Bytes("PREFIX".utf8), prefix])
            return [
                RedisCommand("CLIENT", words),
                RedisCommand("SUBSCRIBE", Self.invalidationChannel.withUTF8Buffer { Bytes($0) }),
            ]
        case .keyspaceEvents(let prefix, let database):
            let pattern = Self.channelPrefix(database) + GlobPattern.literal(prefix) + [42]
            return [RedisCommand("PSUBSCRIBE", pattern)]
        }
    }

    func meaning(of parts: [Reply]) -> Meaning {
        guard case .bulk(let kind)? = parts.first else { return .other }
        switch String(decoding: kind, as: UTF8.self) {
        case "subscribe", "psubscribe": return .confirmation
        case "message" where parts.count == 3: return meaning(ofMessage: parts[2])
        case "pmessage" where parts.count == 4:
            guard case .keyspaceEvents(_, let database) = self, case .bulk(let channel) = parts[2]
            else { return .malformed }
            return .messages([Bytes(channel.dropFirst(Self.channelPrefix(database).count))])
        default: return .other
        }
    }

    private func meaning(ofMessage message: Reply) -> Meaning {
        switch (self, message) {
        case (.channel, .bulk(let text)): return .messages([text])
        case (.trackedKeys, .null): return .everything
        case (.trackedKeys, .array(let keys)):
            var names: [Bytes] = []
            for key in keys {
                guard case .bulk(let name) = key else { return .malformed }
                names.append(name)
            }
            return .messages(names)
        default: return .malformed
        }
    }

    private static func channelPrefix(_ database: Int) -> Bytes {
        Bytes("__keyspace@\(database)__:".utf8)
    }
}

/// Patterns of SCAN and PSUBSCRIBE.
public enum GlobPattern {
    /// A pattern that matches exactly these bytes.
    public static func literal(_ text: Bytes) -> Bytes {
        var pattern = Bytes()
        pattern.reserveCapacity(text.count)
        for byte in text {
            if [42, 63, 91, 92, 93].contains(byte) { pattern.append(92) }  // * ? [ \ ]
            pattern.append(byte)
        }
        return pattern
    }
}

/// How changes of keys are learned.
public enum KeyWatching: Hashable, Sendable {
    /// By CLIENT TRACKING.
    case tracking
    /// By keyspace notifications, which the server's configuration has to turn on.
    case notifications
}

extension RedisStore {
    /// Calls `handler` with the name of each key beginning with `prefix` that anybody changes, this client
    /// included; `.interrupted` and `.established` as for `subscribe`.
    public func watchKeys(
        prefix: Bytes, by way: KeyWatching,
        handler: @escaping @Sendable (SubscriptionEvent) -> Void
    ) throws(StoreError) -> any Subscription {
        switch way {
        case .tracking: try subscribe(to: .trackedKeys(prefix: prefix), handler: handler)
        case .notifications:
            try subscribe(
                to: .keyspaceEvents(prefix: prefix, database: endpoint.database), handler: handler)
        }
    }
}
