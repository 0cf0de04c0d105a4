// The history of a dead letter, beside its headers (RabbitMQ, "Dead Letter Exchanges").

/// Why a message left its queue for the dead-letter exchange.
public enum DeathReason: String, Sendable, Hashable, CaseIterable {
    /// A consumer refused it for good.
    case rejected
    /// It outlived its TTL.
    case expired
    /// The queue was full.
    case maxlen
    /// It failed more often than the queue allows.
    case deliveryLimit = "delivery_limit"
}

/// One entry of `x-death`: how often a message died in one queue for one reason.
public struct Death: Hashable, Sendable {
    /// Where it died.
    public var queue: QueueName
    /// Why it died.
    public var reason: DeathReason
    /// How often it died there for that reason; from 1 to `countMax`.
    public var count: Int64
    /// Where the count stops: nothing dies so often.
    static let countMax: Int64 = 1 << 40
    /// The exchange it had been published to.
    public var exchange: ExchangeName
    /// The keys it had been published with: routing key, then `CC`.
    public var routingKeys: [String]
    /// When it died there first.
    public var time: Instant
    /// The `expiration` that was taken away, so that it can't expire again.
    public var originalExpiration: String?

    /// One entry of the history.
    public init(
        queue: QueueName, reason: DeathReason, count: Int64, exchange: ExchangeName,
        routingKeys: [String], time: Instant, originalExpiration: String? = nil
    ) {
        self.queue = queue
        self.reason = reason
        self.count = count
        self.exchange = exchange
        self.routingKeys = routingKeys
        self.time = time
        self.originalExpiration = originalExpiration
    }
}

/// Everything a dead letter's own columns hold.
public final class DeathHistory: Hashable, Sendable {
    /// `x-death`: newest first, one entry per queue and reason.
    public let deaths: [Death]
    /// Where it died first: the queue that replay sends it back to.
    public let originQueue: QueueName
    /// Why it died there.
    public let firstReason: DeathReason
    /// What it had been published to at first.
    public let firstExchange: ExchangeName
    /// When it died first.
    public let firstTime: Instant
    /// When it died last.
    public let lastTime: Instant
    /// What the consumer that rejected it last said, if anything; at most 1,024 bytes.
    public let errorText: String?
    /// How many copies dead-lettering has made of one message by rule, of which this is one; counted from the
    /// last rejection, if there was one. At most 2³¹ − 1.
    public let copies: Int

    /// A history of these parts; `deaths` is not empty.
    public init(
        deaths: [Death], originQueue: QueueName, firstReason: DeathReason, firstExchange: ExchangeName,
        firstTime: Instant, lastTime: Instant, errorText: String?, copies: Int = 1
    ) {
        self.deaths = deaths
        self.originQueue = originQueue
        self.firstReason = firstReason
        self.firstExchange = firstExchange
        self.firstTime = firstTime
        self.lastTime = lastTime
        self.errorText = errorText
        self.copies = max(1, min(copies, Int(Int32.max)))
    }

    /// Equal parts make equal histories.
    public static func == (a: DeathHistory, b: DeathHistory) -> Bool {
        a === b
            || (a.deaths == b.deaths && a.originQueue == b.originQueue && a.firstReason == b.firstReason
                && a.firstExchange == b.firstExchange && a.firstTime == b.firstTime
                && a.lastTime == b.lastTime && a.errorText == b.errorText && a.copies == b.copies)
    }

    /// Hashes what identifies the history well enough.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(deaths)
        hasher.combine(firstTime)
    }
}
