import Glibc
import Primitives
import TestSupport

/// Something that listens on a unix socket and answers every line as an old Redis would that knows nothing.
final class NotRedis: Sendable {
    let path: String
    private let listener: Int32
    private let thread = Locked<TestThread?>(nil)

    init(directory: String) throws {
        path = directory + "/old.sock"
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        let isListening = withUnixAddress(path) { address, length in
            bind(listener, address, length) == 0 && listen(listener, 8) == 0
        }
        guard isListening else { throw Errno(rawValue: errno) }
        let started = TestThread(name: "not-redis") { Self.serve(listener) }
        thread.withLock { $0 = started }
    }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        thread.withLock { $0 }?.join()
        close(listener)
    }

    private static func serve(_ listener: Int32) {
        let answer = Array("-ERR unknown command\r\n".utf8)
        while true {
            let connection = accept(listener, nil, nil)
            if connection < 0 { return }
            var buffer = [UInt8](repeating: 0, count: 4_096)
            while read(connection, &buffer, buffer.count) > 0,
                send(connection, answer, answer.count, Int32(MSG_NOSIGNAL)) > 0
            {}
            close(connection)
        }
    }
}
