// What connections speak TLS with: read from files, checked, and replaced as a whole when it is read again. A pair
// that is no good never takes the place of one that is.

import Leveret
import NIOCore
import NIOSSL
import Synchronization

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

/// The certificate and key in use.
final class TLSIdentity: Sendable {
    private struct State {
        var context: NIOSSLContext?
    }

    private let secondsNow: @Sendable () -> Int
    private let state = Mutex(State())  // guards what new connections use

    /// An identity that has not been read yet. `secondsNow` is the wall clock, in seconds since 1970.
    init(secondsNow: @escaping @Sendable () -> Int = { time(nil) }) { self.secondsNow = secondsNow }

    /// What a new connection uses; `nil` where there is no certificate.
    var current: NIOSSLContext? { state.withLock { $0.context } }

    /// Reads the files and uses them from here on.
    ///
    /// - Throws: a `BrokerError` that names the file and what is wrong with it; what was in use stays.
    func read(_ settings: TLSSettings) throws(BrokerError) {
        let context = try Self.context(settings, now: secondsNow())
        state.withLock { $0.context = context }
    }

    private static func context(_ settings: TLSSettings, now: Int) throws(BrokerError) -> NIOSSLContext {
        let chain = try certificates(in: settings.certificatePath, as: "the certificate")
        let key = try privateKey(in: settings.keyPath)
        if let own = chain.first { try check(own, settings.certificatePath, now: now) }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion =
            switch settings.versionMin {
            case .v12: .tlsv12
            case .v13: .tlsv13
            }
        // A client that doesn't answer the farewell must not hold up the end.
        configuration.shutdownTimeout = .seconds(1)
        switch (settings.clientCertificates, settings.clientAuthorityPath) {
        case (.none, nil): configuration.certificateVerification = .none
        case (.none, .some):
            throw BrokerError(
                .preconditionFailed,
                "there is an authority for clients' certificates, but none are asked for; say optional or required"
            )
        case (_, nil):
            throw BrokerError(
                .preconditionFailed,
                "clients' certificates are \(settings.clientCertificates.rawValue), but nobody says who signs them; "
                    + "name the file of the authority")
        case (let asked, .some(let path)):
            configuration.trustRoots = .certificates(try certificates(in: path, as: "the clients' authority"))
            configuration.certificateVerification =
                asked == .required ? .noHostnameVerification : .optionalVerification
            configuration.sendCANameList = true
        }
        do { return try NIOSSLContext(configuration: configuration) } catch NIOSSLError.failedToLoadPrivateKey
        {
            // Each has been read by itself.
            throw BrokerError(
                .preconditionFailed,
                "the key \(settings.keyPath) does not belong to the certificate \(settings.certificatePath); give "
                    + "those that were made together")
        } catch {
            throw BrokerError(
                .preconditionFailed,
                "the certificate \(settings.certificatePath) and its key can't be used: \(error)")
        }
    }

    private static func certificates(
        in path: String, as what: String
    ) throws(BrokerError) -> [NIOSSLCertificate] {
        try checkReadable(path, as: what)
        // One sentence for all that is no certificate.
        if let found = try? NIOSSLCertificate.fromPEMFile(path), !found.isEmpty { return found }
        throw BrokerError(
            .preconditionFailed, "\(what) \(path) holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    }

    private static func privateKey(in path: String) throws(BrokerError) -> NIOSSLPrivateKey {
        try checkReadable(path, as: "the key")
        var isEncrypted = false
        do {
            return try NIOSSLPrivateKey(file: path, format: .pem) { (_: NIOSSLPassphraseSetter<[UInt8]>) in
                isEncrypted = true
            }
        } catch {
            let text =
                isEncrypted
                ? "the key \(path) is encrypted; give one without a passphrase (openssl pkey -in … -out …)"
                : "the key \(path) holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"
            throw BrokerError(.preconditionFailed, text)
        }
    }

    private static func check(_ own: NIOSSLCertificate, _ path: String, now: Int) throws(BrokerError) {
        let end = Instant(milliseconds: Int64(own.notValidAfter) * 1_000)
        let start = Instant(milliseconds: Int64(own.notValidBefore) * 1_000)
        if Int(own.notValidAfter) < now {
            throw BrokerError(
                .preconditionFailed, "the certificate \(path) has expired at \(end.iso8601); give a newer one"
            )
        }
        if Int(own.notValidBefore) > now {
            throw BrokerError(
                .preconditionFailed,
                "the certificate \(path) is valid from \(start.iso8601) only; see whether this machine's clock is right"
            )
        }
    }

    private static func checkReadable(_ path: String, as what: String) throws(BrokerError) {
        var facts = stat()
        // A pipe would let the whole server wait for whoever writes to it.
        if stat(path, &facts) == 0, facts.st_mode & S_IFMT != S_IFREG {
            throw BrokerError(.preconditionFailed, "\(what) \(path) is no file")
        }
        guard access(path, R_OK) != 0 else { return }
        let why =
            switch errno {
            case ENOENT: "does not exist"
            case EACCES: "can't be read; give this user the right"
            default: "can't be read: \(String(cString: strerror(errno)))"
            }
        throw BrokerError(.preconditionFailed, "\(what) \(path) \(why)")
    }
}
