// What a session may ask of the core. Doors build these outside the lock, from bytes or from Swift.

/// What a consumer says of a delivery it holds.
public struct Settlement: Hashable, Sendable {
    /// What becomes of the message.
    public enum Outcome: Hashable, Sendable {
        /// It is done: removed for good.
        case ack
        /// Back to its place, free of charge (nack, cancel).
        case requeue
        /// Back to its place, counted as failed (reject with requeue).
        case fail
        /// Out of the queue, to its dead-letter exchange (reject or nack without requeue).
        case deadLetter
    }

    /// The delivery.
    public var tag: DeliveryTag
    /// This delivery, which is held, and all before it that are; tag 0 then stands for every one, if any.
    public var multiple: Bool
    /// What becomes of the messages.
    public var outcome: Outcome
    /// The consumer's reason, kept with a dead letter.
    public var errorText: String?
    /// For what goes back: how long it waits there, in milliseconds; 0 is not at all, `nil` what the queue says, and
    /// more than 4,294,967,295 counts as so much.
    public var delayMilliseconds: Int64?

    /// A settlement of one delivery, or of all up to it.
    public init(
        _ outcome: Outcome, _ tag: DeliveryTag, multiple: Bool = false, errorText: String? = nil,
        delayMilliseconds: Int64? = nil
    ) {
        self.tag = tag
        self.multiple = multiple
        self.outcome = outcome
        self.errorText = errorText
        self.delayMilliseconds = delayMilliseconds
    }
}

/// Other headers for a message that is held: they stay with it, wherever it goes from there.
public struct Amendment: Sendable {
    /// The delivery.
    public var tag: DeliveryTag
    /// The message as its holder has it: the core may have let go of its body.
    public var message: Message
    /// Headers that replace those of the same name.
    public var headers: FieldTable

    /// An amendment of one delivery.
    public init(_ tag: DeliveryTag, _ message: Message, headers: FieldTable) {
        self.tag = tag
        self.message = message
        self.headers = headers
    }

    /// The message with its new headers.
    public var amended: Message {
        var properties = message.properties ?? MessageProperties()
        for field in headers.fields { properties.headers[field.name] = field.value }
        return Message(
            exchange: message.exchange, routingKey: message.routingKey, properties: properties,
            isPersistent: message.isPersistent, body: message.body)
    }
}

/// The wish to be handed a queue's messages as they come.
public struct Consume: Hashable, Sendable {
    /// The queue.
    public var queue: QueueName
    /// The consumer's name in its session; `nil` asks for one.
    public var tag: ConsumerTag?
    /// How many unsettled messages it takes; 0 is without limit.
    public var prefetch: Int
    /// Messages are settled by being handed to the connection.
    public var autoAck: Bool
    /// No other consumer may have the queue (403 if one has).
    public var isExclusive: Bool
    /// Those of a higher priority get messages first, for as long as they take any; default 0.
    public var priority: Int32
    /// How many milliseconds it may hold a message unsettled, from 1; `nil` is as long as its queue says.
    public var timeoutMilliseconds: Int64?
    /// Each delivery is written down before it is made, so that a crash counts it as failed for certain.
    public var countsFirst: Bool

    /// A consumer of `queue`.
    public init(
        queue: QueueName, tag: ConsumerTag? = nil, prefetch: Int = 256, autoAck: Bool = false,
        exclusive: Bool = false, priority: Int32 = 0, timeoutMilliseconds: Int64? = nil,
        countsFirst: Bool = false
    ) {
        self.queue = queue
        self.tag = tag
        self.prefetch = prefetch
        self.autoAck = autoAck
        isExclusive = exclusive
        self.priority = priority
        self.timeoutMilliseconds = timeoutMilliseconds
        self.countsFirst = countsFirst
    }
}

/// Where MOVE takes messages, and which.
public struct Move: Hashable, Sendable {
    /// A queue, or an exchange with a key of its own (`nil` keeps each message's key).
    public enum Destination: Hashable, Sendable {
        /// To the end of this queue.
        case queue(QueueName)
        /// Through this exchange, as if published to it.
        case exchange(ExchangeName, routingKey: String?)
        /// Each to the end of the queue where it died first. What has never died, or is there already, stays; the
        /// move ends at the first message whose queue is gone.
        case origin
        /// Out of the broker: they are removed for good, and are no dead letters.
        case nowhere
    }

    /// Where the messages wait.
    public var source: QueueName
    /// Where they go.
    public var destination: Destination
    /// How many at most, from the head, from 1; `nil` is all that are ready as the move begins.
    public var countMax: Int?
    /// Only messages that meet this SQL expression over their fields, as in `Peek`.
    public var condition: String?
    /// Only the one message at this position.
    public var position: MessageNumber?
    /// Refuse unless the message at `position` has this version.
    public var version: Int?
    /// Headers that replace those of the same name of the message at `position`.
    public var headers: FieldTable
    /// Replaces the body of the message at `position`.
    public var body: [UInt8]?
    /// Dead letters go as they were before they died first, with that exchange and key, and every message is marked:
    /// with the headers `x-replayed-from`, `x-replayed-at` and `x-replay-count`.
    public var isReplay = false

    /// A move of everything that is ready, or of what of it meets `condition`.
    public init(
        from source: QueueName, to destination: Destination, countMax: Int? = nil,
        where condition: String? = nil
    ) {
        self.condition = condition
        self.source = source
        self.destination = destination
        self.countMax = countMax
        headers = FieldTable()
    }

    /// A replay: a move of dead letters that marks them, each back to where it died first unless `destination` says
    /// otherwise.
    public static func replay(
        from source: QueueName, to destination: Destination = .origin, countMax: Int? = nil,
        where condition: String? = nil
    ) -> Move {
        var move = Move(from: source, to: destination, countMax: countMax, where: condition)
        move.isReplay = true
        return move
    }
}

/// A change to one message that waits.
public struct MessageEdit: Hashable, Sendable {
    /// Where it waits.
    public var queue: QueueName
    /// Its position.
    public var position: MessageNumber
    /// Refuse unless it has this version.
    public var version: Int?
    /// Delay it until so many milliseconds from now, 0 to 4,294,967,295; 0 makes it ready at once.
    public var delayMilliseconds: Int64?
    /// Replaces its routing key; it is not routed again.
    public var routingKey: String?
    /// Replaces its own time to live, 0 to 4,294,967,295 ms, which counts from now, or for a message that was
    /// published to wait from when it is due.
    public var ttlMilliseconds: Int64?
    /// Headers that replace those of the same name.
    public var headers = FieldTable()
    /// Replaces its body. A queue that rejects publishes refuses a larger one for which it has no room.
    public var body: [UInt8]?

    /// A change to the message at `position`.
    public init(_ queue: QueueName, _ position: MessageNumber, delayMilliseconds: Int64? = nil) {
        self.queue = queue
        self.position = position
        self.delayMilliseconds = delayMilliseconds
    }

    /// It changes what the message is, not only when it is ready.
    var changesContent: Bool {
        routingKey != nil || ttlMilliseconds != nil || !headers.isEmpty || body != nil
    }
}

/// A message that comes back into a queue from outside, with what it had become (IMPORT).
public struct RestoredMessage: Sendable {
    /// The queue that gets it, at its tail. It isn't routed.
    public var queue: QueueName
    /// The message as it had been published.
    public var message: Message
    /// Set for a dead letter.
    public var deaths: DeathHistory?
    /// Until when it is delayed; `nil`, or a moment that has passed, is not at all.
    public var due: Instant?

    /// A message for `queue`.
    public init(_ message: Message, to queue: QueueName, deaths: DeathHistory? = nil, due: Instant? = nil) {
        self.queue = queue
        self.message = message
        self.deaths = deaths
        self.due = due
    }
}

/// Which messages PEEK shows.
public struct Peek: Hashable, Sendable {
    /// A message's state as far as it can be peeked at.
    public enum State: String, Hashable, Sendable, CaseIterable {
        /// It could be delivered.
        case ready
        /// A consumer or a GET holds it.
        case unacked
        /// It waits for its time.
        case delayed
    }

    /// The queue.
    public var queue: QueueName
    /// Only messages in this state; `nil` is every one: first those that have a place, then the delayed ones.
    public var state: State?
    /// Only messages at this position or behind it.
    public var from: MessageNumber
    /// At most so many; 1–1,000. The answer ends early behind `CoreLimits.peekBytesMax`.
    public var countMax: Int
    /// Only messages that meet this SQL expression over their fields (docs/line-protocol.md, PEEK).
    public var condition: String?

    /// The first messages of `queue`.
    public init(
        _ queue: QueueName, state: State? = .ready, from: MessageNumber = 0, countMax: Int = 10,
        where condition: String? = nil
    ) {
        self.condition = condition
        self.queue = queue
        self.state = state
        self.from = from
        self.countMax = countMax
    }
}

/// What is listed by `list`.
public enum Listing: String, Hashable, Sendable, CaseIterable {
    /// Answered by `.queues`.
    case queues
    /// Answered by `.exchanges`.
    case exchanges
    /// Answered by `.bindings`.
    case bindings
    /// Answered by `.consumers`.
    case consumers
    /// Answered by `.connections`.
    case connections
    /// Answered by `.sessions`.
    case channels
    /// Answered by `.policies`.
    case policies
    /// Answered by `.virtualHosts`.
    case virtualHosts = "vhosts"
    /// Answered by `.users`.
    case users
    /// Answered by `.permissions`.
    case permissions
    /// Answered by `.topicPermissions`.
    case topicPermissions = "topic-permissions"
}

/// Everything a session may ask. The answer to each is an `Answer` with the request's ticket.
///
/// What stands inline is small: a `Request` is copied often, and nearly all are publishes and settlements.
public enum Request: Sendable {
    /// Routes a message; answered by `.routed` when it is safe, `.unroutable` or `.refused`.
    case publish(Message, mandatory: Bool)
    /// Settles deliveries; answered by `.done` once the removal is durable.
    case settle(Settlement)
    /// Has the session's next transaction settle deliveries, those that are held now: until then nothing else settles
    /// them. Answered by `.done` at once.
    case settleAtCommit(Settlement)
    /// Lets go of what the next transaction was to settle: it is held as before.
    case rollBack
    /// Gives a delivery more time: so many milliseconds from now, or with `nil` as many as it had at first.
    case touch(DeliveryTag, forMilliseconds: Int64?)
    /// Changes headers of a message that the session holds.
    indirect case amend(Amendment)
    /// Takes one message; with `waitMilliseconds` > 0 waits for one. Answered by `.delivered` or `.empty`.
    indirect case get(QueueName, autoAck: Bool, waitMilliseconds: Int64)
    /// Ends the session's GET with this ticket, which is answered by `.empty` if it still waits.
    case endGet(QueueName, Ticket)
    /// Starts a consumer; answered by `.consuming`, then come `.delivery` events.
    indirect case consume(Consume)
    /// Ends a consumer; what it holds stays held by the session unless `requeue`.
    case cancel(ConsumerTag, requeue: Bool)
    /// How many unsettled messages the session takes over all its consumers; 0 is without limit.
    case setSessionPrefetch(Int)
    /// Hands back everything the session holds, free of charge (basic.recover), but what its next transaction settles.
    case recover
    /// Declares an exchange, or with `passive` only asks for it.
    indirect case declareExchange(ExchangeDefinition, passive: Bool)
    /// Deletes an exchange.
    case deleteExchange(ExchangeName, ifUnused: Bool)
    /// Declares a queue, or with `passive` only asks for it; answered by `.declared`.
    indirect case declareQueue(QueueDefinition, passive: Bool)
    /// Declares a queue for direct reply-to under a name that nobody has: transient, exclusive to the connection and
    /// gone with its consumer; answered by `.declared`. It needs no permission.
    case declareReplyQueue
    /// Deletes a queue and its messages; answered by `.count`.
    indirect case deleteQueue(QueueName, ifUnused: Bool, ifEmpty: Bool)
    /// Adds a binding; adding it again changes nothing.
    indirect case bind(Binding)
    /// Removes a binding; removing one that isn't there changes nothing.
    indirect case unbind(Binding)
    /// Removes the ready messages of a queue; answered by `.count`.
    case purge(QueueName)
    /// Stops the dispatch of a queue, or lets it go on; publishing goes on all the while.
    case setPaused(QueueName, Bool)
    /// Sets or replaces a policy; answered by `.done` once everything that it matches obeys it.
    indirect case setPolicy(Policy)
    /// Removes a policy; removing one that isn't there changes nothing.
    case deletePolicy(String, isOperator: Bool)
    /// Moves messages, a transaction per slice; answered by `.count`.
    indirect case move(Move)
    /// Puts a message into one queue, with its history; answered by `.routed(1)` when it is safe.
    indirect case restore(RestoredMessage)
    /// Publishes and settlements together, all or nothing, with what the session has left to it by `settleAtCommit`;
    /// answered by `.committed`.
    case transaction([Request])
    /// Removes the message at this position, which is ready or delayed; answered by `.done`.
    case cancelMessage(QueueName, MessageNumber)
    /// Changes a message that is ready or delayed; answered by `.done`.
    indirect case edit(MessageEdit)
    /// Shows messages without taking them; answered by `.messages`.
    indirect case peek(Peek)
    /// Rows of a read-only SQL query over the database; answered by `.table`.
    case query(String)
    /// Lists what exists, names matching a glob (`*`, `?`); `nil` is all. Answered by a `.page`.
    indirect case list(Listing, match: String?, after: ListCursor? = nil)
    /// The state of one queue (answered by `.queues` with one row) or of the broker (`.status`).
    case status(QueueName?)
    /// Takes the session into a virtual host: names in what it asks from then on are names there. Refused while it
    /// has consumers, unsettled deliveries or a GET that waits.
    case enter(VirtualHostName)
    /// Creates a virtual host; creating it again changes nothing.
    case createVirtualHost(VirtualHostName)
    /// Deletes a virtual host with everything in it, but never `/`, nor the one the session is in; answered by
    /// `.count` of the messages that were ready. Connections with a session in it are closed.
    case deleteVirtualHost(VirtualHostName)
    /// Says what a virtual host may have at most, in the place of what was said before.
    indirect case limitVirtualHost(VirtualHostName, VirtualHostLimits)
    /// Closes the connection of this number, or all of this name, telling them the reason; answered by `.count`.
    indirect case closeConnection(String, reason: String)
    /// Has the program that the broker runs in log from this weight on; answered by `.done`, or refused (540) where the
    /// program takes no such wish.
    case setLogLevel(LogLevel)
    /// Changes users and their permissions; answered by `.done`, or as the request says.
    indirect case administer(UserRequest)
    /// Why messages of a queue stand still; answered by `.reasons`.
    case why(QueueName)
    /// Which queues a message would reach, and how; answered by a `.page` of `.routes`.
    indirect case route(Message, after: ListCursor? = nil)
}

extension Request {
    /// The request for the next page of a listing; `nil` for what has no pages.
    public func goingOn(after cursor: ListCursor) -> Request? {
        switch self {
        case .list(let listing, let match, _): .list(listing, match: match, after: cursor)
        case .route(let message, _): .route(message, after: cursor)
        default: nil
        }
    }
}

/// Where the next page of a listing goes on.
public struct ListCursor: Hashable, Sendable {
    /// A place in the order of a listing.
    public enum Place: Hashable, Sendable {
        /// Behind this name.
        case name(String)
        /// Behind this number.
        case number(Int)
        /// Behind this consumer of this session of this connection.
        case consumer(UInt64, UInt64, UInt64)
    }

    /// Behind what it goes on.
    public var place: Place
    /// The virtual host that is listed: the session may be in another by then.
    public var virtualHost: VirtualHostID

    /// A place in what a virtual host has.
    public init(_ place: Place, in virtualHost: VirtualHostID = .default) {
        self.place = place
        self.virtualHost = virtualHost
    }
}

/// A request and the ticket that its answer will bear.
public struct Submission: Sendable {
    /// Handed back with the answer.
    public var ticket: Ticket
    /// What is asked.
    public var request: Request

    /// A request with a ticket.
    public init(_ ticket: Ticket, _ request: Request) {
        self.ticket = ticket
        self.request = request
    }
}
