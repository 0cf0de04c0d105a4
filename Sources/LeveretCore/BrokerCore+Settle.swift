// A delivery is settled: ack, nack, reject, and everything that hands messages back to their places.

/// How a message came back, as far as it matters for when it is tried again.
enum Retry {
    /// A consumer gave it back, perhaps with a word on how long it is to wait.
    case settled(delayMilliseconds: Int64?)
    /// It was taken from its consumer.
    case taken
}

/// A settlement that waits for bodies to be read before it can be answered.
final class DeferredAnswer {
    let session: Session
    let ticket: Ticket
    let answer: Answer
    var remaining: Int

    init(session: Session, ticket: Ticket, answer: Answer, remaining: Int) {
        self.session = session
        self.ticket = ticket
        self.answer = answer
        self.remaining = remaining
    }
}

extension BrokerCore {
    /// Settles deliveries and answers once that is durable.
    mutating func settle(_ settlement: Settlement, _ ticket: Ticket, _ session: Session, now: Instant) {
        if let refusal = refusal(of: settlement, session) {
            return answer(session, ticket, .refused(refusal))
        }
        let before = gathering.durableChanges
        let waitsFor = perform(settlement, session, now: now)
        settleDying(now: now)
        if waitsFor.isEmpty {
            answerDurably(session, ticket, .done, since: before)
        } else {
            let deferred = DeferredAnswer(
                session: session, ticket: ticket, answer: .done, remaining: waitsFor.count)
            for load in waitsFor { specialLoads[load]?.deferred = deferred }
        }
    }

    /// Leaves deliveries to the session's next transaction.
    mutating func claim(_ settlement: Settlement, _ ticket: Ticket, _ session: Session) {
        if let refusal = refusal(of: settlement, session) {
            return answer(session, ticket, .refused(refusal))
        }
        session.claim(settlement)
        answer(session, ticket, .done)
    }

    /// Why a settlement can't be carried out.
    func refusal(of settlement: Settlement, _ session: Session) -> BrokerError? {
        let tag = settlement.tag.rawValue
        guard !(settlement.multiple && tag == 0), !session.holds(settlement.tag) else { return nil }
        if let expiry = session.expiredLeases.first(where: { $0.tag == tag }) {
            return BrokerError(
                .preconditionFailed,
                "the lease of delivery \(tag) expired at \(expiry.end.iso8601) and its message went back; "
                    + "nothing was done")
        }
        let state = tag != 0 && tag < session.nextTag ? "settled before" : "never delivered"
        return BrokerError(
            .preconditionFailed,
            "unknown delivery tag \(tag): it was \(state) on this session; nothing was done")
    }

    /// Carries a settlement out. Returns the reads that a part of it waits for.
    mutating func perform(_ settlement: Settlement, _ session: Session, now: Instant) -> [UInt64] {
        guard !settlement.multiple else {
            return perform(settlement, session.tags(of: settlement), session, now: now)
        }
        guard let held = session.release(settlement.tag.rawValue) else { return [] }
        let load = perform(settlement, held, now: now)
        dispatchBlocked(by: session, now: now)
        returned(to: held.queue, now: now)
        return load.map { [$0] } ?? []
    }

    /// Carries a settlement of these deliveries out. Returns the reads that a part of it waits for.
    mutating func perform(
        _ settlement: Settlement, _ tags: [UInt64], _ session: Session, now: Instant
    ) -> [UInt64] {
        var loads: [UInt64] = []
        var queues: [MessageQueue] = []
        for tag in tags {
            guard let held = session.release(tag) else { continue }
            if let load = perform(settlement, held, now: now) { loads.append(load) }
            if queues.last !== held.queue { queues.append(held.queue) }
        }
        dispatchBlocked(by: session, now: now)
        for queue in queues { returned(to: queue, now: now) }
        return loads
    }

    /// A session with a prefetch of its own, or at its cap, may now take from all its queues: before the queue that
    /// it gave something back to, which would else have it for itself.
    mutating func dispatchBlocked(by session: Session, now: Instant) {
        guard session.isCapped else { return }
        session.isCapped = false
        dispatchInTurn(to: session, now: now)
    }

    /// Has the queues of a session's GETs that were passed over, and of its consumers, hand on what they may, a further
    /// one first each time. None is left out: its dispatch is what notes again that one of these goes without.
    mutating func dispatchInTurn(to session: Session, now: Instant) {
        let queues = session.takePassedOver()
        let consumers = session.consumers
        session.turn += 1
        for place in queues.indices {
            let queue = queues[(session.turn + place) % queues.count]
            queue.gets.resume(session.id)
            returned(to: queue, now: now)
        }
        for place in consumers.indices {
            returned(to: consumers[(session.turn + place) % consumers.count].queue, now: now)
        }
    }

    /// Messages came back to a queue: it may now be too long, and can hand them on.
    mutating func returned(to queue: MessageQueue, now: Instant) {
        guard !queue.isDeleted else { return }
        enforceLength(of: queue, now: now)
        dispatch(queue, now: now)
        noteEmptied(queue, now: now)
    }

    private mutating func perform(_ settlement: Settlement, _ held: Held, now: Instant) -> UInt64? {
        switch settlement.outcome {
        case .ack:
            finish(held, now: now)
            return nil
        case .requeue, .fail:
            let retry = Retry.settled(delayMilliseconds: settlement.delayMilliseconds)
            return giveBack(
                held, counted: settlement.outcome == .fail, retry: retry, errorText: settlement.errorText,
                now: now)
        case .deadLetter:
            return die(held, .rejected, errorText: settlement.errorText, now: now)
        }
    }

    /// A message is done: it goes for good, and whoever waits for its safety hears so.
    mutating func finish(_ held: borrowing Held, now: Instant) {
        held.queue.acked += 1
        totals.acked += 1
        messageBytes -= held.entry.footprint
        forgetID(of: held.entry.number)
        awaitMoves()
        guard held.entry.storage != .memory else { return }
        fireOfGone(takeConfirm(of: held.entry))
        if !held.queue.isDeleted { removeRow(of: held.entry) }
    }

    /// A message goes back to its place; past the delivery limit, or expired meanwhile, to its death. Returns
    /// the read that its death waits for.
    @discardableResult
    mutating func giveBack(
        _ held: Held, counted: Bool, retry: Retry = .taken, errorText: String? = nil, now: Instant
    ) -> UInt64? {
        let queue = held.queue
        var entry = held.entry
        guard !queue.isDeleted else {
            messageBytes -= entry.footprint
            return nil
        }
        queue.returned += 1
        queue.returnRate.mark(1, now: now)
        if counted { entry.failed = entry.failed == .max ? .max : entry.failed + 1 }
        if let end = end(of: entry, in: queue, now: now) {
            let held = Held(entry: entry, queue: queue, consumer: nil, since: now)
            return die(held, end, errorText: errorText, now: now)
        }
        let due = retryDue(of: entry, in: queue, counted: counted, retry, now: now)
        // What is ready again stays in memory; what waits may be read back from the spill file.
        keepCounters(of: entry, in: queue, alsoSpilled: due != nil)
        // Who is told that it failed may rely on it.
        if counted, entry.storage == .database { gathering.durableChanges += 1 }
        if let due {
            keepPlace(of: entry, in: queue, due: due)
            delay(entry, until: due, in: queue, now: now)
            return nil
        }
        queue.putBack(entry)
        if entry.expires < queue.armed { arm(queue) }
        trim(queue)
        return nil
    }

    /// Why a copy that comes back dies instead.
    private func end(of entry: Entry, in queue: MessageQueue, now: Instant) -> DeathReason? {
        if let limit = queue.settings.deliveryLimit, Int64(entry.failed) > limit { return .deliveryLimit }
        return entry.expires <= now ? .expired : nil
    }

    /// Bytes of what this outcome of these deliveries would send to dead-letter exchanges.
    func deadLetterBytes(
        _ outcome: Settlement.Outcome, of tags: [UInt64], _ session: Session, now: Instant
    ) -> Int {
        guard outcome != .ack else { return 0 }
        return tags.reduce(0) { sum, tag in
            guard let held = session[DeliveryTag(tag)], !held.queue.isDeleted,
                held.queue.settings.deadLetterExchange != nil
            else { return sum }
            var entry = held.entry
            if outcome == .fail, entry.failed < .max { entry.failed += 1 }
            let dies = outcome == .deadLetter || end(of: entry, in: held.queue, now: now) != nil
            return dies ? sum + entry.bulk : sum
        }
    }

    /// Writes the counters of a copy that was handed back.
    mutating func keepCounters(of entry: Entry, in queue: MessageQueue, alsoSpilled: Bool) {
        guard entry.storage != .memory else { return }
        if entry.batch == gathering.batch.number {
            gathering.batch.inserts[Int(entry.row)].failed = entry.failed
            gathering.batch.inserts[Int(entry.row)].acquired = entry.acquired
            gathering.counters.drop(entry.number)
        } else if entry.storage == .database || alsoSpilled {
            gathering.setCounters(
                CounterUpdate(
                    number: entry.number, failed: entry.failed, acquired: entry.acquired,
                    heldBy: nil, heldSince: entry.entered))
        }
    }

    /// Writes down what has been held for a while, so that a crash counts as a failure.
    mutating func markHeld(now: Instant) {
        nextHoldMark = .distantFuture
        let due = now.advanced(byMilliseconds: -limits.heldMarkMilliseconds)
        for connection in connections {
            for session in connection.sessions {
                var next: Instant?
                session.markedBelow = session.updateHeld(from: session.markedBelow) { _, held in
                    guard held.entry.storage == .database, !held.queue.isDeleted else { return true }
                    guard held.since <= due else {
                        next = held.since
                        return false
                    }
                    let holder = session.holder(of: held.consumer)
                    gathering.setCounters(
                        CounterUpdate(
                            number: held.entry.number, failed: held.entry.failed,
                            acquired: held.entry.acquired, heldBy: holder, heldSince: held.since))
                    return true
                }
                if let next {
                    nextHoldMark = min(
                        nextHoldMark, next.advanced(byMilliseconds: limits.heldMarkMilliseconds))
                }
            }
        }
    }

    // MARK: - A copy's row

    /// Takes away who waits for a copy's safety: it is told by the caller.
    mutating func takeConfirm(of entry: Entry) -> Confirm {
        let row = Int(entry.row)
        if entry.batch == gathering.batch.number, entry.batch != 0 {
            defer { gathering.confirms[row] = .none }
            return gathering.confirms[row]
        }
        if entry.batch != 0, inFlight?.batch.number == entry.batch {
            defer { inFlight?.confirms[row] = .none }
            return inFlight?.confirms[row] ?? .none
        }
        return .none
    }

    /// A copy is gone. It may be what a move has made that is not committed: then a crash would bring it back where it
    /// was before, and nobody may rely on it yet that it is gone.
    private mutating func awaitMoves() {
        if gathering.hasMoves || inFlight?.hasMoves == true { gathering.durableChanges += 1 }
    }

    /// Removes a copy's row, or never writes it.
    mutating func removeRow(of entry: Entry, isMove: Bool = false) {
        if isMove, entry.storage == .database { gathering.hasMoves = true }
        awaitMoves()
        guard entry.storage != .memory else { return }
        if entry.batch != 0, entry.batch == gathering.batch.number {
            gathering.cancelInsert(Int(entry.row))
        } else {
            gathering.remove(entry.number, spilled: entry.storage == .spill)
        }
    }

    /// A copy is gone for good before it was written: its publisher hears so at once. But what a transaction takes
    /// away is gone with its commit, and an id that is to be known for longer is known from its commit on: a crash
    /// before that must not take along what was confirmed.
    mutating func fireOfGone(_ confirm: Confirm) {
        if case .none = confirm { return }
        guard isInTransaction || gathering.hasIDs || inFlight?.hasIDs == true else { return fire(confirm) }
        gathering.confirmsOfGone.append(confirm)
        gathering.wants(.now)
        gathering.isAwaited = true
    }

    /// A copy is safe: its publisher hears so once all are.
    mutating func fire(_ confirm: Confirm) {
        switch confirm {
        case .none: break
        case .one(let session, let ticket, let routed): answer(session, ticket, .routed(Int(routed)))
        case .shared(let shared):
            shared.remaining -= 1
            if shared.remaining == 0 { answer(shared.session, shared.ticket, .routed(shared.routed)) }
        }
    }
}
