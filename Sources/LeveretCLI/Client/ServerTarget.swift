// What `--url`, `--vhost` and LEVERET_URL name together: a server, and the virtual host there.

/// A server, and the virtual host in which names mean something.
struct ServerTarget: Equatable, Sendable, CustomStringConvertible {
    var address: ServerAddress
    /// The virtual host that was named; `nil` is `/`.
    var named: String?

    /// The virtual host.
    var virtualHost: String { named ?? "/" }

    /// The server where one listens unless told otherwise.
    static let standard = ServerTarget(address: .standard)

    /// A virtual host of a server.
    init(address: ServerAddress, named: String? = nil) {
        self.address = address
        self.named = named
    }

    /// Reads a server's address with perhaps a virtual host behind it, percent-encoded as in AMQP's URIs:
    /// `leveret://host:port/shop`, `leveret://host/%2F`. A `/` at its end is nothing, and what an AMQP client is told
    /// behind a `?` is not for this one.
    ///
    /// - Parameter vhost: Comes before what the URL says.
    /// - Throws: `Failure` with `.usage`, naming the part that is wrong.
    init(_ url: String, vhost: String? = nil) throws(Failure) {
        let isForAMQP = url.hasPrefix("amqp://") || url.hasPrefix("amqps://")
        var (server, path) = Self.split(isForAMQP ? url.prefix { $0 != "?" } : url[...])
        if path?.last == "/" { path?.removeLast() }
        address = try ServerAddress(String(server))
        named = vhost
        guard let path, !path.isEmpty else { return }
        guard !path.contains("/") else {
            throw Self.wrong(url, "its path '/\(path)' has two parts; write the '/' in a name as %2F")
        }
        guard let name = Self.decoded(path) else {
            throw Self.wrong(url, "'\(path)' is not percent-encoded: behind a % stand two hexadecimal digits")
        }
        if vhost == nil { named = name }
    }

    /// What stands before a path, and the path without its first `/`.
    private static func split(_ url: Substring) -> (server: Substring, path: Substring?) {
        guard !url.hasPrefix("unix:") else { return (url, nil) }
        let start = url.firstRange(of: "://")?.upperBound ?? url.startIndex
        guard let slash = url[start...].firstIndex(of: "/") else { return (url, nil) }
        return (url[..<slash], url[url.index(after: slash)...])
    }

    /// The text that is percent-encoded; `nil` where it is not, or is no UTF-8.
    static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.allSatisfy(\.isHexadecimal),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The target as one URL, with who logs in there; `nil` for a virtual host or a user behind a socket in the file
    /// system.
    func url(as user: String? = nil) -> String? {
        if case .unix = address { return named == nil && user == nil ? address.description : nil }
        var url = named.map { "\(address)/\(Self.encoded($0))" } ?? address.description
        if let user {
            let host = url.firstRange(of: "://")?.upperBound ?? url.startIndex
            url.insert(contentsOf: Self.encoded(user) + "@", at: host)
        }
        return url
    }

    private static func encoded(_ name: String) -> String {
        var text = ""
        for byte in name.utf8 {
            if byte.isPlainInURL {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                text += hex.utf8.count == 1 ? "%0\(hex)" : "%\(hex)"
            }
        }
        return text
    }

    /// As sentences name it.
    var description: String { named.map { "\(address)/\($0.printable)" } ?? address.description }

    private static func wrong(_ url: String, _ why: String) -> Failure {
        Failure(
            .usage,
            "'\(url.printable)' names no virtual host: \(why); write leveret://host:port/name, or --vhost name"
        )
    }
}

extension UInt8 {
    /// Letters and digits, and the marks that URLs leave as they are (RFC 3986 §2.3).
    fileprivate var isPlainInURL: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }

    fileprivate var isHexadecimal: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }
}
