// CANCEL and EDIT: one message that waits, ready or delayed, in memory or only stored, is removed or changed.

import DequeModule

/// What becomes of the one message.
enum SingleChange {
    case cancel
    case edit(MessageEdit)
}

extension BrokerCore {
    /// Finds the message at a position and changes it; what is only stored is read first.
    mutating func change(
        _ position: MessageNumber, of name: QueueName, in host: VirtualHost, _ change: SingleChange,
        _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        do throws(BrokerError) {
            let queue = try usableQueue(name, in: host, by: session)
            try checkContent(change)
            if try changeUnlessStored(position, of: queue, change, ticket, session, now: now) { return }
            let isStored = queue.storedCount + queue.delayed.storedCount > 0
            guard isStored || needsBody(position, of: queue, change) else { throw movedOn(position, queue) }
            let special = SpecialLoad(
                queue: queue, purpose: .change(position, change, removals: queue.removals), session: session,
                ticket: ticket)
            _ = load(.numbers([position]), countMax: 1, of: queue, for: special)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    /// Changes a message that is in memory, and refuses one that is held. Returns false where it is neither.
    private mutating func changeUnlessStored(
        _ position: MessageNumber, of queue: MessageQueue, _ change: SingleChange, _ ticket: Ticket,
        _ session: Session, read: Message? = nil, now: Instant
    ) throws(BrokerError) -> Bool {
        if try changeInMemory(position, of: queue, change, ticket, session, read: read, now: now) {
            return true
        }
        guard let holder = holder(of: position, in: queue) else { return false }
        throw BrokerError(
            .preconditionFailed,
            "message \(position.rawValue) of queue '\(queue.name)' is unacked: \(holder) holds it")
    }

    /// True for a message in memory without its body, which the change needs.
    private func needsBody(_ position: MessageNumber, of queue: MessageQueue, _ change: SingleChange) -> Bool
    {
        guard case .edit(let edit) = change, edit.changesContent else { return false }
        let delayed = queue.delayed.inMemory.first { $0.entry.number == position }?.entry
        guard let entry = delayed ?? queue.entry(numbered: position) else { return false }
        return entry.message == nil
    }

    /// Changes a message that is in memory. Returns false where it is not, or where its body is not and `read`
    /// does not bring it.
    private mutating func changeInMemory(
        _ position: MessageNumber, of queue: MessageQueue, _ change: SingleChange, _ ticket: Ticket,
        _ session: Session, read: Message?, now: Instant
    ) throws(BrokerError) -> Bool {
        if read == nil, needsBody(position, of: queue, change) { return false }
        let before = gathering.durableChanges
        if let delayed = queue.delayed.inMemory.first(where: { $0.entry.number == position }) {
            try check(delayed.entry, due: delayed.due, of: queue, change)
            _ = queue.delayed.remove(position)
            perform(
                change, on: delayed.entry.filled(read, &messageBytes), due: delayed.due, of: queue, now: now)
        } else if let entry = queue.entry(numbered: position), entry.expires > now {
            try check(entry, due: nil, of: queue, change)
            _ = queue[entry.priority].remove(at: entry.place)
            perform(change, on: entry.filled(read, &messageBytes), due: nil, of: queue, now: now)
        } else {
            return false
        }
        settleDying(now: now)
        answerDurably(session, ticket, .done, since: before)
        return true
    }

    /// The message has been read.
    mutating func changeLoaded(
        _ position: MessageNumber, _ change: SingleChange, removals: Int, _ result: LoadResult,
        _ queue: MessageQueue, _ session: Session, _ ticket: Ticket, now: Instant
    ) {
        do throws(BrokerError) {
            guard !queue.isDeleted, let row = result.rows.first, row.expires > now else {
                throw movedOn(position, queue)
            }
            guard removals == queue.removals else {
                // What was removed since may have been this one.
                return self.change(
                    position, of: queue.name, in: queue.host, change, ticket, session, now: now)
            }
            // First, as another program may have changed where the row says that it stands.
            if try changeUnlessStored(
                position, of: queue, change, ticket, session, read: row.message, now: now)
            {
                return
            }
            guard isStillStored(row, in: queue) else { throw movedOn(position, queue) }
            let entry = Entry(row)
            try check(entry, due: row.due, of: queue, change)
            let before = gathering.durableChanges
            if row.due != nil {
                queue.delayed.forgetStored(in: gathering.batch.number)
                queue.removals += 1
            } else {
                removeStored(row, of: queue)
            }
            messageBytes += entry.footprint
            perform(change, on: entry, due: row.due, of: queue, now: now)
            arm(queue)
            settleDying(now: now)
            answerDurably(session, ticket, .done, since: before)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    /// True where a row that was read stands behind what memory holds, so that it is counted as stored.
    func isStillStored(_ row: LoadedRow, in queue: MessageQueue) -> Bool {
        if let due = row.due {
            return queue.delayed.storedCount > 0 && queue.delayed.cursor < DueKey(due, row.number)
        }
        let window = queue[row.priority ?? 0]
        return window.storedCount > 0 && row.place > window.cursor
    }

    /// Carries the change out on a copy that has been taken out of where it stood.
    private mutating func perform(
        _ change: SingleChange, on entry: Entry, due: Instant?, of queue: MessageQueue, now: Instant
    ) {
        // What was being read of the queue may not count any more, and whoever waits for it may wait for just this one.
        defer { dispatch(queue, now: now) }
        switch change {
        case .cancel:
            messageBytes -= entry.footprint
            fireOfGone(takeConfirm(of: entry))
            removeRow(of: entry)
            forgetID(of: entry.number)
            noteEmptied(queue, now: now)
        case .edit(let edit):
            var entry = entry
            entry.version = entry.version == .max ? .max : entry.version + 1
            var due = due
            if let delay = edit.delayMilliseconds { due = now.advanced(byMilliseconds: delay) }
            changeContent(of: &entry, by: edit, in: queue, now: now)
            // It expires where it waits, too.
            if entry.place != 0, let time = due { due = min(time, entry.expires) }
            keepPlace(of: entry, in: queue, due: due)
            // While it was ready in memory, its row in the spill file was left as it was.
            if entry.storage == .spill, entry.acquired > 0 {
                keepCounters(of: entry, in: queue, alsoSpilled: true)
            }
            if entry.storage == .database { gathering.durableChanges += 1 }
            guard let due else {
                returnToPlace(entry, of: queue)
                return enforceLength(of: queue, now: now)
            }
            guard edit.delayMilliseconds != nil, due <= now else {
                return delay(entry, until: due, in: queue, now: now)
            }
            // Who asks for it now finds it ready with the answer, whatever else is due.
            comeDue(entry, in: queue, now: now)
            returned(to: queue, now: now)
        }
    }

    /// Gives a copy that is counted in `messageBytes` other content.
    private mutating func changeContent(
        of entry: inout Entry, by edit: MessageEdit, in queue: MessageQueue, now: Instant
    ) {
        guard edit.changesContent, let old = entry.message else { return }
        let message = old.edited(by: edit)
        messageBytes += message.footprint - old.footprint
        entry.fill(message)
        if let ttl = edit.ttlMilliseconds, entry.place != 0 {
            entry.expires = now.advanced(byMilliseconds: ttl)
            if let most = queue.settings.messageTTLMilliseconds {
                entry.expires = min(entry.expires, entry.entered.advanced(byMilliseconds: most))
            }
        }
        guard entry.storage != .memory else { return }
        if entry.batch != 0, entry.batch == gathering.batch.number {
            gathering.replaceContent(ofRow: Int(entry.row), with: message)
        } else {
            gathering.setContent(ContentUpdate(number: entry.number, message: message))
        }
    }

    private func checkContent(_ change: SingleChange) throws(BrokerError) {
        guard case .edit(let edit) = change else { return }
        if !edit.headers.isEmpty { try RetrySettings.check(edit.headers) }
        try self.checkContent(routingKey: edit.routingKey, headers: edit.headers, body: edit.body)
        for milliseconds in [edit.ttlMilliseconds, edit.delayMilliseconds].compactMap({ $0 })
        where !(0...QueueSettings.millisecondsMax).contains(milliseconds) {
            throw BrokerError(
                .preconditionFailed,
                "\(milliseconds) ms is out of range; 0 to \(QueueSettings.millisecondsMax) are allowed")
        }
    }

    private func check(
        _ entry: Entry, due: Instant?, of queue: MessageQueue, _ change: SingleChange
    ) throws(BrokerError) {
        guard case .edit(let edit) = change else { return }
        try check(entry, has: edit.version)
        guard hasRoom(queue, for: edit, of: entry, due: due) else { throw .fullForEdit(queue.name) }
    }

    /// False where a queue that rejects publishes has no room for what a ready message grows by, or for one that
    /// becomes ready.
    private func hasRoom(
        _ queue: MessageQueue, for edit: MessageEdit, of entry: Entry, due: Instant?
    ) -> Bool {
        let isDelayed = edit.delayMilliseconds.map { $0 > 0 } ?? (due != nil)
        guard !isDelayed else { return true }
        let bytes = edit.body?.count ?? Int(entry.bytes)
        guard due == nil else { return !isFull(queue, forBytes: bytes) }
        let growth = bytes - Int(entry.bytes)
        return growth <= 0 || !isFull(queue, forBytes: growth, messages: 0)
    }

    /// Refuses to touch a message that has been edited since somebody looked at it.
    func check(_ entry: Entry, has version: Int?) throws(BrokerError) {
        guard let version, version != Int(entry.version) else { return }
        throw BrokerError(
            .preconditionFailed,
            "the message has version \(entry.version), not \(version); look at it again")
    }

    /// Who holds a message, for the error text.
    private func holder(of position: MessageNumber, in queue: MessageQueue) -> String? {
        guard queue.unackedCount > 0 else { return nil }
        for session in connections.flatMap(\.sessions) where session.heldCount > 0 {
            for case .some(let held) in session.held
            where held.queue === queue && held.entry.number == position {
                return session.holder(of: held.consumer)
            }
        }
        return nil
    }

    private func movedOn(_ position: MessageNumber, _ queue: MessageQueue) -> BrokerError {
        BrokerError(
            .notFound,
            "no message waits at position \(position.rawValue) of queue '\(queue.name)'; it may have moved on"
        )
    }
}

extension BrokerError {
    /// What is said of an edit that a full queue refuses.
    fileprivate static func fullForEdit(_ queue: QueueName) -> BrokerError {
        var error = full(queue)
        error.text += "; the message is left as it was"
        return error
    }
}

extension Entry {
    /// The entry with the body that was read, if it lacks it; `bytes` counts it.
    fileprivate func filled(_ read: Message?, _ bytes: inout Int) -> Entry {
        guard message == nil, let read else { return self }
        var entry = self
        entry.fill(read)
        bytes += read.footprint
        return entry
    }
}

extension Message {
    /// The message as an edit leaves it.
    fileprivate func edited(by edit: MessageEdit) -> Message {
        var properties = properties ?? MessageProperties()
        if let ttl = edit.ttlMilliseconds { properties.expiration = String(ttl) }
        for field in edit.headers.fields { properties.headers[field.name] = field.value }
        return Message(
            exchange: exchange, routingKey: edit.routingKey ?? routingKey,
            properties: properties.isEmpty ? nil : properties, isPersistent: isPersistent,
            body: edit.body ?? body)
    }
}
