// A message comes in: publish, and its way into each queue it was routed to.

extension BrokerCore {
    /// Routes a message and answers when it is safe.
    mutating func publish(
        _ message: Message, mandatory: Bool, _ ticket: Ticket, _ session: Session, in host: VirtualHost,
        now: Instant
    ) {
        if let refusal = refusal(of: message, from: session) {
            return answer(session, ticket, .refused(refusal))
        }
        if dedupScopes > 0, mustWait(message, in: host, now: now) {
            return wait(.publish(message, mandatory: mandatory), ticket, session, in: host, now: now)
        }
        let route: Route
        do throws(BrokerError) {
            route = try host.topology.route(message)
        } catch {
            return answer(session, ticket, .refused(error))
        }
        if dedupScopes > 0, deduplicates(message.exchange, in: host, route.queues), !route.queues.isEmpty {
            return publishOnce(message, route, ticket, session, in: host, now: now)
        }
        totals.published += 1
        publishRate.mark(1, now: now)
        guard !route.queues.isEmpty else {
            totals.unroutable += 1
            return answer(session, ticket, mandatory ? .unroutable(message) : .routed(0))
        }
        let message = message.withoutBlindCopies()
        if route.queues.count == 1, let queue = queue(at: route.queues[0]) {
            publish(message, toOne: queue, ticket, session, now: now)
        } else {
            publish(message, toMany: route.queues, ticket, session, now: now)
        }
    }

    mutating func publish(
        _ message: Message, toOne queue: MessageQueue, id: String? = nil, _ ticket: Ticket,
        _ session: Session, now: Instant
    ) {
        let due = message.due(now: now)
        guard due != nil || !isFull(queue, for: message) else {
            overflow(message, queue, now: now)
            return answer(session, ticket, .refused(.fullForPublish(queue.name)))
        }
        if isStoredDurably(message, in: queue) {
            _ = enqueue(
                message, on: queue, due: due, confirm: .one(session, ticket, routed: 1), id: id, now: now)
        } else {
            answer(session, ticket, .routed(1))
            _ = enqueue(message, on: queue, due: due, confirm: .none, id: id, now: now)
        }
    }

    mutating func publish(
        _ message: Message, toMany slots: [QueueSlot], id: String? = nil, _ ticket: Ticket,
        _ session: Session, now: Instant
    ) {
        let due = message.due(now: now)
        var full: MessageQueue?
        var durable = 0
        for slot in slots {
            guard let queue = queue(at: slot) else { continue }
            if due == nil, isFull(queue, for: message) {
                full = full ?? queue
            } else if isStoredDurably(message, in: queue) {
                durable += 1
            }
        }
        var confirm = Confirm.none
        if let full {
            answer(session, ticket, .refused(.fullForPublish(full.name)))
        } else if durable > 0 {
            confirm = .shared(
                SharedConfirm(session: session, ticket: ticket, routed: slots.count, remaining: durable))
        } else {
            answer(session, ticket, .routed(slots.count))
        }
        spread(message, over: slots, confirm: confirm, durable: durable, id: id, now: now)
    }

    /// Puts a copy on each queue that is not full; a full one overflows. Delayed copies always fit.
    mutating func spread(
        _ message: Message, over slots: [QueueSlot], confirm: Confirm, durable: Int, id: String? = nil,
        now: Instant
    ) {
        let due = message.due(now: now)
        var sharedBody: MessageNumber = 0
        for slot in slots {
            guard let queue = queue(at: slot) else { continue }
            if due == nil, isFull(queue, for: message) {
                overflow(message, queue, now: now)
                continue
            }
            let isDurable = isStoredDurably(message, in: queue)
            if isDurable, durable > 1, sharedBody == 0 { sharedBody = nextNumber }
            _ = enqueue(
                message, on: queue, due: due, confirm: isDurable ? confirm : .none,
                sharedBody: isDurable ? sharedBody : 0, id: id, now: now)
        }
    }

    /// Puts one copy on a queue and hands it to a consumer if one is free. The caller has seen that there
    /// is room. With `due` it waits until then; `id` is what the queue is to remember it by, if it deduplicates.
    /// Returns the copy's number.
    mutating func enqueue(
        _ message: Message, on queue: MessageQueue, due: Instant? = nil, deaths: DeathHistory? = nil,
        confirm: Confirm, sharedBody: MessageNumber = 0, id: String? = nil, now: Instant
    ) -> MessageNumber {
        let number = takeNumber()
        queue.published += 1
        queue.publishRate.mark(1, now: now)
        let expires = expiry(of: message, in: queue, now: now)
        var entry = Entry(
            number: number, message: message, priority: queue.priority(of: message), entered: now,
            expires: expires, storage: .memory, deaths: deaths)
        if let due {
            if let id, queue.settings.deduplication != nil {
                claim(id, number, in: queue, isStored: isStoredDurably(message, in: queue), now: now)
            }
            enqueue(
                &entry, message, due, on: queue, confirm: confirm, sharedBody: sharedBody, id: id, now: now)
            return number
        }
        let taker = queue.isEmpty ? nextTaker(of: queue, now: now) : nil
        if let id, queue.settings.deduplication != nil {
            let isStored = isStoredDurably(message, in: queue) && (taker != nil || expires > now)
            claim(id, number, in: queue, isStored: isStored, now: now)
        }
        if taker == nil, expires <= now {
            dying.append(Dying(entry: entry, confirm: confirm, queue: queue, reason: .expired))
            return number
        }
        if isStoredDurably(message, in: queue) {
            entry.storage = .database
            entry.batch = gathering.batch.number
            entry.row = gathering.insert(
                insertRow(entry, queue, sharedBody: sharedBody, id: id), confirm: confirm)
        }
        if let taker {
            queue[entry.priority].passed(number)
            messageBytes += entry.footprint
            hand(consume entry, from: queue, to: taker, now: now)
        } else if hasRoom(queue, entry.priority) {
            messageBytes += entry.footprint
            queue.append(consume entry)
            if expires < queue.armed { arm(queue) }
        } else {
            store(entry, of: queue)
        }
        enforceLength(of: queue, now: now)
        return number
    }

    /// Puts a copy on a queue that waits until `due`.
    private mutating func enqueue(
        _ entry: inout Entry, _ message: Message, _ due: Instant, on queue: MessageQueue, confirm: Confirm,
        sharedBody: MessageNumber, id: String?, now: Instant
    ) {
        entry.place = 0
        entry.expires = .distantFuture
        if isStoredDurably(message, in: queue) {
            entry.storage = .database
            entry.batch = gathering.batch.number
            let row = insertRow(entry, queue, due: due, sharedBody: sharedBody, id: id)
            entry.row = gathering.insert(row, confirm: confirm)
        }
        messageBytes += entry.footprint
        delay(entry, until: due, in: queue, now: now)
    }

    /// The next number, and with it the place at the tail.
    mutating func takeNumber() -> MessageNumber {
        let number = nextNumber
        nextNumber = MessageNumber(number.rawValue + 1)
        if number > reservedThrough { reserveNumbers() }
        return number
    }

    /// A copy for which memory has no room: it is only stored and counted.
    mutating func store(_ entry: Entry, of queue: MessageQueue) {
        spill(entry, of: queue)
        if queue[entry.priority].storedCount == 0 { queue.barrier = gathering.batch.number }
        queue.storedThrough = gathering.batch.number
        queue[entry.priority].store(entry)
        if entry.expires < queue.armed { arm(queue) }
    }

    /// The row of a copy, which is delayed where `due` is given.
    func insertRow(
        _ entry: Entry, _ queue: MessageQueue, due: Instant? = nil, sharedBody: MessageNumber = 0,
        id: String? = nil
    ) -> InsertRow {
        var row = InsertRow(
            number: entry.number,
            place: due == nil ? entry.place : MessageNumber(-entry.place.rawValue), queue: queue.id,
            message: entry.message, priority: queue.column(entry.priority), due: due,
            entered: entry.entered, expires: entry.expires, failed: entry.failed, acquired: entry.acquired,
            deaths: entry.deaths, sharedBody: sharedBody,
            dedupID: queue.settings.deduplication == .whileQueued ? id : nil)
        row.version = entry.version
        return row
    }

    /// True where the queue may keep one more ready message of this priority in memory.
    func hasRoom(_ queue: MessageQueue, _ priority: UInt8) -> Bool {
        guard queue[priority].storedCount == 0 else { return false }
        let count = queue.inMemory
        if count < limits.windowCountMin { return true }
        return count < limits.windowCountMax && queue.windowBulk < limits.windowBytesMax
            && messageBytes < limits.messageBytesMax
    }

    /// Sees that numbers in use are never used again after a crash.
    private mutating func reserveNumbers() {
        reservedThrough = MessageNumber(nextNumber.rawValue + limits.numbersReserved)
        gathering.batch.reserveThrough = reservedThrough
        gathering.wants(.lazy)
    }

    func isStoredDurably(_ message: Message, in queue: MessageQueue) -> Bool {
        message.isPersistent && queue.survives
    }

    /// When a message that enters the queue now expires there.
    func expiry(of message: Message, in queue: MessageQueue, now: Instant) -> Instant {
        var ttl = queue.settings.messageTTLMilliseconds
        if let own = message.shared?.lifetimeMilliseconds { ttl = min(ttl ?? own, own) }
        return ttl.map { now.advanced(byMilliseconds: $0) } ?? .distantFuture
    }

    /// Why no message, or not this one, is taken now. What a session that says nothing of each publish sent before it
    /// was told of an alarm is taken still.
    mutating func refusal(of message: Message, from session: Session) -> BrokerError? {
        if isDraining {
            return BrokerError(.connectionForced, "the broker is shutting down; publish again later")
        }
        if let alarm, !(session.stopsAtRefusal && session.isAlarmUntold) {
            return BrokerError(.resourceError, "publishes are refused: \(alarm)")
        }
        do throws(BrokerError) {
            try ShortString.check(message.routingKey, "a routing key")
            try checkSize(of: message.body)
        } catch {
            return error
        }
        return message.shared?.problem
    }

    /// Refuses what the file could not keep as it is, or would not give back.
    func checkContent(
        routingKey: String? = nil, headers: FieldTable = FieldTable(), body: [UInt8]? = nil
    ) throws(BrokerError) {
        if let routingKey { try ShortString.check(routingKey, "a routing key") }
        try FieldTableCodec.check(headers)
        if let body { try checkSize(of: body) }
    }

    private func checkSize(of body: [UInt8]) throws(BrokerError) {
        guard body.count <= limits.bodyBytesMax else {
            throw BrokerError(
                .preconditionFailed,
                "a body of \(body.count) bytes is too large; \(limits.bodyBytesMax) bytes are allowed")
        }
    }
}

extension BrokerError {
    /// What is said of a queue that refuses what does not fit.
    static func full(_ queue: QueueName) -> BrokerError {
        BrokerError(.resourceError, "queue '\(queue)' is full and rejects publishes")
    }

    /// What a publisher hears of it.
    static func fullForPublish(_ queue: QueueName) -> BrokerError {
        var error = full(queue)
        error.text += "; others that match took the message, if any"
        return error
    }
}

extension Message {
    /// How long a header `x-delay` wants it to wait; 0 where it says less. `nil` where it makes no sense.
    static func milliseconds(ofDelay delay: FieldValue) -> Int64? {
        let wanted: Int64?
        switch delay {
        case .int(let value): wanted = value
        case .double(let value): wanted = FieldValue.wholeNumber(value)
        default: wanted = nil
        }
        guard let wanted, wanted <= QueueSettings.millisecondsMax else { return nil }
        return max(0, wanted)
    }

    /// It was published to wait.
    var isDelayed: Bool { due(now: Instant(milliseconds: 0)) != nil }

    /// When it is due, if it was published to wait.
    func due(now: Instant) -> Instant? {
        guard let delay = shared?.delay, let milliseconds = Self.milliseconds(ofDelay: delay),
            milliseconds > 0
        else { return nil }
        return now.advanced(byMilliseconds: milliseconds)
    }

    /// The message as consumers see it: without its `BCC` header.
    func withoutBlindCopies() -> Message {
        guard hasBlindCopies, var properties else { return self }
        properties.headers[HeaderName.bcc] = nil
        return Message(
            exchange: exchange, routingKey: routingKey, properties: properties, isPersistent: isPersistent,
            body: body)
    }
}
