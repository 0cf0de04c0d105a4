// What a publisher hands in, as the broker carries it: immutable, shared by all queues it was routed to.

/// The properties of a message (AMQP 0-9-1 §1.8.3, class basic), save those that `Message` holds itself.
public struct MessageProperties: Hashable, Sendable {
    /// MIME type of the body.
    public var contentType: String?
    /// MIME content encoding of the body.
    public var contentEncoding: String?
    /// The application's own headers, and those that steer the broker (`CC`, `BCC`, `x-…`).
    public var headers: FieldTable
    /// 0–255; used by queues with `x-max-priority`.
    public var priority: UInt8?
    /// Links an answer to its question.
    public var correlationID: String?
    /// Where an answer should go.
    public var replyTo: String?
    /// Milliseconds until the message expires in a queue, as AMQP writes it: a decimal string.
    public var expiration: String?
    /// The application's id of the message.
    public var messageID: String?
    /// Seconds since 1970, as the publisher says.
    public var timestamp: Int64?
    /// The application's name for the kind of message.
    public var type: String?
    /// The publishing user.
    public var userID: String?
    /// The publishing application.
    public var appID: String?
    /// AMQP's reserved property.
    public var clusterID: String?

    /// No properties at all.
    public init() { headers = FieldTable() }

    /// True where nothing is set.
    public var isEmpty: Bool { self == MessageProperties() }
}

/// Properties as messages carry them: immutable, checked and looked through once.
///
/// Messages that are published with the same properties may share one object.
public final class SharedProperties: Sendable {
    /// What the publisher set.
    public let properties: MessageProperties
    /// More messages with this very object are likely to follow: what is made of it is worth keeping.
    public let isRepeated: Bool
    /// The property list as an AMQP client wrote it, with the delivery mode of the messages: it goes on as it came,
    /// with widths of numbers that `properties` doesn't have.
    public let encoded: [UInt8]?
    /// Why no message may have them.
    let problem: BrokerError?
    /// The header `x-delay`, if there is one.
    let delay: FieldValue?
    /// How long a message may wait in a queue: the property `expiration`, in milliseconds.
    let lifetimeMilliseconds: Int64?
    /// They have a word of their own in how a message is retried.
    let overridesRetry: Bool
    /// What they weigh against the memory budget, in bytes; no less than a flat rate.
    let footprint: Int

    /// These properties, which `encoded` are if it is given.
    public init(_ properties: MessageProperties, isRepeated: Bool = false, encoded: [UInt8]? = nil) {
        self.properties = properties
        self.isRepeated = isRepeated
        self.encoded = encoded
        footprint = max(320, properties.weight + (encoded?.count ?? 0))
        var (delay, overridesRetry) = (FieldValue?.none, false)
        for field in properties.headers.fields where field.name.hasPrefix("x-delay") {
            if field.name == HeaderName.delay { delay = field.value }
            if field.name.hasPrefix("x-delayed-retry-") { overridesRetry = true }
        }
        self.delay = delay
        self.overridesRetry = overridesRetry
        lifetimeMilliseconds = properties.expiration.flatMap { Int64($0) }.flatMap { $0 >= 0 ? $0 : nil }
        var problem: BrokerError?
        do throws(BrokerError) { try Self.check(properties, delay: delay, overridesRetry) } catch {
            problem = error
        }
        self.problem = problem
    }

    private static func check(
        _ properties: MessageProperties, delay: FieldValue?, _ overridesRetry: Bool
    ) throws(BrokerError) {
        try PropertiesCodec.check(properties)
        if let delay, Message.milliseconds(ofDelay: delay) == nil {
            throw BrokerError(
                .preconditionFailed,
                "invalid header '\(HeaderName.delay)': '\(delay.shown)' of type '\(delay.typeName)'; expected whole "
                    + "milliseconds up to \(QueueSettings.millisecondsMax)")
        }
        if overridesRetry { try RetrySettings.check(properties.headers) }
        if let text = properties.expiration,
            !(0...QueueSettings.millisecondsMax).contains(Int64(text) ?? -1)
        {
            throw BrokerError(
                .preconditionFailed,
                "invalid expiration '\(text.prefix(64))'; whole milliseconds from 0 to "
                    + "\(QueueSettings.millisecondsMax) are allowed")
        }
    }
}

/// A message as it was published. One object serves every queue that holds a copy.
///
/// The core carries it but never looks into `body`.
public final class Message: Sendable {
    /// Where it was published to; for a dead letter, the dead-letter exchange.
    public let exchange: ExchangeName
    /// The key it was published with.
    public let routingKey: String
    /// Set when any property or header is. Most messages have none, so they stand apart.
    public let shared: SharedProperties?
    /// Survives a restart in a durable queue (AMQP's delivery mode 2).
    public let isPersistent: Bool
    /// The bytes the publisher gave.
    public let body: [UInt8]
    /// Its id was made for it: nobody has seen it, and nobody need be asked.
    package let hasNewID: Bool
    /// What it weighs against the memory budget, in bytes: the body, what it has of properties and headers, and a flat
    /// rate for the rest.
    public let footprint: Int

    /// What it counts where room is shared by what people call a message's size, in bytes: the body, and properties and
    /// headers in whole KiB, of which most messages have none.
    public var bulk: Int { body.count + Int(headerKiB) << 10 }
    /// Whole KiB of properties and headers.
    var headerKiB: UInt16 { UInt16(clamping: (footprint - body.count) >> 10) }

    /// Its properties and headers; a copy of them all.
    public var properties: MessageProperties? { shared?.properties }
    /// True where any property or header is set; cheaper to ask than `properties`.
    public var hasProperties: Bool { shared != nil }
    /// Its priority, without a copy of the other properties.
    var priority: UInt8? { shared?.properties.priority }
    /// It says whom nobody else should see.
    var hasBlindCopies: Bool { shared?.properties.headers[HeaderName.bcc] != nil }
    /// It has a word of its own in how it is retried.
    var overridesRetry: Bool { shared?.overridesRetry ?? false }

    /// A message of these parts.
    public convenience init(
        exchange: ExchangeName, routingKey: String, properties: MessageProperties?, isPersistent: Bool = true,
        body: [UInt8]
    ) {
        self.init(
            exchange: exchange, routingKey: routingKey, shared: properties.map { SharedProperties($0) },
            isPersistent: isPersistent, body: body)
    }

    /// A message whose properties others may have, too.
    public convenience init(
        exchange: ExchangeName, routingKey: String, shared: SharedProperties? = nil,
        isPersistent: Bool = true,
        body: [UInt8]
    ) {
        self.init(
            exchange: exchange, routingKey: routingKey, shared: shared, isPersistent: isPersistent,
            body: body,
            hasNewID: false)
    }

    /// A message whose id may have been made for it.
    package init(
        exchange: ExchangeName, routingKey: String, shared: SharedProperties?, isPersistent: Bool,
        body: [UInt8],
        hasNewID: Bool
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.shared = shared
        self.isPersistent = isPersistent
        self.body = body
        self.hasNewID = hasNewID
        footprint = body.count + 160 + (shared?.footprint ?? 0)
    }
}

/// The bytes that were made of properties which come again and again, by their identity; of the last few.
public struct RepeatedProperties: Sendable {
    private static let countMax = 16

    private struct Known: Sendable {
        var properties: SharedProperties
        var bytes: [UInt8]
    }

    private var known: [Known] = []
    private var oldest = 0

    /// Nothing yet.
    public init() {}

    /// What `make` makes of them, or made of them before.
    public mutating func bytes(
        _ properties: SharedProperties, _ make: (MessageProperties) -> [UInt8]
    ) -> [UInt8] {
        guard properties.isRepeated else { return make(properties.properties) }
        for index in known.indices where known[index].properties === properties { return known[index].bytes }
        let new = Known(properties: properties, bytes: make(properties.properties))
        if known.count < Self.countMax {
            known.append(new)
        } else {
            known[oldest] = new
            oldest = (oldest + 1) % Self.countMax
        }
        return new.bytes
    }
}
