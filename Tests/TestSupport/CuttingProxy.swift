import Foundation
import Primitives

/// A listener on a unix socket, or on a TCP port, that passes bytes to and from another socket, and cuts
/// connections at the moment that a test asks for, or delays and cuts them at random. It ends with the
/// value that holds it.
public final class CuttingProxy: Sendable {
    private let core: ProxyCore

    public var path: String { core.path }

    /// Connections taken so far.
    public var connectionCount: Int { core.connectionCount }

    /// Connections cut so far by `cutAnswer`.
    public var cutCount: Int { core.cutCount }

    /// Bytes that came since `hold` and have not been passed on.
    public var heldBytes: Int { core.heldBytes }

    /// The TCP port, when one was asked for.
    public var port: Int? { core.port }

    public init(to target: String, tcp: Bool = false) throws {
        core = try ProxyCore(to: target, tcp: tcp)
        core.start()
    }

    /// From now on each piece of a connection's bytes waits up to `maximumDelayMicroseconds` (so that
    /// what travels on several connections arrives in another order), and one in `cutOneIn` is lost with
    /// its connection. The same seed gives the same choices, in the order in which pieces come.
    public func disturb(seed: UInt64, maximumDelayMicroseconds: UInt32, cutOneIn: Int) {
        core.disturb(
            ProxyDisturbance(
                seed: seed, maximumDelayMicroseconds: maximumDelayMicroseconds, cutOneIn: cutOneIn))
    }

    /// From now on nothing passes, and no end of a connection is seen on its other side. What came meanwhile
    /// is passed on when `leaveAlone` is called, even if its sender has gone.
    public func hold() { core.hold(true) }

    public func leaveAlone() {
        core.hold(false)
        core.disturb(nil)
    }

    deinit { core.close() }

    /// The next request that contains `pattern` reaches the server, and its answer is lost: the
    /// connection is cut instead.
    public func cutAnswer(toRequestWith pattern: String) {
        core.cutAnswer(toRequestWith: pattern)
    }

    /// Cuts every connection now.
    public func cutAll() { core.cutAll() }
}

/// What the threads of a proxy share; it lives until the last of them has ended.
private final class ProxyCore: @unchecked Sendable {
    private struct State {
        var open: [Int: (client: Int32, server: Int32)] = [:]
        var nextNumber = 0
        var pattern: [UInt8]?
        var cuts = 0
        var isClosed = false
        var disturbance: ProxyDisturbance?
        var isHolding = false
        var heldBytes = 0
    }

    let port: Int?
    private let directory: TemporaryDirectory
    private let target: String
    private let listener: Int32
    private let state = Monitor(State())
    private let threads = Locked<[WorkerThread]>([])

    var path: String { directory.path + "/proxy.sock" }

    /// Connections taken so far.
    var connectionCount: Int { state.withLock { $0.nextNumber } }

    /// Connections cut so far by `cutAnswer`.
    var cutCount: Int { state.withLock { $0.cuts } }

    init(to target: String, tcp: Bool) throws {
        directory = try TemporaryDirectory(prefix: "apusfs-proxy")
        self.target = target
        if tcp {
            (listener, port) = try Self.listenOnPort()
            return
        }
        port = nil
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let listener = listener
        let isListening = withUnixAddress(directory.path + "/proxy.sock") { address, length in
            bind(listener, address, length) == 0 && listen(listener, 64) == 0
        }
        guard isListening else { throw CocoaError(.fileWriteUnknown) }
    }

    private static func listenOnPort() throws -> (Int32, Int) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listener, generic, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, generic, &length) == 0
            }
        }
        guard isListening else { throw CocoaError(.fileWriteUnknown) }
        return (listener, Int(UInt16(bigEndian: address.sin_port)))
    }

    func disturb(_ disturbance: ProxyDisturbance?) {
        state.withLock { $0.disturbance = disturbance }
    }

    func hold(_ isHolding: Bool) { state.change { $0.isHolding = isHolding } }

    var heldBytes: Int { state.withLock { $0.heldBytes } }

    private func awaitRelease(of count: Int) {
        guard state.withLock({ $0.isHolding }) else { return }
        state.change { $0.heldBytes += count }
        let _: Void? = state.wait { $0.isHolding && !$0.isClosed ? nil : () }
        state.change { $0.heldBytes -= count }
    }

    /// Waits as the disturbance has it; false when the piece is to be lost with its connection.
    private func passesDisturbance() -> Bool {
        let fate = state.withLock { $0.disturbance?.next() }
        guard let fate else { return true }
        if fate.delayMicroseconds > 0 { usleep(fate.delayMicroseconds) }
        return !fate.isCut
    }

    func start() {
        let listener = listener
        let acceptor = WorkerThread(name: "proxy") { [self] in
            while true {
                let client = accept(listener, nil, nil)
                if client < 0 { return }
                serve(client)
            }
        }
        threads.withLock { $0.append(acceptor) }
    }

    /// Ends everything; later calls do nothing.
    func close() {
        let isFirst = state.change { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        cutAll()
        while let thread = threads.withLock({ $0.popLast() }) { thread.join() }
        Glibc.close(listener)
    }

    /// The next request that contains `pattern` reaches the server, and its answer is lost: the
    /// connection is cut instead.
    func cutAnswer(toRequestWith pattern: String) {
        state.withLock { $0.pattern = Array(pattern.utf8) }
    }

    /// Cuts every connection now.
    func cutAll() {
        state.withLock { state in
            for (client, server) in state.open.values {
                shutdown(client, Int32(SHUT_RDWR))
                shutdown(server, Int32(SHUT_RDWR))
            }
        }
    }

    private func serve(_ client: Int32) {
        let server = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let isConnected = withUnixAddress(target) { connect(server, $0, $1) == 0 }
        let number = state.withLock { state in
            defer { state.nextNumber += 1 }
            if isConnected, !state.isClosed { state.open[state.nextNumber] = (client, server) }
            return isConnected && !state.isClosed ? state.nextNumber : nil
        }
        guard let number else {
            Glibc.close(client)
            Glibc.close(server)
            return
        }
        // Both directions share this: set once the answer to come must not be passed on.
        let losesAnswer = Locked(false)
        let pair = Directions(losesAnswer)
        let forward = WorkerThread(name: "proxy forward") { [self] in
            pump(client, server) { chunk in
                if self.takesPattern(chunk) { pair.losesAnswer.withLock { $0 = true } }
                return true
            }
        }
        let back = WorkerThread(name: "proxy back") { [self] in
            pump(server, client) { _ in
                let isLost = pair.losesAnswer.withLock { $0 }
                if isLost { state.withLock { $0.cuts += 1 } }
                return !isLost
            }
            forward.join()
            state.withLock { $0.open[number] = nil }
            Glibc.close(client)
            Glibc.close(server)
        }
        threads.withLock { $0.append(back) }
    }

    private final class Directions: Sendable {
        let losesAnswer: Locked<Bool>

        init(_ losesAnswer: consuming Locked<Bool>) { self.losesAnswer = losesAnswer }
    }

    private func takesPattern(_ chunk: ArraySlice<UInt8>) -> Bool {
        state.withLock { state in
            guard let pattern = state.pattern, contains(chunk, pattern) else { return false }
            state.pattern = nil
            return true
        }
    }

    private func contains(_ chunk: ArraySlice<UInt8>, _ pattern: [UInt8]) -> Bool {
        guard let first = pattern.first, chunk.count >= pattern.count else { return false }
        return chunk.indices.dropLast(pattern.count - 1).contains { index in
            chunk[index] == first && chunk[index..<index + pattern.count].elementsEqual(pattern)
        }
    }

    /// Passes bytes on until either side ends or `mayPass` says no, then cuts both.
    private func pump(_ from: Int32, _ to: Int32, mayPass: (ArraySlice<UInt8>) -> Bool) {
        defer {
            shutdown(from, Int32(SHUT_RDWR))
            shutdown(to, Int32(SHUT_RDWR))
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let received = recv(from, &buffer, buffer.count, 0)
            awaitRelease(of: max(0, received))
            guard received > 0, mayPass(buffer[..<received]), passesDisturbance() else { return }
            var sent = 0
            while sent < received {
                let count = buffer[sent..<received].withUnsafeBytes {
                    send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if count <= 0 { return }
                sent += count
            }
        }
    }
}
