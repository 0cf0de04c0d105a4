// The batch that gathers while the writer commits the one before, and who waits for either.

/// Who hears that a copy is safe.
enum Confirm {
    /// Nobody.
    case none
    /// A publish with this one durable copy.
    case one(Session, Ticket, routed: Int32)
    /// A publish with several.
    case shared(SharedConfirm)
}

/// A publish that is safe once each of its durable copies is.
final class SharedConfirm {
    let session: Session
    let ticket: Ticket
    let routed: Int
    var remaining: Int

    init(session: Session, ticket: Ticket, routed: Int, remaining: Int) {
        self.session = session
        self.ticket = ticket
        self.routed = routed
        self.remaining = remaining
    }
}

/// An answer that waits for a commit.
struct WaitingAnswer {
    var session: Session
    var ticket: Ticket
    var answer: Answer
}

/// What is to be written of stored copies, of each only the latest, in the order in which they came first.
struct LatestUpdates<Update> {
    private var updates: [Update?] = []
    private var index: [MessageNumber: Int] = [:]

    var isEmpty: Bool { index.isEmpty }

    /// Those that are left.
    var all: [Update] { index.isEmpty ? [] : updates.compactMap { $0 } }

    /// What is to be written of one of them.
    subscript(number: MessageNumber) -> Update? { index[number].flatMap { updates[$0] } }

    mutating func set(_ update: Update, of number: MessageNumber) {
        if let place = index[number] {
            updates[place] = update
        } else {
            index[number] = updates.count
            updates.append(update)
        }
    }

    mutating func drop(_ number: MessageNumber) {
        guard !index.isEmpty, let place = index.removeValue(forKey: number) else { return }
        updates[place] = nil
    }
}

/// A batch and those who wait for it.
struct Gathering {
    var batch = WriteBatch()
    /// Beside `batch.inserts`, row by row.
    var confirms: ContiguousArray<Confirm> = []
    /// Of unwritten copies that are gone, whose publishers hear so once this is committed.
    var confirmsOfGone: [Confirm] = []
    /// Given once the batch is committed.
    var answers: [WaitingAnswer] = []
    /// Deliveries of these sessions wait until the batch is committed.
    var marked: [Session] = []
    /// Given once the batch is committed and all its ranges are worked off.
    var rangeAnswers: [WaitingAnswer] = []
    /// The counters of copies as they now are.
    var counters = LatestUpdates<CounterUpdate>()
    /// Their places.
    var places = LatestUpdates<PlaceUpdate>()
    /// What they are.
    var contents = LatestUpdates<ContentUpdate>()
    /// Inserts that were not cancelled.
    var liveInserts = 0
    /// Body bytes of these.
    var bytes = 0
    /// Changes that must survive a crash; grows only.
    var durableChanges = 0
    /// It changes the topology.
    var hasDefinitions = false
    /// Bodies of rejected messages that are being read because all of their transaction must stand in this batch.
    var bodiesAwaited = 0
    /// Slices of long work in it.
    var slices = 0
    /// Messages change their queues in it, each as a row that is added and one that is removed: while that is not
    /// committed, a crash brings them back where they were.
    var hasMoves = false
    /// It has ids that count for a while.
    var hasIDs = false
    /// A read waits for it, so it must be committed even if everything in it was taken back.
    var isAwaited = false
    /// How soon it should be committed.
    var wish = CommitWish.none

    /// An empty batch, with room for as many rows as the one before had.
    init(number: BatchNumber, rows: Int = 0) {
        batch.number = number
        batch.inserts.reserveCapacity(rows)
        confirms.reserveCapacity(rows)
    }

    /// True where a commit would change the files.
    var hasChanges: Bool {
        liveInserts > 0 || !batch.definitions.isEmpty || !counters.isEmpty || !places.isEmpty
            || !contents.isEmpty || !batch.removals.isEmpty || !batch.spillRemovals.isEmpty
            || !batch.ranges.isEmpty || !batch.ids.isEmpty || batch.reserveThrough != nil
    }

    /// It removes stretches of queues.
    var hasRanges: Bool { !batch.ranges.isEmpty }

    /// Notes that somebody waits, or that there is something to do when there is time.
    mutating func wants(_ wish: CommitWish) {
        if self.wish < wish { self.wish = wish }
    }

    /// Adds a row and returns its index.
    mutating func insert(_ row: InsertRow, confirm: Confirm) -> Int32 {
        batch.inserts.append(row)
        confirms.append(confirm)
        liveInserts += 1
        bytes += row.message?.footprint ?? 0
        if !row.isSpilled {
            durableChanges += 1
            wants(.now)
        } else {
            wants(.lazy)
        }
        return Int32(batch.inserts.count - 1)
    }

    /// Takes a row back: it was settled before it was written.
    mutating func cancelInsert(_ row: Int) {
        guard let message = batch.inserts[row].message else { return }
        bytes -= message.footprint
        liveInserts -= 1
        batch.inserts[row].message = nil
        counters.drop(batch.inserts[row].number)
    }

    /// Sets the counters of a copy as they now are.
    mutating func setCounters(_ update: CounterUpdate) {
        counters.set(update, of: update.number)
        wants(.lazy)
    }

    /// Sets the place of a copy as it now is.
    mutating func setPlace(_ update: PlaceUpdate) {
        places.set(update, of: update.number)
        if update.due != nil { durableChanges += 1 }
        wants(.lazy)
    }

    /// Sets what a copy is.
    mutating func setContent(_ update: ContentUpdate) {
        contents.set(update, of: update.number)
        durableChanges += 1
        wants(.lazy)
    }

    /// Changes what a row is that has not been written yet.
    mutating func replaceContent(ofRow row: Int, with message: Message) {
        guard let old = batch.inserts[row].message else { return }
        bytes += message.footprint - old.footprint
        if old.body != message.body { batch.inserts[row].sharedBody = 0 }
        batch.inserts[row].message = message
        durableChanges += 1
    }

    /// Removes a stored copy.
    mutating func remove(_ number: MessageNumber, spilled: Bool) {
        places.drop(number)
        contents.drop(number)
        if spilled {
            batch.spillRemovals.append(number)
        } else {
            batch.removals.append(number)
            durableChanges += 1
        }
        wants(.lazy)
    }

    /// Remembers an id.
    mutating func remember(_ id: StoredID) {
        batch.ids.append(id)
        hasIDs = true
        wants(.lazy)
    }

    /// Changes the topology.
    mutating func define(_ change: DefinitionChange) {
        batch.definitions.append(change)
        hasDefinitions = true
        durableChanges += 1
        wants(.lazy)
    }

    /// Removes a stretch of a queue.
    mutating func remove(_ range: RangeRemoval) {
        batch.ranges.append(range)
        durableChanges += 1
        wants(.lazy)
    }
}
