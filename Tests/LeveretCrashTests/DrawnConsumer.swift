// Consumes a drawn queue: acks, rejects, gives back, holds on, and now and then leaves and comes again.

import LeveretTestSupport

/// One of two consumers of a drawn queue, each on a connection of its own.
final class DrawnConsumer {
    /// What a request of its own is about.
    private enum Asked {
        case subscribe
        case unsubscribe
        case ack(CopyKey)
        case reject(CopyKey)
        /// Back, counted as failed, and to be delivered again no sooner than so.
        case requeue(CopyKey, ContinuousClock.Instant?)
        /// Back, free of charge, and to be delivered again no sooner than so.
        case nack(CopyKey, ContinuousClock.Instant?)
    }

    private static let leaseMilliseconds = 100

    /// Its connection.
    let socket: LineSocket
    private let queue: DrawnQueue
    private var asked: [Asked] = []
    private var held: [CopyKey] = []
    /// It has said that it goes: what it is still sent goes back.
    private var isLeaving = false
    private var isEnded = false
    /// The other consumer of the queue.
    weak var partner: DrawnConsumer?
    /// The highest number that came for the first time, by priority.
    private var lastFirsts: [Int: Int] = [:]

    /// A consumer of `queue`.
    init(port: UInt16, queue: DrawnQueue) throws {
        socket = try LineSocket(port: port)
        self.queue = queue
        subscribe()
    }

    private func subscribe() {
        let lease = queue.has(.lease) ? " consumer-timeout=\(Self.leaseMilliseconds)" : ""
        say("SUB \(queue.name) as=worker prefetch=20\(lease)", .subscribe)
    }

    private func say(_ request: String, _ what: Asked) {
        socket.say(request)
        asked.append(what)
    }

    /// Takes in what the server said and settles, unless the server `isDead`; returns how many answers came. From a
    /// queue that has been paused since the server started nothing may come.
    func takeReplies(
        _ journal: inout Journal, isDead: Bool, isPaused: Bool, using chance: inout Chance
    ) -> Int {
        var count = 0
        while let reply = socket.next() {
            if let message = reply.message {
                if isPaused { journal.fail("\(queue.name) is paused and delivered \(message.sequence)") }
                takeDelivery(message, reply, &journal, isDead: isDead)
            } else if reply.line == "END sub=worker lease expired", queue.has(.lease) {
                giveBack(&journal)
                isEnded = true
                if !isLeaving, !isDead { subscribe() }
            } else if let first = asked.first, takes(reply, first, &journal) {
                asked.removeFirst()
                count += 1
                if case .unsubscribe = first {
                    isLeaving = false
                    if !isDead { subscribe() }
                }
            } else {
                journal.fail("\(queue.name): the server said '\(reply)' (\(asked.first as Any))")
                break
            }
        }
        if !isDead, !isLeaving, held.count > 5, chance.next(below: 30) == 0 {
            giveBack(&journal)
            isLeaving = true
            say("UNSUB worker", .unsubscribe)
        }
        return count
    }

    private func giveBack(_ journal: inout Journal) {
        journal.released(held)
        held = []
    }

    private func takeDelivery(
        _ message: Found, _ reply: LineReply, _ journal: inout Journal, isDead: Bool
    ) {
        let key = CopyKey(group: queue.name, sequence: message.sequence)
        let isPassing = isLeaving || queue.has(.lease)
        journal.delivered(key, from: queue.name, edition: message.edition, onLease: isPassing)
        checkOrder(of: key, reply, &journal)
        if queue.has(.singleActive), !isPassing, let partner, !partner.isLeaving, !partner.held.isEmpty {
            journal.fail("\(queue.name) delivered \(key) while its active consumer holds \(partner.held[0])")
        }
        guard !isLeaving else { return }
        held.append(key)
        if !isDead { settle(key, reply, &journal) }
    }

    /// What comes for the first time comes in its order.
    private func checkOrder(of key: CopyKey, _ reply: LineReply, _ journal: inout Journal) {
        guard reply["redelivered"] == "0", let copy = journal.copies[key], !copy.style.isUnordered,
            !copy.isRescheduled
        else { return }
        let last = lastFirsts[copy.style.priority] ?? -1
        if last >= key.sequence { journal.fail("\(queue.name) delivered \(key) after \(last)") }
        lastFirsts[copy.style.priority] = key.sequence
    }

    private func settle(_ key: CopyKey, _ reply: LineReply, _ journal: inout Journal) {
        let tag = reply.words[1]
        let isTired = (reply["deliveries"].flatMap { Int($0) } ?? 1) > 4
        func moment(_ wait: Duration?) -> ContinuousClock.Instant? { wait.map { .now.advanced(by: $0) } }
        switch key.sequence % 16 {
        case 0: say("REJECT \(tag) error=\"as the rule says\"", .reject(key))
        case 1 where !isTired: say("REJECT \(tag) requeue", .requeue(key, moment(queue.failedWait)))
        case 2 where !isTired: say("NACK \(tag)", .nack(key, moment(queue.returnedWait)))
        case 3 where !isTired:
            say("REJECT \(tag) requeue delay=40", .requeue(key, moment(.milliseconds(40))))
        case 4 where !isTired: return  // it is held
        default:
            say("ACK \(tag)", .ack(key))
            journal.ackSent(key)
        }
        held.removeAll { $0 == key }
        journal.released([key])
    }

    /// Notes an answer. Returns whether it may be given.
    private func takes(_ reply: LineReply, _ asked: Asked, _ journal: inout Journal) -> Bool {
        let isLate = queue.has(.lease) && reply.line.hasPrefix("ERR 406 ") && reply.line.contains("lease")
        guard reply.line.hasPrefix("OK") || isLate else {
            if case .unsubscribe = asked { return isEnded && reply.line.hasPrefix("ERR 404 ") }
            return false
        }
        switch asked {
        case .subscribe: isEnded = false
        case .unsubscribe: break
        case .ack(let key): if isLate { journal.ackRefused(key) } else { journal.ackAnswered(key) }
        case .reject(let key): if !isLate { journal.rejectAnswered(key, requeued: false) }
        case .requeue(let key, let moment):
            if !isLate { journal.rejectAnswered(key, requeued: true, notBefore: moment) }
        case .nack(let key, let moment): if !isLate { journal.nackAnswered(key, notBefore: moment) }
        }
        return true
    }
}

extension LineReply {
    /// The message of a drawn queue that came.
    var message: Found? { body.flatMap { Found(body: $0) } }
}
