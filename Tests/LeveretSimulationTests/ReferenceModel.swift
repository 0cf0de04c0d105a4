// What the broker should do, written as plainly as possible: arrays, loops, no cleverness. The simulator
// feeds it every input the core gets, and what the core was seen to do where the design leaves a choice
// (which of several consumers, when a dead letter found on disk arrives). It then says whether that was right.

import LeveretCore

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
    /// As they were declared.
    let declared: FieldTable
    /// What counts: these, and what policies add and limit.
    var arguments: FieldTable

    init(
        name: String, type: String, isDurable: Bool = true, isAutoDelete: Bool = false,
        isInternal: Bool = false, arguments: FieldTable = FieldTable()
    ) {
        self.name = name
        self.type = type
        self.isDurable = isDurable
        self.isAutoDelete = isAutoDelete
        self.isInternal = isInternal
        declared = arguments
        self.arguments = arguments
    }

    var alternate: String? {
        if case .string(let other)? = arguments["alternate-exchange"] {
            other.placed(beside: name)
        } else {
            nil
        }
    }

    var dedupWindow: Int64? {
        if case .int(let window)? = arguments["x-deduplicate"] { window } else { nil }
    }

    /// True where both were declared the same.
    func isDeclared(like other: ModelExchange) -> Bool {
        var there = self
        there.arguments = other.arguments
        return there == other
    }
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
    /// Only these, wherever they stand.
    let condition: Condition?
    var moved = 0
    /// What it moves in this step.
    var leaving: [Copy] = []
    var copies: [Copy] = []
    /// The core was seen to have ended it.
    var isOver = false
    /// What it should have moved, too.
    var leftBehind: Copy?

    /// What may be moved, in order.
    var candidates: [Copy] {
        guard !isOver, moved < mostWanted else { return [] }
        let waiting = source.ready.filter { $0.place <= through }
        guard let condition else { return waiting }
        return waiting.filter { copy in
            condition.isMet(
                size: copy.message.size, key: copy.message.key, header: copy.message.headers["h"],
                failed: copy.failed, deliveries: copy.acquired)
        }
    }

    init(
        ticket: Ticket, source: ModelQueue, target: ModelQueue?, toExchange: String?, key: String?,
        mostWanted: Int, through: Int64, condition: Condition?
    ) {
        self.ticket = ticket
        self.source = source
        self.target = target
        self.toExchange = toExchange
        self.key = key
        self.mostWanted = mostWanted
        self.through = through
        self.condition = condition
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
    /// Queues and sessions that ever were: what refers to them does not own them, so that nothing owns itself.
    private var owned: [AnyObject] = []
    /// How many queues each virtual host may have.
    var vhosts: [String: Int?] = ["/": nil]
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
    /// The exchanges have not looked at these policies yet.
    var haveExchangesToObey = false
    /// Counts the core's inputs.
    var steps = 0
    /// Publishes and transactions for which the core asks the store; `vhost` is empty where it is deleted.
    var waitingPublishes: [(call: Call, session: ModelSession, vhost: String, ticket: Ticket, ids: [Int])] =
        []
    /// True while the core has a publish wait.
    var isWaiting: (Ticket) -> Bool = { _ in false }
    /// How many messages the core has moved so far; once it has told so, 0.
    var movedInCore: (Ticket) -> Int = { _ in 0 }
    /// True where the core has ended a move, which may still wait to be answered.
    var isEnded: (Ticket) -> Bool = { _ in false }
    /// True while the core has a session hold a delivery.
    var isHeld: (SessionID, UInt64) -> Bool = { _, _ in true }
    /// True where the core has a queue.
    var isThere: (ModelQueue) -> Bool = { _ in true }
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
    /// How often those have been delivered that the database knows to be held.
    var heldOnDisk: [Int64: Int] = [:]
    /// Sessions that are closed and have not handed back everything yet, with what they still hold.
    var leaving: [ModelSession] = []
    var highestNumber: Int64 = 0
    /// Every copy that ever had a number: a crash may bring it back as long as its removal is not committed.
    var written: [Int64: Copy] = [:]

    init(limits: CoreLimits) {
        self.limits = limits
        exchanges = Self.predeclared(in: "/")
    }

    /// Keeps a queue or session as long as the model is there.
    func own<Made: AnyObject>(_ made: Made) -> Made {
        owned.append(made)
        return made
    }

    func queue(_ name: String) -> ModelQueue? { queues.first { $0.name == name } }
    func exchange(_ name: String) -> ModelExchange? { exchanges.first { $0.name == name } }
    func session(_ id: SessionID) -> ModelSession? { sessions.first { $0.id == id } }
}
