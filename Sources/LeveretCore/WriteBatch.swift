// What crosses from the core to the writer: everything that happened since the last batch, as one
// transaction. The store applies it in this order: definitions, inserts, counters, places, contents,
// removals, ranges. It decides nothing.

/// A change to the topology that survives a restart. Only durable things get here.
public enum DefinitionChange: Hashable, Sendable {
    /// An exchange was declared.
    case putExchange(ExchangeDefinition)
    /// An exchange is gone; its bindings are removed by changes of their own.
    case deleteExchange(ExchangeName)
    /// A queue was declared.
    case putQueue(QueueID, QueueDefinition)
    /// A queue is gone. Its messages go by a range of the same batch, in slices if there are many.
    case deleteQueue(QueueID)
    /// A queue's dispatch was stopped at this time, or with `nil` goes on.
    case pauseQueue(QueueID, since: Instant?)
    /// A policy was set.
    case putPolicy(Policy)
    /// A policy is gone.
    case deletePolicy(String, isOperator: Bool)
    /// The ids that a queue or exchange has seen no longer count.
    case forgetIDs(DedupScope)
    /// A binding between durable things was added.
    case putBinding(Binding)
    /// A binding is gone.
    case deleteBinding(Binding)
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
    /// Its queue.
    public var queue: QueueID
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
        number: MessageNumber, queue: QueueID, failed: Int32, acquired: Int32, heldBy: String?,
        heldSince: Instant
    ) {
        self.number = number
        self.queue = queue
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

/// What the core wants to have read. The answer leaves out nothing but what batches up to `barrier`
/// removed, so it is read once `barrier` is committed.
public struct LoadRequest: Hashable, Sendable {
    /// What to read.
    public enum Kind: Hashable, Sendable {
        /// The first copies behind the place `after`, in order of their places, whole.
        case window(after: MessageNumber)
        /// Copies behind the place `after` that expire at `by` or before, whole; any of them, if not all fit.
        case expired(after: MessageNumber, by: Instant)
        /// The delayed copies behind `after` that are due at `by` or before and numbered `from` or above, in order
        /// of their due times, whole.
        case due(after: DueKey, by: Instant, from: MessageNumber)
        /// These copies, whole, in order of their numbers; those that are gone are left out.
        case numbers([MessageNumber])
        /// What is known of these ids.
        case ids([DedupKey])
    }

    /// The queue.
    public var queue: QueueID
    /// What to read.
    public var kind: Kind
    /// Only copies of this priority, save by `numbers`; `nil` in a queue without priorities.
    public var priority: UInt8?
    /// At most so many rows.
    public var countMax: Int
    /// Stop after the row that takes the sum of bodies past this; at least one row is read.
    public var bytesMax: Int
    /// Handed back, so that the core knows a stale answer.
    public var epoch: UInt64
    /// The batch that must be committed first.
    public var barrier: BatchNumber

    /// A request of these parts.
    public init(
        queue: QueueID, kind: Kind, priority: UInt8? = nil, countMax: Int, bytesMax: Int, epoch: UInt64,
        barrier: BatchNumber
    ) {
        self.queue = queue
        self.kind = kind
        self.priority = priority
        self.countMax = countMax
        self.bytesMax = bytesMax
        self.epoch = epoch
        self.barrier = barrier
    }
}

/// A stored copy as it was read.
public struct LoadedRow: Sendable {
    /// `id`.
    public var number: MessageNumber
    /// Its place in the queue.
    public var place: MessageNumber
    /// Its priority; `nil` in a queue without priorities.
    public var priority: UInt8?
    /// Until when it is delayed; `nil` for a ready one.
    public var due: Instant?
    /// Counts edits, from 1.
    public var version: Int32
    /// The message, whole.
    public var message: Message
    /// It stands in the spill file.
    public var isSpilled: Bool
    /// When it came into the queue.
    public var entered: Instant
    /// When it expires; `.distantFuture` is never.
    public var expires: Instant
    /// How often it failed.
    public var failed: Int32
    /// How often it was delivered.
    public var acquired: Int32
    /// Set for a dead letter.
    public var deaths: DeathHistory?
    /// It has a row in `held`, which goes when the message goes.
    public var hasHeldRow: Bool
    /// Why the row doesn't decode; what doesn't is kept as it is in headers `x-unreadable-…`. `nil` for a whole one.
    public var damage: String?

    /// A row of these parts; without a `place`, the copy's number is its place.
    public init(
        number: MessageNumber, place: MessageNumber? = nil, priority: UInt8? = nil, due: Instant? = nil,
        version: Int32 = 1, message: Message, isSpilled: Bool, entered: Instant, expires: Instant,
        failed: Int32,
        acquired: Int32, deaths: DeathHistory?, hasHeldRow: Bool
    ) {
        self.number = number
        self.place = place ?? number
        self.priority = priority
        self.due = due
        self.version = version
        self.message = message
        self.isSpilled = isSpilled
        self.entered = entered
        self.expires = expires
        self.failed = failed
        self.acquired = acquired
        self.deaths = deaths
        self.hasHeldRow = hasHeldRow
    }
}

/// The answer to a load request.
public struct LoadResult: Sendable {
    /// What was asked.
    public var request: LoadRequest
    /// What was found, in the order asked for.
    public var rows: [LoadedRow]
    /// For `.expired`: when the next copy expires, counting only what these rows leave, or a time before that;
    /// `.distantFuture` if none does.
    public var nextExpiry: Instant
    /// For `.ids`: those that were found.
    public var ids: [StoredID] = []
    /// For `.due`: when the next copy is due that these rows leave out; `.distantFuture` if there is none.
    public var nextDue: Instant

    /// An answer of these parts.
    public init(
        request: LoadRequest, rows: [LoadedRow], nextExpiry: Instant = .distantFuture,
        nextDue: Instant = .distantFuture
    ) {
        self.request = request
        self.rows = rows
        self.nextExpiry = nextExpiry
        self.nextDue = nextDue
    }
}

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

    /// None of its ready messages expires before this.
    public var nextExpiry: Instant { levels.map(\.nextExpiry).min() ?? .distantFuture }
    /// Its ready messages.
    public var count: Int { levels.reduce(0) { $0 + $1.count } }
    /// Their body bytes.
    public var bytes: Int { levels.reduce(0) { $0 + $1.bytes } }
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

/// Everything the store found at start. What had been unacked is ready again, counted as failed.
public struct RecoveredState: Sendable {
    /// Durable exchanges, without the predeclared ones.
    public var exchanges: [ExchangeDefinition] = []
    /// Durable queues.
    public var queues: [RecoveredQueue] = []
    /// Bindings between them, and from predeclared exchanges.
    public var bindings: [Binding] = []
    /// Queues that have messages but no definition: a crash came before their last slice was removed.
    public var orphans: [QueueID] = []
    /// Every policy.
    public var policies: [Policy] = []
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
