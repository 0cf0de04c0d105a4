// One queue: its ready messages in order, and aggregates of what is only stored. Data with the bookkeeping
// of its own counts; BrokerCore decides what comes and goes.

import DequeModule
import HeapModule

/// A GET that waits for a message, or for the store to be read.
struct WaitingGet {
    var session: Session
    var ticket: Ticket
    var autoAck: Bool
    /// When it is answered with nothing; `nil` when it only waits for the store.
    var deadline: Instant?
}

/// When a ready message expires.
struct Expiry: Comparable {
    var at: Instant
    var number: MessageNumber

    static func < (a: Self, b: Self) -> Bool { (a.at, a.number) < (b.at, b.number) }
}

/// One queue.
///
/// Every ready message numbered up to `cursor` is in `ready`; those behind it are only stored and counted
/// in `stored…`. So memory holds the head, whatever the depth.
final class MessageQueue {
    let id: QueueID
    let slot: QueueSlot
    let definition: QueueDefinition
    let settings: QueueSettings
    /// The connection that owns an exclusive queue.
    weak var owner: Connection?
    var isDeleted = false
    /// Messages of it may stand in the spill file.
    var hasSpilled = false

    /// The head: ready messages in order of their numbers.
    @exclusivity(unchecked) private(set) var ready: Deque<Entry> = []
    /// Body bytes of `ready`.
    @exclusivity(unchecked) private(set) var windowBytes = 0
    /// The last number that memory is complete up to.
    @exclusivity(unchecked) var cursor: MessageNumber = 0
    /// The highest number that was ever taken out of the window: nothing below it may go back to the store.
    @exclusivity(unchecked) var highestTaken: MessageNumber = 0
    /// Ready messages behind `cursor`, only stored.
    @exclusivity(unchecked) var storedCount = 0
    var storedBytes = 0
    /// No stored message expires before this.
    var storedNextExpiry = Instant.distantFuture
    /// The same for messages stored since the store was asked for expired ones.
    var storedExpirySinceAsked = Instant.distantFuture
    /// Raised when an answer of the store that is under way must not count.
    var epoch: UInt64 = 1
    /// The batch that must be committed before the store is read.
    var barrier: BatchNumber = 0
    var isLoading = false
    var isLoadingExpired = false
    /// Entries at the head without bodies are being read.
    var isFetching = false
    /// Moves out of the queue that wait for it to be read.
    var waitingMoves: [MoveInProgress] = []

    @exclusivity(unchecked) var unackedCount = 0
    @exclusivity(unchecked) var unackedBytes = 0
    /// Rejected messages whose bodies are being read on their way to the dead-letter exchange.
    var inTransit = 0

    @exclusivity(unchecked) var consumers: [Consumer] = []
    var nextConsumer = 0
    @exclusivity(unchecked) var gets: Deque<WaitingGet> = []
    let getSource: DeliverySource
    let autoAckGetSource: DeliverySource

    /// When ready messages in memory expire; entries of messages that went are skipped.
    var expiries: Heap<Expiry> = []
    /// When the queue's timer fires.
    var armed = Instant.distantFuture
    /// When it was last used, for `x-expires`.
    var lastUsed: Instant

    @exclusivity(unchecked) var published = 0
    @exclusivity(unchecked) var delivered = 0
    @exclusivity(unchecked) var acked = 0
    var deaths: [DeathReason: Int] = [:]
    @exclusivity(unchecked) var publishRate = RateMeter()
    @exclusivity(unchecked) var deliverRate = RateMeter()
    var oldestStored: Instant?

    init(id: QueueID, slot: QueueSlot, definition: QueueDefinition, settings: QueueSettings, now: Instant) {
        self.id = id
        self.slot = slot
        self.definition = definition
        self.settings = settings
        lastUsed = now
        getSource = DeliverySource(queue: definition.name, consumer: nil, autoAck: false)
        autoAckGetSource = DeliverySource(queue: definition.name, consumer: nil, autoAck: true)
    }

    var name: QueueName { definition.name }
    /// True where the queue, and what is persistent in it, is there after a restart.
    var survives: Bool { definition.isDurable && !definition.isExclusive }
    var readyCount: Int { ready.count + storedCount }
    var readyBytes: Int { windowBytes + storedBytes }

    /// Adds the newest message at the tail of the window.
    func append(_ entry: consuming Entry) {
        cursor = entry.number
        windowBytes += Int(entry.bytes)
        noteExpiry(of: entry)
        ready.append(entry)
    }

    /// Takes the message at the head.
    func popFirst() -> Entry? {
        guard let entry = ready.popFirst() else { return nil }
        windowBytes -= Int(entry.bytes)
        if highestTaken < entry.number { highestTaken = entry.number }
        return entry
    }

    /// Takes the last message of the window back out; it is stored.
    func popLastToStore() -> Entry? {
        guard let entry = ready.popLast() else { return nil }
        windowBytes -= Int(entry.bytes)
        storedCount += 1
        storedBytes += Int(entry.bytes)
        if entry.expires < storedNextExpiry { storedNextExpiry = entry.expires }
        if entry.expires < storedExpirySinceAsked { storedExpirySinceAsked = entry.expires }
        cursor = MessageNumber(entry.number.rawValue - 1)
        return entry
    }

    /// Puts a message back at its place. O(distance to the nearer end).
    func putBack(_ entry: Entry) {
        windowBytes += Int(entry.bytes)
        noteExpiry(of: entry)
        if let first = ready.first, entry.number < first.number {
            ready.prepend(entry)
        } else {
            ready.insert(entry, at: firstIndex(notBelow: entry.number))
        }
    }

    /// Takes one message out of the window, wherever it stands.
    func remove(_ number: MessageNumber) -> Entry? {
        let index = firstIndex(notBelow: number)
        guard index < ready.count, ready[index].number == number else { return nil }
        let entry = index == 0 ? ready.removeFirst() : ready.remove(at: index)
        windowBytes -= Int(entry.bytes)
        if highestTaken < entry.number { highestTaken = entry.number }
        return entry
    }

    /// The entry of this number in the window.
    func entry(_ number: MessageNumber) -> Entry? {
        let index = firstIndex(notBelow: number)
        guard index < ready.count, ready[index].number == number else { return nil }
        return ready[index]
    }

    /// Gives an entry without a body its message again.
    func fill(_ number: MessageNumber, with message: Message) -> Bool {
        let index = firstIndex(notBelow: number)
        guard index < ready.count, ready[index].number == number, ready[index].message == nil else {
            return false
        }
        ready[index].message = message
        return true
    }

    /// True for an entry of the window whose body is not in memory.
    func isBodyless(_ number: MessageNumber) -> Bool {
        let index = firstIndex(notBelow: number)
        return index < ready.count && ready[index].number == number && ready[index].message == nil
    }

    /// Lets go of the whole window.
    func removeAll() -> Deque<Entry> {
        defer {
            ready = []
            windowBytes = 0
            expiries = []
        }
        return ready
    }

    /// The index of the first entry numbered `number` or above. O(log window).
    func firstIndex(notBelow number: MessageNumber) -> Int {
        var low = 0
        var high = ready.count
        while low < high {
            let middle = (low + high) / 2
            if ready[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Remembers when a message in the window expires.
    private func noteExpiry(of entry: borrowing Entry) {
        guard entry.expires != .distantFuture else { return }
        if expiries.count > 2 * ready.count + 1024 {
            let current = ready.lazy.filter { $0.expires != .distantFuture }
            expiries = Heap(current.map { Expiry(at: $0.expires, number: $0.number) })
        }
        expiries.insert(Expiry(at: entry.expires, number: entry.number))
    }
}

/// Events per second, over the last second or two.
struct RateMeter {
    private var started = Instant(milliseconds: 0)
    private var count = 0
    private var previous = 0.0

    /// Counts events that happen now.
    mutating func mark(_ events: Int, now: Instant) {
        let age = now.milliseconds - started.milliseconds
        if age >= 1000 {
            previous = age < 5000 ? Double(count) * 1000 / Double(age) : 0
            started = now
            count = 0
        }
        count += events
    }

    /// Events per second as of now.
    func rate(now: Instant) -> Double {
        let age = now.milliseconds - started.milliseconds
        if age >= 5000 { return 0 }
        return age >= 1000 ? Double(count) * 1000 / Double(age) : previous
    }
}
