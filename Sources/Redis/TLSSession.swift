import COpenSSL
import Glibc
import KeyValue
import Primitives

/// TLS on a socket that is connected. One thread may write while another reads: OpenSSL is called under a
/// lock, and never waits; who is told to wait does that without it.
final class TLSSession: @unchecked Sendable {
    enum Step: Equatable {
        /// At least 1.
        case bytes(Int)
        case wantsRead
        case wantsWrite
        /// The connection is over, said or not.
        case ended
        case failed(String)
    }

    /// What a record of TLS holds at most.
    static let recordBytes = 16_384

    // SAFETY: made once and never freed; OpenSSL only reads it.
    nonisolated(unsafe) private static let method = apusfs_tls_bio_method()

    /// Where whoever sends gathers small pieces, so that they share a record.
    // SAFETY: allocated in init, freed in deinit; only one thread sends at a time.
    let gathered: UnsafeMutableRawBufferPointer
    // SAFETY: freed in deinit; used under the lock only.
    private let session: OpaquePointer
    /// Rank: a leaf. Held while OpenSSL encrypts and decrypts, which does not wait.
    private let lock = Locked(())
    /// What the certificate has to name.
    private let name: String

    /// Shakes hands over `descriptor`, which stays the caller's, within the time until `deadline`.
    init(
        _ descriptor: Int32, _ address: RedisEndpoint.Address, _ options: TLSOptions,
        until deadline: Deadline
    ) throws(ConnectFailure) {
        let context = try Self.context(options)
        // The session holds a reference of its own.
        defer { SSL_CTX_free(context) }
        guard let method = Self.method, let session = SSL_new(context) else {
            throw .unreachable("out of memory")
        }
        self.session = session
        name = Self.name(options, address)
        gathered = .allocate(byteCount: Self.recordBytes, alignment: 64)
        guard apusfs_tls_attach(session, method, descriptor) == 1 else {
            throw .unreachable("out of memory")
        }
        try expectName(isVerified: options.verifies)
        try shakeHands(descriptor, until: deadline)
    }

    deinit {
        SSL_free(session)
        gathered.deallocate()
    }

    // MARK: Making one

    private static func context(_ options: TLSOptions) throws(ConnectFailure) -> OpaquePointer {
        ERR_clear_error()
        guard let context = SSL_CTX_new(TLS_client_method()) else {
            throw .unreachable("out of memory")
        }
        do throws(ConnectFailure) {
            try check(apusfs_tls_prepare(context), "OpenSSL offers no TLS 1.2")
            SSL_CTX_set_verify(context, options.verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
            if let file = options.authorityFile {
                try check(
                    SSL_CTX_load_verify_file(context, file), "--tls-ca \(file): no certificates")
            } else {
                try check(
                    SSL_CTX_set_default_verify_paths(context),
                    "the certificates that the system trusts cannot be read")
            }
            if let file = options.certificateFile {
                try check(
                    SSL_CTX_use_certificate_chain_file(context, file),
                    "--tls-cert \(file): no certificate")
            }
            if let file = options.keyFile {
                try check(
                    SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM),
                    "--tls-key \(file): no key of the certificate")
            }
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        return context
    }

    private static func check(_ result: Int32, _ text: String) throws(ConnectFailure) {
        guard result != 1 else { return }
        throw .rejected(.protocolViolation("\(text): \(lastText())"))
    }

    private static func name(_ options: TLSOptions, _ address: RedisEndpoint.Address) -> String {
        if let name = options.serverName { return name }
        switch address {
        // A link-local address may have its interface behind it.
        case .tcp(let host, _): return String(host.prefix { $0 != "%" })
        case .unix: return "localhost"
        }
    }

    private func expectName(isVerified: Bool) throws(ConnectFailure) {
        let parameters = SSL_get0_param(session)
        if X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 { return }
        ERR_clear_error()
        guard apusfs_tls_name_server(session, name) == 1, SSL_set1_host(session, name) == 1 else {
            throw .rejected(.protocolViolation("'\(name)' cannot be the name of a TLS server"))
        }
    }

    /// A server that takes the greeting of TLS for half a command waits for the rest.
    private static let hint = " to TLS; is that its tls-port?"

    private func shakeHands(_ descriptor: Int32, until deadline: Deadline) throws(ConnectFailure) {
        while true {
            let events: Int32
            switch step({ SSL_connect(session) }) {
            case .bytes: return
            case .wantsRead: events = POLLIN
            case .wantsWrite: events = POLLOUT
            case .ended: throw .unreachable("the server closes the connection" + Self.hint)
            case .failed(let text): throw .rejected(.protocolViolation(text))
            }
            guard !deadline.hasPassed else {
                throw .unreachable(LinkFailure.timedOut.text + Self.hint)
            }
            if Interruption.isRequested { throw .unreachable(LinkFailure.interrupted.text) }
            var wait = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let limit = min(RedisSocket.tickMilliseconds, max(1, deadline.remainingMilliseconds))
            _ = poll(&wait, 1, Int32(limit))
        }
    }

    // MARK: Using it

    /// Encrypts and sends as much of `bytes` as the socket takes now.
    func write(_ bytes: UnsafeRawBufferPointer) -> Step {
        step { SSL_write(session, bytes.baseAddress, Int32(clamping: bytes.count)) }
    }

    /// Takes what has come: into `first`, and what is behind it into `second`.
    func read(
        into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer
    ) -> Step {
        var total = 0
        for part in [first, second] {
            var filled = 0
            while filled < part.count {
                let result = step {
                    SSL_read(
                        session, part.baseAddress.map { $0 + filled },
                        Int32(clamping: part.count - filled))
                }
                guard case .bytes(let count) = result else {
                    // What went wrong is met again by the next call.
                    return total > 0 ? .bytes(total) : result
                }
                filled += count
                total += count
            }
        }
        return .bytes(total)
    }

    /// Whether the other side has ended the connection; takes nothing that has come.
    var hasEnded: Bool {
        var byte: UInt8 = 0
        switch step({ SSL_peek(session, &byte, 1) }) {
        case .bytes, .wantsRead, .wantsWrite: return false
        case .ended, .failed: return true
        }
    }

    /// One call of OpenSSL, and what it means.
    private func step(_ call: () -> Int32) -> Step {
        lock.withLock { _ in
            // The queue of errors is the thread's, and what others left there would be taken for ours.
            ERR_clear_error()
            let result = call()
            if result > 0 { return .bytes(Int(result)) }
            switch SSL_get_error(session, result) {
            case SSL_ERROR_WANT_READ: return .wantsRead
            case SSL_ERROR_WANT_WRITE: return .wantsWrite
            case SSL_ERROR_ZERO_RETURN, SSL_ERROR_SYSCALL: return .ended
            default:
                let reason = apusfs_tls_last_reason()
                // Without close_notify; Redis ends connections so, and each reply says how long it is.
                if reason == SSL_R_UNEXPECTED_EOF_WHILE_READING, SSL_is_init_finished(session) != 0
                {
                    return .ended
                }
                return .failed(
                    TLSProblem.text(
                        reason: reason, verification: SSL_get_verify_result(session),
                        text: Self.lastText(), name: name))
            }
        }
    }

    private static func lastText() -> String {
        guard let text = ERR_reason_error_string(ERR_peek_last_error()) else {
            return "OpenSSL does not say why"
        }
        return String(cString: text)
    }
}
