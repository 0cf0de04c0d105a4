// Pauses and resumes drawn queues, and the journal of that.

import LeveretTestSupport

/// What was promised of pauses, by queue.
struct PauseJournal: Sendable {
    /// Answered, and no other change was under way.
    private(set) var known: [String: Bool] = [:]
    /// Paused since the server started: nothing may come from there.
    private(set) var still: Set<String> = []
    /// Pauses found again after a restart.
    private(set) var found = 0

    /// Whether the queue is paused, as far as is known.
    func isPaused(_ queue: String) -> Bool { known[queue] == true }

    /// A change is on its way.
    mutating func sent(_ queue: String) {
        known[queue] = nil
        still.remove(queue)
    }

    /// A change was answered with `OK`.
    mutating func answered(_ queue: String, isPaused: Bool) { known[queue] = isPaused }

    /// A new server says whether a queue is paused.
    mutating func compare(_ queue: String, isPaused: Bool, _ journal: inout Journal) {
        if let promised = known[queue], promised != isPaused {
            journal.fail("\(queue) is \(isPaused ? "" : "not ")paused after a restart")
        }
        if isPaused {
            found += 1
            still.insert(queue)
        }
        known[queue] = isPaused
    }
}

/// Pauses one drawn queue at a time, for a while.
final class Operator {
    /// Its connection.
    let socket: LineSocket
    private let queues: [DrawnQueue]
    private var asked: (queue: String, isPaused: Bool)?

    /// An operator of these queues.
    init(port: UInt16, queues: [DrawnQueue]) throws {
        socket = try LineSocket(port: port)
        self.queues = queues
    }

    /// Takes in what was answered and, by chance, asks for a change; returns how many answers came.
    func work(_ journal: inout Journal, _ pauses: inout PauseJournal, using chance: inout Chance) -> Int {
        let count = takeReplies(&journal, &pauses)
        if asked == nil, chance.next(below: 4) == 0 {
            let queue = queues[chance.next(below: queues.count)].name
            let isPaused = !pauses.isPaused(queue) && chance.next(below: 3) == 0
            pauses.sent(queue)
            socket.say("\(isPaused ? "PAUSE" : "RESUME") \(queue)")
            asked = (queue, isPaused)
        }
        return count
    }

    /// Takes in what was answered.
    @discardableResult
    func takeReplies(_ journal: inout Journal, _ pauses: inout PauseJournal) -> Int {
        var count = 0
        while let reply = socket.next() {
            guard let (queue, isPaused) = asked, reply.line == "OK" else {
                journal.fail("PAUSE or RESUME was answered '\(reply)'")
                break
            }
            pauses.answered(queue, isPaused: isPaused)
            asked = nil
            count += 1
        }
        return count
    }
}
