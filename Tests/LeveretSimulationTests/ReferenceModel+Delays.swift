// Messages that wait for a time, and those that are cancelled or changed while they wait.

import LeveretCore

/// A change of one message that the core has not got to.
struct PendingChange {
    var ticket: Ticket
    var session: ModelSession
    var queue: String
    var position: Int64
    /// `nil` is a cancel.
    var edit: (version: Int?, delay: Int64)?
}

extension ReferenceModel {
    /// A copy that waits enters a queue.
    func delay(_ message: ModelMessage, in queue: ModelQueue) throws -> Copy {
        let copy = Copy(message, queue: queue, number: 0, entered: now, expires: .max, deaths: [])
        let seen = arrivals.firstIndex { $0.queue == queue.name && $0.messageID == message.id }
        guard let seen else {
            throw Violation("message \(message.id) should wait in \(queue.name) and does not")
        }
        copy.number = arrivals.remove(at: seen).number
        copy.place = 0
        try require(copy.number > queue.highest, "message \(message.id) came into \(queue.name) out of turn")
        queue.highest = copy.number
        written[copy.number] = copy
        queue.delay(copy, until: now + message.delay)
        return copy
    }

    /// The core was seen to let these wait no longer; the place is where it stands, if it is still there.
    func comeDue(_ found: [(copy: Copy, place: Int64?)]) throws {
        for (copy, place) in found {
            let queue = copy.queue
            let due = copy.due ?? .max
            try require(
                due <= now, "message \(copy.number) of \(queue.name) is ready before its time, \(due)")
            queue.delayed.removeAll { $0 === copy }
            copy.due = nil
            copy.state = .ready
            if copy.place == 0 {
                copy.place = place ?? -1
                var ttl = queue.ttl
                if let own = copy.message.expiration.flatMap({ Int64($0) }) { ttl = min(ttl ?? own, own) }
                copy.expires = ttl.map { now + $0 } ?? .max
                queue.append(copy)
                try dispatch(queue)
            } else {
                if let place, place != copy.place {
                    try require(place > copy.place, "message \(copy.number) returned to \(place)")
                    copy.place = place
                }
                queue.putBack(copy)
            }
            let isTaken = takes.contains { $0.number == copy.number && $0.queue == queue.name }
            if copy.state == .ready, copy.expires <= now, !isTaken { remove(copy, to: .expired) }
        }
        for queue in queues where found.contains(where: { $0.copy.queue === queue }) {
            enforceLength(of: queue)
        }
    }

    /// True where a copy that comes back waits before it is tried again.
    func isRetriedLater(_ copy: Copy, counted: Bool, isSettled: Bool, asked: Int64?) throws -> Bool {
        let queue = copy.queue
        var least = asked ?? 0
        var most = least
        if asked == nil {
            let isMeant =
                queue.retryType == "all"
                ? counted || isSettled
                : queue.retryType == "failed"
                    ? counted
                    : queue.retryType == "returned" ? !counted && isSettled : false
            guard isMeant else { return false }
            most = queue.retryMin
            for time in 1..<max(2, copy.failed + 1) where time > 1 {
                most = queue.retryIsExponential ? most * 2 : most + queue.retryMin
                most = min(most, queue.retryMax)
            }
            most = min(most, queue.retryMax)
            least = most - most * queue.retryJitter / 100
        }
        let due = dueInCore(copy)
        guard let due else {
            try require(least == 0, "message \(copy.number) of \(queue.name) should wait and does not")
            return false
        }
        try require(
            due >= min(now + least, copy.expires) && due <= min(now + most, copy.expires),
            "message \(copy.number) of \(queue.name) waits until \(due), not \(now) + \(least)…\(most)")
        queue.delay(copy, until: due)
        return true
    }

    // MARK: - One by one

    /// Makes a change, or remembers it until the core was seen to have read the store.
    func change(
        _ position: Int64, of queue: String, _ edit: (version: Int?, delay: Int64)?, _ session: ModelSession,
        _ ticket: Ticket
    ) {
        let change = PendingChange(
            ticket: ticket, session: session, queue: queue, position: position, edit: edit)
        if isChanging(ticket) { pendingChanges.append(change) } else { perform(change) }
    }

    /// Makes the changes that the core was seen to get to.
    func makePendingChanges() {
        for change in pendingChanges where !isChanging(change.ticket) { perform(change) }
        pendingChanges.removeAll { !isChanging($0.ticket) }
    }

    private func perform(_ change: PendingChange) {
        let (session, ticket) = (change.session, change.ticket)
        if let edit = change.edit {
            self.edit(change.position, of: change.queue, edit.version, edit.delay, session, ticket)
        } else {
            cancelMessage(change.position, of: change.queue, session, ticket)
        }
    }

    /// The waiting copy at a position, or the refusal that is expected.
    private func waiting(
        _ position: Int64, in name: String, _ session: ModelSession, _ ticket: Ticket
    ) -> Copy? {
        guard let queue = usable(name, session, ticket) else { return nil }
        if let copy = (queue.ready + queue.delayed).first(where: { $0.number == position }) { return copy }
        let isHeld = sessions.flatMap(\.held).contains {
            $0.copy.queue === queue && $0.copy.number == position
        }
        refuse(ticket, isHeld ? .preconditionFailed : .notFound)
        return nil
    }

    private func cancelMessage(_ position: Int64, of name: String, _ session: ModelSession, _ ticket: Ticket)
    {
        guard let copy = waiting(position, in: name, session, ticket) else { return }
        copy.queue.ready.removeAll { $0 === copy }
        copy.queue.delayed.removeAll { $0 === copy }
        settle(copy)
        expect(ticket, "done", gone: [copy])
    }

    private func edit(
        _ position: Int64, of name: String, _ version: Int?, _ delay: Int64, _ session: ModelSession,
        _ ticket: Ticket
    ) {
        guard let copy = waiting(position, in: name, session, ticket) else { return }
        if let version, version != copy.version { return refuse(ticket, .preconditionFailed) }
        let queue = copy.queue
        queue.ready.removeAll { $0 === copy }
        queue.delayed.removeAll { $0 === copy }
        copy.version += 1
        // It expires where it waits, too, unless its time has not begun.
        queue.delay(copy, until: copy.place == 0 ? now + delay : min(now + delay, copy.expires))
        expect(ticket, "done")
    }
}
