// The load a server is killed under: publishers with hundreds of publishes in flight, and workers that ack,
// reject, requeue and hold on, each on a connection of its own. One thread drives them all.

import LeveretTestSupport

/// Publishes numbered messages as fast as the server confirms them.
final class Publisher {
    /// Its connection.
    let socket: LineSocket
    private let request: String
    private let groups: [String]  // each publish reaches all of them
    private var inFlight: [(sequence: Int, isDouble: Bool)] = []
    private let inFlightMax = 100
    private let sendsDoubles: Bool
    /// What was confirmed last.
    private(set) var confirmed: [Int] = []

    /// A publisher of what `request` (`PUB exchange key`) routes to `groups`. With `doubles` each message has its
    /// number as id and is published twice, and these, confirmed before, once more: doubles reach nobody.
    init(port: UInt16, request: String, groups: [String], doubles: [Int]? = nil) throws {
        socket = try LineSocket(port: port)
        self.request = request
        self.groups = groups
        sendsDoubles = doubles != nil
        for sequence in doubles ?? [] { say(sequence, "\(sequence) again", isDouble: true) }
    }

    private func say(_ sequence: Int, _ body: String, isDouble: Bool = false) {
        socket.say(sendsDoubles ? "\(request) id=\(sequence)" : request, body: Array(body.utf8))
        inFlight.append((sequence, isDouble))
    }

    /// Takes in what the server said; returns how many answers that were.
    func takeReplies(_ journal: inout Journal) -> Int {
        var count = 0
        while let reply = socket.next() {
            guard let (sequence, isDouble) = inFlight.first,
                reply.line == "OK \(isDouble ? 0 : groups.count)"
            else {
                journal.fail("\(request) was answered '\(reply)'")
                break
            }
            inFlight.removeFirst()
            count += 1
            if isDouble { continue }
            confirmed.append(sequence)
            for group in groups { journal.publishConfirmed(CopyKey(group: group, sequence: sequence)) }
        }
        return count
    }

    /// Publishes on. A body begins with its number and is as long as chance has it.
    func publish(_ journal: inout Journal, next: inout Int, using chance: inout Chance) {
        while inFlight.count < inFlightMax {
            for group in groups { journal.publishSent(CopyKey(group: group, sequence: next)) }
            let length = chance.next(below: 4) == 0 ? chance.next(below: 3_000) : 40
            let body = "\(next) " + String(repeating: ".", count: length)
            say(next, body)
            if sendsDoubles { say(next, body, isDouble: true) }
            next += 1
        }
    }
}

/// Consumes a queue and settles what comes by a rule.
final class Worker {
    /// What becomes of a delivery.
    enum Verdict {
        /// Acked at once.
        case ack
        /// Dead-lettered.
        case reject
        /// Back to its place, counted as failed.
        case requeue
        /// Held for now.
        case hold
        /// Acked together with everything held.
        case ackAllHeld
        /// Published to this queue, with a receipt to the other, and acked, in one transaction.
        case forward(to: String, receipt: String)
    }

    /// A settlement that waits for its answer.
    private struct Asked {
        var keys: [CopyKey]
        var verdict: Verdict
        /// What the server is to say, a line each.
        var replies: [String] = ["OK"]
    }

    /// Its connection.
    let socket: LineSocket
    private let queue: String
    private let rule: (_ sequence: Int) -> Verdict
    private var held: [CopyKey] = []
    private var asked: [Asked] = []
    private var isSubscribed = false

    /// A worker that settles the messages of `queue` by `rule`.
    init(port: UInt16, queue: String, rule: @escaping (_ sequence: Int) -> Verdict) throws {
        socket = try LineSocket(port: port)
        self.queue = queue
        self.rule = rule
        socket.say("SUB \(queue) as=worker prefetch=100")
    }

    /// Takes in what the server said and settles, unless the server `isDead`; returns how many answers came.
    func takeReplies(_ journal: inout Journal, isDead: Bool) -> Int {
        var count = 0
        while let reply = socket.next() {
            if let sequence = reply.sequence {
                let key = journal.key(queue, sequence)
                journal.delivered(key, from: queue)
                held.append(key)
                if !isDead { settle(key, tag: reply.words[1], body: reply.body, &journal) }
            } else if reply.line.hasPrefix("OK"), !isSubscribed {
                isSubscribed = true
            } else if reply.line == asked.first?.replies.first {
                asked[0].replies.removeFirst()
                if asked[0].replies.isEmpty {
                    answered(asked.removeFirst(), &journal)
                    count += 1
                }
            } else {
                journal.fail("\(queue): the server said '\(reply)'")
                break
            }
        }
        return count
    }

    private func settle(_ key: CopyKey, tag: Substring, body: [UInt8]?, _ journal: inout Journal) {
        let verdict = rule(key.sequence)
        var keys = [key]
        var replies = ["OK"]
        switch verdict {
        case .hold: return
        case .ack: socket.say("ACK \(tag)")
        case .reject: socket.say("REJECT \(tag) error=\"as the rule says\"")
        case .requeue: socket.say("REJECT \(tag) requeue")
        case .ackAllHeld:
            socket.say("ACK \(tag) multiple")
            keys = held
        case .forward(let target, let receipt):
            journal.publishSent(CopyKey(group: receipt, sequence: key.sequence))
            socket.say("BEGIN")
            socket.say("PUB \"\" \(target)", body: body ?? [])
            socket.say("PUB \"\" \(receipt)", body: Array("\(key.sequence) done".utf8))
            socket.say("ACK \(tag)")
            socket.say("COMMIT")
            replies = ["OK", "OK queued", "OK queued", "OK queued", "OK 2"]
        }
        held.removeAll { keys.contains($0) }
        for key in keys {
            switch verdict {
            case .ack, .ackAllHeld: journal.ackSent(key)
            case .reject, .requeue, .hold, .forward: journal.rejectSent(key)
            }
        }
        asked.append(Asked(keys: keys, verdict: verdict, replies: replies))
    }

    private func answered(_ settlement: Asked, _ journal: inout Journal) {
        for key in settlement.keys {
            switch settlement.verdict {
            case .ack, .ackAllHeld: journal.ackAnswered(key)
            case .reject: journal.rejectAnswered(key, requeued: false)
            case .forward(_, let receipt):
                journal.rejectAnswered(key, requeued: false)
                journal.publishConfirmed(CopyKey(group: receipt, sequence: key.sequence))
            case .requeue: journal.rejectAnswered(key, requeued: true)
            case .hold: break
            }
        }
    }
}

extension LineReply {
    /// The number that a message's body begins with; `nil` for what is no message.
    var sequence: Int? {
        body.flatMap { Int(String(decoding: $0.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)) }
    }
}

/// Chance that one seed decides.
struct Chance: Sendable {
    private var state: UInt64

    /// The chance of this seed.
    init(seed: UInt64) { state = seed }

    /// A number from 0 up to but not including `bound` (SplitMix64).
    mutating func next(below bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((z ^ (z >> 31)) % UInt64(bound))
    }
}
