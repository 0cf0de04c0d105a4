// Messages that wait for a time, and those that are cancelled or changed while they wait.

import LeveretCore

/// A change of one message that the core has not got to.
struct PendingChange {
    var ticket: Ticket
    var session: ModelSession
    var queue: String
    var position: Int64
    /// `nil` is a cancel.
    var edit: Edit?
    /// The queue of that name when it was asked for: another that gets the name meanwhile is not meant.
    var target: ModelQueue?
}

/// What is asked of an edit.
struct Edit {
    var version: Int?
    var delay: Int64?
    var content: Content?
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
        var left = found[...]
        nextPlace = highestNumber + 1
        while let queue = left.first?.copy.queue {
            let slice = left.prefix { $0.copy.queue === queue }
            left = left.dropFirst(slice.count)
            for (copy, place) in slice { try comeDue(copy, at: place) }
            enforceLength(of: queue)
            try dispatch(queue)
        }
    }

    private func comeDue(_ copy: Copy, at place: Int64?) throws {
        let queue = copy.queue
        let due = copy.due ?? .max
        try require(due <= now, "message \(copy.number) of \(queue.name) is ready before its time, \(due)")
        queue.delayed.removeAll { $0 === copy }
        copy.state = .ready
        let isNew = copy.place == 0
        let expires = isNew ? expiry(of: copy.message, in: queue) : copy.expires
        let isTaken = takes.contains { $0.number == copy.number && $0.queue == queue.name }
        let newPlace = place ?? nextPlace
        if isNew { nextPlace = newPlace + 1 }
        // Its row stays as it is until it is removed.
        if expires <= now, !isTaken { return condemn(copy, .expired) }
        copy.due = nil
        copy.expires = expires
        if isNew {
            copy.place = newPlace
            copy.entered = now
            let isAlone = queue.ready.isEmpty
            queue.append(copy)
            if isAlone { try dispatch(queue) }
        } else {
            if let place, place != copy.place {
                try require(
                    place > copy.place && isBeingPurged(copy),
                    "message \(copy.number) returned to \(place), not \(copy.place)")
                copy.place = place
                nextPlace = place + 1
            }
            queue.putBack(copy)
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
        _ position: Int64, of queue: String, _ edit: Edit?, _ session: ModelSession, _ ticket: Ticket
    ) throws {
        let change = PendingChange(
            ticket: ticket, session: session, queue: queue, position: position, edit: edit,
            target: self.queue(queue))
        if isChanging(ticket) { pendingChanges.append(change) } else { try perform(change) }
    }

    /// Makes the changes that the core was seen to get to.
    func makePendingChanges() throws {
        for change in pendingChanges where !isChanging(change.ticket) { try perform(change) }
        pendingChanges.removeAll { !isChanging($0.ticket) }
    }

    private func perform(_ change: PendingChange) throws {
        let (session, ticket) = (change.session, change.ticket)
        if let target = change.target, queue(change.queue) !== target { return refuse(ticket, .notFound) }
        if let edit = change.edit {
            try self.edit(change.position, of: change.queue, edit, session, ticket)
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
        _ position: Int64, of name: String, _ edit: Edit, _ session: ModelSession, _ ticket: Ticket
    ) throws {
        guard let copy = waiting(position, in: name, session, ticket) else { return }
        if let version = edit.version, version != copy.version { return refuse(ticket, .preconditionFailed) }
        let queue = copy.queue
        guard hasRoom(for: edit, of: copy) else { return refuse(ticket, .resourceError) }
        queue.ready.removeAll { $0 === copy }
        queue.delayed.removeAll { $0 === copy }
        copy.edit(edit.content.map { copy.message.edited(by: $0) } ?? copy.message)
        expect(ticket, "done")
        expected[ticket]?.edited = (copy, copy.version)
        // The time of what was published to wait begins when it is due.
        let hasBegun = copy.place != 0
        if let ttl = edit.content?.ttl, hasBegun {
            copy.expires = min(now + ttl, queue.ttl.map { copy.entered + $0 } ?? .max)
        }
        if let time = edit.delay.map({ now + $0 }) ?? copy.due {
            let due = hasBegun ? min(time, copy.expires) : time
            queue.delay(copy, until: due)
            guard edit.delay != nil, due <= now else { return }
            try comeDue(copy, at: placeInCore(copy))
            enforceLength(of: queue)
            return try dispatch(queue)
        }
        queue.putBack(copy)
        if copy.expires <= now { remove(copy, to: .expired) }
        enforceLength(of: queue)
    }

    /// False where a queue that rejects publishes has no room for what an edit adds to what is ready.
    private func hasRoom(for edit: Edit, of copy: Copy) -> Bool {
        let isReady = copy.due == nil
        guard edit.delay.map({ $0 <= 0 }) ?? isReady else { return true }
        let size = edit.content?.size ?? copy.message.size
        let growth = isReady ? size - copy.message.size : size
        return (isReady && growth <= 0) || !isFull(copy.queue, forBytes: growth, messages: isReady ? 0 : 1)
    }
}
