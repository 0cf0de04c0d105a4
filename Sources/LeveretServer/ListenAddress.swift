// Where a server listens, as it is written on a command line: HOST:PORT, tls://HOST:PORT or unix:PATH.

/// An address to listen on.
public enum ListenAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address, and a port of 0–65,535, where 0 asks the system for a free one. `127.0.0.1` is this
    /// machine only, `0.0.0.0` and `::` are every network. Where the server has a certificate, TLS is spoken here too.
    case tcp(host: String, port: Int)
    /// The same, for clients that speak TLS only; all others are sent away.
    case tls(host: String, port: Int)
    /// The path of a socket in the file system, for programs on this machine.
    case unix(path: String)

    /// The TCP address `host`:`port`.
    public init(host: String = "127.0.0.1", port: Int = 5672) { self = .tcp(host: host, port: port) }

    /// Reads `HOST:PORT`, `[V6]:PORT` or a bare `PORT`, these behind `tls://`, or `unix:PATH`; `nil` when it is
    /// none of these.
    public init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5)
            guard !path.isEmpty, !path.utf8.contains(0) else { return nil }
            self = .unix(path: String(path))
        } else if text.hasPrefix("tls://") {
            guard let (host, port) = Self.hostAndPort(text.dropFirst(6)) else { return nil }
            self = .tls(host: host, port: port)
        } else {
            guard let (host, port) = Self.hostAndPort(text[...]) else { return nil }
            self = .tcp(host: host, port: port)
        }
    }

    /// The port; `nil` for a socket in the file system.
    public var port: Int? {
        switch self {
        case .tcp(_, let port), .tls(_, let port): port
        case .unix: nil
        }
    }

    /// The host; `nil` for a socket in the file system.
    public var host: String? {
        switch self {
        case .tcp(let host, _), .tls(let host, _): host
        case .unix: nil
        }
    }

    /// True where nobody on another machine can connect, as far as the address says.
    var isLocal: Bool {
        guard let host else { return true }
        return host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }

    /// The same with the port that the system has given.
    func listening(on port: Int?) -> ListenAddress {
        switch self {
        case .tcp(let host, let asked): .tcp(host: host, port: port ?? asked)
        case .tls(let host, let asked): .tls(host: host, port: port ?? asked)
        case .unix: self
        }
    }

    private static func hostAndPort(_ text: Substring) -> (host: String, port: Int)? {
        guard let colon = text.lastIndex(of: ":") else { return port(text).map { ("127.0.0.1", $0) } }
        var host = text[..<colon]
        if host.first == "[", host.last == "]" {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, let port = port(text[text.index(after: colon)...]) else { return nil }
        return (String(host), port)
    }

    private static func port(_ text: Substring) -> Int? {
        guard let port = UInt16(text), text.utf8.first != UInt8(ascii: "+") else { return nil }
        return Int(port)
    }

    /// As it is read.
    public var description: String {
        switch self {
        case .tcp(let host, let port): Self.text(host, port)
        case .tls(let host, let port): "tls://" + Self.text(host, port)
        case .unix(let path): "unix:\(path)"
        }
    }

    private static func text(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
