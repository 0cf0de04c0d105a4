// Publishes to a drawn queue, with what its features need: delays, priorities, ids, doubles.

import LeveretTestSupport

/// What outlives a publisher: where it is, and what it can't be sure of.
struct PublisherState: Sendable {
    /// The next message.
    var next = 0
    /// What was confirmed last.
    var confirmed: [Int] = []
    /// What a crash left without an answer.
    var unanswered: [Int] = []
}

/// Publishes numbered messages to a drawn queue.
final class DrawnPublisher {
    /// Why a message is published.
    private enum Kind {
        /// For the first time.
        case first
        /// At once once more.
        case double
        /// After a crash, which left it without an answer.
        case again
        /// The same, though it was not found after the crash: it was never stored, or settled without an answer.
        case lost
        /// Long after it was confirmed.
        case known
    }

    private static let inFlightMax = 30

    /// Its connection.
    let socket: LineSocket
    private let queue: DrawnQueue
    private var inFlight: [(sequence: Int, kind: Kind)] = []
    private(set) var state: PublisherState

    /// A publisher to `queue` that goes on where another one ended. Where ids count for long, it publishes again
    /// what was not answered, and some of what was.
    init(port: UInt16, queue: DrawnQueue, state: PublisherState, _ journal: inout Journal) throws {
        socket = try LineSocket(port: port)
        self.queue = queue
        self.state = state
        guard queue.has(.window) else { return }
        for sequence in state.confirmed { say(sequence, .known) }
        for sequence in state.unanswered {
            let style = Copy.Style(priority: queue.priority(of: sequence), isUnordered: true)
            let isKnown = journal.copies[key(sequence)].map { !$0.isFromBefore } ?? false
            journal.publishSentAgain(key(sequence), style)
            say(sequence, isKnown ? .again : .lost)
        }
    }

    private func key(_ sequence: Int) -> CopyKey { CopyKey(group: queue.name, sequence: sequence) }

    private func say(_ sequence: Int, _ kind: Kind, options: String = "", length: Int = 10) {
        var request = "PUB \"\" \(queue.name)\(options)"
        if let id = queue.id(of: sequence) { request += " id=\(id)" }
        if queue.has(.priority) { request += " priority=\(queue.priority(of: sequence))" }
        socket.say(request, body: Array("\(sequence) 0 \(String(repeating: ".", count: length))".utf8))
        inFlight.append((sequence, kind))
    }

    /// Publishes on.
    func publish(_ journal: inout Journal, using chance: inout Chance) {
        while inFlight.count < Self.inFlightMax {
            let sequence = state.next
            state.next += 1
            let delay = delay(using: &chance)
            let style = Copy.Style(
                priority: queue.priority(of: sequence),
                notBefore: delay.map { .now.advanced(by: .milliseconds($0)) }, isUnordered: delay != nil)
            journal.publishSent(key(sequence), style)
            let options = delay.map { " delay=\($0)" } ?? ""
            say(sequence, .first, options: options, length: chance.next(below: 4) == 0 ? 2_000 : 40)
            if queue.has(.window), chance.next(below: 4) == 0 { say(sequence, .double, options: options) }
        }
    }

    private func delay(using chance: inout Chance) -> Int? {
        guard queue.has(.delay) else { return nil }
        switch chance.next(below: 16) {
        case 0: return DrawnQueue.farOffMilliseconds
        case 1..<8: return 1 + chance.next(below: 200)
        default: return nil
        }
    }

    /// Takes in what the server said; returns how many answers that were.
    func takeReplies(_ journal: inout Journal) -> Int {
        var count = 0
        while let reply = socket.next() {
            guard let (sequence, kind) = inFlight.first, takes(reply, sequence, kind, &journal) else {
                journal.fail("PUB to \(queue.name) was answered '\(reply)' (\(inFlight.first as Any))")
                break
            }
            inFlight.removeFirst()
            count += 1
        }
        return count
    }

    /// Ends it with the server: what was not answered is left to its successor.
    func end() -> PublisherState {
        state.unanswered = Array(Set(inFlight.map(\.sequence)).sorted())
        state.confirmed = state.confirmed.suffix(50)
        return state
    }

    /// Notes an answer. Returns whether it may be given.
    private func takes(_ reply: LineReply, _ sequence: Int, _ kind: Kind, _ journal: inout Journal) -> Bool {
        let isFull = queue.has(.maxLength) && reply.line.hasPrefix("ERR 506 ")
        let isTaken = reply.line == "OK 1"
        let isDouble = reply.line == "OK 0"
        let key = key(sequence)
        switch kind {
        case .known: return isDouble
        case .again, .lost:
            if isTaken || (isDouble && kind == .again) { confirmed(key, &journal) }
            return isTaken || isDouble || isFull  // a full queue may refuse what it has
        case .first:
            if isTaken { confirmed(key, &journal) }
            if isDouble || (isFull && !hasDouble) { journal.publishRefused(key) }
            return isTaken || isFull || (isDouble && queue.has(.whileQueued) && sequence % 2 == 1)
        case .double:
            // What was refused at first was not seen.
            if journal.copies[key]?.isConfirmed == true { return isDouble || isFull }
            if isTaken { confirmed(key, &journal) }
            if isFull { journal.publishRefused(key) }
            return isTaken || isFull
        }
    }

    /// The publish that is answered stands before its double.
    private var hasDouble: Bool { inFlight.count > 1 && inFlight[1].kind == .double }

    private func confirmed(_ key: CopyKey, _ journal: inout Journal) {
        journal.publishConfirmed(key)
        state.confirmed.append(key.sequence)
    }
}
