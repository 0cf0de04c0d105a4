// Certificates for tests of TLS, made by the openssl program: an authority, and pairs that it has signed.

import Foundation

/// An authority of its own in a folder of its own.
package struct TestCertificates: ~Copyable {
    /// A certificate and its key, as files.
    package struct Pair: Sendable {
        /// In PEM.
        package let certificate: String
        /// In PEM, without a passphrase.
        package let key: String
    }

    private let folder: TemporaryFolder
    /// The authority's certificate.
    package var authority: String { folder.path("ca.pem") }

    /// Makes the authority.
    package init() throws {
        let folder = try TemporaryFolder()
        let make = "openssl req -x509 -days 2 \(Self.key) -nodes -keyout ca.key -out ca.pem"
        try Self.run(make + " -subj '/CN=test authority'", in: folder.url)
        self.folder = folder
    }

    /// A pair for this machine, of these names and addresses; its subject is the common name `name`, or this.
    package func pair(
        _ name: String, for names: String = "DNS:localhost,IP:127.0.0.1", subject: String? = nil
    ) throws -> Pair {
        let subject = subject ?? "/CN=\(name)"
        try run(
            """
            openssl req -new \(Self.key) -nodes -keyout \(name).key -out \(name).csr -subj '\(subject)'
            echo 'subjectAltName=\(names)' > \(name).ext
            openssl x509 -req -days 2 -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile \(name).ext \
                -out \(name).pem
            """)
        return Pair(certificate: folder.path("\(name).pem"), key: folder.path("\(name).key"))
    }

    /// The pair's key with a passphrase on it.
    package func encrypted(_ pair: Pair) throws -> String {
        try run("openssl pkey -in \(pair.key) -aes256 -passout pass:secret -out locked.key")
        return folder.path("locked.key")
    }

    /// A file of the folder.
    package func path(_ name: String) -> String { folder.path(name) }

    private static let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"

    private func run(_ script: String) throws { try Self.run(script, in: folder.url) }

    private static func run(_ script: String, in folder: URL) throws {
        let result = try Program("/bin/sh", ["-e", "-c", script], folder: folder).finish()
        guard result.status == 0 else { throw SocketFailure(description: "openssl: \(result.errors)") }
    }
}
