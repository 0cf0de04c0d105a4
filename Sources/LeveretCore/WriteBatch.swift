// What crosses from the core to the writer: everything that happened since the last batch, as one
// transaction. The store applies it in this order: definitions, inserts, counters, places, contents,
// removals, ranges. It decides nothing.

/// A change to the topology that survives a restart. Only durable things get here.
public enum DefinitionChange: Hashable, Sendable {
    /// A virtual host was created, or has other limits.
    case putVirtualHost(VirtualHostID, VirtualHostName, VirtualHostLimits)
    /// A virtual host is gone with everything that was declared in it. The messages of its queues go by ranges of
    /// this and later batches.
    case deleteVirtualHost(VirtualHostID)
    /// An exchange was declared.
    case putExchange(ExchangeDefinition, in: VirtualHostID)
    /// An exchange is gone; its bindings are removed by changes of their own.
    case deleteExchange(ExchangeName, in: VirtualHostID)
    /// A queue was declared.
    case putQueue(QueueID, QueueDefinition, in: VirtualHostID)
    /// A queue is gone. Its messages go by a range of the same batch, in slices if there are many.
    case deleteQueue(QueueID)
    /// A queue's dispatch was stopped at this time, or with `nil` goes on.
    case pauseQueue(QueueID, since: Instant?)
    /// A policy was set.
    case putPolicy(Policy, in: VirtualHostID)
    /// A policy is gone.
    case deletePolicy(String, isOperator: Bool, in: VirtualHostID)
    /// A user was added, or is another now.
    case putUser(UserDefinition)
    /// A user is gone, and all its permissions and topic permissions with it.
    case deleteUser(UserName)
    /// A permission was set.
    case putPermission(UserPermission)
    /// A permission is gone.
    case deletePermission(UserName, in: VirtualHostName)
    /// A topic permission was set.
    case putTopicPermission(TopicPermission)
    /// A topic permission is gone.
    case deleteTopicPermission(UserName, in: VirtualHostName, exchange: ExchangeName)
    /// The ids that a queue or exchange has seen no longer count.
    case forgetIDs(DedupScope)
    /// A binding between durable things was added.
    case putBinding(Binding, in: VirtualHostID)
    /// A binding is gone.
    case deleteBinding(Binding, in: VirtualHostID)
}

/// A message copy that needs a row.
public struct InsertRow: Sendable {
    /// `id`.
    public var number: MessageNumber
    /// Its place in the queue. While it is delayed: 0, or the negative of the place that it goes back to.
    public var place: MessageNumber
    /// The queue that holds the copy.
    public var queue: QueueID
    /// `nil` when the copy was settled before the batch was taken: nothing is written.
    public var message: Message?
    /// The copy goes to the spill file: it need not survive, there is just no room for it in memory.
    public var isSpilled: Bool
    /// Its priority; `nil` in a queue without priorities.
    public var priority: UInt8?
    /// Until when it is delayed; `nil` for a ready one.
    public var due: Instant?
    /// When it came into the queue.
    public var entered: Instant
    /// When it expires; `.distantFuture` is never.
    public var expires: Instant
    /// How often it failed.
    public var failed: Int32
    /// How often it was delivered.
    public var acquired: Int32
    /// Counts edits, from 1.
    public var version: Int32 = 1
    /// Set for a dead letter.
    public var deaths: DeathHistory?
    /// The first of the durable copies that one publish made, or 0 when there is but one: a body that they
    /// share may be stored once, under this number.
    public var sharedBody: MessageNumber
    /// The id that its queue knows it by for as long as it is there; `nil` where that does not matter.
    public var dedupID: String?

    /// A row of these parts; without a `place`, the copy's number is its place.
    public init(
        number: MessageNumber, place: MessageNumber? = nil, queue: QueueID, message: Message?,
        isSpilled: Bool = false, priority: UInt8? = nil, due: Instant? = nil, entered: Instant,
        expires: Instant = .distantFuture, failed: Int32 = 0, acquired: Int32 = 0,
        deaths: DeathHistory? = nil, sharedBody: MessageNumber = 0, dedupID: String? = nil
    ) {
        self.number = number
        self.place = place ?? number
        self.queue = queue
        self.message = message
        self.isSpilled = isSpilled
        self.priority = priority
        self.due = due
        self.entered = entered
        self.expires = expires
        self.failed = failed
        self.acquired = acquired
        self.deaths = deaths
        self.sharedBody = sharedBody
        self.dedupID = dedupID
    }
}

/// The counters of a stored copy as they now are, and who holds it.
public struct CounterUpdate: Hashable, Sendable {
    /// The copy.
    public var number: MessageNumber
    /// How often it failed (column `message.failed`).
    public var failed: Int32
    /// How often it was delivered (column `held.acquired`).
    public var acquired: Int32
    /// Who holds it, `session/consumer`; `nil` when it was handed back.
    public var heldBy: String?
    /// Since when.
    public var heldSince: Instant

    /// Counters of a copy.
    public init(
        number: MessageNumber, failed: Int32, acquired: Int32, heldBy: String?,
        heldSince: Instant
    ) {
        self.number = number
        self.failed = failed
        self.acquired = acquired
        self.heldBy = heldBy
        self.heldSince = heldSince
    }
}

/// Where a stored copy stands, as it now is: it has been delayed, or has come due.
public struct PlaceUpdate: Hashable, Sendable {
    /// The copy.
    public var number: MessageNumber
    /// Its place; while it is delayed as in `InsertRow`.
    public var place: MessageNumber
    /// Until when it is delayed; `nil` for a ready one.
    public var due: Instant?
    /// When it came into the queue, or was due.
    public var entered: Instant
    /// When it expires; `.distantFuture` is never.
    public var expires: Instant
    /// Counts edits, from 1.
    public var version: Int32

    /// A place of a copy.
    public init(
        number: MessageNumber, place: MessageNumber, due: Instant?, entered: Instant, expires: Instant,
        version: Int32 = 1
    ) {
        self.number = number
        self.place = place
        self.due = due
        self.entered = entered
        self.expires = expires
        self.version = version
    }
}

/// What a stored copy is after it was edited.
public struct ContentUpdate: Sendable {
    /// The copy.
    public var number: MessageNumber
    /// The message, whole.
    public var message: Message

    /// New content of a copy.
    public init(number: MessageNumber, message: Message) {
        self.number = number
        self.message = message
    }
}

/// The removal of every copy in `queue` with a place behind `after` and up to `through` (a purge).
public struct RangeRemoval: Hashable, Sendable {
    /// The queue.
    public var queue: QueueID
    /// Places behind this one.
    public var after: MessageNumber
    /// Places up to this one.
    public var through: MessageNumber
    /// Only copies of this priority; `nil` is all.
    public var priority: UInt8?

    /// A range of one queue.
    public init(queue: QueueID, after: MessageNumber, through: MessageNumber, priority: UInt8? = nil) {
        self.queue = queue
        self.after = after
        self.through = through
        self.priority = priority
    }
}

/// One transaction's worth of changes.
public struct WriteBatch: Sendable {
    /// Counts from 1.
    public var number: BatchNumber = 0
    /// Topology, in the order in which it changed.
    public var definitions: [DefinitionChange] = []
    /// New copies, numbers ascending. Some may be cancelled.
    public var inserts: ContiguousArray<InsertRow> = []
    /// Counters of stored copies; of two for one copy the later counts.
    public var counters: [CounterUpdate] = []
    /// Places of stored copies that have changed; one for a copy.
    public var places: [PlaceUpdate] = []
    /// Stored copies that were edited; one for a copy.
    public var contents: [ContentUpdate] = []
    /// Copies that are done, in no particular order, often runs of neighbours.
    public var removals: ContiguousArray<MessageNumber> = []
    /// Copies in the spill file that are done.
    public var spillRemovals: ContiguousArray<MessageNumber> = []
    /// Purged stretches of queues, in the database and in the spill file. What one transaction can't finish
    /// in good time comes back to the core and stands in the next batch again.
    public var ranges: [RangeRemoval] = []
    /// Ids to remember for a while, in the place of what was known of them.
    public var ids: [StoredID] = []
    /// Ids that ended by then may be removed, a slice of them at a time.
    public var idsEndedBy: Instant?
    /// Numbers up to this one may be in use before the next batch: a restart counts on from behind it.
    public var reserveThrough: MessageNumber?

    /// An empty batch.
    public init() {}
}
