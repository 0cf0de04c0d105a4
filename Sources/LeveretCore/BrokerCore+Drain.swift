// What waits for a session goes out to its owner. Where a crash must count, a delivery waits for the commit of the
// mark that it was made: then a message that ends the process can't come again and again uncounted.

import DequeModule

extension BrokerCore {
    /// Moves the session's events out, appending to `events`. Automatic-ack deliveries count as handed over
    /// by this. New deliveries may come at once: drain until there are none, or the peer takes no more.
    public mutating func drain(_ id: SessionID, into events: inout [SessionEvent], now: Instant) {
        guard let session = sessionsByID[id] else { return }
        session.isWoken = false
        if !session.marks.isEmpty, let mark = session.marks.first {
            drain(session, upTo: mark.event, into: &events, now: now)
        } else {
            if events.isEmpty {
                swap(&events, &session.outgoing)
            } else {
                events.append(contentsOf: session.outgoing)
                session.outgoing.removeAll(keepingCapacity: true)
            }
            session.outgoingBytes = 0
            var handed: [Held] = []
            swap(&handed, &session.handingOver)
            handedOver(handed, now: now)
            handed.removeAll(keepingCapacity: true)
            if session.handingOver.isEmpty { swap(&handed, &session.handingOver) }
        }
        if session.outgoing.isEmpty { session.isAlarmUntold = false }
        if session.isStarved {
            session.isStarved = false
            dispatchInTurn(to: session, now: now)
        }
        settleDying(now: now)
    }

    /// Automatic-ack deliveries are with their consumers.
    private mutating func handedOver(_ handed: [Held], now: Instant) {
        // In place: a copy of each would be counted at four references.
        for index in handed.indices { finish(handed.span[index], now: now) }
        guard !seenIDs.isComplete else { return }
        var last: MessageQueue?
        for held in handed where held.queue !== last {
            noteIDsGone(from: held.queue)
            last = held.queue
        }
    }

    /// The same for the first `end` events; the others wait for a commit.
    private mutating func drain(
        _ session: Session, upTo end: Int, into events: inout [SessionEvent], now: Instant
    ) {
        guard end > 0 else { return }
        events.append(contentsOf: session.outgoing[..<end])
        let handed = Array(session.handingOver.prefix(session.outgoing[..<end].count(where: \.isAutoAcked)))
        session.handingOver.removeFirst(handed.count)
        session.outgoing.removeFirst(end)
        session.outgoingBytes = session.outgoing.reduce(0) { $0 + $1.deliveredBytes }
        for index in session.marks.indices { session.marks[index].event -= end }
        handedOver(handed, now: now)
    }

    // MARK: - Marks

    /// Says of what was found at the start whether its deliveries are written down first.
    func chooseMarks(of queue: MessageQueue) {
        let counts = queue.settings.deliveryLimit != nil || queue.settings.retry.type != .disabled
        queue.marksBelow = counts ? firstOwnNumber : 0
    }

    /// Writes down that a delivery is being made, which waits for that: it is the session's next event. While nothing
    /// can be written, only those wait whose consumers asked for it.
    mutating func markFirst(
        _ entry: Entry, _ queue: MessageQueue, _ consumer: Consumer?, _ session: Session, now: Instant
    ) {
        guard entry.storage == .database, alarms[.store] == nil || consumer?.countsFirst == true else {
            return
        }
        let holder = session.holder(of: consumer)
        gathering.setCounters(
            CounterUpdate(
                number: entry.number, failed: entry.failed, acquired: entry.acquired,
                heldBy: holder, heldSince: now))
        gathering.isAwaited = true
        gathering.wants(.now)
        let batch = gathering.batch.number
        guard session.marks.last?.batch != batch else { return }
        session.marks.append((session.outgoing.count, batch))
        gathering.marked.append(session)
    }

    /// A batch is committed that deliveries of the session waited for.
    mutating func marked(_ session: Session, in batch: BatchNumber) {
        while let mark = session.marks.first, mark.batch <= batch { session.marks.removeFirst() }
        if !session.isClosed { wake(session) }
    }
}

extension SessionEvent {
    private var delivery: Delivery? {
        switch self {
        case .delivery(let delivery), .answer(_, .delivered(let delivery, _)): delivery
        default: nil
        }
    }

    /// A delivery that is settled by being handed over.
    fileprivate var isAutoAcked: Bool { delivery?.source.autoAck == true }

    /// What it counts in `outgoingBytes`.
    fileprivate var deliveredBytes: Int { delivery.map { $0.message.bulk + 64 } ?? 0 }
}
