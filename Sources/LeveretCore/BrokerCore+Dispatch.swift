// A ready message goes out: who is next, handing over, and seeing that the window does not run dry.

import DequeModule

/// Who gets the next message of a queue.
enum Taker {
    case consumer(Consumer)
    case get
}

extension BrokerCore {
    /// Hands ready messages out for as long as there are both messages and takers.
    mutating func dispatch(_ queue: MessageQueue, now: Instant) {
        guard !isDraining, !queue.isDeleted else { return }
        var hasHanded = false
        while let head = queue.first {
            // What has expired and nobody would take, the queue's timer drops in slices.
            guard let taker = nextTaker(of: queue, now: now) else { break }
            if head.expires <= now {
                expireFirst(of: queue, head.priority)
                continue
            }
            guard head.message != nil else {
                fetchBodies(of: queue, head.priority)
                break
            }
            guard let entry = queue.popFirst() else { break }
            hand(entry, from: queue, to: taker, now: now)
            hasHanded = true
        }
        if hasHanded { noteEmptied(queue, now: now) }
        // On a full disk what comes back may be long in coming.
        if queue.pausedSince != nil || (queue.isEmpty && (queue.comingBack == 0 || isUnderPressure)) {
            answerGetsThatFoundNothing(queue, now: now)
        }
        refill(queue)
    }

    /// A waiting GET, else the consumer with credit that holds least, in turn among equals.
    ///
    /// Mutating, like `refusal`, for speed alone: a call that only reads is given a copy of the whole core.
    mutating func nextTaker(of queue: MessageQueue, now: Instant) -> Taker? {
        guard !isDraining, queue.pausedSince == nil else { return nil }
        if !queue.gets.isEmpty, hasGet(queue, now: now) { return .get }
        guard queue.dispatchesPlainly else { return queue.chosenConsumer().map { .consumer($0) } }
        let consumers = queue.consumers
        guard let first = consumers.first else { return nil }
        if consumers.count == 1 { return first.hasCredit ? .consumer(first) : nil }
        return queue.leastLoaded { _ in true }.map { .consumer($0) }
    }

    /// True where the first GET may be answered with a message. Those of sessions that do not read are passed over
    /// until these do; that of a session which holds all it may is refused, as it would be if it came now.
    private mutating func hasGet(_ queue: MessageQueue, now: Instant) -> Bool {
        while let get = queue.gets.first {
            let session = get.session
            if session.outgoingBytes >= limits.outgoingBytesMax {
                session.isStarved = true
                session.passedOver.append(queue)
                queue.gets.passOver(session.id)
            } else if let refusal = refusalOfGet(by: session) {
                _ = queue.gets.popFirst()
                end([get], with: .refused(refusal))
                noteUsed(queue, now: now)
            } else {
                return true
            }
        }
        return false
    }

    /// Why a session is handed nothing by a GET.
    private func refusalOfGet(by session: Session) -> BrokerError? {
        guard
            session.heldCount >= limits.unackedCountMax || session.heldBytes >= limits.unackedBytesMax
        else { return nil }
        return BrokerError(
            .resourceError,
            "this session holds \(session.heldCount) unsettled messages of \(session.heldBytes) bytes already; "
                + "settle some first")
    }

    /// Hands one message over. It is out of the window and counted in `messageBytes`.
    mutating func hand(_ entry: consuming Entry, from queue: MessageQueue, to taker: Taker, now: Instant) {
        guard let message = entry.message else { return }
        entry.acquired = entry.acquired == .max ? .max : entry.acquired + 1
        queue.delivered += 1
        queue.deliverRate.mark(1, now: now)
        totals.delivered += 1
        switch taker {
        case .consumer(let consumer):
            let session = consumer.session
            session.outgoingBytes += entry.bulk + 64
            var delivery = Delivery(entry, message, consumer.source)
            delivery.tag = take(entry, queue, consumer, session, autoAck: consumer.source.autoAck, now: now)
            post(.delivery(delivery), to: session)
        case .get:
            guard let get = queue.gets.popFirst() else { return }
            get.session.waitingGets -= 1
            get.session.outgoingBytes += entry.bulk + 64
            noteUsed(queue, now: now)
            let source = get.autoAck ? queue.autoAckGetSource : queue.getSource
            var delivery = Delivery(entry, message, source)
            delivery.tag = take(entry, queue, nil, get.session, autoAck: get.autoAck, now: now)
            answer(get.session, get.ticket, .delivered(delivery, remaining: queue.readyCount))
        }
    }

    /// Sees that a delivery which has just been made comes back in time.
    private mutating func lease(_ session: Session, for milliseconds: Int64, now: Instant) {
        session.shortestLease = min(session.shortestLease, milliseconds)
        checkLeases(of: session, at: now.advanced(byMilliseconds: milliseconds))
    }

    private mutating func take(
        _ entry: consuming Entry, _ queue: MessageQueue, _ consumer: Consumer?, _ session: Session,
        autoAck: Bool,
        now: Instant
    ) -> DeliveryTag {
        if autoAck {
            session.handingOver.append(Held(entry: entry, queue: queue, consumer: consumer, since: now))
            return session.skipTag()
        }
        if entry.storage == .database, nextHoldMark == .distantFuture {
            nextHoldMark = now.advanced(byMilliseconds: limits.heldMarkMilliseconds)
        }
        if entry.number < queue.marksBelow || consumer?.countsFirst == true {
            markFirst(entry, queue, consumer, session, now: now)
        }
        let ownTimeout = consumer?.ownTimeoutMilliseconds
        if let milliseconds = ownTimeout ?? queue.settings.consumerTimeoutMilliseconds {
            lease(session, for: milliseconds, now: now)
        }
        return session.hold(Held(entry: entry, queue: queue, consumer: consumer, since: now))
    }

    /// Answers a GET, now or when there is something.
    mutating func get(
        _ name: QueueName, autoAck: Bool, waitMilliseconds: Int64, _ ticket: Ticket, _ session: Session,
        now: Instant
    ) {
        let queue: MessageQueue
        do throws(BrokerError) {
            queue = try usableQueue(name, by: session)
            if isDraining { throw BrokerError(.connectionForced, "the broker is shutting down") }
            if let refusal = refusalOfGet(by: session) { throw refusal }
        } catch {
            return answer(session, ticket, .refused(error))
        }
        queue.lastUsed = now
        let deadline = waitMilliseconds > 0 ? now.advanced(byMilliseconds: waitMilliseconds) : nil
        session.waitingGets += 1
        queue.gets.append(WaitingGet(session: session, ticket: ticket, autoAck: autoAck, deadline: deadline))
        dispatch(queue, now: now)
        arm(queue)
    }

    /// Ends a GET of the session: who asked for it has gone on to other things.
    mutating func endGet(
        of name: QueueName, _ get: Ticket, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        if let queue = queue(named: name, in: session.host), let get = queue.gets.remove(get, of: session.id)
        {
            end([get], with: .empty)
            noteUsed(queue, now: now)
        }
        answer(session, ticket, .done)
    }

    /// Answers the GETs that wait for nothing but the store: it has nothing, or gives nothing.
    private mutating func answerGetsThatFoundNothing(_ queue: MessageQueue, now: Instant) {
        guard !queue.gets.isEmpty else { return }
        end(queue.gets.removeAllWithoutDeadline(), with: .empty)
        noteUsed(queue, now: now)
    }

    /// Answers the GETs whose time is over.
    mutating func endWaitingGets(of queue: MessageQueue, now: Instant) {
        guard queue.gets.earliestDeadline <= now else { return }
        end(queue.gets.removeAll(overBy: now), with: .empty)
        queue.lastUsed = now
    }

    /// A GET has ended, up to when it was a use of the queue.
    mutating func noteUsed(_ queue: MessageQueue, now: Instant) {
        queue.lastUsed = now
        if queue.expiresUnused { arm(queue) }
    }

    /// Answers GETs that wait no more.
    mutating func end(_ gets: [WaitingGet], with answer: Answer) {
        for get in gets {
            get.session.waitingGets -= 1
            self.answer(get.session, get.ticket, answer)
        }
    }
}

extension Delivery {
    /// A delivery of `entry`, whose tag is still to be given.
    fileprivate init(_ entry: borrowing Entry, _ message: Message, _ source: DeliverySource) {
        self.init(
            source: source, tag: 0, number: entry.number, message: message, deliveries: Int(entry.acquired),
            failed: Int(entry.failed), deaths: entry.deaths
        )
    }
}
