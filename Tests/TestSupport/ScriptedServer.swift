import Foundation
import Primitives

/// A server on a unix socket that says what a test tells it to, whatever it is asked: for versions of
/// Redis that are not installed, and for replies that none would send.
public final class ScriptedServer: @unchecked Sendable {
    private let directory: TemporaryDirectory
    private let listener: Int32
    private let open = OpenSockets()
    private let worker = Locked<WorkerThread?>(nil)

    public var path: String { directory.path + "/scripted.sock" }

    /// Each chunk of bytes that comes is answered by the next of `replies`; after the last one the
    /// connection is closed. Every connection starts at the first.
    public init(replies: [[UInt8]]) throws {
        directory = try TemporaryDirectory(prefix: "apusfs-scripted")
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let listener = listener
        let isListening = withUnixAddress(directory.path + "/scripted.sock") { address, length in
            bind(listener, address, length) == 0 && listen(listener, 64) == 0
        }
        guard isListening else { throw CocoaError(.fileWriteUnknown) }
        let thread = WorkerThread(name: "scripted") { [open] in
            while true {
                let client = accept(listener, nil, nil)
                if client < 0 { return }
                open.sockets.withLock { $0.append(client) }
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                for reply in replies {
                    guard recv(client, &buffer, buffer.count, 0) > 0 else { break }
                    _ = send(client, reply, reply.count, Int32(MSG_NOSIGNAL))
                }
                open.sockets.withLock { $0.removeAll { $0 == client } }
                Glibc.close(client)
            }
        }
        worker.withLock { $0 = thread }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        open.sockets.withLock { for client in $0 { shutdown(client, Int32(SHUT_RDWR)) } }
        worker.withLock { $0 }?.join()
        Glibc.close(listener)
    }
}

/// The connections of a `ScriptedServer`, which its thread shares.
private final class OpenSockets: Sendable {
    let sockets = Locked<[Int32]>([])
}
