// A message's copy in one queue, as the core keeps it while it is in memory.

/// Where a copy is stored, or will be.
enum Storage: UInt8, Sendable {
    /// Only in memory.
    case memory
    /// In the database: it survives.
    case database
    /// In the spill file: it was only too much for memory.
    case spill
}

/// One copy of a message in one queue.
struct Entry: Sendable {
    /// Its number, its position at the doors.
    var number: MessageNumber
    /// Its place in the queue: its number, unless it was delayed when it was published: then 0, and the next
    /// number when it is due.
    var place: MessageNumber
    /// `nil` once dropped to save memory: it is stored and can be read again.
    var message: Message?
    /// When it came into the queue.
    var entered: Instant
    /// When it expires; `.distantFuture` is never.
    var expires: Instant
    /// The batch its row stands in; 0 for one that was read from the store.
    var batch: BatchNumber = 0
    /// The row's index in that batch.
    var row: Int32 = 0
    /// How often it failed.
    var failed: Int32
    /// How often it was delivered.
    var acquired: Int32
    /// Bytes of its body.
    var bytes: Int32
    /// Where it is stored.
    var storage: Storage
    /// Its priority there; 0 in a queue without priorities.
    var priority: UInt8
    /// Whole KiB of its properties and headers; 0 while they were never read.
    var headerKiB: UInt16
    /// Counts edits, from 1.
    var version: Int32
    /// Set for a dead letter.
    var deaths: DeathHistory?

    /// What it weighs against the memory budget.
    var footprint: Int { message?.footprint ?? 0 }
    /// What `Message.bulk` says of it, also when the message has been dropped.
    var bulk: Int { Int(bytes) + headerBytes }
    /// Of this, what is no body.
    var headerBytes: Int { Int(headerKiB) << 10 }

    /// Gives it its message, or another.
    mutating func fill(_ message: Message) {
        self.message = message
        bytes = Int32(clamping: message.body.count)
        headerKiB = message.headerKiB
    }

    /// A copy that was read from the store.
    init(_ row: LoadedRow) {
        number = row.number
        // Until it is tried again, a row stands at the negative of its place.
        place = MessageNumber(abs(row.place.rawValue))
        message = row.isBare ? nil : row.message
        entered = row.entered
        expires = row.expires
        failed = row.failed
        acquired = row.acquired
        bytes = Int32(clamping: row.bodyBytes)
        headerKiB = row.message.headerKiB
        storage = row.isSpilled ? .spill : .database
        priority = row.priority ?? 0
        version = row.version
        deaths = row.deaths
    }

    /// A copy that has just come in.
    init(
        number: MessageNumber, message: Message, priority: UInt8 = 0, entered: Instant, expires: Instant,
        storage: Storage, deaths: DeathHistory?
    ) {
        self.number = number
        place = number
        self.message = message
        self.entered = entered
        self.expires = expires
        failed = 0
        acquired = 0
        bytes = Int32(clamping: message.body.count)
        headerKiB = message.headerKiB
        self.storage = storage
        self.priority = priority
        version = 1
        self.deaths = deaths
    }
}

/// A copy that a consumer or a GET holds.
struct Held {
    /// The copy.
    var entry: Entry
    /// The queue it goes back to.
    var queue: MessageQueue
    /// Who holds it; `nil` for a GET.
    var consumer: Consumer?
    /// Since when.
    var since: Instant
}
