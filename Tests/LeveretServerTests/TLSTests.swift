// TLS: which pairs of certificate and key are taken, what is asked of clients, and that every protocol is spoken
// inside. The client is the openssl program.

import Foundation
import Leveret
import LeveretTestSupport
import NIOCore
import NIOSSL
import Testing

@testable import LeveretServer

@Suite struct TLSTests {
    private static func settings(_ pair: TestCertificates.Pair) -> TLSSettings {
        TLSSettings(certificatePath: pair.certificate, keyPath: pair.key)
    }

    /// A server that listens for everything, and for TLS only.
    private static func withServer(
        _ tls: TLSSettings, connectionsMax: Int = 10_000,
        _ body: (Server, _ open: UInt16, _ tlsOnly: UInt16) async throws -> Void
    ) async throws {
        let quiet = Broker.Configuration.quiet
        let broker = try Broker(.memory, configuration: quiet)
        var configuration = ServerConfiguration()
        configuration.addresses = [ListenAddress(port: 0), .tls(host: "127.0.0.1", port: 0)]
        configuration.tls = tls
        configuration.limits.connectionsMax = connectionsMax
        let server = Server(broker: broker, configuration: configuration, logger: quiet.logger)
        let ports = try await server.start().map { UInt16($0.port ?? 0) }
        try await body(server, ports[0], ports[1])
        try await server.stop()
        try await broker.shutdown()
    }

    /// What the server says to these lines over TLS, and what openssl says to its certificate.
    private static func talk(
        _ port: UInt16, _ lines: String, _ arguments: [String]
    ) async throws -> ProgramResult {
        let client = [
            "openssl", "s_client", "-quiet", "-verify_return_error", "-connect", "127.0.0.1:\(port)",
        ]
        return try await runProgram("/usr/bin/env", client + arguments, input: lines)
    }

    @Test func `one port speaks TLS and lines, another TLS only`() async throws {
        let certificates = try TestCertificates()
        let authority = certificates.authority
        try await Self.withServer(Self.settings(try certificates.pair("server"))) { _, open, tlsOnly in
            for port in [open, tlsOnly] {
                let body = String(repeating: "x", count: 100_000)
                let said = try await Self.talk(
                    port,
                    "QUEUE jobs\nPUB \"\" jobs {\(body.utf8.count)}\n\(body)\nGET jobs auto-ack\nLIST connections\nQUIT\n",
                    ["-CAfile", authority])
                #expect(said.output.hasPrefix("OK jobs ready=0 consumers=0\nOK 1\nMSG "), "\(said.errors)")
                #expect(said.output.contains("{100000}\n\(body)\n"))
                #expect(said.output.contains(" tls\""), "the listing shows it")
            }
            let plain = try LineSocket(port: open)
            #expect(try plain.ask("PING").line == "OK")
            let refused = try LineSocket(port: tlsOnly)
            #expect(try refused.ask("PING").line.hasPrefix("ERR 530 NOT_ALLOWED only TLS is spoken here"))
            #expect(try refused.waitForNext() == nil)
        }
    }

    @Test func `where only TLS is spoken one too many is closed without a word`() async throws {
        let certificates = try TestCertificates()
        let settings = Self.settings(try certificates.pair("server"))
        try await Self.withServer(settings, connectionsMax: 1) { _, open, tlsOnly in
            let first = try LineSocket(port: open)
            #expect(try first.ask("PING").line == "OK")
            #expect(try LineSocket(port: tlsOnly).waitForNext() == nil)
            #expect(try LineSocket(port: open).waitForNext()?.line.hasPrefix("ERR 506") == true)
        }
    }

    @Test func `an old version is refused where a newer one is asked for`() async throws {
        let certificates = try TestCertificates()
        var settings = Self.settings(try certificates.pair("server"))
        settings.versionMin = .v13
        let trusted = ["-CAfile", certificates.authority]
        try await Self.withServer(settings) { _, port, _ in
            let old = try await Self.talk(port, "PING\nQUIT\n", trusted + ["-tls1_2"])
            #expect(old.status != 0 && !old.output.contains("OK"))
            #expect(try await Self.talk(port, "PING\nQUIT\n", trusted).output == "OK\nOK\n")
        }
    }

    @Test(arguments: TLSSettings.ClientCertificates.allCases)
    func `clients show what certificates they are asked for`(
        asked: TLSSettings.ClientCertificates
    ) async throws {
        let certificates = try TestCertificates()
        let strangers = try TestCertificates()
        let ours = try certificates.pair("client")
        let theirs = try strangers.pair("stranger")
        var settings = Self.settings(try certificates.pair("server"))
        settings.clientCertificates = asked
        settings.clientAuthorityPath = asked == .none ? nil : certificates.authority
        let trusted = ["-CAfile", certificates.authority]
        try await Self.withServer(settings) { _, _, port in
            func hears(_ arguments: [String]) async throws -> Bool {
                try await Self.talk(port, "PING\nQUIT\n", trusted + arguments).output == "OK\nOK\n"
            }
            let (known, nobody, stranger) = (
                try await hears(["-cert", ours.certificate, "-key", ours.key]), try await hears([]),
                try await hears(["-cert", theirs.certificate, "-key", theirs.key])
            )
            #expect(known)
            #expect(nobody == (asked != .required))
            #expect(stranger == (asked == .none))
        }
    }

    @Test func `a renewed certificate is for new connections, and a bad one changes nothing`() async throws {
        let certificates = try TestCertificates()
        let first = try certificates.pair("first")
        let second = try certificates.pair("second")
        let authority = certificates.authority
        @Sendable func subject(_ port: UInt16) async throws -> String {
            let said = try await runProgram(
                "/usr/bin/env",
                ["openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", authority],
                input: "QUIT\n")
            return said.output.split(separator: "\n").first { $0.hasPrefix("subject=") }.map(String.init)
                ?? said.errors
        }
        try await Self.withServer(Self.settings(first)) { server, port, _ in
            #expect(try await subject(port).hasSuffix("first"))
            let mixed = TLSSettings(certificatePath: second.certificate, keyPath: first.key)
            let error = #expect(throws: BrokerError.self) { try server.renewCertificate(mixed) }
            #expect(
                error?.text.contains("does not belong to the certificate") == true, "\(error?.text ?? "")")
            #expect(try await subject(port).hasSuffix("first"))
            try server.renewCertificate(Self.settings(second))
            #expect(try await subject(port).hasSuffix("second"))
        }
    }

    /// Pairs that are no good.
    enum Fault: String, CaseIterable, CustomTestStringConvertible {
        case noCertificate, noKey, pipe, garbage, keyAsCertificate, mismatched, expired, early, encrypted,
            noAuthority, unasked
        var testDescription: String { rawValue }

        var words: String {
            switch self {
            case .noCertificate, .noKey: "does not exist"
            case .pipe: "is no file"
            case .garbage: "holds no private key in PEM"
            case .keyAsCertificate: "holds no certificate in PEM"
            case .mismatched: "does not belong to the certificate"
            case .expired: "has expired at"
            case .early: "is valid from"
            case .encrypted: "is encrypted; give one without a passphrase"
            case .noAuthority: "nobody says who signs them"
            case .unasked: "none are asked for"
            }
        }
    }

    @Test(arguments: Fault.allCases)
    func `a pair that is no good is refused in a sentence that says why`(fault: Fault) throws {
        let certificates = try TestCertificates()
        let pair = try certificates.pair("server")
        var settings = Self.settings(pair)
        var now = Int(time(nil))
        switch fault {
        case .noCertificate: settings.certificatePath = certificates.path("none.pem")
        case .noKey: settings.keyPath = certificates.path("none.key")
        case .pipe:
            settings.keyPath = certificates.path("pipe")
            #expect(mkfifo(settings.keyPath, 0o600) == 0)
        case .garbage: settings.keyPath = pair.certificate
        case .keyAsCertificate: settings.certificatePath = pair.key
        case .mismatched: settings.keyPath = try certificates.pair("other").key
        case .expired: now += 3 * 86_400
        case .early: now -= 3 * 86_400
        case .encrypted: settings.keyPath = try certificates.encrypted(pair)
        case .noAuthority: settings.clientCertificates = .required
        case .unasked: settings.clientAuthorityPath = certificates.authority
        }
        let identity = TLSIdentity { [now] in now }
        let error = #expect(throws: BrokerError.self) { try identity.read(settings) }
        #expect(error?.text.contains(fault.words) == true, "\(error?.text ?? "")")
        #expect(identity.current == nil)
    }

    @Test func `an address for TLS without a certificate is refused`() async throws {
        let broker = try Broker(.memory, configuration: .quiet)
        var configuration = ServerConfiguration()
        configuration.addresses = [.tls(host: "127.0.0.1", port: 0)]
        let server = Server(
            broker: broker, configuration: configuration, logger: Broker.Configuration.quiet.logger)
        let error = await #expect(throws: BrokerError.self) { _ = try await server.start() }
        #expect(
            error?.text == "can't listen on tls://127.0.0.1:0: there is no certificate; give one, and its key"
        )
        try await broker.shutdown()
    }

    @Test func `a client that doesn't speak TLS properly is closed, and hurts nobody`() async throws {
        let certificates = try TestCertificates()
        try await Self.withServer(Self.settings(try certificates.pair("server"))) { _, port, _ in
            let client = try LineSocket(port: port)
            client.sayRaw("\u{16}\u{03}\u{01}\u{00}\u{05}nonsense that is no hello\n")
            while try client.waitForNext() != nil {}
            #expect(!client.isOpen)
            #expect(try LineSocket(port: port).ask("PING").line == "OK")
        }
    }

    @Test func `addresses of all kinds are read as they are written`() {
        #expect(ListenAddress("tls://[::1]:5671") == .tls(host: "::1", port: 5671))
        #expect(ListenAddress("tls://5671") == .tls(host: "127.0.0.1", port: 5671))
        #expect(ListenAddress("unix:a b/x:1") == .unix(path: "a b/x:1"))
        for text in ["unix:", "tls://", "tls://a", "http://a:1"] {
            #expect(ListenAddress(text) == nil, "\(text)")
        }
        for text in ["tls://[::1]:5671", "tls://a:0", "unix:/run/x.sock", "127.0.0.1:1"] {
            #expect(ListenAddress(text)?.description == text)
        }
    }
}
