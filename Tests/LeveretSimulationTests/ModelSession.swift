// A session of the model, its consumers and what it holds.

import LeveretCore

/// Takes messages from a queue.
final class ModelConsumer {
    let tag: String
    /// Owned by the model, as the queue is.
    unowned let session: ModelSession
    unowned let queue: ModelQueue
    let prefetch: Int
    let autoAck: Bool
    let isExclusive: Bool
    let priority: Int32
    let countsFirst: Bool
    private let ownTimeout: Int64?
    var timeout: Int64? { ownTimeout ?? queue.consumerTimeout }

    init(
        tag: String, session: ModelSession, queue: ModelQueue, prefetch: Int, autoAck: Bool,
        isExclusive: Bool, priority: Int32, timeout: Int64?, countsFirst: Bool
    ) {
        self.tag = tag
        self.session = session
        self.queue = queue
        self.prefetch = prefetch
        self.autoAck = autoAck
        self.isExclusive = isExclusive
        self.priority = priority
        self.countsFirst = countsFirst
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
    /// It is written down before it is handed over.
    let isCountedFirst: Bool
    /// When it goes back, if it was touched.
    var touchedEnd: Int64?

    /// When it goes back if it is not settled.
    var leaseEnd: Int64 { touchedEnd ?? lease.map { since + $0 } ?? .max }

    /// How long it may be held.
    var lease: Int64? { consumer.map(\.timeout) ?? copy.queue.consumerTimeout }
}

/// What a session's next transaction settles.
struct ModelClaim {
    let settling: Settling
    let tags: [UInt64]
}

/// A session.
final class ModelSession {
    let id: SessionID
    let connection: Int
    /// Where names mean something to it.
    var vhost = "/"
    /// That was deleted.
    var isHomeless = false
    var prefetch = 0
    var consumers: [ModelConsumer] = []
    var held: [ModelHeld] = []
    var handing: [Copy] = []
    var tagsGiven: UInt64 = 0
    var claims: [ModelClaim] = []
    /// What of that it holds may be settled.
    var free: [ModelHeld] { held.filter { held in !claims.contains { $0.tags.contains(held.tag) } } }
    /// The most that it held in this step.
    var heldMost = 0
    /// Bytes of deliveries since the last drain, as the core counts them.
    var undrainedBytes = 0

    init(id: SessionID, connection: Int) {
        self.id = id
        self.connection = connection
    }
}
