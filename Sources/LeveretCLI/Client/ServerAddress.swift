// Where a server is: what `--url` and LEVERET_URL say without the virtual host.

/// What a client connects to.
enum ServerAddress: Equatable, CustomStringConvertible {
    /// A name or an address, without the brackets of IPv6, and a port of 1–65,535.
    case tcp(host: String, port: UInt16)
    /// The same, with TLS.
    case tls(host: String, port: UInt16)
    /// A socket in the file system.
    case unix(path: String)

    /// Where a server listens unless told otherwise.
    static let standard = ServerAddress.tcp(host: "127.0.0.1", port: 5672)
    /// Where AMQP's servers speak TLS (IANA).
    private static let portForTLS: UInt16 = 5671

    /// Reads `leveret://host[:port]`, `leverets://host[:port]`, the same with `amqp` and `amqps`, `host[:port]` or
    /// `unix:path`. A path behind it, which
    /// names a virtual host, is for `ServerTarget`.
    ///
    /// - Throws: `Failure` with `.usage`, naming the part that is wrong.
    init(_ url: String) throws(Failure) {
        if url.hasPrefix("unix:") {
            var path = url.dropFirst(5)
            if path.hasPrefix("///") { path = path.dropFirst(2) }
            if path.isEmpty { throw Self.wrong(url, "there is no path") }
            self = .unix(path: String(path))
            return
        }
        var rest = Substring(url)
        var hasTLS = false
        if let scheme = url.firstRange(of: "://") {
            switch url[..<scheme.lowerBound] {
            case "leveret", "amqp": break
            case "leverets", "amqps": hasTLS = true
            default: throw Self.wrong(url, "the scheme is '\(url[..<scheme.lowerBound])'")
            }
            rest = url[scheme.upperBound...]
        }
        if rest.contains("@") { throw Self.wrong(url, "the '@' has no place there") }
        let (host, port) = try Self.hostAndPort(rest, url)
        self =
            hasTLS
            ? .tls(host: host, port: port ?? Self.portForTLS)
            : .tcp(host: host, port: port ?? 5672)
    }

    private static func hostAndPort(
        _ rest: Substring, _ url: String
    ) throws(Failure) -> (host: String, port: UInt16?) {
        let host: String
        var port: Substring?
        if rest.first == "[", let end = rest.firstIndex(of: "]") {
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            let tail = rest[rest.index(after: end)...]
            if tail.first == ":" { port = tail.dropFirst() } else if !tail.isEmpty { port = tail }
        } else if let colon = rest.lastIndex(of: ":"), rest.firstIndex(of: ":") == colon {
            host = String(rest[..<colon])
            port = rest[rest.index(after: colon)...]
        } else {
            host = String(rest)
        }
        if host.isEmpty { throw wrong(url, "there is no host") }
        guard let port else { return (host, nil) }
        guard let number = UInt16(port), number > 0 else {
            throw wrong(url, "'\(port)' is no port (1 to 65535)")
        }
        return (host, number)
    }

    /// As sentences name it.
    var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .tls(let host, let port):
            host.contains(":") ? "leverets://[\(host)]:\(port)" : "leverets://\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// True where the host is a name of this machine for itself.
    var isThisMachine: Bool {
        switch self {
        case .tcp(let host, _), .tls(let host, _):
            host == "localhost" || host == "::1" || host.hasPrefix("127.")
        case .unix: true
        }
    }

    private static func wrong(_ url: String, _ why: String) -> Failure {
        Failure(
            .usage,
            "'\(url)' is no server's address: \(why); write leveret://host:port, leverets://host:port or unix:path"
        )
    }
}
