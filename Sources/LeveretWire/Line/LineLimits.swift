// Every limit of the line protocol, in one table (docs/line-protocol.md, Limits). The decoder and the session
// read it; the server's configuration fills it.

/// What one line-protocol connection may use, and the ranges of numbers in its requests.
public struct LineLimits: Sendable, Hashable {
    /// Bytes of a request's line, without its end and its body.
    public var lineBytesMax = 8192
    /// Bytes of a body; a longer one is skipped and its request refused with 406.
    public var bodyBytesMax = 128 << 20
    /// Bytes of a body that may be announced at all; past this the connection is closed with 501.
    public var bodyBytesHardCap = 128 << 20
    /// Bytes of a `#tag`, without the `#`.
    public var tagBytesMax = 32
    /// Untagged requests whose replies wait; at this many, reading stops.
    public var untaggedWaitingMax = 65_536
    /// Tagged requests whose replies wait; at this many, reading stops.
    public var taggedWaitingMax = 65_536
    /// Listings (PEEK, LIST, STAT, ROUTE, SQL) whose rows wait; at this many, reading stops. What each has
    /// found is held until the client reads, so they are few.
    public var listingsWaitingMax = 4
    /// Bytes of finished replies that wait for an earlier one; past this, reading stops.
    public var heldReplyBytesMax = 1 << 20
    /// Requests between BEGIN and COMMIT; one more spoils the transaction.
    public var transactionCountMax = 100_000
    /// What these weigh in bytes: their bodies and a flat rate for the rest.
    public var transactionBytesMax = 64 << 20
    /// Requests handed to the broker at once.
    public var batchCountMax = 4096
    /// Body bytes handed to the broker at once, and bytes of replies written at once; what passes it is the
    /// last.
    public var batchBytesMax = 1 << 20

    /// The defaults.
    public init() {}

    /// Bytes of an exchange's, queue's, consumer's or header's name, and of a routing key.
    static let nameBytesMax = 255
    /// Milliseconds that GET may wait: a day.
    static let waitMillisecondsMax: Int64 = 86_400_000
    static let prefetchMax: Int64 = 65_535
    static let peekCountMax: Int64 = 1000
    static let errorTextBytesMax = 1024
    /// Bytes of the names in `fields=`.
    static let fieldNamesBytesMax = 1024
    /// Bytes of a password.
    static let passwordBytesMax = 1024
    /// Bytes of a condition or a query; a line is never longer.
    static let queryTextBytesMax = 8192
}
