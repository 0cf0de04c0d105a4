// The ready messages of a queue in order of their places: the head in memory, the rest only stored and
// counted. A queue has one window; one with priorities has one for each priority. Data with the bookkeeping of
// its own counts; MessageQueue and BrokerCore decide what comes and goes.

import DequeModule

/// A stretch of ready messages.
///
/// Every message with a place up to `cursor` is in `entries`; those behind it are only stored and counted in
/// `stored…`. So memory holds the head, whatever the depth.
struct Window {
    /// The head, in order of places.
    private(set) var entries: Deque<Entry> = []
    /// Body bytes of `entries`.
    private(set) var bytes = 0
    /// What these have of properties and headers, in bytes.
    private(set) var headerBytes = 0
    /// The last place that memory is complete up to.
    private(set) var cursor: MessageNumber = 0
    /// The highest place that was ever taken out: nothing below it may go back to the store.
    private(set) var highestTaken: MessageNumber = 0
    /// Messages behind `cursor`.
    private(set) var storedCount = 0
    /// Their body bytes.
    private(set) var storedBytes = 0
    /// None of them expires before this.
    var storedNextExpiry = Instant.distantFuture
    /// The same for messages stored since the store was asked for expired ones.
    var storedExpirySinceAsked = Instant.distantFuture
    /// When the first of them came in, or one before it.
    private(set) var oldestStored: Instant?

    /// Bytes of `entries` with properties and headers.
    var bulk: Int { bytes + headerBytes }

    var isEmpty: Bool { entries.isEmpty && storedCount == 0 }
    var count: Int { entries.count + storedCount }

    // MARK: - The head

    /// Adds the newest message at the tail of the head.
    mutating func append(_ entry: consuming Entry) {
        cursor = entry.place
        bytes += Int(entry.bytes)
        headerBytes += entry.headerBytes
        entries.append(entry)
    }

    /// The newest message was handed out without standing here.
    mutating func passed(_ place: MessageNumber) {
        cursor = place
        highestTaken = place
    }

    /// Takes the message at the head.
    mutating func popFirst() -> Entry? {
        guard let entry = entries.popFirst() else { return nil }
        bytes -= Int(entry.bytes)
        headerBytes -= entry.headerBytes
        if highestTaken < entry.place { highestTaken = entry.place }
        return entry
    }

    /// Takes the last message of the head back out; it is stored.
    mutating func popLastToStore() -> Entry? {
        guard let entry = entries.popLast() else { return nil }
        bytes -= Int(entry.bytes)
        headerBytes -= entry.headerBytes
        if storedCount == 0 { oldestStored = entry.entered }
        noteStored(entry)
        cursor = MessageNumber(entry.place.rawValue - 1)
        return entry
    }

    /// Puts a message back at its place, which is not behind `cursor`. O(distance to the nearer end).
    mutating func putBack(_ entry: Entry) {
        bytes += Int(entry.bytes)
        headerBytes += entry.headerBytes
        if let first = entries.first, entry.place < first.place {
            entries.prepend(entry)
        } else {
            entries.insert(entry, at: firstIndex(notBelow: entry.place))
        }
    }

    /// Takes one message out of the head, wherever it stands.
    mutating func remove(at place: MessageNumber) -> Entry? {
        guard let index = index(of: place) else { return nil }
        let entry = index == 0 ? entries.removeFirst() : entries.remove(at: index)
        bytes -= Int(entry.bytes)
        headerBytes -= entry.headerBytes
        if highestTaken < entry.place { highestTaken = entry.place }
        return entry
    }

    /// Puts an entry where one stands in the head that has the same place.
    mutating func replace(with entry: Entry) {
        guard let index = index(of: entry.place) else { return }
        bytes += Int(entry.bytes) - Int(entries[index].bytes)
        headerBytes += entry.headerBytes - entries[index].headerBytes
        entries[index] = entry
    }

    /// The entry at this place in the head.
    func entry(at place: MessageNumber) -> Entry? { index(of: place).map { entries[$0] } }

    /// The index of the first entry at `place` or behind it. O(log head).
    func firstIndex(notBelow place: MessageNumber) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].place < place { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func index(of place: MessageNumber) -> Int? {
        let index = firstIndex(notBelow: place)
        return index < entries.count && entries[index].place == place ? index : nil
    }

    // MARK: - What is only stored

    /// Counts a message that is only stored.
    mutating func store(_ entry: borrowing Entry) {
        if storedCount == 0 { oldestStored = entry.entered }
        noteStored(entry)
    }

    private mutating func noteStored(_ entry: borrowing Entry) {
        storedCount += 1
        storedBytes += Int(entry.bytes)
        if entry.expires < storedExpirySinceAsked { storedExpirySinceAsked = entry.expires }
        if entry.expires < storedNextExpiry { storedNextExpiry = entry.expires }
    }

    /// The store found these at start.
    mutating func recover(_ found: RecoveredLevel) {
        storedCount = found.count
        storedBytes = found.bytes
        storedNextExpiry = found.nextExpiry
        oldestStored = found.oldest
    }

    /// A stored message was read, and goes into the head or away.
    mutating func tookFromStore(_ entry: borrowing Entry) {
        cursor = entry.place
        oldestStored = entry.entered
        forgetStored(bytes: Int(entry.bytes))
    }

    /// A stored message is gone.
    mutating func forgetStored(bytes: Int) {
        storedCount -= 1
        storedBytes = storedCount == 0 ? 0 : max(0, storedBytes - bytes)
        if storedCount == 0 { forgetExpiries() }
    }

    /// Nothing is stored.
    mutating func forgetStored() {
        storedCount = 0
        storedBytes = 0
        forgetExpiries()
    }

    private mutating func forgetExpiries() {
        storedNextExpiry = .distantFuture
        storedExpirySinceAsked = .distantFuture
    }

    /// Lets go of everything; what comes from now on has a place behind `place`.
    mutating func removeAll(through place: MessageNumber) -> Deque<Entry> {
        let all = entries
        entries = []
        bytes = 0
        headerBytes = 0
        forgetStored()
        cursor = place
        return all
    }
}
