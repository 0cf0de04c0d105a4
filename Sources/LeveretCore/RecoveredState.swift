// What the store found when it was opened: the core starts from it (`BrokerCore.recover`). Counts and bounds, no
// messages: these are read when their turn comes.

/// A queue as the store found it at start.
public struct RecoveredQueue: Sendable {
    /// Its row's id.
    public var id: QueueID
    /// As it was declared.
    public var definition: QueueDefinition
    /// Its ready messages by priority; one level of priority 0 in a queue without priorities.
    public var levels: [RecoveredLevel]
    /// Its delayed messages.
    public var delayed: Int
    /// When the first of these is due; `.distantFuture` if there is none.
    public var nextDue: Instant
    /// Since when its dispatch is stopped; `nil` while it isn't.
    public var pausedSince: Instant?

    /// A queue of these parts.
    public init(
        id: QueueID, definition: QueueDefinition, levels: [RecoveredLevel] = [], delayed: Int = 0,
        nextDue: Instant = .distantFuture, pausedSince: Instant? = nil
    ) {
        self.id = id
        self.definition = definition
        self.levels = levels
        self.pausedSince = pausedSince
        self.delayed = delayed
        self.nextDue = nextDue
    }

    /// Its ready messages.
    public var count: Int { levels.reduce(0) { $0 + $1.count } }
}

/// The ready messages of one priority in a queue, as the store found them at start.
public struct RecoveredLevel: Sendable, Hashable {
    /// The priority.
    public var priority: UInt8
    /// How many there are.
    public var count: Int
    /// Their body bytes.
    public var bytes: Int
    /// None of them expires before this; `.distantFuture` if none does.
    public var nextExpiry: Instant
    /// When the one with the first place came in.
    public var oldest: Instant?

    /// A level of these parts.
    public init(
        priority: UInt8 = 0, count: Int, bytes: Int, nextExpiry: Instant = .distantFuture,
        oldest: Instant? = nil
    ) {
        self.priority = priority
        self.count = count
        self.bytes = bytes
        self.nextExpiry = nextExpiry
        self.oldest = oldest
    }
}

/// A virtual host as the store found it at start.
public struct RecoveredVirtualHost: Sendable {
    /// Its row's id.
    public var id: VirtualHostID
    /// Its name.
    public var name: VirtualHostName
    /// What it may have at most.
    public var limits: VirtualHostLimits
    /// Durable exchanges, without the predeclared ones.
    public var exchanges: [ExchangeDefinition] = []
    /// Durable queues.
    public var queues: [RecoveredQueue] = []
    /// Bindings between them, and from predeclared exchanges.
    public var bindings: [Binding] = []
    /// Every policy.
    public var policies: [Policy] = []

    /// One in which there is nothing.
    public init(
        id: VirtualHostID, name: VirtualHostName, limits: VirtualHostLimits = VirtualHostLimits()
    ) {
        self.id = id
        self.name = name
        self.limits = limits
    }
}

/// Everything the store found at start. What had been unacked is ready again, counted as failed.
public struct RecoveredState: Sendable {
    /// Every virtual host, `/` among them.
    public var virtualHosts = [RecoveredVirtualHost(id: .default, name: .default)]
    /// Queues that have messages but no definition: a crash came before their last slice was removed.
    public var orphans: [QueueID] = []
    /// Every user.
    public var users: [UserDefinition] = []
    /// Every permission.
    public var permissions: [UserPermission] = []
    /// Every topic permission.
    public var topicPermissions: [TopicPermission] = []
    /// Those that have seen ids which may still count.
    public var dedupScopes: [DedupScope] = []
    /// When the last of these ids ends.
    public var idsEnd: Instant = 0
    /// The first number that was never used.
    public var nextNumber: MessageNumber = 1
    /// The first queue id that was never used.
    public var nextQueueID: QueueID = 1

    /// An empty broker.
    public init() {}
}
