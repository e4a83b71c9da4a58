import COpenSSL
import Glibc

/// Why TLS did not come about, in one line that says how to mend it. Pure.
enum TLSProblem {
    /// `reason`: of the last entry of OpenSSL's error queue (openssl/sslerr.h); `verification`: an
    /// `X509_V_ERR_...`; `text`: OpenSSL's own for the reason; `name`: what the certificate was to be for.
    static func text(reason: Int32, verification: Int, text: String, name: String) -> String {
        switch reason {
        case SSL_R_CERTIFICATE_VERIFY_FAILED: certificate(verification, name)
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_UNEXPECTED_EOF_WHILE_READING:
            "the server does not speak TLS there; name its tls-port, or write redis://"
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            "the server wants a certificate of this client: --tls-cert and --tls-key"
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA, SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
            SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
            SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, SSL_R_TLSV1_ALERT_ACCESS_DENIED:
            "the server does not accept the certificate of --tls-cert: \(text)"
        default: "TLS failed: \(text)"
        }
    }

    private static func certificate(_ verification: Int, _ name: String) -> String {
        switch Int32(truncatingIfNeeded: verification) {
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            return "the server's certificate is not for '\(name)'; connect by a name that it "
                + "has, or give that with --tls-server-name"
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return "the server's certificate, or that of its authority, has expired and must be "
                + "renewed"
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return "the server's certificate is not valid yet; look at the clocks of both machines"
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_SIGNATURE_FAILURE:
            return "the server's certificate was not signed by an authority that is trusted here; "
                + "name the right one with --tls-ca"
        default:
            return "the server's certificate is refused: "
                + String(cString: X509_verify_cert_error_string(verification))
        }
    }
}
