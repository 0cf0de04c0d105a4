// What the broker should do, written as plainly as possible: arrays, loops, no cleverness. The simulator
// feeds it every input the core gets, and what the core was seen to do where the design leaves a choice
// (which of several consumers, when a dead letter found on disk arrives). It then says whether that was right.

import LeveretCore

/// A message as the model knows it.
final class ModelMessage {
    let id: Int
    let exchange: String
    let key: String
    let isPersistent: Bool
    let expiration: String?
    let cc: [String]
    let headers: [String: Int64]
    let size: Int
    let priority: Int
    /// What its body consists of, behind its number.
    let fill: UInt8
    var dedupID: String?
    var delay: Int64 = 0

    static let fill: UInt8 = 0x2e

    /// What an edit fills the body with.
    static func fill(of content: Content) -> UInt8 {
        UInt8(truncatingIfNeeded: 0x80 + (content.size ?? 0) % 100)
    }

    init(
        id: Int, exchange: String, key: String, isPersistent: Bool, expiration: String?, cc: [String],
        headers: [String: Int64], size: Int, priority: Int, fill: UInt8 = ModelMessage.fill
    ) {
        self.id = id
        self.exchange = exchange
        self.key = key
        self.isPersistent = isPersistent
        self.expiration = expiration
        self.cc = cc
        self.headers = headers
        self.size = size
        self.priority = priority
        self.fill = fill
    }

    /// The message as it is sent on.
    func sent(to exchange: String, key: String, cc: [String], expiration: String?) -> ModelMessage {
        ModelMessage(
            id: id, exchange: exchange, key: key, isPersistent: isPersistent, expiration: expiration, cc: cc,
            headers: headers, size: size, priority: priority, fill: fill)
    }

    /// The message as an edit leaves it.
    func edited(by content: Content) -> ModelMessage {
        let message = ModelMessage(
            id: id, exchange: exchange, key: content.key ?? key, isPersistent: isPersistent,
            expiration: content.ttl.map { String($0) } ?? expiration, cc: cc,
            headers: headers.merging(content.headers) { $1 }, size: content.size ?? size, priority: priority,
            fill: content.size == nil ? fill : ModelMessage.fill(of: content))
        message.dedupID = dedupID
        message.delay = delay
        return message
    }
}

/// One entry of a dead letter's history.
struct ModelDeath: Equatable {
    var queue: String
    var reason: DeathReason
    var count: Int64
    var exchange: String
    var keys: [String]
    var originalExpiration: String?
}

/// A message in one queue.
final class Copy {
    enum State: Equatable {
        case ready
        /// Waits until `due`.
        case delayed
        case unacked
        /// Handed to an automatic-ack consumer whose session has not been drained yet.
        case handing
        /// Out of the queue by rule; the core may still have to read it to send it on.
        case condemned(DeathReason)
        case gone
    }

    /// How it went, for the publisher who waits to hear that it is safe.
    enum Fate {
        case none
        /// Acked, dropped, purged, expired: safe.
        case settled
        /// Safe once these are.
        case moved([Copy])
    }

    private(set) var message: ModelMessage
    let queue: ModelQueue
    var number: Int64
    /// Its place; 0 until it is due, if it was published to wait.
    var place: Int64
    var due: Int64?
    private(set) var version = 1
    var entered: Int64
    var expires: Int64
    let deaths: [ModelDeath]
    var failed = 0
    var acquired = 0
    var state = State.ready
    var fate = Fate.none
    /// It died where nothing was to become of it.
    var isDropped = false
    /// The step in which it died.
    var diedInStep = 0
    /// Its queue knows its id for as long as it is there.
    var isKnownByID = false
    /// Its row is in the database.
    var isCommitted = false
    /// A restart found it past its delivery limit. Until it is read, it may die of something else as well.
    var isDeadSinceRestart = false
    /// Its row has been in a batch that was taken.
    var isWritten = false

    init(
        _ message: ModelMessage, queue: ModelQueue, number: Int64, entered: Int64, expires: Int64,
        deaths: [ModelDeath]
    ) {
        self.message = message
        self.queue = queue
        self.number = number
        place = number
        self.entered = entered
        self.expires = expires
        self.deaths = deaths
    }

    /// What it was before each edit: a crash may bring that back.
    private var contents: [Int: ModelMessage] = [:]

    /// Changes it.
    func edit(_ message: ModelMessage) {
        contents[version] = self.message
        version += 1
        self.message = message
    }

    /// The copy as a restart finds it, with this version.
    func revived(in queue: ModelQueue, version: Int) -> Copy {
        let message = version == self.version ? message : contents[version] ?? message
        let copy = Copy(
            message, queue: queue, number: number, entered: entered, expires: expires, deaths: deaths)
        copy.isKnownByID = isKnownByID
        copy.isCommitted = true
        copy.version = version
        copy.contents = contents
        return copy
    }

    /// What it counts as in its queue.
    var priority: Int { min(message.priority, queue.priorityMax ?? 0) }

    /// It has to survive a restart.
    var isDurable: Bool { message.isPersistent && queue.isDurable }

    /// Its publisher may hear that it is safe.
    var isSafe: Bool {
        if !isDurable || isCommitted || queue.isDeleted { return true }
        switch fate {
        case .none: return false
        case .settled: return true
        case .moved(let copies): return copies.allSatisfy(\.isSafe)
        }
    }
}

/// Takes messages from a queue.
final class ModelConsumer {
    let tag: String
    let session: ModelSession
    let queue: ModelQueue
    let prefetch: Int
    let autoAck: Bool
    let isExclusive: Bool
    let priority: Int32
    private let ownTimeout: Int64?
    var timeout: Int64? { ownTimeout ?? queue.consumerTimeout }

    init(
        tag: String, session: ModelSession, queue: ModelQueue, prefetch: Int, autoAck: Bool,
        isExclusive: Bool, priority: Int32, timeout: Int64?
    ) {
        self.tag = tag
        self.session = session
        self.queue = queue
        self.prefetch = prefetch
        self.autoAck = autoAck
        self.isExclusive = isExclusive
        self.priority = priority
        ownTimeout = timeout
    }

    var unacked: Int { session.held.filter { $0.consumer === self }.count }
}

/// A delivery that a session holds.
struct ModelHeld {
    var tag: UInt64
    var copy: Copy
    var consumer: ModelConsumer?
    let since: Int64
    /// When it goes back, if it was touched.
    var touchedEnd: Int64?

    /// When it goes back if it is not settled.
    var leaseEnd: Int64 { touchedEnd ?? lease.map { since + $0 } ?? .max }

    /// How long it may be held.
    var lease: Int64? { consumer.map(\.timeout) ?? copy.queue.consumerTimeout }
}

/// A session.
final class ModelSession {
    let id: SessionID
    let connection: Int
    var prefetch = 0
    var consumers: [ModelConsumer] = []
    var held: [ModelHeld] = []
    var handing: [Copy] = []
    var tagsGiven: UInt64 = 0
    /// The last that the model has followed.
    var tagsHanded: UInt64 = 0
    /// Whose leases have ended.
    var expiredTags: Set<UInt64> = []
    /// Bytes of deliveries since the last drain, as the core counts them.
    var undrainedBytes = 0

    init(id: SessionID, connection: Int) {
        self.id = id
        self.connection = connection
    }
}

/// A GET that has not been answered.
struct ModelGet {
    var ticket: Ticket
    var session: ModelSession
    var autoAck: Bool
    var deadline: Int64?
}

/// A queue.
final class ModelQueue {
    enum Overflow: String {
        case dropHead = "drop-head"
        case rejectPublish = "reject-publish"
        case rejectPublishDLX = "reject-publish-dlx"
    }

    let definition: QueueDefinition
    let name: String
    let isDurable: Bool
    let owner: Int?
    private(set) var ttl: Int64?
    private(set) var expires: Int64?
    private(set) var lengthMax: Int?
    private(set) var bytesMax: Int?
    private(set) var overflow = Overflow.dropHead
    private(set) var deadLetterExchange: String?
    private(set) var deadLetterKey: String?
    private(set) var deliveryLimit: Int?
    let priorityMax: Int?
    let isSingleActive: Bool
    private(set) var consumerTimeout: Int64?
    private(set) var expiresIfEmpty: Int64?
    private(set) var dedupWindow: Int64?
    private(set) var deduplicatesQueued = false
    private(set) var retryType = "disabled"
    private(set) var retryMin: Int64 = 0
    private(set) var retryMax: Int64 = 0
    private(set) var retryIsExponential = false
    private(set) var retryJitter: Int64 = 0
    /// What counts: the arguments, and what policies add and limit.
    private(set) var arguments: FieldTable
    /// Every copy that is not gone and not held, in order of delivery.
    var ready: [Copy] = []
    /// Copies that wait for their time, in order of that.
    var delayed: [Copy] = []
    /// Those of the dead that it knew by their ids.
    var knownDead: [Copy] = []
    /// Copies that are dead but may not have been seen to leave.
    var condemned: [Copy] = []
    var consumers: [ModelConsumer] = []
    var gets: [ModelGet] = []
    var hadConsumer = false
    var lastUsed: Int64
    var isDeleted = false
    var isPaused = false
    var wasEmpty = true
    /// The highest number seen in it.
    var highest: Int64 = 0
    /// A restart found it too long: the core drops from its head when it gets to read that.
    var isTooLong = false
    /// What the store calls it.
    var storedID: QueueID?

    init(_ definition: QueueDefinition, owner: Int?, now: Int64) {
        self.definition = definition
        self.owner = owner
        arguments = definition.arguments
        name = definition.name.rawValue
        isDurable = definition.isDurable && !definition.isExclusive
        isSingleActive = definition.arguments["x-single-active-consumer"] == .bool(true)
        lastUsed = now
        if case .int(let most)? = definition.arguments["x-max-priority"] {
            priorityMax = Int(most)
        } else {
            priorityMax = nil
        }
        obey(definition.arguments)
    }

    /// Takes over what counts.
    func obey(_ arguments: FieldTable) {
        func number(_ name: String) -> Int64? {
            if case .int(let value)? = arguments[name] { value } else { nil }
        }
        func text(_ name: String) -> String? {
            if case .string(let value)? = arguments[name] { value } else { nil }
        }
        self.arguments = arguments
        ttl = number("x-message-ttl")
        expires = number("x-expires")
        lengthMax = number("x-max-length").map { Int($0) }
        bytesMax = number("x-max-length-bytes").map { Int($0) }
        overflow = text("x-overflow").flatMap { Overflow(rawValue: $0) } ?? .dropHead
        deadLetterExchange = text("x-dead-letter-exchange")
        deadLetterKey = deadLetterExchange == nil ? nil : text("x-dead-letter-routing-key")
        deliveryLimit = number("x-delivery-limit").map { Int($0) }
        consumerTimeout = number("x-consumer-timeout")
        expiresIfEmpty = expires == nil ? number("x-expires-if-empty") : nil
        dedupWindow = number("x-deduplicate")
        deduplicatesQueued = text("x-deduplicate") == "while-queued"
        retryType = text("x-delayed-retry-type") ?? "disabled"
        retryMin = number("x-delayed-retry-min") ?? 0
        retryMax = number("x-delayed-retry-max") ?? 4_294_967_295
        retryIsExponential = text("x-delayed-retry-backoff") == "exponential"
        retryJitter = number("x-delayed-retry-jitter") ?? 0
    }

    /// With a single active consumer: the first of the highest priority.
    var active: ModelConsumer? {
        let highest = consumers.map(\.priority).max()
        return consumers.first { $0.priority == highest }
    }

    /// Adds a copy that has just come in, behind all of its priority.
    func add(_ copy: Copy) {
        ready.insert(copy, at: ready.firstIndex { $0.priority < copy.priority } ?? ready.count)
    }

    /// Makes a copy wait.
    func delay(_ copy: Copy, until due: Int64) {
        copy.state = .delayed
        copy.due = due
        let index = delayed.firstIndex { ($0.due ?? 0, $0.number) > (due, copy.number) }
        delayed.insert(copy, at: index ?? delayed.count)
    }

    /// Adds a copy that has just come in, or is due for the first time.
    func append(_ copy: Copy) {
        ready.insert(copy, at: ready.firstIndex { $0.priority < copy.priority } ?? ready.count)
    }

    /// Puts a copy back at its place.
    func putBack(_ copy: Copy) {
        let index = ready.firstIndex {
            $0.priority < copy.priority || ($0.priority == copy.priority && $0.place > copy.place)
        }
        ready.insert(copy, at: index ?? ready.count)
    }

    /// It drops from its head what is too much.
    var isLimited: Bool { overflow == .dropHead && (lengthMax != nil || bytesMax != nil) }

    /// It holds more than it may.
    var isOverfull: Bool {
        guard isLimited else { return false }
        return lengthMax.map { ready.count > $0 } ?? false || bytesMax.map { readyBytes > $0 } ?? false
    }

    var readyBytes: Int { ready.reduce(0) { $0 + $1.message.size } }
}

/// A binding.
struct ModelBinding: Equatable {
    var source: String
    var target: String
    var toExchange: Bool
    var key: String
    var arguments: [String: ArgumentValue]
}

/// An exchange.
struct ModelExchange: Equatable {
    var name: String
    var type: String
    var isDurable: Bool
    var isAutoDelete: Bool
    var isInternal: Bool
    var alternate: String?
    var dedupWindow: Int64?
}

/// A MOVE under way.
final class ModelMove {
    let ticket: Ticket
    let source: ModelQueue
    /// A queue, or with `nil` the exchange.
    let target: ModelQueue?
    let toExchange: String?
    let key: String?
    let mostWanted: Int
    /// Messages numbered above this came after the move began.
    let through: Int64
    var moved = 0
    var copies: [Copy] = []
    /// What is moved next.
    var head: Copy? { source.ready.first { $0.place <= through } }

    init(
        ticket: Ticket, source: ModelQueue, target: ModelQueue?, toExchange: String?, key: String?,
        mostWanted: Int, through: Int64
    ) {
        self.ticket = ticket
        self.source = source
        self.target = target
        self.toExchange = toExchange
        self.key = key
        self.mostWanted = mostWanted
        self.through = through
    }
}

/// What an answer has to be, and when it may come.
struct Expectation {
    enum Kind {
        case exactly(String)
        /// Messages counted: so many, or up to so many more that are dead and were not found yet.
        case count(Int, orMore: Int)
        case get
        case peek(String, state: String)
        case move(ModelMove)
    }

    var kind: Kind
    /// These have to be safe.
    var safe: [Copy] = []
    /// None of these may be in the database.
    var gone: [Copy] = []
    /// The change of the topology that has to be committed.
    var durableSince: Int?
    /// The version of this copy that has to be in the database.
    var edited: (copy: Copy, version: Int)?
}

/// A message that was seen to enter a queue.
struct Arrival {
    var number: Int64
    var queue: String
    var messageID: Int
    var deaths: [ModelDeath]
}

/// A message that was seen to be handed out.
struct Take {
    var session: SessionID
    var consumer: String?
    var ticket: Ticket?
    var autoAck: Bool
    var queue: String
    var number: Int64
    var tag: UInt64
    var delivery: Delivery
    var remaining: Int?
}

/// The whole broker, plainly.
final class ReferenceModel {
    var limits: CoreLimits
    var now: Int64 = 0
    var exchanges: [ModelExchange] = []
    var bindings: [ModelBinding] = []
    var queues: [ModelQueue] = []
    var sessions: [ModelSession] = []
    var moves: [ModelMove] = []
    var expected: [Ticket: Expectation] = [:]
    var isAlarmed = false
    /// Grows with every change that has to survive.
    var durableChanges = 0
    /// As of the last batch that was committed.
    var durableCommitted = 0
    /// What the core was seen to do in this step and the model has not explained yet.
    var arrivals: [Arrival] = []
    var takes: [Take] = []
    /// Consumers that held less than one that was preferred to them in this step.
    var passedOver: [ModelConsumer] = []
    /// Dead messages whose queue is gone, or that never got into it.
    var strays: [Copy] = []
    /// Changes of single messages for which the core reads the store first.
    var pendingChanges: [PendingChange] = []
    /// The place of what is due next for the first time.
    var nextPlace: Int64 = 0
    /// True while the place of a copy is in a stretch that is being purged.
    var isBeingPurged: (Copy) -> Bool = { _ in false }
    /// True while the core has not got to such a change yet.
    var isChanging: (Ticket) -> Bool = { _ in false }
    /// Until when the core makes a copy wait, if it does.
    var dueInCore: (Copy) -> Int64? = { _ in nil }
    /// Where a copy stands in the core that has just become ready.
    var placeInCore: (Copy) -> Int64? = { _ in nil }
    /// True while the core has not got to a dead copy yet.
    var isPending: (Copy) -> Bool = { _ in false }
    /// Until when ids count, by queue (`q`) or exchange (`x`) and its name.
    var seen: [String: [String: Int64]] = [:]
    var policies: [Policy] = []
    /// Counts the core's inputs.
    var steps = 0
    /// Publishes and transactions for which the core asks the store.
    var waitingPublishes: [(call: Call, session: ModelSession, ticket: Ticket, ids: [Int])] = []
    /// True while the core has a publish wait.
    var isWaiting: (Ticket) -> Bool = { _ in false }
    /// True while the core has a session hold a delivery.
    var isHeld: (SessionID, UInt64) -> Bool = { _, _ in true }
    /// True while the core counts a copy as ready.
    var isCounted: (Copy) -> Bool = { _ in true }
    /// Who asked.
    var askers: [Ticket: SessionID] = [:]
    /// Consumers that the core has to tell that they ended.
    var ended: [(SessionID, String)] = []
    /// Everything the core asks for is served at once, so it has no business lagging behind.
    var isExact = true
    /// Versions of the rows in the database by their numbers.
    var onDisk: [Int64: Int] = [:]
    /// Sessions that are closed and have not handed back everything yet, with what they still hold.
    var leaving: [ModelSession] = []
    var highestNumber: Int64 = 0
    /// Every copy that ever had a number: a crash may bring it back as long as its removal is not committed.
    var written: [Int64: Copy] = [:]

    init(limits: CoreLimits) {
        self.limits = limits
        for type in ["direct", "fanout", "topic", "headers"] {
            exchanges.append(predeclared("amq.\(type)", type))
        }
        exchanges.append(predeclared("", "direct"))
    }

    private func predeclared(_ name: String, _ type: String) -> ModelExchange {
        ModelExchange(
            name: name, type: type, isDurable: true, isAutoDelete: false, isInternal: false, alternate: nil)
    }

    func queue(_ name: String) -> ModelQueue? { queues.first { $0.name == name } }
    func exchange(_ name: String) -> ModelExchange? { exchanges.first { $0.name == name } }
    func session(_ id: SessionID) -> ModelSession? { sessions.first { $0.id == id } }
}
