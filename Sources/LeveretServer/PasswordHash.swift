// What stands for a password in the database: a text that says how it was made, so that passwords of several ages and
// origins can be told apart. New ones are made with scrypt (RFC 7914); RabbitMQ's are compared as they came.
//
//   $scrypt$ln=14,r=8,p=5$SALT$DIGEST    base64 without padding, as other programs write it ("PHC string format")
//   $rabbitmq-sha256$SALT+DIGEST         also -sha512 and -md5: base64 of 4 bytes of salt and the digest of the salt
//                                        and the password (RabbitMQ: "Passwords")

import Crypto
import CryptoExtras
public import LeveretCore

/// What stands for a password.
public struct PasswordHash: Sendable, Hashable {
    /// How much work a password is.
    struct Cost: Sendable, Hashable {
        /// Rounds, as a power of two.
        var roundsLog2: Int
        var blockSize = 8
        var parallelism: Int

        /// 16 MiB and about a fifth of a second (OWASP: "Password Storage").
        static let standard = Cost(roundsLog2: 14, parallelism: 5)

        /// What comes from outside may not take more than 64 MiB, or some seconds.
        fileprivate var isBearable: Bool {
            (1...16).contains(roundsLog2) && (1...16).contains(blockSize) && (1...16).contains(parallelism)
                && 128 * (1 << roundsLog2) * blockSize <= 64 << 20
                && (1 << roundsLog2) * blockSize * parallelism <= 1 << 22
        }
    }

    /// How it was made.
    private enum Kind: Hashable {
        case scrypt(Cost)
        case rabbitMQ(RabbitMQAlgorithm)
    }

    /// RabbitMQ's ways, by the names that its definitions files give them.
    private enum RabbitMQAlgorithm: String, CaseIterable {
        case sha256 = "rabbit_password_hashing_sha256"
        case sha512 = "rabbit_password_hashing_sha512"
        case md5 = "rabbit_password_hashing_md5"

        static let saltBytes = 4
        static let prefix = "rabbitmq-"

        /// Its name in our texts.
        var name: String { Self.prefix + "\(self)" }

        var digestBytes: Int {
            switch self {
            case .md5: 16
            case .sha256: 32
            case .sha512: 64
            }
        }

        func digest(_ bytes: [UInt8]) -> [UInt8] {
            switch self {
            case .md5: Array(Insecure.MD5.hash(data: bytes))
            case .sha256: Array(SHA256.hash(data: bytes))
            case .sha512: Array(SHA512.hash(data: bytes))
            }
        }
    }

    private let kind: Kind
    private let salt: [UInt8]
    private let digest: [UInt8]

    // MARK: - Making and comparing

    /// Makes what stands for `password` from here on. Takes a fifth of a second.
    ///
    /// - Parameter password: 1 byte or more.
    /// - Throws: 541 where there is no memory for it.
    public init(of password: [UInt8]) throws(BrokerError) { try self.init(of: password, cost: .standard) }

    init(of password: [UInt8], cost: Cost) throws(BrokerError) {
        var generator = SystemRandomNumberGenerator()
        salt = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
        kind = .scrypt(cost)
        guard let digest = Self.scrypt(password, salt, cost, count: 32) else {
            throw BrokerError(.internalError, "the password could not be hashed: is there memory left?")
        }
        self.digest = digest
    }

    /// True where `password` is the one that this stands for. Takes as long as making it took, whatever the password.
    /// An empty one is nobody's, as in RabbitMQ, whose hashes may stand for it.
    func matches(_ password: [UInt8]) -> Bool {
        guard !password.isEmpty else { return false }
        switch kind {
        case .scrypt(let cost):
            guard let found = Self.scrypt(password, salt, cost, count: digest.count) else { return false }
            return Self.areEqual(found, digest)
        case .rabbitMQ(let algorithm):
            return Self.areEqual(algorithm.digest(salt + password), digest)
        }
    }

    private static func scrypt(_ password: [UInt8], _ salt: [UInt8], _ cost: Cost, count: Int) -> [UInt8]? {
        guard !password.isEmpty else { return nil }
        // It fails for want of memory only: the cost was checked.
        let key = try? KDF.Scrypt.deriveKey(
            from: password, salt: salt, outputByteCount: count, rounds: 1 << cost.roundsLog2,
            blockSize: cost.blockSize, parallelism: cost.parallelism)
        return key?.withUnsafeBytes { Array($0) }
    }

    /// Takes as long wherever they differ.
    private static func areEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    // MARK: - As text

    /// Reads a text as `text` writes it.
    ///
    /// - Throws: 406 for anything else; the error does not show it.
    public init(_ text: String) throws(BrokerError) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count >= 3, parts[0].isEmpty else { throw Self.unknown }
        if parts[1] == "scrypt", parts.count == 5 {
            guard let cost = Self.cost(parts[2]), let salt = Base64.bytes(parts[3]),
                let digest = Base64.bytes(parts[4]), !salt.isEmpty, salt.count <= 64,
                (16...64).contains(digest.count)
            else { throw Self.unknown }
            (kind, self.salt, self.digest) = (.scrypt(cost), salt, digest)
        } else if let algorithm = RabbitMQAlgorithm.allCases.first(where: { $0.name == parts[1] }),
            parts.count == 3
        {
            self = try Self.rabbitMQ(String(parts[2]), algorithm)
        } else {
            throw Self.unknown
        }
    }

    private init(_ kind: Kind, salt: [UInt8], digest: [UInt8]) {
        (self.kind, self.salt, self.digest) = (kind, salt, digest)
    }

    private static let unknown = BrokerError(
        .preconditionFailed,
        "what is to stand for the password is none of Leveret's or RabbitMQ's hashes; take it from 'USER export' or a "
            + "definitions file as it is")

    private static func cost(_ text: Substring) -> Cost? {
        var numbers: [Substring: Int] = [:]
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let equals = part.firstIndex(of: "="),
                let number = UInt16(part[part.index(after: equals)...])
            else { return nil }
            numbers[part[..<equals]] = Int(number)
        }
        guard numbers.count == 3, let rounds = numbers["ln"], let size = numbers["r"],
            let lanes = numbers["p"]
        else { return nil }
        let cost = Cost(roundsLog2: rounds, blockSize: size, parallelism: lanes)
        return cost.isBearable ? cost : nil
    }

    /// How it is kept. It says nothing about the password that guessing would not.
    public var text: String {
        switch kind {
        case .scrypt(let cost):
            "$scrypt$ln=\(cost.roundsLog2),r=\(cost.blockSize),p=\(cost.parallelism)$\(Base64.text(salt))"
                + "$\(Base64.text(digest))"
        case .rabbitMQ(let algorithm): "$\(algorithm.name)$\(JSONText.base64(salt + digest))"
        }
    }

    // MARK: - RabbitMQ

    /// Reads what stands for a password in a definitions file of RabbitMQ, or of `leveret export`.
    ///
    /// - Parameter algorithm: `hashing_algorithm` there; RabbitMQ before 3.6 names none and means MD5.
    /// - Throws: 406 for an algorithm or a text that is none of theirs; the error does not show the text.
    public init(definition text: String, algorithm: String?) throws(BrokerError) {
        if algorithm == Self.ownAlgorithm {
            try self.init(text)
            return
        }
        let name = algorithm ?? RabbitMQAlgorithm.md5.rawValue
        guard let algorithm = RabbitMQAlgorithm(rawValue: name) else {
            let known = (RabbitMQAlgorithm.allCases.map(\.rawValue) + [Self.ownAlgorithm]).joined(
                separator: ", ")
            throw BrokerError(
                .preconditionFailed, "the hashing algorithm is '\(name.prefix(64))'; known are \(known)")
        }
        self = try Self.rabbitMQ(text, algorithm)
    }

    private static func rabbitMQ(
        _ text: String, _ algorithm: RabbitMQAlgorithm
    ) throws(BrokerError) -> PasswordHash {
        let saltBytes = RabbitMQAlgorithm.saltBytes
        guard let bytes = Base64.bytes(text[...]), bytes.count == saltBytes + algorithm.digestBytes else {
            throw unknown
        }
        return PasswordHash(
            .rabbitMQ(algorithm), salt: Array(bytes.prefix(saltBytes)),
            digest: Array(bytes.dropFirst(saltBytes)))
    }

    private static let ownAlgorithm = "leveret_password_hashing_scrypt"

    /// As a definitions file has it: RabbitMQ reads its own hashes, and refuses those of scrypt.
    public var definition: (text: String, algorithm: String) {
        switch kind {
        case .scrypt: (text, Self.ownAlgorithm)
        case .rabbitMQ(let algorithm): (JSONText.base64(salt + digest), algorithm.rawValue)
        }
    }
}

/// Base64 (RFC 4648 §4), of which the padding may be missing.
private enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func text(_ bytes: [UInt8]) -> String {
        String(JSONText.base64(bytes).prefix { $0 != "=" })
    }

    static func bytes(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count <= 1024 else { return nil }
        var bits: UInt32 = 0
        var count = 0
        var bytes: [UInt8] = []
        for character in text.utf8.reversed().drop(while: { $0 == UInt8(ascii: "=") }).reversed() {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            bits = bits << 6 & 0xFFFF | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return bytes
    }
}
