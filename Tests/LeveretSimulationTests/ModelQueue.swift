// A queue of the model: what counts for it, and what stands in it.

import LeveretCore

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
        deadLetterExchange = text("x-dead-letter-exchange")?.placed(beside: name)
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
    var isOverfull: Bool { isOverfull(with: 0, bytes: 0) }

    /// It holds more than it may with so many others, of so many bytes.
    func isOverfull(with others: Int, bytes: Int) -> Bool {
        guard isLimited else { return false }
        return lengthMax.map { ready.count + others > $0 } ?? false
            || bytesMax.map { readyBytes + bytes > $0 } ?? false
    }

    var readyBytes: Int { ready.reduce(0) { $0 + $1.message.size } }
}
