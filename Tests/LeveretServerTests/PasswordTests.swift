// What stands for passwords: scrypt's and RabbitMQ's, made, read, compared, and refused.

import Crypto
import Foundation
import Leveret
import LeveretTestSupport
import NIOCore
import NIOPosix
import Testing

@testable import LeveretServer

extension PasswordHash.Cost {
    /// For tests, which hash much.
    static let small = PasswordHash.Cost(roundsLog2: 4, parallelism: 1)
}

@Suite struct PasswordTests {
    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test func `a password is found again by its text, and another is not`() throws {
        let hash = try PasswordHash(of: Self.bytes("secret"), cost: .small)
        #expect(hash.text.hasPrefix("$scrypt$ln=4,r=8,p=1$"))
        #expect(!hash.text.contains("secret") && !hash.text.contains("=" + "$"))
        let read = try PasswordHash(hash.text)
        #expect(read == hash && read.matches(Self.bytes("secret")))
        for other in ["Secret", "secret ", "secre", "", "\0secret"] {
            #expect(!read.matches(Self.bytes(other)), "\(other)")
        }
        let again = try PasswordHash(of: Self.bytes("secret"), cost: .small)
        #expect(again.text != hash.text, "each has a salt of its own")
    }

    /// RFC 7914 §12.
    @Test func `scrypt is that of its specification`() throws {
        let digest = """
            7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2\
            d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887
            """
        let text = "$scrypt$ln=14,r=8,p=1$\(Self.base64(Self.bytes("SodiumChloride")))$"
        let known = try PasswordHash(text + Self.base64(Self.bytes(hex: digest)))
        #expect(known.matches(Self.bytes("pleaseletmein")))
    }

    private static func bytes(hex: String) -> [UInt8] {
        let digits = Array(hex)
        return stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(digits[$0...$0 + 1]), radix: 16)
        }
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("=", with: "")
    }

    /// The example of RabbitMQ's page on passwords.
    @Test func `RabbitMQ's own example is taken`() throws {
        let hash = try PasswordHash(
            definition: "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
            algorithm: "rabbit_password_hashing_sha256")
        #expect(hash.matches(Self.bytes("test12")) && !hash.matches(Self.bytes("test13")))
    }

    @Test(arguments: ["sha256", "sha512", "md5"])
    func `RabbitMQ's hashes are taken and given back as they were`(name: String) throws {
        let salt: [UInt8] = [0, 255, 7, 9]
        let salted = salt + Self.bytes("pässword")
        let digest: [UInt8] =
            switch name {
            case "sha256": Array(SHA256.hash(data: salted))
            case "sha512": Array(SHA512.hash(data: salted))
            default: Array(Insecure.MD5.hash(data: salted))
            }
        let algorithm = "rabbit_password_hashing_\(name)"
        let text = Data(salt + digest).base64EncodedString()
        let hash = try PasswordHash(definition: text, algorithm: algorithm)
        #expect(hash.text == "$rabbitmq-\(name)$\(text)")
        #expect(try PasswordHash(hash.text) == hash)
        #expect(hash.matches(Self.bytes("pässword")) && !hash.matches(Self.bytes("password")))
        #expect(hash.definition.text == text && hash.definition.algorithm == algorithm)
        // Of another algorithm the text has the wrong length.
        for other in ["sha256", "sha512", "md5"] where other != name {
            #expect(throws: BrokerError.self) {
                try PasswordHash(definition: text, algorithm: "rabbit_password_hashing_\(other)")
            }
        }
        if name == "md5" { #expect(try PasswordHash(definition: text, algorithm: nil) == hash) }
    }

    @Test func `an empty password is nobody's, though a hash of RabbitMQ's may stand for it`() throws {
        let salt: [UInt8] = [1, 2, 3, 4]
        let text = Data(salt + Array(SHA256.hash(data: salt))).base64EncodedString()
        let hash = try PasswordHash(definition: text, algorithm: "rabbit_password_hashing_sha256")
        #expect(!hash.matches([]))
    }

    @Test func `scrypt's go through a definitions file, too`() throws {
        let hash = try PasswordHash(of: Self.bytes("x"), cost: .small)
        let definition = hash.definition
        #expect(definition.algorithm == "leveret_password_hashing_scrypt" && definition.text == hash.text)
        #expect(try PasswordHash(definition: definition.text, algorithm: definition.algorithm) == hash)
    }

    private static let salt = "AAAAAAAAAAAAAAAAAAAAAA"
    private static let digest = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

    @Test(arguments: [
        "", "secret", "$", "$$", "$$$", "$scrypt", "$scrypt$", "$scrypt$ln=4,r=8,p=1$\(salt)",
        "$scrypt$ln=4,r=8,p=1$\(salt)$", "$scrypt$ln=4,r=8,p=1$$\(digest)",
        "$scrypt$ln=4,r=8$\(salt)$\(digest)",
        "$scrypt$ln=4,r=8,p=1,x=1$\(salt)$\(digest)", "$scrypt$ln=0,r=8,p=1$\(salt)$\(digest)",
        "$scrypt$ln=17,r=8,p=1$\(salt)$\(digest)", "$scrypt$ln=16,r=16,p=1$\(salt)$\(digest)",
        "$scrypt$ln=16,r=8,p=16$\(salt)$\(digest)", "$scrypt$ln=4,r=8,p=17$\(salt)$\(digest)",
        "$scrypt$ln=-4,r=8,p=1$\(salt)$\(digest)", "$scrypt$ln=99999999999,r=8,p=1$\(salt)$\(digest)",
        "$scrypt$ln=4,r=8,p=1$\(salt)$\(digest)$", "$scrypt$ln=4,r=8,p=1$\(salt)!$\(digest)",
        "$rabbitmq-sha256$", "$rabbitmq-sha256$\(digest)", "$rabbitmq-sha1$\(digest)",
        "$rabbitmq-sha256$kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PO", "$2a$10$abc",
    ])
    func `any other text is refused and not shown`(text: String) {
        let error = #expect(throws: BrokerError.self) { try PasswordHash(text) }
        #expect(error?.code == .preconditionFailed)
        if text.count > 8 { #expect(error?.text.contains(text) == false) }
    }

    @Test func `an algorithm that is not known is named`() {
        let error = #expect(throws: BrokerError.self) {
            try PasswordHash(definition: "x", algorithm: "rabbit_password_hashing_sha1")
        }
        #expect(error?.text.contains("'rabbit_password_hashing_sha1'; known are rabbit_") == true)
    }

    // MARK: - The desk

    private static func withDesk(
        _ body: (Broker, PasswordDesk, any EventLoop) async throws -> Void
    ) async throws {
        let broker = try Broker(.memory, configuration: .quiet)
        let desk = PasswordDesk(broker: broker, cost: .small)
        desk.start()
        try await body(broker, desk, MultiThreadedEventLoopGroup.singleton.next())
        try await desk.stop()
        try await broker.shutdown()
    }

    @Test func `a password is right until it is changed`() async throws {
        try await Self.withDesk { broker, desk, loop in
            func compare(_ password: String) async throws -> PasswordDesk.Verdict {
                try await desk.compare(Self.bytes(password), of: "app", on: loop).get()
            }
            #expect(try await compare("one") == .wrong)
            let one = try await desk.hash(Self.bytes("one"), on: loop).get().get()
            try await broker.administer(.add(UserDefinition("app", passwordHash: one)))
            #expect(try await compare("one") == .right(hash: one))
            // Known by now.
            #expect(try await compare("one") == .right(hash: one))
            #expect(try await compare("two") == .wrong)
            let two = try await desk.hash(Self.bytes("two"), on: loop).get().get()
            try await broker.administer(.setPassword("app", hash: two))
            #expect(try await compare("one") == .wrong)
            #expect(try await compare("two") == .right(hash: two))
            for unusable in ["", "nonsense"] {
                try await broker.administer(.setPassword("app", hash: unusable))
                #expect(try await compare("two") == .wrong)
                #expect(try await compare("") == .wrong)
            }
        }
    }

    @Test func `of a flood only so many wait, and a password that is known passes them by`() async throws {
        try await Self.withDesk { broker, desk, loop in
            let hash = try PasswordHash(of: Self.bytes("right"), cost: .small).text
            try await broker.administer(.add(UserDefinition("app", passwordHash: hash)))
            #expect(
                try await desk.compare(Self.bytes("right"), of: "app", on: loop).get() == .right(hash: hash))
            let slow = try PasswordHash(of: Self.bytes("x"), cost: .init(roundsLog2: 14, parallelism: 1)).text
            try await broker.administer(.add(UserDefinition("slow", passwordHash: slow)))
            let flood = (0..<3 * PasswordDesk.waitingMax).map { _ in
                desk.compare(Self.bytes("wrong"), of: "slow", on: loop)
            }
            #expect(
                try await desk.compare(Self.bytes("right"), of: "app", on: loop).get() == .right(hash: hash))
            var verdicts: [PasswordDesk.Verdict] = []
            for login in flood { verdicts.append(try await login.get()) }
            #expect(verdicts.count { $0 == .wrong } >= PasswordDesk.waitingMax)
            #expect(
                verdicts.contains(.busy) && !verdicts.contains { if case .right = $0 { true } else { false } }
            )
            #expect(try await desk.hash(Self.bytes("x"), on: loop).get().get().hasPrefix("$scrypt$"))
        }
    }
}
