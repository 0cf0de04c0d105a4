// A message of the model, and a copy of it in one queue.

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
    /// Owned by the model.
    unowned let queue: ModelQueue
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
    /// A restart found it.
    var isRevived = false

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
        copy.isRevived = true
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

/// The number that the simulator hid in a body.
func messageID(_ message: Message) -> Int {
    message.body.prefix(4).reduce(0) { $0 << 8 | Int($1) }
}

/// The body of a message with its number hidden in it.
func body(of id: Int, size: Int, filledWith fill: UInt8) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: id >> (24 - 8 * $0)) }
        + [UInt8](repeating: fill, count: max(0, size - 4))
}

/// What of a message is not as it should be.
func contentDiffers(_ found: Message, from wanted: ModelMessage) -> String? {
    if found.body != body(of: wanted.id, size: wanted.size, filledWith: wanted.fill) { return "body" }
    if found.exchange.rawValue != wanted.exchange.plain { return "exchange" }
    if found.routingKey != wanted.key { return "key" }
    if found.isPersistent != wanted.isPersistent { return "persistence" }
    if found.properties?.expiration != wanted.expiration { return "expiration" }
    if Int(found.properties?.priority ?? 0) != wanted.priority { return "priority" }
    return found.properties?.headers["h"] == wanted.headers["h"].map { .int($0) } ? nil : "header"
}

/// The part of a history that the model keeps, of a message in this virtual host.
func modelDeaths(_ history: DeathHistory?, in vhost: String) -> [ModelDeath] {
    (history?.deaths ?? []).map {
        ModelDeath(
            queue: $0.queue.rawValue.placed(in: vhost), reason: $0.reason, count: $0.count,
            exchange: $0.exchange.rawValue.placed(in: vhost),
            keys: $0.routingKeys, originalExpiration: $0.originalExpiration)
    }
}
