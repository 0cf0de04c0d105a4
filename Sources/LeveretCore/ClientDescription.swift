// What listings show of clients beyond what the broker does for them: how a client comes and what it says of itself,
// and what the door in front of a session knows of it.

/// How a client comes, and what it says of itself.
public struct ClientDescription: Hashable, Sendable {
    /// What it speaks: `AMQP 0-9-1`, `line`; `nil` for the program's own connection.
    public var protocolName: String?
    /// Where it comes from.
    public var peer: String?
    /// What it calls its connection.
    public var name: String?
    /// Its library.
    public var product: String?
    /// The library's version.
    public var version: String?
    /// What the library runs on.
    public var platform: String?

    /// One that says nothing of itself.
    public init(protocolName: String? = nil, peer: String? = nil) {
        self.protocolName = protocolName
        self.peer = peer
    }
}

/// What the door of a session knows of it.
public struct SessionNotes: Hashable, Sendable {
    /// What becomes of publishes and acks.
    public enum Mode: String, Hashable, Sendable {
        /// Publishes are confirmed.
        case confirm
        /// They are done at the end of a transaction.
        case transaction = "tx"
    }

    /// The channel's number on its connection; `nil` where the protocol has no channels.
    public var channel: Int?
    /// `nil` where they are done at once and nothing is said.
    public var mode: Mode?
    /// How many unsettled messages a consumer that begins here takes; 0 is without limit.
    public var prefetch = 0
    /// Publishes that are to be confirmed and were not yet.
    public var unconfirmed = 0
    /// Publishes and acks of the open transaction.
    public var uncommitted = 0
    /// Requests wait for an answer, or for the end of an alarm.
    public var isHeldUp = false

    /// Nothing is known.
    public init(channel: Int? = nil) { self.channel = channel }
}

/// A session (AMQP's channel) as listings show it.
public struct SessionInfo: Hashable, Sendable {
    /// Its number while the broker runs.
    public var id: SessionID
    /// Its connection.
    public var connection: ConnectionID
    /// The connection's name.
    public var name: String
    /// Whose it is; `nil` where nobody has logged in.
    public var user: UserName?
    /// Where names mean something to it.
    public var virtualHost: VirtualHostName
    /// What its door knows.
    public var notes: SessionNotes
    /// How many unsettled messages it takes over all its consumers; 0 is without limit.
    public var prefetch: Int
    /// Its consumers.
    public var consumers: Int
    /// Messages it holds.
    public var unacked: Int
}
