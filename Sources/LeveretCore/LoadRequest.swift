// What the core asks the store to read back, and the store's answer: rows of messages, or what is known of ids. Nothing
// here says when: Engine holds a request until its barrier is committed.

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
    /// Stop after the row that takes the sum of their messages' `bulk` past this; at least one row is read.
    public var bytesMax: Int
    /// Handed back, so that the core knows a stale answer.
    public var epoch: UInt64
    /// The batch that must be committed first.
    public var barrier: BatchNumber
    /// The messages themselves are not wanted: rows come bare.
    public var isBare = false

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
    /// Bytes of its body.
    public var bodyBytes: Int
    /// The message was not asked for and is an empty one.
    public var isBare = false
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
        bodyBytes = message.body.count
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
