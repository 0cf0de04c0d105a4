// One queue: its ready messages by priority and place, its consumers and counters. Data with the bookkeeping of
// its own counts; BrokerCore decides what comes and goes.

import DequeModule
import HeapModule

/// When a ready message in memory expires.
struct Expiry: Comparable {
    var at: Instant
    var place: MessageNumber
    var priority: UInt8

    static func < (a: Self, b: Self) -> Bool { (a.at, a.place) < (b.at, b.place) }
}

/// One queue.
///
/// Its ready messages stand in windows, one for each priority; in a queue without priorities, in `base`.
final class MessageQueue {
    let id: QueueID
    let slot: QueueSlot
    /// Where it has its name, and where its dead letters go.
    let host: VirtualHost
    let definition: QueueDefinition
    /// What counts: the arguments, and what policies add and limit.
    var settings: QueueSettings
    /// The arguments that count.
    var arguments: FieldTable
    /// What the broker found at its start stands below this, where a crash must count: it may be what ended the
    /// broker before, so each delivery of it is written down before it is made. Else 0.
    @exclusivity(unchecked) var marksBelow: MessageNumber = 0
    /// The policies that count for it.
    var policy: Policy?
    var operatorPolicy: Policy?
    /// The connection that owns an exclusive queue.
    weak var owner: Connection?
    var isDeleted = false
    /// Messages of it may stand in the spill file.
    var hasSpilled = false

    /// The ready messages of priority 0: all of them, in a queue without priorities.
    @exclusivity(unchecked) private var base = Window()
    /// Those of higher priorities.
    @exclusivity(unchecked) private var above = PriorityLevels()
    /// Those that wait for their time; in no window.
    @exclusivity(unchecked) var delayed = DelayedMessages()
    /// A crowd of them is due and comes in slice by slice.
    var isTakingDue = false
    /// Raised when an answer of the store that is under way must not count.
    var epoch: UInt64 = 1
    /// Counts what was removed behind the windows: what was read before may be gone.
    var removals = 0
    /// The batch that must be committed before the store is read.
    var barrier: BatchNumber = 0
    /// The last batch in which anything came behind a window: once it is committed, a read that finds nothing has seen
    /// all there is.
    @exclusivity(unchecked) var storedThrough: BatchNumber = 0
    var isLoading = false
    var isLoadingExpired = false
    /// Entries at the head without bodies are being read.
    var isFetching = false
    /// Moves out of the queue that wait for it to be read.
    var waitingMoves: [MoveInProgress] = []

    @exclusivity(unchecked) var unackedCount = 0
    /// Rejected messages whose bodies are being read on their way to the dead-letter exchange.
    var inTransit = 0

    /// Of the unacked messages, those that no consumer got.
    var heldByGets = 0
    /// Of what is unacked, so much comes back as soon as there is time: a GET that finds nothing waits for it.
    var comingBack = 0

    @exclusivity(unchecked) var consumers: [Consumer] = []
    /// With a single active consumer: the one that gets the messages.
    var active: Consumer?
    /// Since when nothing is handed out; `nil` while it is.
    var pausedSince: Instant?
    /// Any consumer with credit may be next: not paused, no priorities, no single active consumer.
    @exclusivity(unchecked) var dispatchesPlainly = true
    var nextConsumer = 0
    @exclusivity(unchecked) var gets = WaitingGets()
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
    /// Messages that came back from who had been handed them.
    var returned = 0
    /// A policy made it deduplicate for a while.
    var hasDeduplicated = false
    /// Messages that were dropped because their ids had been seen.
    var deduplicated = 0
    /// When the last of these was.
    var lastDouble: Instant?
    var deaths: [DeathReason: Int] = [:]
    /// When a message of it last failed for good: a consumer refused it, or it did so too often.
    var lastFailure: Instant?
    @exclusivity(unchecked) var publishRate = RateMeter()
    @exclusivity(unchecked) var deliverRate = RateMeter()
    var returnRate = RateMeter()

    init(
        id: QueueID, slot: QueueSlot, host: VirtualHost, definition: QueueDefinition, settings: QueueSettings,
        now: Instant
    ) {
        self.id = id
        self.slot = slot
        self.host = host
        self.definition = definition
        self.settings = settings
        arguments = definition.arguments
        lastUsed = now
        getSource = DeliverySource(queue: definition.name, consumer: nil, autoAck: false)
        autoAckGetSource = DeliverySource(queue: definition.name, consumer: nil, autoAck: true)
    }

    var name: QueueName { definition.name }
    /// True where the queue, and what is persistent in it, is there after a restart.
    var survives: Bool { definition.isDurable && !definition.isExclusive }

    /// It is deleted once nobody has used it for a while.
    var expiresUnused: Bool {
        settings.expiresMilliseconds != nil || settings.expiresIfEmptyMilliseconds != nil
    }

    // MARK: - Counts

    /// Ready messages in memory.
    var inMemory: Int { base.entries.count + above.sums.inMemory }
    /// Body bytes of these.
    var windowBytes: Int { base.bytes + above.sums.bytes }
    /// The same with properties and headers.
    var windowBulk: Int { windowBytes + base.headerBytes + above.sums.headerBytes }
    /// Ready messages that are only stored.
    var storedCount: Int { base.storedCount + above.sums.storedCount }
    /// None of these expires before this.
    var storedNextExpiry: Instant {
        guard above.sums.storedCount > 0 else { return base.storedNextExpiry }
        return priorities.lazy.map { self[$0].storedNextExpiry }.min() ?? .distantFuture
    }
    var readyCount: Int { base.count + above.sums.inMemory + above.sums.storedCount }
    var readyBytes: Int { base.bytes + base.storedBytes + above.sums.bytes + above.sums.storedBytes }
    /// No ready message stands here, in memory or only stored.
    var isEmpty: Bool { base.isEmpty && above.isEmpty }

    /// Nothing is in it, also not on its way out.
    var holdsNothing: Bool { isEmpty && delayed.count == 0 && unackedCount == 0 && inTransit == 0 }

    /// It is as long as it may be, and nobody is there for what goes at its head.
    var onlyDrops: Bool {
        guard let most = settings.lengthMax, Int64(readyCount) >= most else { return false }
        return settings.overflow == .dropHead && settings.deadLetterExchange == nil && consumers.isEmpty
            && gets.isEmpty && waitingMoves.isEmpty
    }

    // MARK: - Windows

    /// The window of a priority; in a queue without priorities there is only that of 0.
    subscript(priority: UInt8) -> Window {
        _read { if priority == 0 { yield base } else { yield above[priority] } }
        _modify { if priority == 0 { yield &base } else { yield &above[priority] } }
    }

    /// The highest priority that holds anything: what it holds is delivered next, also when it must be read
    /// first.
    var highestPriority: UInt8 { above.isEmpty ? 0 : above.highest() }

    /// Every priority that was ever used, highest first.
    var priorities: [UInt8] { Array(above.priorities) + [0] }

    /// The next priority below that holds anything, or 0.
    func priority(below priority: UInt8) -> UInt8 { priority > 0 ? above.highest(upTo: priority - 1) : 0 }

    /// The priority of a message in this queue.
    func priority(of message: Message) -> UInt8 {
        guard let most = settings.priorityMax, message.hasProperties else { return 0 }
        return min(message.priority ?? 0, most)
    }

    /// Sets the priorities of what was read to those by which the core counts it: another program may have changed
    /// them.
    func correct(_ result: inout LoadResult) {
        for index in result.rows.indices {
            var priority = settings.priorityMax.map { min(result.rows[index].priority ?? 0, $0) }
            switch result.request.kind {
            case .window, .expired: priority = result.request.priority
            case .due, .numbers, .ids: break
            }
            if result.rows[index].priority != priority { result.rows[index].priority = priority }
        }
    }

    /// The column `priority` of a message's row.
    func column(_ priority: UInt8) -> UInt8? { settings.priorityMax == nil ? nil : priority }

    /// The message that is delivered next, if it is in memory.
    var first: Entry? { above.isEmpty ? base.entries.first : above[above.highest()].entries.first }

    /// When what is delivered next came in.
    var oldest: Instant? {
        let window = self[highestPriority]
        return window.entries.first?.entered ?? (window.storedCount > 0 ? window.oldestStored : nil)
    }

    /// Adds the newest message at the tail of its window.
    func append(_ entry: consuming Entry) {
        noteExpiry(of: entry)
        if entry.priority == 0 { base.append(entry) } else { above[entry.priority].append(entry) }
    }

    /// Takes the message that is delivered next.
    func popFirst() -> Entry? {
        above.isEmpty ? base.popFirst() : above[above.highest()].popFirst()
    }

    /// Puts a message back at its place.
    func putBack(_ entry: Entry) {
        noteExpiry(of: entry)
        self[entry.priority].putBack(entry)
    }

    /// The message of this number, if it is in memory. O(memory) where it took another place than its number.
    func entry(numbered number: MessageNumber) -> Entry? {
        for priority in priorities {
            if let entry = self[priority].entry(at: number), entry.number == number { return entry }
        }
        for priority in priorities {
            if let entry = self[priority].entries.first(where: { $0.number == number }) { return entry }
        }
        return nil
    }

    /// Lets go of everything; what comes from now on has a place behind `place`.
    func removeAll(through place: MessageNumber) -> [Entry] {
        var all: [Entry] = []
        for priority in priorities { all += self[priority].removeAll(through: place) }
        expiries = []
        return all
    }

    /// Remembers when a message in a window expires.
    private func noteExpiry(of entry: borrowing Entry) {
        guard entry.expires != .distantFuture else { return }
        if expiries.count > 2 * inMemory + 1024 {
            var current: [Expiry] = []
            for priority in priorities {
                for entry in self[priority].entries where entry.expires != .distantFuture {
                    current.append(Expiry(at: entry.expires, place: entry.place, priority: priority))
                }
            }
            expiries = Heap(current)
        }
        expiries.insert(Expiry(at: entry.expires, place: entry.place, priority: entry.priority))
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
