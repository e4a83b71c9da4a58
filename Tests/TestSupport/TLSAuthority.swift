import Foundation

/// An authority of a test's own and what it signs, made by openssl(1) in a directory that goes with it.
public final class TLSAuthority: Sendable {
    /// A certificate and its key, as PEM files.
    public struct Certificate: Sendable {
        public let certificateFile: String
        public let keyFile: String
    }

    /// What kept openssl from making one.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private let directory: TemporaryDirectory

    /// The authority's own certificate.
    public var file: String { directory.path + "/authority.crt" }

    public init() throws {
        directory = try TemporaryDirectory(prefix: "apusfs-tls")
        try run(
            """
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
              -subj "/CN=an authority" -keyout authority.key -out authority.crt
            """)
    }

    /// A certificate for these names (`DNS:localhost`, `IP:127.0.0.1`), good for so many days from now; less
    /// than none have expired.
    public func sign(
        _ label: String, names: String = "DNS:localhost,IP:127.0.0.1", days: Int = 1
    ) throws -> Certificate {
        try run(
            """
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
              -subj "/CN=\(label)" -keyout \(label).key -out \(label).csr
            echo "subjectAltName=\(names)" >\(label).ext
            openssl x509 -req -in \(label).csr -CA authority.crt -CAkey authority.key \
              -CAcreateserial -days \(days) -extfile \(label).ext -out \(label).crt
            """)
        return Certificate(
            certificateFile: "\(directory.path)/\(label).crt",
            keyFile: "\(directory.path)/\(label).key")
    }

    /// The arguments of a redis-server (or, without dashes, the lines of a sentinel) that speaks TLS.
    public func arguments(
        _ certificate: Certificate, port: Int, clients: String = "no"
    ) -> [String] {
        [
            "--tls-port", "\(port)", "--tls-cert-file", certificate.certificateFile,
            "--tls-key-file", certificate.keyFile, "--tls-ca-cert-file", file,
            "--tls-auth-clients", clients,
        ]
    }

    private func run(_ script: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-euc", "umask 077\n" + script]
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(description: text) }
    }
}

extension RedisServer {
    /// A server that takes TLS at a port of `localhost`, beside its unix socket.
    public static func byTLS(
        _ authority: TLSAuthority, _ certificate: TLSAuthority.Certificate? = nil,
        clients: String = "no", arguments: [String] = []
    ) throws -> (server: RedisServer, port: Int) {
        let port = try freePort()
        let certificate = try certificate ?? authority.sign("server")
        let words = authority.arguments(certificate, port: port, clients: clients)
        return (try RedisServer(arguments: words + arguments), port)
    }
}
