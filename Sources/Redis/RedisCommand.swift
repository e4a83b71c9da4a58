public import KeyValue

/// One command to the server: its name and its arguments, any bytes.
public struct RedisCommand: Hashable, Sendable {
    public let words: [Bytes]

    public init(_ name: StaticString, _ arguments: [Bytes]) {
        words = [name.withUTF8Buffer { Bytes($0) }] + arguments
    }

    public init(_ name: StaticString, _ arguments: Bytes...) { self.init(name, arguments) }
}

/// What a caller says about commands, for when a connection is lost before all of them are answered.
public enum RedisEffect: Sendable {
    /// They change nothing: they are sent again.
    case none
    /// Carried out twice they have the effect of once: they are sent again.
    case idempotent
    /// They are not sent again once they may have arrived: the call then fails.
    case once
}

extension RedisStore {
    /// Has the server carry out `commands`, pipelined in one round trip, and returns the reply to each,
    /// errors among them included. `isBulky` keeps large transfers away from short questions.
    public func perform(
        _ commands: [RedisCommand], effect: RedisEffect = .none, isBulky: Bool = false
    ) throws(StoreError) -> [Reply] {
        guard !commands.isEmpty else { return [] }
        let lane = isBulky ? dataLane() : metadataLane
        return try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            for command in commands { exchange.commands.add(command) }
            switch effect {
            case .none: break
            case .idempotent: exchange.mutates = true
            case .once:
                exchange.mutates = true
                exchange.mayResend = false
            }
            try call(exchange, on: lane)
            return exchange.replies
        }
    }
}

extension CommandBuffer {
    func add(_ command: RedisCommand) {
        begin(command.words[0], arguments: command.words.count)
        for word in command.words.dropFirst() { add(word) }
    }
}
