// Whom a certificate is for: the common name in its subject (RFC 5280 §4.1.2.6), read from its bytes in DER (ITU-T
// X.690), which NIOSSL does not hand out. TLS has verified the certificate; here nothing is.

/// Reads the subject of a certificate.
enum CertificateSubject {
    /// 2.5.4.3, as it stands in a certificate.
    private static let commonName: [UInt8] = [0x55, 0x04, 0x03]

    /// The common name in the subject of a certificate; of several one after the other, with commas, as in RabbitMQ.
    /// `nil` where there is none, or one that can't be read.
    static func commonName(of certificate: [UInt8]) -> String? {
        var file = DERReader(certificate[...])
        guard var whole = file.enter(.sequence), var part = whole.enter(.sequence) else { return nil }
        // Version, serial number, algorithm, issuer and validity come first; only the version may be missing.
        if part.isNext(.version) { part.skip() }
        for _ in 0..<4 { part.skip() }
        guard var subject = part.enter(.sequence) else { return nil }
        var names: [String] = []
        while var set = subject.enter(.set) {
            while var attribute = set.enter(.sequence) {
                guard let type = attribute.take(.objectIdentifier) else { return nil }
                guard type.elementsEqual(commonName) else { continue }
                guard let value = attribute.take(.utf8String, .printableString, .ia5String),
                    let name = String(validating: value, as: UTF8.self)
                else { return nil }
                names.append(name)
            }
        }
        return names.isEmpty ? nil : names.joined(separator: ",")
    }
}

/// Reads values one after the other. Bytes that are no DER end it: there is no next value then.
private struct DERReader {
    enum Tag: UInt8 {
        case objectIdentifier = 0x06
        case utf8String = 0x0C
        case printableString = 0x13
        case ia5String = 0x16
        case sequence = 0x30
        case set = 0x31
        case version = 0xA0
    }

    private var bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    func isNext(_ tag: Tag) -> Bool { bytes.first == tag.rawValue }

    /// Goes past the next value.
    mutating func skip() { _ = next() }

    /// The next value, which is to have one of these tags.
    mutating func take(_ tags: Tag...) -> ArraySlice<UInt8>? {
        guard tags.contains(where: isNext) else { return nil }
        return next()
    }

    /// What stands inside the next value, which is to have this tag.
    mutating func enter(_ tag: Tag) -> DERReader? { take(tag).map { DERReader($0) } }

    private mutating func next() -> ArraySlice<UInt8>? {
        guard bytes.popFirst() != nil, let size = size(), size <= bytes.count else {
            bytes = []
            return nil
        }
        defer { bytes = bytes.dropFirst(size) }
        return bytes.prefix(size)
    }

    /// In one octet, or in up to four behind one that says how many.
    private mutating func size() -> Int? {
        guard let first = bytes.popFirst() else { return nil }
        guard first >= 0x80 else { return Int(first) }
        let count = Int(first & 0x7F)
        guard (1...4).contains(count), count <= bytes.count else { return nil }
        defer { bytes = bytes.dropFirst(count) }
        return bytes.prefix(count).reduce(0) { $0 << 8 | Int($1) }
    }
}
