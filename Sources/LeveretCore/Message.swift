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

/// A message as it was published. One object serves every queue that holds a copy.
///
/// The core carries it but never looks into `body`.
public final class Message: Sendable {
    /// Where it was published to; for a dead letter, the dead-letter exchange.
    public let exchange: ExchangeName
    /// The key it was published with.
    public let routingKey: String
    /// Set when any property or header is. Most messages have none, so they stand apart.
    public var properties: MessageProperties? { propertiesBox?.properties }
    /// Survives a restart in a durable queue (AMQP's delivery mode 2).
    public let isPersistent: Bool
    /// The bytes the publisher gave.
    public let body: [UInt8]
    /// What it weighs against the memory budget, in bytes: the body and a flat rate for the rest.
    public let footprint: Int

    /// The property that limits its life, without a copy of the others.
    var expiration: String? { propertiesBox?.properties.expiration }
    /// Its priority, without a copy of the other properties.
    var priority: UInt8? { propertiesBox?.properties.priority }
    /// It says whom nobody else should see.
    var hasBlindCopies: Bool { propertiesBox?.properties.headers[HeaderName.bcc] != nil }

    private let propertiesBox: PropertiesBox?

    /// The header `x-delay`, if there is one.
    var delayHeader: FieldValue? { propertiesBox?.delay }

    /// It has a word of its own in how it is retried.
    var overridesRetry: Bool { propertiesBox?.overridesRetry ?? false }

    /// True where any property or header is set; cheaper to ask than `properties`.
    public var hasProperties: Bool { propertiesBox != nil }

    /// A message of these parts.
    public convenience init(
        exchange: ExchangeName, routingKey: String, properties: MessageProperties?, isPersistent: Bool = true,
        body: [UInt8]
    ) {
        self.init(exchange, routingKey, properties.map { PropertiesBox($0) }, isPersistent, body)
    }

    /// A message without properties.
    public convenience init(
        exchange: ExchangeName, routingKey: String, isPersistent: Bool = true, body: [UInt8]
    ) {
        self.init(exchange, routingKey, nil, isPersistent, body)
    }

    private init(
        _ exchange: ExchangeName, _ routingKey: String, _ properties: PropertiesBox?, _ isPersistent: Bool,
        _ body: [UInt8]
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        propertiesBox = properties
        self.isPersistent = isPersistent
        self.body = body
        footprint = body.count + (properties == nil ? 160 : 480)
    }
}

/// The properties of a message that has some.
private final class PropertiesBox: Sendable {
    let properties: MessageProperties
    let delay: FieldValue?
    let overridesRetry: Bool

    init(_ properties: MessageProperties) {
        self.properties = properties
        var (delay, overridesRetry) = (FieldValue?.none, false)
        for field in properties.headers.fields where field.name.hasPrefix("x-delay") {
            if field.name == HeaderName.delay { delay = field.value }
            if field.name.hasPrefix("x-delayed-retry-") { overridesRetry = true }
        }
        self.delay = delay
        self.overridesRetry = overridesRetry
    }
}
