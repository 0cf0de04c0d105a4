// The small types that every other file speaks in: names as AMQP has them, and the numbers that identify
// messages, queues, sessions and requests. Each wraps one value, so that two of them can't be swapped.

/// The name of an exchange; `""` is the default exchange (AMQP 0-9-1 §3.1.3). At most 255 bytes of UTF-8.
public struct ExchangeName: Hashable, Comparable, Sendable, ExpressibleByStringLiteral,
    CustomStringConvertible
{
    /// The name as a client writes it.
    public var rawValue: String

    /// The exchange called `rawValue`.
    public init(_ rawValue: String) { self.rawValue = rawValue }

    /// A name written as a literal.
    public init(stringLiteral value: String) { rawValue = value }

    /// The name as a client writes it.
    public var description: String { rawValue }

    /// Names are equal where their bytes are.
    public static func == (a: Self, b: Self) -> Bool { a.rawValue.hasSameBytes(as: b.rawValue) }

    /// Orders names by their bytes.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue.precedesByBytes(b.rawValue) }

    /// The default exchange: every queue is bound to it by its own name, implicitly.
    public static let `default`: ExchangeName = ""
}

/// The name of a queue. At most 255 bytes of UTF-8.
public struct QueueName: Hashable, Comparable, Sendable, ExpressibleByStringLiteral,
    CustomStringConvertible
{
    /// The name as a client writes it.
    public var rawValue: String

    /// The queue called `rawValue`.
    public init(_ rawValue: String) { self.rawValue = rawValue }

    /// A name written as a literal.
    public init(stringLiteral value: String) { rawValue = value }

    /// The name as a client writes it.
    public var description: String { rawValue }

    /// Names are equal where their bytes are.
    public static func == (a: Self, b: Self) -> Bool { a.rawValue.hasSameBytes(as: b.rawValue) }

    /// Orders names by their bytes.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue.precedesByBytes(b.rawValue) }

    /// Where a message goes that should be dead-lettered but can't be: made when first needed, bounded.
    public static let parked: QueueName = "leveret.parked"

    /// How the names of queues behind RabbitMQ's direct reply-to begin.
    static let repliesPrefix = "amq.rabbitmq.reply-to."

    /// True for the name of a queue behind direct reply-to.
    var isForReplies: Bool { rawValue.hasPrefix(Self.repliesPrefix) }
}

/// The name of a virtual host: queues, exchanges, bindings and policies of one are unknown in every other
/// (RabbitMQ: "Virtual Hosts"). 1 to 255 bytes of UTF-8.
public struct VirtualHostName: Hashable, Comparable, Sendable, ExpressibleByStringLiteral,
    CustomStringConvertible
{
    /// The name as a client writes it.
    public var rawValue: String

    /// The virtual host called `rawValue`.
    public init(_ rawValue: String) { self.rawValue = rawValue }

    /// A name written as a literal.
    public init(stringLiteral value: String) { rawValue = value }

    /// The name as a client writes it.
    public var description: String { rawValue }

    /// Names are equal where their bytes are.
    public static func == (a: Self, b: Self) -> Bool { a.rawValue.hasSameBytes(as: b.rawValue) }

    /// Orders names by their bytes.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue.precedesByBytes(b.rawValue) }

    /// The one that is always there, and in which every session begins.
    public static let `default`: VirtualHostName = "/"
}

/// Names a consumer within its session (AMQP 0-9-1 §1.8.3.3 "consumer-tag").
public struct ConsumerTag: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The tag as a client writes it.
    public var rawValue: String

    /// The consumer called `rawValue`.
    public init(_ rawValue: String) { self.rawValue = rawValue }

    /// A tag written as a literal.
    public init(stringLiteral value: String) { rawValue = value }

    /// The tag as a client writes it.
    public var description: String { rawValue }

    /// Names are equal where their bytes are.
    public static func == (a: Self, b: Self) -> Bool { a.rawValue.hasSameBytes(as: b.rawValue) }
}

/// Numbers the deliveries of a session, from 1 (AMQP 0-9-1 §1.1 "delivery-tag").
public struct DeliveryTag: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
    /// The value on the wire.
    public var rawValue: UInt64

    /// The tag that the wire carried as `rawValue`.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// A tag written as a number.
    public init(integerLiteral value: UInt64) { rawValue = value }

    /// Orders tags as they were given out.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Identifies one copy of a message in one queue: `id` in the table `message`, `position` at the doors.
///
/// Numbers only grow, over the whole broker, and are never used again, also after a restart.
public struct MessageNumber: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
    /// The row's `id`; the first message has 1.
    public var rawValue: Int64

    /// The message whose row has this `id`.
    public init(_ rawValue: Int64) { self.rawValue = rawValue }

    /// A number written as a literal.
    public init(integerLiteral value: Int64) { rawValue = value }

    /// Before every place, also those of delayed messages.
    static let first = MessageNumber(.min)

    /// Orders messages by arrival.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Identifies a queue for the store: `id` in the table `queue`. A queue that is deleted and declared again
/// gets another.
public struct QueueID: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
    /// The row's `id`; the first queue has 1.
    public var rawValue: Int64

    /// The queue whose row has this `id`.
    public init(_ rawValue: Int64) { self.rawValue = rawValue }

    /// A number written as a literal.
    public init(integerLiteral value: Int64) { rawValue = value }

    /// Orders queues by declaration.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Identifies a session of the core while the broker runs; never used twice.
public struct SessionID: Hashable, Comparable, Sendable {
    /// Counts from 1.
    public var rawValue: UInt64

    /// The session with this number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Orders sessions as they were opened.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Identifies a client's connection, which owns exclusive queues and has one session or more.
public struct ConnectionID: Hashable, Comparable, Sendable {
    /// Counts from 1.
    public var rawValue: UInt64

    /// The connection with this number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Orders connections as they were opened.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Chosen by whoever submits a request, and handed back with its answer.
public struct Ticket: Hashable, Sendable, ExpressibleByIntegerLiteral {
    /// Any value; the core only carries it.
    public var rawValue: UInt64

    /// A ticket with this value.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// A ticket written as a number.
    public init(integerLiteral value: UInt64) { rawValue = value }
}

/// Numbers the batches that the core hands to the writer, from 1.
public struct BatchNumber: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
    /// Counts from 1; 0 stands before the first.
    public var rawValue: UInt64

    /// The batch with this number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// A number written as a literal.
    public init(integerLiteral value: UInt64) { rawValue = value }

    /// Orders batches as they are committed.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
