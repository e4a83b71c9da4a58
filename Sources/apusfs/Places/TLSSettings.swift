import Redis

/// How a `rediss://` server is spoken to, as the command line says it.
struct TLSSettings: Equatable, Sendable, Codable {
    var authorityFile: String?
    var certificateFile: String?
    var keyFile: String?
    var serverName: String?
    /// The server's certificate is not looked at.
    var isInsecure = false

    /// `source` with these settings, if it is one by TLS; relative paths begin at `workingDirectory`.
    func applied(
        to source: Source, workingDirectory: String
    ) throws(CommandFailure) -> Source {
        guard source.tls != nil else {
            guard self == TLSSettings() else {
                throw CommandFailure(
                    "\(source): is not spoken to by TLS, so no --tls flag applies; write rediss://",
                    status: .usage)
            }
            return source
        }
        guard (certificateFile == nil) == (keyFile == nil) else {
            throw CommandFailure("--tls-cert and --tls-key go together", status: .usage)
        }
        func absolute(_ path: String?) -> String? {
            path.map { $0.hasPrefix("/") ? $0 : "\(workingDirectory)/\($0)" }
        }
        var settings = self
        settings.authorityFile = absolute(authorityFile)
        settings.certificateFile = absolute(certificateFile)
        settings.keyFile = absolute(keyFile)
        var result = source
        result.tls = settings
        return result
    }

    var options: TLSOptions {
        var options = TLSOptions()
        options.authorityFile = authorityFile
        options.certificateFile = certificateFile
        options.keyFile = keyFile
        options.serverName = serverName
        options.verifies = !isInsecure
        return options
    }
}
