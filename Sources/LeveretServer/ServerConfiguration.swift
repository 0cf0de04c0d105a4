// What a server is told before it starts: where to listen, and every limit it keeps, in one table.

public import LeveretWire

/// A TCP address to listen on.
public struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address; `127.0.0.1` is this machine only, `0.0.0.0` and `::` are every network.
    public var host: String
    /// 0–65,535; 0 asks the system for a free one.
    public var port: Int

    /// The address `host`:`port`.
    public init(host: String = "127.0.0.1", port: Int = 5672) {
        self.host = host
        self.port = port
    }

    /// Reads `HOST:PORT`, `[V6]:PORT` or a bare `PORT`; `nil` when it is none of these.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else {
            guard let port = Self.port(text[...]) else { return nil }
            self.init(port: port)
            return
        }
        var host = text[..<colon]
        if host.first == "[", host.last == "]" {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, let port = Self.port(text[text.index(after: colon)...]) else { return nil }
        self.init(host: String(host), port: port)
    }

    private static func port(_ text: Substring) -> Int? {
        guard let port = UInt16(text), text.utf8.first != UInt8(ascii: "+") else { return nil }
        return Int(port)
    }

    /// `HOST:PORT`, as it is read.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Every limit of the server beside those of the protocol.
public struct ServerLimits: Hashable, Sendable {
    /// Connections at one time; one more is told so with `ERR 506` and closed. The system's limit on file
    /// descriptors may lower it.
    public var connectionsMax = 10_000
    /// How long a client may stop in the middle of a request before it is closed, in seconds. Between
    /// requests it may be silent for ever.
    public var stalledSeconds = 60
    /// How long a shutdown waits for replies to be read, in seconds.
    public var drainSeconds = 10
    /// Bytes of replies and messages that wait for one client to read them; past this, nothing more is read
    /// from it and no message is handed to it.
    public var outputBytesMax = 1 << 20
    /// Bytes of large bodies that are being received, over all connections. What finds no room waits its turn
    /// unread; one body larger than this is received when there is no other.
    public var receivingBytesMax = 128 << 20
    /// Bytes of a request up to which it is received without asking for room.
    public var smallRequestBytesMax = 64 << 10
    /// How long a larger one may take to come, at an even pace, in seconds: of each that has its room, so much must
    /// come in every `stalledSeconds` as that makes, and no less than `smallRequestBytesMax`.
    public var receivingSecondsMax = 3600
    /// Bytes of all transactions that are open, over all connections; what would pass it is refused.
    public var openTransactionBytesMax = 128 << 20
    /// The protocol's own limits.
    public var line = LineLimits()

    /// The defaults.
    public init() {}
}

/// How a server is set up.
public struct ServerConfiguration: Hashable, Sendable {
    /// Where it listens; every protocol is spoken on each.
    public var addresses = [ListenAddress()]
    /// What a client may use.
    public var limits = ServerLimits()
    /// Threads that serve sockets, 1–64. One serves over a million messages a second.
    public var eventLoops = 1

    /// The defaults: 127.0.0.1:5672, one event loop.
    public init() {}
}
