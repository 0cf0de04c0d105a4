// The delayed messages of a queue in order of their due times: those due soon in memory, the rest only stored and
// counted, so that a million of them cost nothing. The twin of Window; BrokerCore decides what comes and goes.

import HeapModule

/// The order of delayed messages: by due time, then by number.
public struct DueKey: Hashable, Comparable, Sendable {
    /// When it is due.
    public var due: Instant
    /// The message.
    public var number: MessageNumber

    /// The key of a message.
    public init(_ due: Instant, _ number: MessageNumber) {
        self.due = due
        self.number = number
    }

    /// Orders keys by due time.
    public static func < (a: Self, b: Self) -> Bool { (a.due, a.number) < (b.due, b.number) }
}

/// A delayed message in memory.
struct Delayed: Comparable {
    var due: Instant
    var entry: Entry

    var key: DueKey { DueKey(due, entry.number) }

    static func < (a: Self, b: Self) -> Bool { a.key < b.key }
    static func == (a: Self, b: Self) -> Bool { a.key == b.key }
}

/// The delayed messages of a queue.
///
/// Every one with a key up to `cursor` is in `soon`; the others are only stored and counted.
struct DelayedMessages {
    /// Those in memory.
    private(set) var soon: Heap<Delayed> = []
    /// The last key that memory is complete up to.
    private(set) var cursor = DueKey(.distantPast, 0)
    /// Messages behind `cursor`.
    private(set) var storedCount = 0
    /// None of them is due before this.
    private(set) var storedNextDue = Instant.distantFuture
    /// The batch that must be committed before the store is read: the last that changed what is behind `cursor`.
    private(set) var barrier: BatchNumber = 0
    /// The first key that was stored since the store was asked: its answer counts only before that.
    private var storedSinceAsked: DueKey?
    /// The store has been asked.
    private(set) var isLoading = false
    /// Raised when an answer that is under way must not count.
    private(set) var epoch: UInt64 = 1

    var count: Int { soon.count + storedCount }
    /// `soon` as an array, in no order.
    var inMemory: [Delayed] { soon.unordered }

    /// True where a message with this key must be in memory.
    func isComplete(upTo key: DueKey) -> Bool { key <= cursor }

    /// True where nothing is stored that is due before `key`.
    func isNext(_ key: DueKey) -> Bool { storedCount == 0 || key.due < storedNextDue }

    /// Adds a message to those in memory.
    mutating func insert(_ delayed: Delayed) {
        if cursor < delayed.key { cursor = delayed.key }
        soon.insert(delayed)
    }

    /// Takes the message that is due first.
    mutating func popFirst() -> Delayed? { soon.popMin() }

    /// Takes the last message out of memory; it is stored.
    mutating func popLastToStore(in batch: BatchNumber) -> Delayed? {
        guard let last = soon.popMax() else { return nil }
        store(last.key, in: batch)
        cursor = DueKey(last.due, MessageNumber(last.entry.number.rawValue - 1))
        return last
    }

    /// Counts a message that is only stored, once this batch is committed.
    mutating func store(_ key: DueKey, in batch: BatchNumber) {
        barrier = batch
        storedCount += 1
        if key.due < storedNextDue { storedNextDue = key.due }
        if isLoading { storedSinceAsked = min(storedSinceAsked ?? key, key) }
    }

    /// Takes a message out of memory. O(memory).
    mutating func remove(_ number: MessageNumber) -> Delayed? {
        guard let found = soon.unordered.first(where: { $0.entry.number == number }) else { return nil }
        soon = Heap(soon.unordered.lazy.filter { $0.entry.number != number })
        return found
    }

    /// A stored message is gone, or elsewhere, once this batch is committed.
    mutating func forgetStored(in batch: BatchNumber) {
        barrier = batch
        storedCount = max(0, storedCount - 1)
        if storedCount == 0 { storedNextDue = .distantFuture }
        dropAnswerUnderWay()
    }

    /// Lets go of everything.
    mutating func removeAll() -> [Delayed] {
        let all = soon.unordered
        soon = []
        storedCount = 0
        storedNextDue = .distantFuture
        dropAnswerUnderWay()
        return all
    }

    /// The store found these at start.
    mutating func recover(count: Int, nextDue: Instant) {
        storedCount = count
        storedNextDue = nextDue
    }

    // MARK: - Reading

    /// The store is being asked for what is behind `cursor`.
    mutating func asked() {
        isLoading = true
        storedSinceAsked = nil
    }

    /// The store has answered. Takes in what counts of it and returns that.
    mutating func loaded(_ rows: [LoadedRow], nextDue: Instant) -> [Delayed] {
        isLoading = false
        var taken: [Delayed] = []
        var next = nextDue
        for row in rows {
            guard let due = row.due, storedCount > 0 else { continue }
            let delayed = Delayed(due: due, entry: Entry(row))
            guard cursor < delayed.key else { continue }
            if let bound = storedSinceAsked, bound <= delayed.key {
                next = min(next, due)
                break
            }
            storedCount -= 1
            insert(delayed)
            taken.append(delayed)
        }
        if let bound = storedSinceAsked { next = min(next, bound.due) }
        storedNextDue = storedCount == 0 ? .distantFuture : next
        return taken
    }

    /// The store has found nothing of what is counted: it may not have seen the last batches, and else there is
    /// nothing.
    mutating func foundNothing(before batch: BatchNumber, now: Instant) {
        if barrier < batch {
            barrier = batch
            storedNextDue = now
        } else {
            storedCount = 0
            storedNextDue = .distantFuture
        }
    }

    /// An answer of the store that is under way does not count.
    mutating func dropAnswerUnderWay() {
        epoch += 1
        isLoading = false
    }
}
