// Which message ids a queue or an exchange has seen: the newest in memory, all of them in the store. It says
// "new", "seen", or that only the store knows. Of what memory has forgotten since the start there are filters, so that
// the store is hardly ever asked about what is new. BrokerCore+Deduplicate.swift asks it and acts on it.

import DequeModule

/// How a queue knows a message that it has had before.
public enum Deduplication: Hashable, Sendable {
    /// An id is remembered for so many milliseconds.
    case window(milliseconds: Int64)
    /// An id is remembered for as long as its message is in the queue.
    case whileQueued
}

/// Whose ids they are.
public enum DedupScope: Hashable, Sendable {
    /// A queue's; its number is never used again.
    case queue(QueueID)
    /// An exchange's, in its virtual host.
    case exchange(ExchangeName, in: VirtualHostID)
}

/// An id in its scope.
public struct DedupKey: Hashable, Sendable {
    /// Whose it is.
    public var scope: DedupScope
    /// The message's id, or the value of its header `x-deduplication-header`.
    public var id: String
    /// It is remembered by the message's own row, for as long as that is there.
    public var isWhileQueued: Bool

    /// An id of a scope.
    public init(scope: DedupScope, id: String, isWhileQueued: Bool = false) {
        self.scope = scope
        self.id = id
        self.isWhileQueued = isWhileQueued
    }

    /// Keys are equal where all their parts are, ids by their bytes.
    public static func == (a: Self, b: Self) -> Bool {
        a.scope == b.scope && a.id.hasSameBytes(as: b.id) && a.isWhileQueued == b.isWhileQueued
    }
}

/// An id that the store knows.
public struct StoredID: Hashable, Sendable {
    /// The id.
    public var key: DedupKey
    /// Until when it counts; `.distantFuture` while its message is there.
    public var expires: Instant
    /// The message whose row remembers it, or 0.
    public var number: MessageNumber
    /// Its place in its queue.
    public var place: MessageNumber
    /// Its priority there; `nil` in a queue without priorities.
    public var priority: UInt8?

    /// An id that counts until `expires`.
    public init(
        key: DedupKey, expires: Instant, number: MessageNumber = 0, place: MessageNumber = 0,
        priority: UInt8? = nil
    ) {
        self.key = key
        self.expires = expires
        self.number = number
        self.place = place
        self.priority = priority
    }
}

/// The ids that memory holds.
struct SeenIDs {
    /// What is known of an id.
    enum Verdict: Equatable {
        case new
        /// It was claimed in this batch.
        case seen(BatchNumber)
        /// Only the store knows.
        case unknown
    }

    private struct Entry {
        var expires: Instant
        var batch: BatchNumber
        /// The message it goes with, or 0.
        var number: MessageNumber
        /// Tells an old place in `order` from the current one.
        var serial: UInt64
    }

    /// What the store may know of a scope that memory does not.
    private struct Forgotten {
        /// Until then.
        var until: Instant
        /// Filters of all of it; `nil` where some is from before the start, or there would be too much.
        var filters: IDFilters?
    }

    private let countMax: Int
    private let filterBytesMax: Int
    /// Bytes of all filters.
    private var filterBytes = 0
    private var entries: [DedupKey: Entry] = [:]
    /// What may be forgotten, oldest first.
    private var order: Deque<(key: DedupKey, serial: UInt64)> = []
    private var byNumber: [MessageNumber: DedupKey] = [:]
    private var forgotten: [DedupScope: Forgotten] = [:]
    private var nextSerial: UInt64 = 1

    init(countMax: Int, filterBytesMax: Int) {
        self.countMax = countMax
        self.filterBytesMax = filterBytesMax
    }

    /// How many ids memory holds.
    var count: Int { entries.count }

    /// True while the store knows no id that memory does not.
    var isComplete: Bool { forgotten.isEmpty }

    /// True while nothing is remembered by a message.
    var hasNoQueued: Bool { byNumber.isEmpty }

    /// What memory knows of `key`.
    func verdict(on key: DedupKey, now: Instant) -> Verdict {
        if let entry = entries[key] { return entry.expires > now ? .seen(entry.batch) : .new }
        guard let forgotten = forgotten[key.scope], forgotten.until > now else { return .new }
        return forgotten.filters?.mayHold(key.id) == false ? .new : .unknown
    }

    /// The store may know ids of `scope` until `time`, whichever.
    mutating func mayBeStored(_ scope: DedupScope, until time: Instant) {
        let known = forgotten[scope]
        filterBytes -= known?.filters?.bytes ?? 0
        forgotten[scope] = Forgotten(until: max(known?.until ?? time, time))
    }

    /// The store alone knows `key` until `time`.
    private mutating func forget(_ key: DedupKey, until time: Instant) {
        var known = forgotten.removeValue(forKey: key.scope) ?? Forgotten(until: time, filters: IDFilters())
        known.until = max(known.until, time)
        let before = known.filters?.bytes ?? 0
        known.filters?.insert(key.id)
        filterBytes += (known.filters?.bytes ?? 0) - before
        forgotten[key.scope] = known
        if filterBytes > filterBytesMax { mayBeStored(key.scope, until: known.until) }
    }

    /// True where the store may know ids of `scope` that memory does not.
    func hasForgotten(_ scope: DedupScope) -> Bool { forgotten[scope] != nil }

    /// The store knows none of these any more.
    mutating func emptied(_ scope: DedupScope) {
        filterBytes -= forgotten.removeValue(forKey: scope)?.filters?.bytes ?? 0
    }

    /// Remembers an id. `isStored` says that the store does too, from `batch` on: it may be forgotten here once
    /// that is committed.
    mutating func claim(
        _ key: DedupKey, until expires: Instant, number: MessageNumber, batch: BatchNumber, isStored: Bool
    ) {
        let entry = Entry(expires: expires, batch: batch, number: number, serial: nextSerial)
        if let old = entries.updateValue(entry, forKey: key), old.number != 0 { byNumber[old.number] = nil }
        if number != 0 { byNumber[number] = key }
        if isStored { order.append((key, nextSerial)) }
        nextSerial += 1
    }

    /// A message that was only in memory gets a row in this batch, and its id with it. Returns the id, if it goes
    /// with the message.
    mutating func stored(_ number: MessageNumber, in batch: BatchNumber) -> String? {
        guard let key = byNumber[number] else { return nil }
        entries[key]?.batch = batch
        entries[key]?.serial = nextSerial
        order.append((key, nextSerial))
        nextSerial += 1
        return key.id
    }

    /// Forgets the oldest that the store has had since before `batch`, for as long as there are too many.
    mutating func shrink(committedBefore batch: BatchNumber, now: Instant) {
        while order.count > countMax, let oldest = order.first {
            guard let index = entries.index(forKey: oldest.key),
                entries[index].value.serial == oldest.serial
            else {
                order.removeFirst()
                continue
            }
            let entry = entries[index].value
            guard entry.batch < batch else { return }
            order.removeFirst()
            entries.remove(at: index)
            if entry.number != 0 { byNumber[entry.number] = nil }
            if entry.expires > now { forget(oldest.key, until: entry.expires) }
        }
    }

    /// The message is gone from its queue, and its id with it.
    mutating func left(_ number: MessageNumber) {
        guard let key = byNumber.removeValue(forKey: number) else { return }
        entries[key] = nil
    }

    /// All messages of a queue are gone, and their ids with them, `but` these.
    mutating func left(_ scope: DedupScope, but held: Set<MessageNumber>) {
        let numbers = byNumber.filter { number, key in key.scope == scope && !held.contains(number) }
        for number in numbers.keys { left(number) }
    }

    /// Forgets all ids of a scope.
    mutating func forget(_ scope: DedupScope) {
        emptied(scope)
        let keys = entries.keys.filter { $0.scope == scope }
        for key in keys {
            guard let entry = entries.removeValue(forKey: key), entry.number != 0 else { continue }
            byNumber[entry.number] = nil
        }
    }
}

/// Filters of ids that grow with them: each has twice the room of the one before.
private struct IDFilters {
    /// How many ids the first has room for.
    private static let countMin = 1_000

    private var filters: [IDFilter] = []
    /// How many the last has room for still.
    private var room = 0

    /// Bytes that they take up.
    private(set) var bytes = 0

    mutating func insert(_ id: String) {
        if room == 0 {
            room = Self.countMin << filters.count
            let filter = IDFilter(count: room)
            bytes += filter.footprint
            filters.append(filter)
        }
        room -= 1
        filters[filters.count - 1].insert(IDFilter.Place(id, scope: 0))
    }

    /// False where the id was never inserted.
    func mayHold(_ id: String) -> Bool {
        let place = IDFilter.Place(id, scope: 0)
        // Half of all ids are in the last.
        return filters.reversed().contains { $0.mayHold(place) }
    }
}
