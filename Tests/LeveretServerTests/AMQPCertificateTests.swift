// EXTERNAL: AMQP clients whose certificate says who they are. TLS is spoken by the openssl program, and the client says
// all it has to say at once.

import Foundation
import Leveret
import LeveretTestSupport
import NIOSSL
import Testing

@testable import LeveretServer

@Suite struct AMQPCertificateTests {
    /// What the server says to a client with this certificate that logs in by EXTERNAL and declares `app.q` and `other`.
    private static func talk(
        _ port: UInt16, _ pair: TestCertificates.Pair?, _ certificates: borrowing TestCertificates,
        isRefused: Bool = false
    ) async throws -> String {
        let client = Script()
        client.startOk(password: "", mechanism: "EXTERNAL")
        if !isRefused { workAndLeave(client) }
        let script = certificates.path("script")
        try Data(client.bytes).write(to: URL(fileURLWithPath: script))
        var shown = ""
        if let pair { shown = "-cert '\(pair.certificate)' -key '\(pair.key)'" }
        let openssl = "openssl s_client -quiet -connect 127.0.0.1:\(port) \(shown) < '\(script)'"
        return try await runProgram("/bin/sh", ["-c", openssl]).output
    }

    private static func workAndLeave(_ client: Script) {
        client.tuneOk()
        client.call(10, 40, .short("/"), .short(""), .octet(0))
        client.call(20, 10, .short(""), on: 1)
        for name in ["app.q", "other"] {
            client.call(50, 10, .int16(0), .short(name), .octet(0), .table([]), on: 1)
        }
        client.call(10, 50, .int16(200), .short(""), .int32(0))
    }

    private static func with(
        _ asked: TLSSettings.ClientCertificates, _ certificates: borrowing TestCertificates,
        _ body: (LoginServer) async throws -> Void
    ) async throws {
        let own = try certificates.pair("server")
        let authority = asked == .none ? nil : certificates.authority
        try await LoginServer.with(
            {
                var tls = TLSSettings(certificatePath: own.certificate, keyPath: own.key)
                tls.clientCertificates = asked
                tls.clientAuthorityPath = authority
                $0.tls = tls
            }, body)
    }

    @Test(arguments: [TLSSettings.ClientCertificates.optional, .required])
    func `a certificate that was verified logs its client in as the user it is for`(
        asked: TLSSettings.ClientCertificates
    ) async throws {
        let certificates = try TestCertificates()
        let app = try certificates.pair("app")
        try await Self.with(asked, certificates) { server in
            let said = try await Self.talk(server.port, app, certificates)
            #expect(said.contains("AMQPLAIN PLAIN EXTERNAL"))
            #expect(said.contains("configure access to queue 'other' in vhost '/' refused for user 'app'"))
            #expect(try await server.broker.queues().map(\.definition.name) == ["app.q"])
        }
    }

    @Test func `a certificate for nobody is refused late, and logged with the address`() async throws {
        let certificates = try TestCertificates()
        let stranger = try certificates.pair("stranger")
        try await Self.with(.required, certificates) { server in
            let said = try await Self.talk(server.port, stranger, certificates, isRefused: true)
            #expect(
                said.contains("ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. "))
            #expect(try await server.broker.status().loginsRefused == 1)
            let refused = server.refusedLogins
            #expect(refused.map(\.user) == ["stranger"])
            #expect(refused.allSatisfy { $0.peer.hasPrefix("127.0.0.1:") })
        }
    }

    @Test(arguments: [TLSSettings.ClientCertificates.none, .optional])
    func `without a certificate that was verified there is no EXTERNAL`(
        asked: TLSSettings.ClientCertificates
    ) async throws {
        let certificates = try TestCertificates()
        // One that nobody asks for is not sent.
        let app = asked == .none ? try certificates.pair("app") : nil
        try await Self.with(asked, certificates) { server in
            let said = try await Self.talk(server.port, app, certificates)
            #expect(said.contains("AMQPLAIN PLAIN") && !said.contains("PLAIN EXTERNAL"))
            #expect(said.contains("unknown authentication mechanism 'EXTERNAL'; use one of AMQPLAIN PLAIN"))
            #expect(try await server.broker.queues().isEmpty)
        }
    }

    @Test func `a name is read from any certificate, and never past its end`() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.pair("app")
        let bytes = try NIOSSLCertificate.fromPEMFile(pair.certificate)[0].toDERBytes()
        #expect(CertificateSubject.commonName(of: bytes) == "app")
        for count in bytes.indices { _ = CertificateSubject.commonName(of: Array(bytes.prefix(count))) }
        for place in bytes.indices {
            for value in [0, 0x7F, 0x80, 0x84, 0xFF] as [UInt8] {
                var broken = bytes
                broken[place] = value
                _ = CertificateSubject.commonName(of: broken)
            }
        }
        #expect(CertificateSubject.commonName(of: []) == nil)
        let two = try certificates.pair("two", subject: "/O=o/CN=a/CN=b")
        let both = try NIOSSLCertificate.fromPEMFile(two.certificate)[0].toDERBytes()
        #expect(CertificateSubject.commonName(of: both) == "a,b")
        let none = try certificates.pair("none", subject: "/O=o")
        let neither = try NIOSSLCertificate.fromPEMFile(none.certificate)[0].toDERBytes()
        #expect(CertificateSubject.commonName(of: neither) == nil)
    }
}
