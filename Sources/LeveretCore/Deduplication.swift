// Which message ids a queue or an exchange has seen: the newest in memory, all of them in the store. It says
// "new", "seen", or that only the store knows. BrokerCore+Deduplicate.swift asks it and acts on it.

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

    private let countMax: Int
    private var entries: [DedupKey: Entry] = [:]
    /// What may be forgotten, oldest first.
    private var order: Deque<(key: DedupKey, serial: UInt64)> = []
    private var byNumber: [MessageNumber: DedupKey] = [:]
    /// Until then the store may know ids of a scope that memory does not.
    private var incompleteUntil: [DedupScope: Instant] = [:]
    private var nextSerial: UInt64 = 1

    init(countMax: Int) { self.countMax = countMax }

    /// How many ids memory holds.
    var count: Int { entries.count }

    /// True while nothing is remembered by a message.
    var hasNoQueued: Bool { byNumber.isEmpty }

    /// What memory knows of `key`.
    func verdict(on key: DedupKey, now: Instant) -> Verdict {
        if let entry = entries[key] { return entry.expires > now ? .seen(entry.batch) : .new }
        guard let until = incompleteUntil[key.scope] else { return .new }
        return until > now ? .unknown : .new
    }

    /// The store may know ids of `scope` until `time`.
    mutating func mayBeStored(_ scope: DedupScope, until time: Instant) {
        incompleteUntil[scope] = max(incompleteUntil[scope] ?? time, time)
    }

    /// Remembers an id. `isStored` says that the store does too, from `batch` on: it may be forgotten here once
    /// that is committed.
    mutating func claim(
        _ key: DedupKey, until expires: Instant, number: MessageNumber, batch: BatchNumber, isStored: Bool
    ) {
        if let old = entries[key], old.number != 0 { byNumber[old.number] = nil }
        entries[key] = Entry(expires: expires, batch: batch, number: number, serial: nextSerial)
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
            guard let entry = entries[oldest.key], entry.serial == oldest.serial else {
                order.removeFirst()
                continue
            }
            guard entry.batch < batch else { return }
            order.removeFirst()
            entries[oldest.key] = nil
            if entry.number != 0 { byNumber[entry.number] = nil }
            if entry.expires > now { mayBeStored(oldest.key.scope, until: entry.expires) }
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
        incompleteUntil[scope] = nil
        let keys = entries.keys.filter { $0.scope == scope }
        for key in keys {
            guard let entry = entries.removeValue(forKey: key), entry.number != 0 else { continue }
            byNumber[entry.number] = nil
        }
    }
}
