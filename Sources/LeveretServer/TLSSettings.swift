// What a server is told about TLS before it starts. TLSIdentity makes of it what connections use.

/// Certificate, key, and whom to believe.
public struct TLSSettings: Hashable, Sendable {
    /// What is asked of clients.
    public enum ClientCertificates: String, Hashable, Sendable, CaseIterable {
        /// They need none, and are not asked for one.
        case none
        /// They may show one; one that is shown must be signed by the authority.
        case optional
        /// They must show one that is signed by the authority.
        case required
    }

    /// A version of the protocol (RFC 5246, RFC 8446).
    public enum Version: String, Hashable, Sendable, CaseIterable {
        /// TLS 1.2.
        case v12 = "1.2"
        /// TLS 1.3.
        case v13 = "1.3"
    }

    /// The path of the certificate in PEM, the server's first, then those that lead to its authority.
    public var certificatePath: String
    /// The path of its private key in PEM, without a passphrase.
    public var keyPath: String
    /// The path of the authorities that sign clients' certificates, in PEM.
    public var clientAuthorityPath: String?
    /// What is asked of clients; anything but `none` needs an authority.
    public var clientCertificates = ClientCertificates.none
    /// The oldest version that is spoken.
    public var versionMin = Version.v12

    /// A certificate and its key.
    public init(certificatePath: String, keyPath: String) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
    }
}
