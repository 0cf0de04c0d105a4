// What comes back to a session: deliveries, answers and notices, in the order in which they happened.

/// Where a delivery comes from: one object for all deliveries of a consumer, or of a queue's GETs.
public final class DeliverySource: Sendable {
    /// The queue.
    public let queue: QueueName
    /// The consumer, or `nil` for a GET.
    public let consumer: ConsumerTag?
    /// The delivery needs no settlement.
    public let autoAck: Bool

    /// A consumer of `queue`, or its GETs.
    public init(queue: QueueName, consumer: ConsumerTag?, autoAck: Bool) {
        self.queue = queue
        self.consumer = consumer
        self.autoAck = autoAck
    }
}

/// A message on its way to a consumer.
public struct Delivery: Sendable {
    /// Which consumer or GET gets it.
    public var source: DeliverySource
    /// What the consumer settles it by; counts from 1 in each session.
    public var tag: DeliveryTag
    /// Its position.
    public var number: MessageNumber
    /// The message itself.
    public var message: Message
    /// How often it was delivered, this time included; from 1.
    public var deliveries: Int
    /// How often it failed (`x-delivery-count`).
    public var failed: Int
    /// Set for a dead letter.
    public var deaths: DeathHistory?

    /// True from the second delivery on.
    public var isRedelivered: Bool { deliveries > 1 }

    /// A delivery of these parts.
    public init(
        source: DeliverySource, tag: DeliveryTag, number: MessageNumber, message: Message, deliveries: Int,
        failed: Int, deaths: DeathHistory?
    ) {
        self.source = source
        self.tag = tag
        self.number = number
        self.message = message
        self.deliveries = deliveries
        self.failed = failed
        self.deaths = deaths
    }
}

/// The answer to one request. It comes after the commit of everything the request changed.
public enum Answer: Sendable {
    /// Done.
    case done
    /// A publish is safe; so many queues took it.
    case routed(Int)
    /// A mandatory publish reached no queue; here it is again.
    case unroutable(Message)
    /// A queue is there.
    case declared(QueueName, ready: Int, consumers: Int)
    /// A consumer is there.
    case consuming(ConsumerTag)
    /// So many messages were purged, deleted or moved.
    case count(Int)
    /// A GET took this message; `remaining` more are ready.
    indirect case delivered(Delivery, remaining: Int)
    /// A GET found nothing.
    case empty
    /// A transaction is durable; for each of its publishes, how many queues took it.
    case committed([Int])
    /// What PEEK saw.
    case messages([PeekedMessage])
    /// Rows of a listing.
    case queues([QueueInfo])
    /// Rows of a listing.
    case exchanges([ExchangeInfo])
    /// Rows of a listing.
    case bindings([Binding])
    /// Rows of a listing.
    case consumers([ConsumerInfo])
    /// Rows of a listing.
    case connections([ConnectionInfo])
    /// Rows of a listing.
    case sessions([SessionInfo])
    /// Rows of a query.
    case table(QueryResult)
    /// Why messages stand still.
    case reasons([QueueReason])
    /// Rows of a listing.
    case policies([PolicyInfo])
    /// Rows of a listing.
    case virtualHosts([VirtualHostInfo])
    /// Rows of a listing.
    case users([UserInfo])
    /// Rows of a listing.
    case permissions([UserPermission])
    /// Rows of a listing.
    case topicPermissions([TopicPermission])
    /// Every user, with what stands for its password.
    case userDefinitions([UserDefinition])
    /// Where a message would go.
    case routes([RouteStep])
    /// The broker as a whole.
    indirect case status(BrokerStatus)
    /// A page of a listing, and where the next goes on; `nil` after the last.
    indirect case page(Answer, next: ListCursor?)
    /// Refused; nothing was changed.
    case refused(BrokerError)
}

/// Why a consumer ended without having asked for it.
public enum ConsumerEnd: String, Sendable, Hashable {
    /// Its queue was deleted or expired.
    case queueDeleted = "queue deleted"
    /// It held a message for longer than it may.
    case leaseExpired = "lease expired"
    /// Its user may no longer read the queue.
    case accessRefused = "access refused"
}

/// Something that concerns a session without having been asked for.
public enum Notice: Sendable, Hashable {
    /// Publishes are refused until `unblocked`.
    case blocked(String)
    /// Publishes are taken again.
    case unblocked
    /// The broker is shutting down: what is held will be handed back.
    case draining
}

/// What a session hears, in order.
public enum SessionEvent: Sendable {
    /// A message for one of its consumers.
    case delivery(Delivery)
    /// The answer to one of its requests.
    case answer(Ticket, Answer)
    /// One of its consumers ended.
    case consumerEnded(ConsumerTag, ConsumerEnd)
    /// The broker has something to say.
    case notice(Notice)
}
