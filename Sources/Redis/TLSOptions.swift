/// How a server is spoken to over TLS. Files are PEM, and read at each connection, so that renewed ones
/// are used.
public struct TLSOptions: Hashable, Sendable {
    /// The authorities that may have signed the server's certificate; `nil`: those that the system trusts.
    public var authorityFile: String?
    /// The client's certificate, with those between it and its authority; `nil`: none is shown.
    public var certificateFile: String?
    /// The key of the certificate.
    public var keyFile: String?
    /// What the server is asked for (SNI) and its certificate has to name; `nil`: the host of the address.
    public var serverName: String?
    /// Whether the certificate has to be good and for that name. Without, whoever is in between reads and
    /// changes everything.
    public var verifies = true

    public init() {}
}
