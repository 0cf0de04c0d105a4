// What the server has promised: every confirm, and every answered ack and reject. It outlives the server,
// and says what is missing, back from the dead, doubled or out of order.

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

/// What the server has answered, and what went against it.
struct Journal {
    /// What is known of one copy.
    private struct Copy {
        var isConfirmed = false
        var isAckSent = false
        var isAckAnswered = false
        var isRejectAnswered = false
    }

    private let groups: [String: QueueGroup]  // by queue
    /// Source queues that get every publish together, or not at all.
    private let twins: [(String, String)]
    private var copies: [CopyKey: Copy] = [:]
    private var held: Set<CopyKey> = []  // by our consumers, since the server started

    /// What the server broke, a line each.
    private(set) var failures: [String] = []
    /// Publishes that were confirmed, counted once for each queue they reached.
    private(set) var confirms = 0
    /// Acks that were answered.
    private(set) var answeredAcks = 0
    /// Rejects that were answered.
    private(set) var answeredRejects = 0
    /// Queues with a purge that is not answered yet.
    private var purging: Set<String> = []
    /// Confirmed messages that an answered purge removed.
    private(set) var purged = 0
    /// Moves that were answered.
    private(set) var moves = 0
    /// Messages found after a restart.
    private(set) var found = 0
    /// Of these, found in the queue for dead letters.
    private(set) var foundDead = 0

    /// An empty journal for these groups.
    init(_ groups: [QueueGroup], twins: [(String, String)] = []) {
        self.twins = twins
        var byQueue: [String: QueueGroup] = [:]
        for group in groups {
            for queue in group.queues { byQueue[queue] = group }
        }
        self.groups = byQueue
    }

    /// The key of the message `sequence` in `queue`.
    func key(_ queue: String, _ sequence: Int) -> CopyKey {
        CopyKey(group: groups[queue]?.source ?? queue, sequence: sequence)
    }

    /// A publish is on its way.
    mutating func publishSent(_ key: CopyKey) {
        copies[key] = Copy()
        // The server may read it before the purge, which travels on a connection of its own.
        if purging.contains(key.group) { copies[key]?.isAckSent = true }
    }

    /// A publish was answered with `OK`.
    mutating func publishConfirmed(_ key: CopyKey) {
        copies[key]?.isConfirmed = true
        confirms += 1
    }

    /// A delivery came. The server may not deliver what it said was gone, nor what a consumer still holds.
    mutating func delivered(_ key: CopyKey, from queue: String) {
        guard let copy = copies[key] else {
            return fail("\(queue) delivered \(key), which nobody published")
        }
        if copy.isAckAnswered { fail("\(queue) delivered \(key), whose ack was answered") }
        if copy.isRejectAnswered, queue == key.group {
            fail("\(queue) delivered \(key), which it had dead-lettered")
        }
        if !held.insert(key).inserted { fail("\(queue) delivered \(key), which a consumer holds") }
    }

    /// A consumer is about to ack what it holds.
    mutating func ackSent(_ key: CopyKey) {
        copies[key]?.isAckSent = true
        held.remove(key)
    }

    /// An ack was answered with `OK`.
    mutating func ackAnswered(_ key: CopyKey) {
        copies[key]?.isAckAnswered = true
        answeredAcks += 1
    }

    /// A purge is about to be sent: everything in `queue`, and what is sent there before its answer comes, may be
    /// gone from here on. Returns what will be, once the purge is answered.
    mutating func purgeSent(_ queue: String) -> [CopyKey] {
        purging.insert(queue)
        var sure: [CopyKey] = []
        for (key, copy) in copies where key.group == queue && !copy.isAckAnswered {
            if copy.isConfirmed { sure.append(key) }
            copies[key]?.isAckSent = true
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

    /// A reject was answered with `OK`: the message is a dead letter, or with `requeued` back in its queue.
    mutating func rejectAnswered(_ key: CopyKey, requeued: Bool) {
        if !requeued { copies[key]?.isRejectAnswered = true }
        answeredRejects += 1
    }

    /// The server is dead, and with it who held what.
    mutating func crashed() {
        held = []
        purging = []
    }

    /// Compares what the queues hold after a restart, in their order, with what was promised.
    mutating func compare(with contents: [(queue: String, sequences: [Int])]) {
        var places: [CopyKey: [String]] = [:]
        for (queue, sequences) in contents {
            for sequence in sequences { places[key(queue, sequence), default: []].append(queue) }
            checkOrder(of: sequences, in: queue)
            found += sequences.count
            if groups[queue]?.dead == queue { foundDead += sequences.count }
        }
        for (key, copy) in copies {
            let queues = places[key, default: []]
            if queues.count > 1 { fail("\(key) stands in \(queues)") }
            if copy.isAckAnswered, let queue = queues.first { fail("\(key), acked, is back in \(queue)") }
            let isTransient = groups[key.group]?.isTransient == true
            if isTransient, !queues.isEmpty { fail("\(key), transient, has survived") }
            if copy.isConfirmed, !copy.isAckSent, !isTransient, queues.isEmpty {
                fail("\(key), confirmed, is lost")
            }
            if copy.isRejectAnswered, queues.contains(key.group) { fail("\(key), dead-lettered, is back") }
        }
        checkTwins(places)
        for (key, queues) in places where copies[key] == nil { fail("\(queues) holds unknown \(key)") }
        // What was not found can't come any more: it was never stored, or its ack was.
        copies = copies.filter { places[$0.key] != nil || $0.value.isAckAnswered }
    }

    /// A publish to several queues is in all of them or in none, until it is acked.
    private mutating func checkTwins(_ places: [CopyKey: [String]]) {
        for (key, copy) in copies {
            for twin in twins where key.group == twin.0 || key.group == twin.1 {
                let other = CopyKey(group: key.group == twin.0 ? twin.1 : twin.0, sequence: key.sequence)
                let isGone = places[key] == nil && !copy.isAckSent
                if isGone, places[other] != nil { fail("\(other) is there without \(key)") }
            }
        }
    }

    /// Messages leave in publish order, whatever was requeued; so do dead letters that expired or overflowed.
    private mutating func checkOrder(of sequences: [Int], in queue: String) {
        guard let group = groups[queue] else { return }
        guard queue == group.source || group.keepsOrder else { return }
        for (before, after) in zip(sequences, sequences.dropFirst()) where before >= after {
            fail("\(queue) gave \(after) after \(before)")
        }
    }

    /// Notes that the server broke a promise.
    mutating func fail(_ text: String) { failures.append(text) }
}
