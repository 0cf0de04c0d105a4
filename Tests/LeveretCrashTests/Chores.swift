// What else goes on while the server is killed: moves, purges, and queues and policies that are made and dropped;
// and the journal of the last. Each chore has a connection of its own, driven by the harness's one thread.

import LeveretTestSupport

/// Moves what stands at the head of one queue to another, a few messages at a time.
final class Mover {
    /// Its connection.
    let socket: LineSocket
    private let queue: String
    private let target: String
    private var asked = 0

    /// A mover from `queue` to `target`.
    init(port: UInt16, from queue: String, to target: String) throws {
        socket = try LineSocket(port: port)
        self.queue = queue
        self.target = target
    }

    /// Takes in what was answered and asks for the next move; returns how many answers came.
    func work(_ journal: inout Journal, using chance: inout Chance) -> Int {
        let count = takeReplies(&journal)
        while asked < 4 {
            socket.say("MOVE \(queue) to \(target) n=\(1 + chance.next(below: 30))")
            asked += 1
        }
        return count
    }

    /// Takes in what was answered.
    @discardableResult
    func takeReplies(_ journal: inout Journal) -> Int {
        var count = 0
        while let reply = socket.next() {
            guard asked > 0, reply.line.hasPrefix("OK ") else {
                journal.fail("MOVE was answered '\(reply)'")
                break
            }
            asked -= 1
            count += 1
            journal.moveAnswered()
        }
        return count
    }
}

/// Purges a queue now and then.
final class Purger {
    /// Its connection.
    let socket: LineSocket
    private let queue: String
    private var asked: [CopyKey]?

    /// A purger of `queue`.
    init(port: UInt16, queue: String) throws {
        socket = try LineSocket(port: port)
        self.queue = queue
    }

    /// Takes in what was answered and, by chance, purges again; returns how many answers came.
    func work(_ journal: inout Journal, using chance: inout Chance) -> Int {
        let count = takeReplies(&journal)
        if asked == nil, chance.next(below: 3) == 0 {
            asked = journal.purgeSent(queue)
            socket.say("PURGE \(queue)")
        }
        return count
    }

    /// Takes in what was answered.
    @discardableResult
    func takeReplies(_ journal: inout Journal) -> Int {
        var count = 0
        while let reply = socket.next() {
            guard let keys = asked, reply.line.hasPrefix("OK ") else {
                journal.fail("PURGE was answered '\(reply)'")
                break
            }
            journal.purgeAnswered(queue, keys)
            asked = nil
            count += 1
        }
        return count
    }
}

/// Declares queues, binds them and drops them again; and sets policies and drops them again.
final class Declarer {
    /// Its connection.
    let socket: LineSocket
    private var asked: [(change: DefinitionJournal.Change, name: String)] = []

    /// A declarer.
    init(port: UInt16) throws { socket = try LineSocket(port: port) }

    /// Takes in what was answered and asks for more; returns how many answers came.
    func work(
        _ journal: inout Journal, _ definitions: inout DefinitionJournal, using chance: inout Chance
    ) -> Int {
        let count = takeReplies(&journal, &definitions)
        while asked.count < 40 {
            if chance.next(below: 3) == 0, let name = definitions.oldest(ofAtLeast: 10) {
                let kind = definitions.isPolicy(name) ? "policy" : "queue"
                say(.drop, name, "DROP \(kind) \(name)", &definitions)
            } else if chance.next(below: 4) == 0 {
                let name = definitions.nextName()
                say(.setPolicy, name, "POLICY \(name) ^\(name)$ ttl=1000", &definitions)
            } else {
                let name = definitions.nextName()
                say(.declare, name, "QUEUE \(name)", &definitions)
                say(.bind, name, "BIND \(name) \(DefinitionJournal.exchange) \(name)", &definitions)
            }
        }
        return count
    }

    private func say(
        _ change: DefinitionJournal.Change, _ name: String, _ request: String,
        _ definitions: inout DefinitionJournal
    ) {
        definitions.sent(change, name)
        asked.append((change, name))
        socket.say(request)
    }

    /// Takes in what was answered.
    @discardableResult
    func takeReplies(_ journal: inout Journal, _ definitions: inout DefinitionJournal) -> Int {
        var count = 0
        while let reply = socket.next() {
            guard !asked.isEmpty, reply.line.hasPrefix("OK") else {
                journal.fail("a declaration was answered '\(reply)'")
                break
            }
            let (change, name) = asked.removeFirst()
            definitions.answered(change, name)
            count += 1
        }
        return count
    }
}

/// What was promised of queues, their bindings, and policies.
struct DefinitionJournal: Sendable {
    /// What can be asked for.
    enum Change: Hashable {
        /// The queue is to be there.
        case declare
        /// It is to be bound.
        case bind
        /// It is no queue but a policy, and is to be there.
        case setPolicy
        /// It is to be gone.
        case drop
    }

    /// What is known of one queue.
    private struct Known {
        var sent: Set<Change> = []
        var answered: Set<Change> = []
    }

    /// What the queues are bound to.
    static let exchange = "makers"

    private var known: [String: Known] = [:]
    private var live: [String] = []  // declared and not dropped, oldest first
    private var made = 0
    /// Answers taken in.
    private(set) var answered = 0

    /// A name that was never used.
    mutating func nextName() -> String {
        made += 1
        return "made.\(made)"
    }

    /// The queue to drop next, where there are enough.
    func oldest(ofAtLeast count: Int) -> String? { live.count >= count ? live.first : nil }

    /// Whether the name is a policy's.
    func isPolicy(_ name: String) -> Bool { known[name]?.sent.contains(.setPolicy) == true }

    /// A change is on its way.
    mutating func sent(_ change: Change, _ name: String) {
        known[name, default: Known()].sent.insert(change)
        if change == .drop { live.removeAll { $0 == name } }
    }

    /// A change was answered with `OK`.
    mutating func answered(_ change: Change, _ name: String) {
        known[name, default: Known()].answered.insert(change)
        answered += 1
        if change == .declare || change == .setPolicy { live.append(name) }
    }

    /// Compares the file after a crash with what was promised.
    mutating func compare(
        queues: Set<String>, bound: Set<String>, policies: Set<String> = [], _ journal: inout Journal
    ) {
        for (name, known) in known {
            let isDropped = known.sent.contains(.drop)
            if known.answered.contains(.setPolicy), !isDropped, !policies.contains(name) {
                journal.fail("policy \(name) is lost")
            }
            if known.answered.contains(.declare), !isDropped, !queues.contains(name) {
                journal.fail("queue \(name), declared, is lost")
            }
            if known.answered.contains(.bind), !isDropped, !bound.contains(name) {
                journal.fail("the binding of \(name) is lost")
            }
            if known.answered.contains(.drop), queues.contains(name) || policies.contains(name) {
                journal.fail("\(name), dropped, is back")
            }
        }
        for name in bound where !queues.contains(name) { journal.fail("\(name) is bound and not there") }
        let there = queues.union(policies)
        for name in there where known[name] == nil { journal.fail("nobody declared \(name)") }
        // What was under way and didn't happen can't happen any more.
        known = known.filter { there.contains($0.key) || $0.value.answered.contains(.drop) }
    }
}
