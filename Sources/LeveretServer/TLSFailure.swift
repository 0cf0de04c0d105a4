// Why a handshake failed, in words. BoringSSL says it in capitals, with the place in its own source.

/// Reads what NIOSSL reports.
enum TLSFailure {
    /// A sentence on `error` for the log.
    static func text(_ error: any Error) -> String {
        let report = "\(error)"
        // `… error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED at /…`
        guard let match = report.firstMatch(of: /OPENSSL_internal:([A-Z0-9_]+)/) else { return report }
        let reason = String(match.1)
        return advice[reason] ?? reason.lowercased().split(separator: "_").joined(separator: " ")
    }

    private static let advice = [
        "CERTIFICATE_VERIFY_FAILED":
            "the client's certificate is not signed by tls-client-ca, or it has expired or is not valid yet",
        "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client has no certificate, and tls-clients asks for one",
        "UNSUPPORTED_PROTOCOL": "the client speaks no version of TLS that tls-min allows",
        "NO_SHARED_CIPHER": "the client offers no cipher that is spoken here",
        "WRONG_VERSION_NUMBER": "what the client sent is no TLS",
    ]
}
