// Every limit of the AMQP door, in one table (docs/amqp.md, Limits). The session reads it; the server fills it.

/// What one AMQP connection may use.
public struct AMQPLimits: Sendable, Hashable {
    /// Channels of a connection; offered in connection.tune.
    public var channelsMax: UInt16 = 2047
    /// Bytes of a frame with its head and end; offered in connection.tune. At least 4,096.
    public var frameBytesMax = 131_072
    /// Seconds between heartbeats that are proposed; the client's word counts.
    public var heartbeatSeconds: UInt16 = 60
    /// Bytes of a message's body; a larger one is refused with 406.
    public var bodyBytesMax = 128 << 20
    /// Publishes and acks between tx.select and tx.commit; one more is refused with 406.
    public var transactionCountMax = 100_000
    /// What these weigh in bytes: their bodies and a flat rate for the rest.
    public var transactionBytesMax = 64 << 20
    /// Bytes of what waits for an earlier answer or for the end of an alarm, over all channels; at this many, reading
    /// stops.
    public var heldBytesMax = 1 << 20
    /// Requests handed to the broker at once.
    public var batchCountMax = 4096
    /// Body bytes handed to the broker at once, and bytes written at once; what passes it is the last.
    public var batchBytesMax = 1 << 20

    /// The defaults.
    public init() {}

    /// The most that a client may send in one frame before it is logged in, as in RabbitMQ.
    static let handshakeFrameBytesMax = frameBytesMin
    /// The least that a client may have for frames (AMQP 0-9-1 §4.2.3).
    static let frameBytesMin = 4096
    /// What stands around a frame's payload: type, channel, size and end.
    static let frameOverhead = 8
}
