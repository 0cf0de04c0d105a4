// Publishes to two queues in transactions, some of which it rolls back.

import LeveretTestSupport

/// Publishes each number to both queues of a pair, or to neither.
final class Transactor {
    private static let inFlightMax = 20

    /// Its connection.
    let socket: LineSocket
    private let pair: (String, String)
    private var inFlight: [(sequence: Int, isCommit: Bool)] = []
    private var replies: [String] = []  // still to come for the first in flight

    /// A transactor on these two queues.
    init(port: UInt16, pair: (String, String)) throws {
        socket = try LineSocket(port: port)
        self.pair = pair
    }

    private func keys(_ sequence: Int) -> [CopyKey] {
        [pair.0, pair.1].map { CopyKey(group: $0, sequence: sequence) }
    }

    /// Takes in what was answered and goes on; returns how many transactions that ended.
    func work(_ journal: inout Journal, next: inout Int, using chance: inout Chance) -> Int {
        let count = takeReplies(&journal)
        while inFlight.count < Self.inFlightMax {
            let isCommit = chance.next(below: 5) != 0
            socket.say("BEGIN")
            for key in keys(next) {
                journal.publishSent(key)
                socket.say("PUB \"\" \(key.group)", body: Array("\(next) in a transaction".utf8))
                if !isCommit { journal.publishRefused(key) }
            }
            socket.say(isCommit ? "COMMIT" : "ROLLBACK")
            inFlight.append((next, isCommit))
            next += 1
        }
        return count
    }

    /// Takes in what was answered.
    @discardableResult
    func takeReplies(_ journal: inout Journal) -> Int {
        var count = 0
        while let reply = socket.next() {
            if replies.isEmpty, let first = inFlight.first {
                replies = ["OK", "OK queued", "OK queued", first.isCommit ? "OK 2" : "OK"]
            }
            guard reply.line == replies.first else {
                journal.fail("a transaction on \(pair) was answered '\(reply)'")
                break
            }
            replies.removeFirst()
            guard replies.isEmpty else { continue }
            let (sequence, isCommit) = inFlight.removeFirst()
            if isCommit { for key in keys(sequence) { journal.publishConfirmed(key) } }
            count += 1
        }
        return count
    }
}
