// The names of all arguments and headers that mean something to the broker, in one place. They are
// RabbitMQ's; doors and core take them from here.

/// Arguments that queues are declared with.
public enum QueueArgument {
    /// Milliseconds that a message may wait.
    public static let messageTTL = "x-message-ttl"
    /// Milliseconds after which an unused queue is deleted.
    public static let expires = "x-expires"
    /// How many ready messages the queue may hold.
    public static let lengthMax = "x-max-length"
    /// How many body bytes of ready messages the queue may hold.
    public static let bytesMax = "x-max-length-bytes"
    /// What happens when it is full.
    public static let overflow = "x-overflow"
    /// Where its dead letters go.
    public static let deadLetterExchange = "x-dead-letter-exchange"
    /// The key they get there.
    public static let deadLetterRoutingKey = "x-dead-letter-routing-key"
    /// How often a message may fail.
    public static let deliveryLimit = "x-delivery-limit"
    /// How many priorities the queue tells apart.
    public static let priorityMax = "x-max-priority"
    /// Milliseconds after which an unused and empty queue is deleted.
    public static let expiresIfEmpty = "x-expires-if-empty"
    /// Milliseconds that a consumer may hold a message unsettled.
    public static let consumerTimeout = "x-consumer-timeout"
    /// For how many milliseconds, or `while-queued`, a message's id is remembered.
    public static let deduplicate = "x-deduplicate"
    /// One consumer at a time gets the messages; the others stand by.
    public static let singleActive = "x-single-active-consumer"
    /// Which returned messages wait before they are tried again.
    public static let retryType = "x-delayed-retry-type"
    /// Milliseconds that they wait after the first failure.
    public static let retryMin = "x-delayed-retry-min"
    /// Milliseconds that they wait at most.
    public static let retryMax = "x-delayed-retry-max"
    /// How the wait grows; Leveret's own.
    public static let retryBackoff = "x-delayed-retry-backoff"
    /// By how many percent chance may shorten it; Leveret's own.
    public static let retryJitter = "x-delayed-retry-jitter"
    /// The kind of queue that RabbitMQ would make.
    public static let type = "x-queue-type"
    /// What is compared where a queue is declared again, in RabbitMQ's order: what means something here, or to its
    /// classic queues.
    static let compared: [String] =
        [
            expires, messageTTL, deadLetterExchange, deadLetterRoutingKey, lengthMax, bytesMax, priorityMax,
            overflow, "x-queue-mode", "x-queue-version", singleActive, type, "x-queue-master-locator",
        ] + [
            deliveryLimit, consumerTimeout, expiresIfEmpty, deduplicate, retryType, retryMin, retryMax,
            retryBackoff, retryJitter,
        ]
    /// Arguments that policies may set, and change while a queue is in use.
    public static let settable: [String] = [
        messageTTL, expires, expiresIfEmpty, lengthMax, bytesMax, overflow, deadLetterExchange,
        deadLetterRoutingKey, deliveryLimit, consumerTimeout, deduplicate,
        retryType, retryMin, retryMax, retryBackoff, retryJitter,
    ]
}

/// Arguments that exchanges are declared with.
public enum ExchangeArgument {
    /// The exchange that takes what matched no binding.
    public static let alternate = "alternate-exchange"
    /// For how many milliseconds a message's id is remembered.
    public static let deduplicate = "x-deduplicate"
    /// How an exchange of type `x-delayed-message` routes.
    public static let delayedType = "x-delayed-type"
    /// What is compared where an exchange is declared again.
    static let compared: [String] = [alternate, delayedType, deduplicate]
    /// Arguments that policies may set, and change while an exchange is in use.
    public static let settable: [String] = [alternate, deduplicate]
}

/// Arguments of bindings.
public enum BindingArgument {
    /// How a headers exchange compares.
    public static let match = "x-match"
}

/// Headers that steer the broker, and those that it adds.
public enum HeaderName {
    /// More routing keys, which consumers see.
    public static let cc = "CC"
    /// More routing keys, which consumers don't see.
    public static let bcc = "BCC"
    /// What tells the message from others where doubles are dropped; without it the message id does.
    public static let deduplication = "x-deduplication-header"
    /// Milliseconds that a message is to wait before it is ready.
    public static let delay = "x-delay"
    /// The properties of a stored message that don't decode, as they were found.
    public static let unreadableProperties = "x-unreadable-properties"
    /// A history of deaths that doesn't decode, as it was found.
    public static let unreadableDeaths = "x-unreadable-deaths"
    /// The queue that the message was replayed from last.
    public static let replayedFrom = "x-replayed-from"
    /// When that was, in ISO 8601.
    public static let replayedAt = "x-replayed-at"
    /// How often it was replayed.
    public static let replayCount = "x-replay-count"
    /// The history of a dead letter.
    public static let death = "x-death"
    /// Where it died first.
    public static let firstDeathQueue = "x-first-death-queue"
    /// Why it died first.
    public static let firstDeathReason = "x-first-death-reason"
    /// What it had been published to when it died first.
    public static let firstDeathExchange = "x-first-death-exchange"
    /// Where it died last.
    public static let lastDeathQueue = "x-last-death-queue"
    /// Why it died last.
    public static let lastDeathReason = "x-last-death-reason"
    /// What it had been published to when it died last.
    public static let lastDeathExchange = "x-last-death-exchange"
}
