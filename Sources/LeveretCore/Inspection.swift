// The rows that listings answer with. Field names are those of the doors and stay stable.

/// A message as PEEK shows it.
public struct PeekedMessage: Sendable {
    /// Its position.
    public var number: MessageNumber
    /// Where it stands in its queue, or will again; `nil` while it is delayed.
    public var place: MessageNumber?
    /// Counts edits, from 1.
    public var version: Int
    /// Where it stands.
    public var state: Peek.State
    /// The message itself.
    public var message: Message
    /// When it came into the queue.
    public var entered: Instant
    /// When it expires there, if ever.
    public var expires: Instant?
    /// Until when it is delayed, if it is.
    public var due: Instant?
    /// How often it was delivered.
    public var deliveries: Int
    /// How often it failed.
    public var failed: Int
    /// The session and consumer that hold it: `name/tag`.
    public var heldBy: String?
    /// Since when.
    public var heldSince: Instant?
    /// Set for a dead letter.
    public var deaths: DeathHistory?

    /// A row of these parts.
    public init(
        number: MessageNumber, place: MessageNumber? = nil, version: Int = 1, state: Peek.State,
        message: Message, entered: Instant, expires: Instant?, due: Instant? = nil, deliveries: Int,
        failed: Int, heldBy: String? = nil,
        heldSince: Instant? = nil, deaths: DeathHistory?
    ) {
        self.number = number
        self.place = place
        self.version = version
        self.state = state
        self.message = message
        self.entered = entered
        self.expires = expires
        self.due = due
        self.deliveries = deliveries
        self.failed = failed
        self.heldBy = heldBy
        self.heldSince = heldSince
        self.deaths = deaths
    }
}

/// A queue as listings show it. Counters count since the broker started.
public struct QueueInfo: Sendable, Hashable {
    /// The broker's time, where this queue alone was asked for.
    public var now: Instant?
    /// As it was declared.
    public var definition: QueueDefinition
    /// Messages that could be delivered at once.
    public var ready = 0
    /// Messages that consumers hold.
    public var unacked = 0
    /// Messages that wait for their time.
    public var delayed = 0
    /// Body bytes of the ready messages.
    public var readyBytes = 0
    /// Ready messages whose bodies are in memory.
    public var inMemory = 0
    /// Its consumers.
    public var consumers = 0
    /// The policy that counts for it.
    public var policy: String?
    /// The operator policy that counts for it.
    public var operatorPolicy: String?
    /// The arguments that count, policies included.
    public var effective = FieldTable()
    /// Where each of them comes from that a policy could set: `argument`, `policy 'name'`, `operator policy 'name'`, or
    /// `default` for the delivery limit of a quorum queue.
    public var origins = FieldTable()
    /// Since when nothing is handed out; `nil` while it is.
    public var pausedSince: Instant?
    /// When the message at its head came in.
    public var oldest: Instant?
    /// Messages that came in.
    public var published = 0
    /// Deliveries made.
    public var delivered = 0
    /// Messages settled as done.
    public var acked = 0
    /// Messages that came back from who had been handed them.
    public var returned = 0
    /// Messages that were dropped because their ids had been seen.
    public var deduplicated = 0
    /// Messages that left by dead-lettering or were dropped, by reason.
    public var deaths: [DeathReason: Int] = [:]
    /// Messages that came in per second, over the last seconds.
    public var publishRate = 0.0
    /// Deliveries made per second, over the last seconds.
    public var deliverRate = 0.0
    /// Messages that came back per second, over the last seconds.
    public var returnRate = 0.0

    /// A queue in which nothing has happened.
    public init(_ definition: QueueDefinition) { self.definition = definition }
}

/// An exchange as listings show it.
public struct ExchangeInfo: Sendable, Hashable {
    /// As it was declared; the default exchange too.
    public var definition: ExchangeDefinition
    /// Its bindings; for the default exchange, the queues.
    public var bindings: Int
    /// Messages that came to it since the broker started, dead letters among them.
    public var published: Int
    /// Of these, messages that clients published and that reached no queue. A dead letter that reaches none is parked.
    public var unroutable: Int
    /// The policy that counts for it.
    public var policy: String?
    /// The operator policy that counts for it.
    public var operatorPolicy: String?
    /// The arguments that count, policies included.
    public var effective = FieldTable()
    /// Where each of them comes from that a policy could set: `argument`, `policy 'name'`, `operator policy 'name'`.
    public var origins = FieldTable()

    /// A row of these parts.
    public init(definition: ExchangeDefinition, bindings: Int, published: Int, unroutable: Int) {
        self.definition = definition
        self.bindings = bindings
        self.published = published
        self.unroutable = unroutable
    }
}

/// A consumer as listings show it.
public struct ConsumerInfo: Sendable, Hashable {
    /// Its session's name.
    public var session: String
    /// The session's connection.
    public var connection: ConnectionID
    /// The session's number on it; `nil` where the protocol has no channels.
    public var channel: Int?
    /// Whose it is; `nil` where nobody has logged in.
    public var user: UserName?
    /// Its name in the session.
    public var tag: ConsumerTag
    /// Its queue.
    public var queue: QueueName
    /// How many unsettled messages it takes; 0 is without limit.
    public var prefetch: Int
    /// How many it holds.
    public var unacked: Int
    /// Messages are settled by being handed over.
    public var autoAck: Bool
    /// No other consumer may have the queue.
    public var isExclusive: Bool
    /// Those of a higher priority get messages first.
    public var priority: Int32
    /// How many milliseconds it may hold a message unsettled; `nil` is for ever.
    public var timeoutMilliseconds: Int64?
    /// False for one that stands by at a queue with a single active consumer.
    public var isActive: Bool

    /// A row of these parts.
    public init(
        session: String, connection: ConnectionID, channel: Int? = nil, user: UserName? = nil,
        tag: ConsumerTag, queue: QueueName, prefetch: Int, unacked: Int, autoAck: Bool,
        exclusive: Bool, priority: Int32 = 0, timeoutMilliseconds: Int64? = nil,
        active: Bool = true
    ) {
        self.session = session
        self.connection = connection
        self.channel = channel
        self.user = user
        self.tag = tag
        self.queue = queue
        self.prefetch = prefetch
        self.unacked = unacked
        self.autoAck = autoAck
        isExclusive = exclusive
        self.priority = priority
        self.timeoutMilliseconds = timeoutMilliseconds
        isActive = active
    }
}

/// A connection as listings show it.
public struct ConnectionInfo: Sendable, Hashable {
    /// Its number while the broker runs.
    public var id: ConnectionID
    /// What it calls itself, or where it comes from.
    public var name: String
    /// The virtual host that its first session is in.
    public var virtualHost: VirtualHostName
    /// Who has logged in there; `nil` where nobody has.
    public var user: UserName?
    /// When it came.
    public var since: Instant
    /// How it comes, and what it says of itself.
    public var client: ClientDescription
    /// Its sessions.
    public var sessions: Int
    /// Its publishes are refused, or wait for the end of an alarm.
    public var isBlocked: Bool
    /// Its consumers.
    public var consumers: Int
    /// Messages it holds.
    public var unacked: Int

    /// A row of these parts.
    public init(
        id: ConnectionID, name: String, user: UserName? = nil, virtualHost: VirtualHostName, since: Instant,
        client: ClientDescription = ClientDescription(), sessions: Int = 1, isBlocked: Bool = false,
        consumers: Int, unacked: Int
    ) {
        self.id = id
        self.name = name
        self.user = user
        self.virtualHost = virtualHost
        self.since = since
        self.client = client
        self.sessions = sessions
        self.isBlocked = isBlocked
        self.consumers = consumers
        self.unacked = unacked
    }
}

/// One step on a message's way through the exchanges.
public struct RouteStep: Sendable, Hashable {
    /// Why the step was taken.
    public enum Reason: String, Sendable, Hashable {
        /// A binding matched.
        case binding
        /// The default exchange found the queue by its name.
        case name
        /// Nothing matched, so the alternate exchange took it.
        case alternate
    }

    /// The exchange the step starts at.
    public var source: ExchangeName
    /// Where it leads.
    public var target: BindingTarget
    /// Why it was taken.
    public var reason: Reason
    /// The binding's key or pattern.
    public var pattern: String
    /// The binding's arguments.
    public var arguments: FieldTable

    /// A step of these parts.
    public init(
        source: ExchangeName, target: BindingTarget, reason: Reason, pattern: String = "",
        arguments: FieldTable = FieldTable()
    ) {
        self.source = source
        self.target = target
        self.reason = reason
        self.pattern = pattern
        self.arguments = arguments
    }
}

/// The broker as a whole. Counters count since it started.
public struct BrokerStatus: Sendable, Hashable {
    /// Leveret's version.
    public var version = ""
    /// When it started.
    public var started: Instant = 0
    /// Its time.
    public var now: Instant = 0
    /// The database file; empty in memory.
    public var database = ""
    /// Which file that is, whatever it is called elsewhere: its device and number there; empty in memory.
    public var databaseID = ""
    /// Bytes of the database file and its write-ahead log.
    public var databaseBytes = 0
    /// Bytes that are free on its disk; `nil` where nobody knows.
    public var diskFreeBytes: Int?
    /// Resident memory of the process in bytes.
    public var residentBytes = 0
    /// Bytes of messages that the core keeps in memory.
    public var messageBytes = 0
    /// Queues.
    public var queues = 0
    /// Exchanges, the predeclared ones included.
    public var exchanges = 0
    /// Open connections.
    public var connections = 0
    /// Consumers.
    public var consumers = 0
    /// Ready messages over all queues.
    public var ready = 0
    /// Unacked messages over all queues.
    public var unacked = 0
    /// Delayed messages over all queues.
    public var delayed = 0
    /// Messages published.
    public var published = 0
    /// Deliveries made.
    public var delivered = 0
    /// Messages settled as done.
    public var acked = 0
    /// Messages that reached no queue.
    public var unroutable = 0
    /// Copies that were dropped because their ids had been seen.
    public var deduplicated = 0
    /// Messages that died, by reason.
    public var deaths: [DeathReason: Int] = [:]
    /// Messages that went to the parking queue.
    public var parked = 0
    /// Logins that were refused: an unknown user, or a wrong password.
    public var loginsRefused = 0
    /// Messages published per second, over the last seconds.
    public var publishRate = 0.0
    /// Deliveries made per second, over the last seconds.
    public var deliverRate = 0.0
    /// What the server in front keeps to: `connections`, `line_bytes`, `body_bytes`, `memory_bytes` and
    /// `disk_free_bytes_min`, 0 for what is without limit; empty where there is no server.
    public var limits = FieldTable()
    /// From which weight on the process logs; `nil` where that is not the broker's to say.
    public var logLevel: LogLevel?
    /// What is wrong, a sentence each; publishes may be refused.
    public var alarms: [String] = []

    /// A broker in which nothing has happened.
    public init() {}
}
