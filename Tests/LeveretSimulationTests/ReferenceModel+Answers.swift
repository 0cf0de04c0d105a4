// Whether an answer is the right one, and does not come too early.

import LeveretCore

extension ReferenceModel {
    /// An answer was seen.
    func answered(_ ticket: Ticket, _ answer: Answer) throws {
        askers[ticket] = nil
        guard let expectation = expected.removeValue(forKey: ticket) else {
            throw Violation(
                "ticket \(ticket.rawValue) was answered twice, or never asked: \(text(of: answer))")
        }
        switch expectation.kind {
        case .exactly(let wanted):
            let found = text(of: answer)
            try require(found == wanted, "ticket \(ticket.rawValue) was answered '\(found)', not '\(wanted)'")
        case .count(let count, let more):
            guard case .count(let found) = answer, found >= count, found <= count + more else {
                throw Violation(
                    "ticket \(ticket.rawValue) was answered '\(text(of: answer))', not 'count \(count)'")
            }
        case .get: try getEnded(ticket, answer)
        case .peek(let name, let state): try peeked(name, state, answer)
        case .move(let move): try moveEnded(move, answer)
        }
        try checkSafety(expectation, ticket)
    }

    private func checkSafety(_ expectation: Expectation, _ ticket: Ticket) throws {
        for copy in expectation.safe where !copy.isSafe {
            // It may have died and left nothing behind, which is seen by nothing else.
            if case .condemned = copy.state { try transfer(copy) }
            try require(
                copy.isSafe,
                "ticket \(ticket.rawValue) was confirmed before message \(copy.message.id) was safe in \(copy.queue.name)"
            )
        }
        for copy in expectation.gone where copy.number > 0 && !copy.queue.isDeleted {
            try require(
                onDisk[copy.number] == nil,
                "ticket \(ticket.rawValue) was answered while message \(copy.number) was still in the database"
            )
        }
        if let (copy, version) = expectation.edited, copy.isDurable, !copy.queue.isDeleted,
            copy.state == .ready || copy.state == .delayed
        {
            try require(
                onDisk[copy.number] ?? 0 >= version,
                "ticket \(ticket.rawValue) was answered before its edit was in the database")
        }
        if let since = expectation.durableSince {
            try require(
                durableCommitted >= since,
                "ticket \(ticket.rawValue) was answered before its change was committed")
        }
    }

    private func getEnded(_ ticket: Ticket, _ answer: Answer) throws {
        guard let queue = queues.first(where: { $0.gets.contains { $0.ticket == ticket } }) else {
            throw Violation("a GET ended at a queue that is gone: \(text(of: answer))")
        }
        queue.lastUsed = now
        if case .refused(let error) = answer, error.code == .resourceError {
            let held = queue.gets.first { $0.ticket == ticket }?.session.heldMost ?? 0
            queue.gets.removeAll { $0.ticket == ticket }
            return try require(
                held >= limits.unackedCountMax, "a GET was refused though its session holds only \(held)")
        }
        guard case .empty = answer else { throw Violation("a GET was answered '\(text(of: answer))'") }
        let isOver = queue.gets.contains { $0.ticket == ticket && ($0.deadline ?? .max) <= now }
        queue.gets.removeAll { $0.ticket == ticket }
        try require(
            isOver || queue.ready.isEmpty || queue.isPaused,
            "a GET found \(queue.name) empty; \(queue.ready.count) are ready")
    }

    private func peeked(_ name: String, _ state: String, _ answer: Answer) throws {
        guard case .messages(let found) = answer else {
            guard case .refused = answer else { throw Violation("a PEEK was answered '\(text(of: answer))'") }
            return
        }
        guard isExact, state != "unacked", let queue = queue(name), queue.condemned.isEmpty else { return }
        let wanted = (state == "delayed" ? queue.delayed : queue.ready).prefix(10)
        try require(
            found.map(\.number.rawValue) == wanted.map(\.number),
            "PEEK saw \(found.map(\.number.rawValue)) in \(name), not \(wanted.map(\.number))")
        for (peeked, copy) in zip(found, wanted) {
            if let what = differs(peeked, from: copy) {
                throw Violation("PEEK saw message \(copy.number) of \(name) with another \(what)")
            }
        }
    }

    private func differs(_ peeked: PeekedMessage, from copy: Copy) -> String? {
        if let what = contentDiffers(peeked.message, from: copy.message) { return what }
        if peeked.version != copy.version { return "version, \(peeked.version) for \(copy.version)" }
        if peeked.due?.milliseconds != copy.due { return "due time" }
        if peeked.failed != copy.failed { return "count of failures, \(peeked.failed)" }
        if peeked.deliveries != copy.acquired { return "count of deliveries" }
        return modelDeaths(peeked.deaths, in: copy.queue.name.vhost) == copy.deaths ? nil : "history"
    }

    private func text(of answer: Answer) -> String {
        switch answer {
        case .done: "done"
        case .routed(let count): "routed \(count)"
        case .unroutable: "unroutable"
        case .declared(let name, _, _): "declared \(name)"
        case .consuming(let tag): "consuming \(tag)"
        case .count(let count): "count \(count)"
        case .delivered(let delivery, _): "delivered \(delivery.number.rawValue)"
        case .empty: "empty"
        case .committed(let routed): "committed \(routed)"
        case .messages(let found): "\(found.count) messages"
        case .refused(let error): "refused \(error.code.rawValue)"
        case .page, .queues, .exchanges, .bindings, .consumers, .connections, .routes, .status, .policies,
            .reasons, .table, .virtualHosts, .users, .permissions, .topicPermissions,
            .sessions, .userDefinitions:
            "a listing"
        }
    }
}
