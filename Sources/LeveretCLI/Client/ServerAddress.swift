// Where a server is: the value of `--url` and LEVERET_URL.

/// A host and a port, from `leveret://host:port`.
struct ServerAddress: Equatable, CustomStringConvertible {
    /// A name or an address, without the brackets of IPv6.
    var host: String
    /// 1–65,535.
    var port: UInt16

    /// Where a server listens unless told otherwise.
    static let standard = ServerAddress(host: "127.0.0.1", port: 5672)

    /// Reads `leveret://host[:port]`, or `host[:port]`.
    ///
    /// - Throws: `Failure` with `.usage`, naming the part that is wrong.
    init(_ url: String) throws(Failure) {
        var rest = Substring(url)
        if let scheme = url.firstRange(of: "://") {
            guard url[..<scheme.lowerBound] == "leveret" else {
                throw Self.wrong(url, "the scheme is '\(url[..<scheme.lowerBound])'")
            }
            rest = url[scheme.upperBound...]
        }
        if rest.last == "/" { rest.removeLast() }
        if rest.contains("@") { throw Self.wrong(url, "this version knows no users") }
        if rest.contains("/") { throw Self.wrong(url, "the virtual host is always '/'") }
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
        if host.isEmpty { throw Self.wrong(url, "there is no host") }
        guard let port else {
            self.port = Self.standard.port
            return
        }
        guard let number = UInt16(port), number > 0 else {
            throw Self.wrong(url, "'\(port)' is no port (1 to 65535)")
        }
        self.port = number
    }

    private init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `host:port`, as sentences name it.
    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    private static func wrong(_ url: String, _ why: String) -> Failure {
        Failure(.usage, "'\(url)' is no server's address: \(why); write leveret://host:port")
    }
}
