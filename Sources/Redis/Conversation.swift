import Glibc
import KeyValue
import Primitives
import Synchronization

/// Questions and answers on a connection that nobody else uses yet: each answer has its time, also when it
/// comes bit by bit.
final class Conversation {
    /// When whoever sends or receives gives up.
    final class Limit: Sendable {
        private let nanoseconds = Atomic<Int64>(.max)

        var hasPassed: Bool {
            let limit = nanoseconds.load(ordering: .relaxed)
            return limit != .max && Deadline(monotonicNanoseconds: limit).hasPassed
        }

        func set(_ deadline: Deadline) {
            nanoseconds.store(deadline.monotonicNanoseconds, ordering: .relaxed)
        }

        /// The conversation is over.
        func lift() { nanoseconds.store(.max, ordering: .relaxed) }
    }

    private final class Source: ByteSource {
        let socket: RedisSocket
        let limit: Limit

        init(_ socket: RedisSocket, _ limit: Limit) {
            self.socket = socket
            self.limit = limit
        }

        func receive(
            into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer
        ) throws(LinkFailure) -> Int {
            if limit.hasPassed { throw .timedOut }
            return try socket.receive(into: first, then: second)
        }
    }

    private let socket: RedisSocket
    private let limit: Limit
    private let reader: ReplyReader
    private let commands = CommandBuffer()

    /// `limit` is the one that the socket asks whether to give up.
    init(_ socket: RedisSocket, _ limit: Limit) {
        self.socket = socket
        self.limit = limit
        reader = ReplyReader(source: Source(socket, limit))
    }

    /// Is sent, with those before it, when the next reply is waited for.
    func ask(_ command: RedisCommand) { commands.add(command) }

    func reply(until deadline: Deadline) throws(ConnectFailure) -> Reply {
        limit.set(deadline)
        var sending: LinkFailure?
        if commands.commandCount > 0 {
            do throws(LinkFailure) {
                var pieces: [iovec] = []
                commands.appendPieces(to: &pieces)
                try socket.send(&pieces)
                commands.clear()
            } catch {
                sending = error
            }
        }
        do throws(LinkFailure) {
            // Also when a question did not get through: the server may have said why before it left.
            return try reader.readReply()
        } catch {
            // An alert instead of an answer: over TLS 1.3 a client is refused only now.
            if case .tls(let text) = error { throw .rejected(.protocolViolation(text)) }
            throw .unreachable((sending ?? error).text)
        }
    }

    /// Whether more has come than was asked for.
    var hasBytes: Bool { reader.hasBytes }
}
