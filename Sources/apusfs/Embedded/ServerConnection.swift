import CLinux
import Glibc
import Primitives

/// A connection to an embedded server for starting and stopping it: a few inline commands, one at a
/// time. The volume's traffic goes through module Redis.
final class ServerConnection {
    enum Answer: Equatable {
        case text(String)
        case list([String])
        case error(String)
    }

    /// The server answers such commands at once, or it is busy with one command for so long.
    static let answerTimeoutSeconds = 10

    private static let maximumAnswerBytes = 1 << 20
    private static let maximumListCount = 1_024

    private let socket: OwnedDescriptor

    /// `nil` when nobody listens on the socket.
    init?(path: String, answerSeconds: Int = answerTimeoutSeconds) {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let raw = Glibc.socket(AF_UNIX, kind, 0)
        guard raw >= 0 else { return nil }
        socket = OwnedDescriptor(taking: raw)
        var limit = timeval(tv_sec: answerSeconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(raw, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        guard var address = Self.address(path) else { return nil }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        // SAFETY: sockaddr_un begins as sockaddr does; the pointer does not outlive the call.
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(raw, $0, size) }
        }
        guard result == 0 else { return nil }
    }

    /// The process that listens.
    var serverProcess: pid_t? {
        let process = apusfs_peer_process(socket.raw)
        return process > 0 ? process : nil
    }

    /// Sends one inline command (Redis protocol, "Inline commands"); nil when the connection ended or
    /// no answer came.
    func ask(_ command: String) -> Answer? {
        guard send(Array("\(command)\r\n".utf8)), let line = readLine() else { return nil }
        switch line.first {
        case "-": return .error(String(line.dropFirst()))
        case "*":
            guard let count = Int(line.dropFirst()), (0...Self.maximumListCount).contains(count)
            else { return nil }
            var values: [String] = []
            for _ in 0..<count {
                guard let head = readLine(), let value = bulk(after: head) else { return nil }
                values.append(value)
            }
            return .list(values)
        case "$": return bulk(after: line).map { .text($0) }
        default: return .text(String(line.dropFirst()))
        }
    }

    private func bulk(after line: String) -> String? {
        guard line.first == "$", let count = Int(line.dropFirst()),
            (0...Self.maximumAnswerBytes).contains(count), let bytes = read(count + 2)
        else { return nil }
        return String(decoding: bytes.dropLast(2), as: UTF8.self)
    }

    /// Without SIGPIPE when the server has gone. A command fits the socket's buffer.
    private func send(_ bytes: [UInt8]) -> Bool {
        Glibc.send(socket.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    private func readLine() -> String? {
        var bytes: [UInt8] = []
        while bytes.count < 4_096, let byte = read(1)?.first {
            if byte == UInt8(ascii: "\n") {
                return String(decoding: bytes.dropLast(), as: UTF8.self)
            }
            bytes.append(byte)
        }
        return nil
    }

    private func read(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(socket.raw, buffer.baseAddress?.advanced(by: filled), count - filled)
            }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else { return nil }
            filled += got
        }
        return bytes
    }

    private static func address(_ path: String) -> sockaddr_un? {
        let bytes = Array(path.utf8)
        guard bytes.count <= SourceParser.maximumSocketPathBytes else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }
}
