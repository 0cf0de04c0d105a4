// What the server has promised: every confirm, and every answer to an ack, a reject, an edit, a cancel. It outlives
// the server. Journal+Compare.swift says what is missing, back from the dead, doubled or out of order.

/// A queue and, if it has one, the queue its dead letters, or what is done, go to. A message of the group stands in exactly
/// one of the two until it is acked.
struct QueueGroup: Sendable {
    /// The queue that is published to.
    let source: String
    /// The options it is declared with.
    var options = ""
    /// Where its dead letters go, or what is moved out of it.
    var dead: String?
    /// The dead letters keep the order of the source.
    var keepsOrder = false
    /// Its messages don't survive the server.
    var isTransient = false
    /// Two messages with one id, 2n and 2n + 1, are never both in the source.
    var pairsIDs = false

    /// Both queues.
    var queues: [String] { [source] + (dead.map { [$0] } ?? []) }
}

/// A message copy: which group, and the how manieth of its publisher.
struct CopyKey: Hashable, Sendable, CustomStringConvertible {
    /// The group's source queue.
    var group: String
    /// Counts from 0.
    var sequence: Int

    /// `jobs 17`.
    var description: String { "\(group) \(sequence)" }
}

/// What is known of one copy.
struct Copy {
    /// How it was published.
    struct Style {
        /// Higher goes first.
        var priority = 0
        /// It may not be delivered before.
        var notBefore: ContinuousClock.Instant?
        /// Its place doesn't follow from its number: it was delayed, or published again after a crash.
        var isUnordered = false
    }

    var style = Style()
    var isConfirmed = false
    /// The server said that it doesn't store it.
    var isRefused = false
    /// Acks, and what else may remove it, that were sent and not refused.
    var acksSent = 0
    var isAckAnswered = false
    /// It was not found after a crash that left its publish without an answer, and is published again since: it may have
    /// been settled before.
    var isFromBefore = false
    var isRejectAnswered = false
    var isCancelSent = false
    var isCancelAnswered = false
    /// Answered rejects with requeue.
    var failures = 0
    var isDelivered = false
    /// An edit of when it is due was sent.
    var isRescheduled = false
    /// Counts edits of the body: sent, answered, and answered before the server was last killed.
    var editionSent = 0
    var editionAnswered = 0
    var editionKept = 0
}

/// What the server has answered, and what went against it.
struct Journal {
    /// A queue whose messages come into being together with the publish of a receipt, and the group of the receipts.
    typealias Receipts = (queue: String, group: String)

    /// The server counts in whole milliseconds, from an anchor that each start sets anew.
    private static let tolerance = Duration.milliseconds(5)

    private(set) var groups: [String: QueueGroup] = [:]  // by queue
    /// Source queues that get every publish together, or not at all.
    let twins: [(String, String)]
    let receipts: Receipts?
    var copies: [CopyKey: Copy] = [:]
    private var held: Set<CopyKey> = []  // by our consumers, since the server started

    /// What the server broke, a line each.
    private(set) var failures: [String] = []
    /// Publishes that were confirmed, counted once for each queue they reached.
    private(set) var confirms = 0
    /// Publishes that were answered as refused or as doubles.
    private(set) var refusals = 0
    /// Acks that were answered.
    private(set) var answeredAcks = 0
    /// Rejects that were answered.
    private(set) var answeredRejects = 0
    /// Edits and cancels that were answered.
    private(set) var answeredEdits = 0
    /// Queues with a purge that is not answered yet.
    private var purging: Set<String> = []
    /// Confirmed messages that an answered purge removed.
    private(set) var purged = 0
    /// Moves that were answered.
    private(set) var moves = 0
    /// Messages found after a restart.
    var found = 0
    /// Of these, found in the queue for dead letters.
    var foundDead = 0

    /// An empty journal for these groups.
    init(_ groups: [QueueGroup], twins: [(String, String)] = [], receipts: Receipts? = nil) {
        self.twins = twins
        self.receipts = receipts
        for group in groups { add(group) }
    }

    /// One more group.
    mutating func add(_ group: QueueGroup) {
        for queue in group.queues { groups[queue] = group }
    }

    /// The group is gone, and with it all that is known of its messages.
    mutating func remove(_ group: QueueGroup) {
        for queue in group.queues { groups[queue] = nil }
        copies = copies.filter { $0.key.group != group.source }
    }

    /// The key of the message `sequence` in `queue`.
    func key(_ queue: String, _ sequence: Int) -> CopyKey {
        CopyKey(group: groups[queue]?.source ?? queue, sequence: sequence)
    }

    /// A publish is on its way.
    mutating func publishSent(_ key: CopyKey, _ style: Copy.Style = Copy.Style()) {
        copies[key] = Copy(style: style)
        // The server may read it before the purge, which travels on a connection of its own.
        if purging.contains(key.group) { copies[key]?.acksSent += 1 }
    }

    /// A publish that a crash left without an answer is on its way once more, with its id and without a delay.
    mutating func publishSentAgain(_ key: CopyKey, _ style: Copy.Style) {
        if copies[key] == nil { copies[key] = Copy(style: style, isFromBefore: true) }
        copies[key]?.style.isUnordered = true
        copies[key]?.style.notBefore = nil
    }

    /// A publish was answered with `OK`.
    mutating func publishConfirmed(_ key: CopyKey) {
        copies[key]?.isConfirmed = true
        copies[key]?.isFromBefore = false
        confirms += 1
    }

    /// A publish was refused, found to be a double, or rolled back.
    mutating func publishRefused(_ key: CopyKey) {
        copies[key]?.isRefused = true
        refusals += 1
    }

    /// A delivery came. The server may not deliver what it said was gone, nor what a consumer still holds (unless
    /// it is held `onLease`), nor too early, nor what an edit replaced.
    mutating func delivered(_ key: CopyKey, from queue: String, edition: Int = 0, onLease: Bool = false) {
        guard let copy = copies[key] else {
            return fail("\(queue) delivered \(key), which nobody published")
        }
        if copy.isAckAnswered { fail("\(queue) delivered \(key), whose ack was answered") }
        if copy.isRefused { fail("\(queue) delivered \(key), which was refused") }
        if copy.isRejectAnswered, queue == key.group {
            fail("\(queue) delivered \(key), which it had dead-lettered")
        }
        if edition < copy.editionKept || edition > copy.editionSent {
            fail("\(queue) delivered edition \(edition) of \(key), not \(copy.editionKept)")
        }
        if let moment = copy.style.notBefore, !copy.isRescheduled {
            let early = ContinuousClock.now.duration(to: moment)
            if early > Self.tolerance { fail("\(queue) delivered \(key) \(early) too early") }
        }
        copies[key]?.style.notBefore = nil
        copies[key]?.isDelivered = true
        if !onLease, !held.insert(key).inserted { fail("\(queue) delivered \(key), which a consumer holds") }
    }

    /// A consumer gives back what it holds, or is about to.
    mutating func released(_ keys: [CopyKey]) { held.subtract(keys) }

    /// A consumer is about to ack what it holds.
    mutating func ackSent(_ key: CopyKey) {
        copies[key]?.acksSent += 1
        held.remove(key)
    }

    /// An ack was answered with `OK`.
    mutating func ackAnswered(_ key: CopyKey) {
        copies[key]?.isAckAnswered = true
        answeredAcks += 1
    }

    /// An ack came after the lease had ended: nothing was done.
    mutating func ackRefused(_ key: CopyKey) { copies[key]?.acksSent -= 1 }

    /// A purge is about to be sent: everything in `queue`, and what is sent there before its answer comes, may be
    /// gone from here on. Returns what will be, once the purge is answered.
    mutating func purgeSent(_ queue: String) -> [CopyKey] {
        purging.insert(queue)
        var sure: [CopyKey] = []
        for (key, copy) in copies where key.group == queue && !copy.isAckAnswered {
            if copy.isConfirmed { sure.append(key) }
            copies[key]?.acksSent += 1
        }
        return sure
    }

    /// A purge of `queue` was answered with `OK`: these are gone.
    mutating func purgeAnswered(_ queue: String, _ keys: [CopyKey]) {
        purging.remove(queue)
        for key in keys { copies[key]?.isAckAnswered = true }
        purged += keys.count
    }

    /// A move was answered with `OK`.
    mutating func moveAnswered() { moves += 1 }

    /// A consumer is about to reject what it holds.
    mutating func rejectSent(_ key: CopyKey) { held.remove(key) }

    /// A reject was answered with `OK`: the message is a dead letter, or with `requeued` back in its queue, there to
    /// wait until `notBefore`.
    mutating func rejectAnswered(_ key: CopyKey, requeued: Bool, notBefore: ContinuousClock.Instant? = nil) {
        if requeued {
            copies[key]?.failures += 1
            if let notBefore { copies[key]?.style.notBefore = notBefore }
        } else {
            copies[key]?.isRejectAnswered = true
        }
        answeredRejects += 1
    }

    /// A nack was answered with `OK`: the message is back free of charge, to wait until `notBefore`.
    mutating func nackAnswered(_ key: CopyKey, notBefore: ContinuousClock.Instant?) {
        if let notBefore { copies[key]?.style.notBefore = notBefore }
    }

    /// A cancel is about to be sent.
    mutating func cancelSent(_ key: CopyKey) { copies[key]?.isCancelSent = true }

    /// A cancel was answered with `OK`: the message is gone, though a consumer may not have read all that it was
    /// sent before. Or it was refused.
    mutating func cancelAnswered(_ key: CopyKey, isRefused: Bool) {
        if isRefused { copies[key]?.isCancelSent = false } else { copies[key]?.isCancelAnswered = true }
        answeredEdits += 1
    }

    /// An edit is about to be sent: of the body, or of when the message is due.
    mutating func editSent(_ key: CopyKey, edition: Int?) {
        if let edition { copies[key]?.editionSent = edition } else { copies[key]?.isRescheduled = true }
    }

    /// An edit was answered with `OK`.
    mutating func editAnswered(_ key: CopyKey, edition: Int?) {
        if let edition { copies[key]?.editionAnswered = edition }
        answeredEdits += 1
    }

    /// The server is dead, and with it who held what.
    mutating func crashed() {
        held = []
        purging = []
        for (key, copy) in copies where copy.isCancelAnswered || copy.editionAnswered > copy.editionKept {
            if copy.isCancelAnswered { copies[key]?.isAckAnswered = true }
            copies[key]?.editionKept = copy.editionAnswered
        }
    }

    /// Notes that the server broke a promise.
    mutating func fail(_ text: String) { failures.append(text) }
}
