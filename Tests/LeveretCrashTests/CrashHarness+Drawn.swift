// What is checked of drawn queues after a crash: settings, pauses, counters, due times, ids.

import Foundation
import LeveretTestSupport

extension CrashHarness {
    /// Sets the policy that the queue obeys, if any.
    func setPolicy(_ socket: LineSocket, of queue: DrawnQueue) throws {
        guard !queue.policy.isEmpty else { return }
        let pattern = "^\(queue.name.split(separator: ".").joined(separator: "\\."))$"
        try socket.expectOK("POLICY \(queue.name) \(pattern)\(queue.policy)")
    }

    /// Looks at the file as a crash left it: which drawn queues there are, and how often their messages failed,
    /// counting a hold that was noted.
    mutating func checkDrawn(_ list: (String) throws -> Set<String>) throws {
        let names = try list("select name from queue where name like 'drawn.%'")
        let declared = Set(drawn.flatMap(\.group.queues))
        for name in declared.symmetricDifference(names) {
            books.journal.fail("queue \(name) is \(declared.contains(name) ? "lost" : "back")")
        }
        let counters = try list(
            """
            select m.id || ' ' || (m.failed + (h.consumer is not null)) from message m
            join queue q on q.id = m.queue left join held h on h.message = m.id where q.name like 'drawn.%'
            """)
        failedAtCrash = [:]
        for line in counters {
            let numbers = line.split(separator: " ").compactMap { Int($0) }
            if numbers.count == 2 { failedAtCrash[numbers[0]] = numbers[1] }
        }
        let counts = try list(
            """
            select q.name || ' ' || count(*) from message m join queue q on q.id = m.queue
            where q.name like 'drawn.%' group by q.name
            """)
        countAtCrash = [:]
        for words in counts.map({ $0.split(separator: " ") }) where words.count == 2 {
            countAtCrash[String(words[0])] = Int(words[1])
        }
    }

    /// Asks a server that has just started what settings count, and which queues are paused.
    mutating func checkStart(_ socket: LineSocket) throws {
        for queue in drawn {
            let row = try row(socket, queue.name)
            let counting = ["effective", "origins", "arguments", "policy"].map { row[$0] ?? NSNull() }
            let data = try JSONSerialization.data(withJSONObject: counting, options: .sortedKeys)
            let text = String(decoding: data, as: UTF8.self)
            if let before = effective[queue.name], before != text {
                books.journal.fail("\(queue.name) has \(text), not \(before)")
            }
            effective[queue.name] = text
            books.pauses.compare(queue.name, isPaused: row["paused_since"] is String, &books.journal)
        }
    }

    private func row(_ socket: LineSocket, _ queue: String) throws -> [String: Any] {
        let reply = try socket.ask("STAT \(queue)")
        guard let row = reply.row, try socket.waitForNext()?.line == "OK 1" else {
            throw SocketFailure(description: "STAT \(queue) was answered '\(reply)'")
        }
        return row
    }

    private func peek(_ socket: LineSocket, _ request: String) throws -> [PeekedRow] {
        var rows: [PeekedRow] = []
        socket.say("PEEK \(request)")
        while let reply = try socket.waitForNext() {
            guard let row = PeekedRow(reply) else {
                guard reply.line == "OK \(rows.count)" else {
                    throw SocketFailure(description: "PEEK \(request) was answered '\(reply)'")
                }
                return rows
            }
            rows.append(row)
        }
        throw SocketFailure(description: "the server closed the connection instead of answering PEEK")
    }

    /// Gets all messages of a drawn queue, once those that wait for a moment are ready; what waits for longer is
    /// cancelled.
    mutating func takeDrawn(_ socket: LineSocket, _ queue: DrawnQueue) throws -> [Found] {
        if books.pauses.isPaused(queue.name) {
            let reply = try socket.ask("GET \(queue.name)")
            if reply.line != "NIL" { books.journal.fail("\(queue.name) is paused and gave \(reply)") }
            books.pauses.sent(queue.name)
            try socket.expectOK("RESUME \(queue.name)")
            books.pauses.answered(queue.name, isPaused: false)
        }
        let waiting = try peek(socket, "\(queue.name) n=1000 state=delayed")
        for (before, after) in zip(waiting, waiting.dropFirst()) where before.due > after.due {
            books.journal.fail("\(queue.name) shows \(after) after \(before)")
        }
        var farOff = waiting.filter(\.isFarOff)
        while let first = try peek(socket, "\(queue.name) n=1 state=delayed").first, !first.isFarOff {}
        var count = try socket.ready(queue.name, queue.options)
        while queue.isShortLived, count > 0 { count = try socket.ready(queue.name, queue.options) }
        for row in try peek(socket, "\(queue.name) n=1000") { checkCounter(of: row, in: queue) }
        var messages = try socket.take(queue.name, count: count)
        checkDueOrder(of: waiting.filter { !$0.isFarOff }.map(\.found), messages, in: queue)
        repeat {
            for row in farOff {
                checkCounter(of: row, in: queue)
                messages.append(Found(row.found.sequence, edition: row.found.edition, isFarOff: true))
                books.journal.cancelSent(key(row.found, queue))
                try socket.expectOK("CANCEL \(queue.name) \(row.position)")
                books.journal.cancelAnswered(key(row.found, queue), isRefused: false)
            }
            farOff = try peek(socket, "\(queue.name) n=1000 state=delayed")
        } while !farOff.isEmpty
        return messages
    }

    /// Gets the dead letters of a drawn queue. What has expired, or failed too often, may still be on its way there;
    /// what doesn't come at all is not waited for in vain.
    mutating func takeDead(
        _ socket: LineSocket, of queue: DrawnQueue, besides messages: [Found]
    ) throws -> [Found] {
        let names = queue.group.queues
        let expected = names.reduce(0) { $0 + countAtCrash[$1, default: 0] } - messages.count
        for _ in 0..<200_000 {
            if try socket.ready(names[1], "") >= expected { break }
        }
        return try take(socket, names[1], "")
    }

    private func key(_ message: Found, _ queue: DrawnQueue) -> CopyKey {
        CopyKey(group: queue.name, sequence: message.sequence)
    }

    /// What was held when the server died has failed once more; what was rejected with requeue has not been forgotten.
    private mutating func checkCounter(of row: PeekedRow, in queue: DrawnQueue) {
        let key = key(row.found, queue)
        let promised = books.journal.copies[key]?.failures ?? 0
        if row.failed != failedAtCrash[row.position] || row.failed < promised {
            books.journal.fail(
                "\(key) has failed=\(row.failed); in the file, held or not, "
                    + "it was \(failedAtCrash[row.position] as Any), and \(promised) rejects were answered")
        }
    }

    /// What was delayed when it was published, and never ready, comes in the order in which it was due.
    private mutating func checkDueOrder(of waiting: [Found], _ messages: [Found], in queue: DrawnQueue) {
        let fresh = waiting.filter { message in
            books.journal.copies[key(message, queue)].map { !$0.isDelivered && !$0.isRescheduled } ?? false
        }
        for priority in 0..<4 {
            let due = fresh.filter { queue.priority(of: $0.sequence) == priority }
            let came = messages.filter(Set(due).contains)
            if came != due.filter(Set(came).contains) {
                books.journal.fail("\(queue.name): \(due) were due in this order and came as \(came)")
            }
        }
    }

    /// An id counts while its message is held, and no longer when that is acked.
    mutating func checkDoubles(
        _ socket: LineSocket, _ contents: [(queue: String, messages: [Found])], isHeld: Bool
    ) throws {
        for queue in drawn where queue.has(.whileQueued) {
            let found = contents.filter { queue.group.queues.contains($0.queue) }
            let taken = Set(found.flatMap(\.messages).map(\.sequence))
            // The other number that has its id.
            let numbers = found[0].messages.filter { !$0.isFarOff }.map { $0.sequence ^ 1 }
            guard let number = numbers.first(where: { !taken.contains($0) }) else { continue }
            let key = CopyKey(group: queue.name, sequence: number)
            if !isHeld { books.journal.publishSent(key, Copy.Style(isUnordered: true)) }
            let request = "PUB \"\" \(queue.name) id=\(queue.id(of: number) ?? "")"
            let reply = try socket.ask(request, body: Array("\(number) 0".utf8))
            if reply.line != (isHeld ? "OK 0" : "OK 1") {
                let state = isHeld ? "held" : "gone"
                books.journal.fail("\(request) was answered '\(reply)', its message being \(state)")
            }
            if !isHeld { books.journal.publishConfirmed(key) }
        }
    }
}
