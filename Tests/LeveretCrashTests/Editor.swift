// Looks into a drawn queue and changes what waits there: other bodies, other times, or away with it.

import Foundation
import LeveretTestSupport

/// A row of PEEK, of a message of a drawn queue.
struct PeekedRow {
    /// The message.
    var found: Found
    /// Where it stands.
    var position: Int
    /// What EDIT's `if` compares.
    var version: Int
    /// How often it failed.
    var failed: Int
    /// When it is due, if it waits.
    var due = Date.distantPast

    /// The row of a reply, or `nil` where it is none.
    init?(_ reply: LineReply) {
        guard let row = reply.row, let position = row["position"] as? Int,
            let version = row["version"] as? Int, let failed = row["failed"] as? Int,
            let body = row["body"] as? String,
            let found = Found(body: body.utf8)
        else { return nil }
        self.found = found
        self.position = position
        self.version = version
        self.failed = failed
        if let text = row["due"] as? String,
            let due = try? Date(
                text, strategy: .iso8601.year().month().day().time(includingFractionalSeconds: true))
        {
            self.due = due
        }
    }

    /// It waits for longer than any run.
    var isFarOff: Bool { due.timeIntervalSinceNow > Double(DrawnQueue.farOffMilliseconds) / 2_000 }
}

extension LineReply {
    /// The object of a `ROW`.
    var row: [String: Any]? {
        guard line.hasPrefix("ROW ") else { return nil }
        return try? JSONSerialization.jsonObject(with: Data(line.dropFirst(4).utf8)) as? [String: Any]
    }
}

/// Edits and cancels messages of a drawn queue.
final class Editor {
    /// What waits for an answer.
    private enum Asked {
        case peek
        case cancel(CopyKey)
        /// An edit of the body, to this edition.
        case edit(CopyKey, edition: Int)
        /// An edit of when the message is due.
        case reschedule(CopyKey)
    }

    /// Its connection.
    let socket: LineSocket
    private let queue: DrawnQueue
    private var asked: [Asked] = []
    private var rows: [PeekedRow] = []

    /// An editor of `queue`.
    init(port: UInt16, queue: DrawnQueue) throws {
        socket = try LineSocket(port: port)
        self.queue = queue
    }

    /// Takes in what was answered and asks for more; returns how many answers came.
    func work(_ journal: inout Journal, using chance: inout Chance) -> Int {
        let count = takeReplies(&journal)
        guard asked.isEmpty else { return count }
        for row in rows { change(row, &journal, using: &chance) }
        rows = []
        let state = chance.next(below: 2) == 0 ? "ready" : "delayed"
        socket.say("PEEK \(queue.name) n=30 state=\(state)")
        asked.append(.peek)
        return count
    }

    private func change(_ row: PeekedRow, _ journal: inout Journal, using chance: inout Chance) {
        let key = CopyKey(group: queue.name, sequence: row.found.sequence)
        let which = "\(queue.name) \(row.position)"
        switch chance.next(below: 10) {
        case 0:
            journal.cancelSent(key)
            socket.say("CANCEL \(which)")
            asked.append(.cancel(key))
        case 1...3:
            let edition = row.found.edition + 1
            journal.editSent(key, edition: edition)
            let body = Array("\(row.found.sequence) \(edition) edited".utf8)
            socket.say("EDIT \(which) if=\(row.version)", body: body)
            asked.append(.edit(key, edition: edition))
        case 4:
            journal.editSent(key, edition: nil)
            socket.say("EDIT \(which) delay=\(chance.next(below: 2) * 30)")
            asked.append(.reschedule(key))
        default: break
        }
    }

    /// Takes in what was answered.
    @discardableResult
    func takeReplies(_ journal: inout Journal) -> Int {
        var count = 0
        while let reply = socket.next() {
            if let row = PeekedRow(reply), case .peek = asked.first {
                rows.append(row)
                continue
            }
            guard let first = asked.first, takes(reply, first, &journal) else {
                journal.fail("\(queue.name): \(asked.first as Any) was answered '\(reply)'")
                break
            }
            asked.removeFirst()
            count += 1
        }
        return count
    }

    /// Notes an answer. Returns whether it may be given: a message may have moved on meanwhile.
    private func takes(_ reply: LineReply, _ asked: Asked, _ journal: inout Journal) -> Bool {
        let isDone = reply.line == "OK"
        let isGone = reply.line.hasPrefix("ERR 404 ") || reply.line.hasPrefix("ERR 406 ")
        // A message that comes back from its delay, or grows, may find no room.
        let isFull =
            reply.line.hasPrefix("ERR 506 ") && reply.line.contains(" is full and rejects publishes; ")
        switch asked {
        case .peek: return reply.line.hasPrefix("OK ")
        case .cancel(let key): journal.cancelAnswered(key, isRefused: isGone)
        case .edit(let key, let edition):
            if isDone { journal.editAnswered(key, edition: edition) }
            return isDone || isGone || isFull
        case .reschedule(let key):
            if isDone { journal.editAnswered(key, edition: nil) }
            return isDone || isGone || isFull
        }
        return isDone || isGone
    }
}
