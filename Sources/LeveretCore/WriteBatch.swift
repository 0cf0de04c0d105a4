// What crosses from the core to the writer: everything that happened since the last batch, as one
// transaction. The store applies it in this order: definitions, inserts, counters, removals,
// ranges. It decides nothing.

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
    /// A binding between durable things was added.
    case putBinding(Binding)
    /// A binding is gone.
    case deleteBinding(Binding)
}

/// A message copy that needs a row.
public struct InsertRow: Sendable {
    /// `id` and `place`.
    public var number: MessageNumber
    /// The queue that holds the copy.
    public var queue: QueueID
    /// `nil` when the copy was settled before the batch was taken: nothing is written.
    public var message: Message?
    /// The copy goes to the spill file: it need not survive, there is just no room for it in memory.
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
    /// The first of the durable copies that one publish made, or 0 when there is but one: a body that they
    /// share may be stored once, under this number.
    public var sharedBody: MessageNumber

    /// A row of these parts.
    public init(
        number: MessageNumber, queue: QueueID, message: Message?, isSpilled: Bool = false, entered: Instant,
        expires: Instant = .distantFuture, failed: Int32 = 0, acquired: Int32 = 0,
        deaths: DeathHistory? = nil,
        sharedBody: MessageNumber = 0
    ) {
        self.number = number
        self.queue = queue
        self.message = message
        self.isSpilled = isSpilled
        self.entered = entered
        self.expires = expires
        self.failed = failed
        self.acquired = acquired
        self.deaths = deaths
        self.sharedBody = sharedBody
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

/// The removal of every copy in `queue` numbered above `after` and up to `through` (a purge).
public struct RangeRemoval: Hashable, Sendable {
    /// The queue.
    public var queue: QueueID
    /// Numbers above this one.
    public var after: MessageNumber
    /// Numbers up to this one.
    public var through: MessageNumber

    /// A range of one queue.
    public init(queue: QueueID, after: MessageNumber, through: MessageNumber) {
        self.queue = queue
        self.after = after
        self.through = through
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
    /// Copies that are done, in no particular order, often runs of neighbours.
    public var removals: ContiguousArray<MessageNumber> = []
    /// Copies in the spill file that are done.
    public var spillRemovals: ContiguousArray<MessageNumber> = []
    /// Purged stretches of queues, in the database and in the spill file. What one transaction can't finish
    /// in good time comes back to the core and stands in the next batch again.
    public var ranges: [RangeRemoval] = []
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
        /// The first copies of the queue above `after`, in order, whole.
        case window(after: MessageNumber)
        /// The copies above `after` that expire at `by` or before, in order of their numbers, whole.
        case expired(after: MessageNumber, by: Instant)
        /// These copies, whole, in order of their numbers; those that are gone are left out.
        case numbers([MessageNumber])
    }

    /// The queue.
    public var queue: QueueID
    /// What to read.
    public var kind: Kind
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
        queue: QueueID, kind: Kind, countMax: Int, bytesMax: Int, epoch: UInt64, barrier: BatchNumber
    ) {
        self.queue = queue
        self.kind = kind
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

    /// A row of these parts.
    public init(
        number: MessageNumber, message: Message, isSpilled: Bool, entered: Instant, expires: Instant,
        failed: Int32, acquired: Int32, deaths: DeathHistory?, hasHeldRow: Bool
    ) {
        self.number = number
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
    /// What was found, numbers ascending.
    public var rows: [LoadedRow]
    /// For `.expired`: when the next copy above the last row's number or any later one expires, counting
    /// only what these rows leave; `.distantFuture` if none does.
    public var nextExpiry: Instant

    /// An answer of these parts.
    public init(request: LoadRequest, rows: [LoadedRow], nextExpiry: Instant = .distantFuture) {
        self.request = request
        self.rows = rows
        self.nextExpiry = nextExpiry
    }
}

/// A queue as the store found it at start.
public struct RecoveredQueue: Sendable {
    /// Its row's id.
    public var id: QueueID
    /// As it was declared.
    public var definition: QueueDefinition
    /// Its messages; all are ready.
    public var count: Int
    /// Their body bytes.
    public var bytes: Int
    /// When the first of them expires; `.distantFuture` if none does.
    public var nextExpiry: Instant
    /// When the one at its head came in.
    public var oldest: Instant?

    /// A queue of these parts.
    public init(
        id: QueueID, definition: QueueDefinition, count: Int, bytes: Int, nextExpiry: Instant,
        oldest: Instant?
    ) {
        self.id = id
        self.definition = definition
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
    /// The first number that was never used.
    public var nextNumber: MessageNumber = 1
    /// The first queue id that was never used.
    public var nextQueueID: QueueID = 1

    /// An empty broker.
    public init() {}
}
