// What a server is told before it starts: where to listen, and every limit it keeps, in one table.

public import LeveretWire

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
    /// How long a client that must log in may take to do so, in seconds from when it came.
    public var loginSeconds = 30
    /// How long a client waits for the answer to a wrong password, in milliseconds.
    public var wrongLoginMilliseconds = 1000
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
    /// The line protocol's own limits.
    public var line = LineLimits()
    /// AMQP's own limits.
    public var amqp = AMQPLimits()

    /// The defaults.
    public init() {}

    /// How many bytes of a request of so many must come in every `stalledSeconds`.
    func bytesLeast(of bytes: Int) -> Int {
        guard bytes > smallRequestBytesMax else { return 1 }
        return max(smallRequestBytesMax, bytes / max(1, receivingSecondsMax / max(1, stalledSeconds)))
    }
}

/// How a server is set up.
public struct ServerConfiguration: Hashable, Sendable {
    /// Where it listens; every protocol is spoken on each.
    public var addresses = [ListenAddress()]
    /// What it listens on instead, where the process was started with sockets that listen already.
    public var inheritedSockets: [InheritedSocket] = []
    /// Who may connect to sockets in the file system, as permissions of a file: 0o600 is this user alone.
    public var unixSocketMode: UInt32 = 0o600
    /// What it proves who it is with; without, it speaks no TLS.
    public var tls: TLSSettings?
    /// Who has to log in.
    public var login = LoginRules()
    /// What a client may use.
    public var limits = ServerLimits()
    /// When it says that something runs out.
    public var alarms = AlarmThresholds()
    /// Threads that serve sockets, 1–64. One serves over a million messages a second.
    public var eventLoops = 1

    /// The defaults: 127.0.0.1:5672, one event loop.
    public init() {}
}
