import COpenSSL

/// The OpenSSL that this process uses.
public enum OpenSSLVersion {
    /// `3.0.19`
    public static var text: String { String(cString: OpenSSL_version(OPENSSL_VERSION_STRING)) }
}
