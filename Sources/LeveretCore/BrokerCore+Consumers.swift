// Consumers come and go, and which of several is next where more counts than who holds the least: pauses,
// priorities, a single active consumer. Plain queues never get here for a message.

import DequeModule

extension BrokerCore {
    mutating func consume(_ consume: Consume, _ ticket: Ticket, _ session: Session, now: Instant) {
        do throws(BrokerError) {
            if isDraining { throw BrokerError(.connectionForced, "the broker is shutting down") }
            let queue = try usableQueue(consume.queue, by: session)
            let tag = consume.tag ?? ConsumerTag(makeName("amq.ctag-"))
            if session.consumers.contains(where: { $0.tag == tag }) {
                throw BrokerError(
                    .notAllowed, "consumer '\(tag)' exists on this session already; pick another name")
            }
            if consume.prefetch < 0 {
                throw BrokerError(
                    .preconditionFailed, "prefetch \(consume.prefetch) is negative; 0 is without limit")
            }
            if let timeout = consume.timeoutMilliseconds,
                !(1...QueueSettings.millisecondsMax).contains(timeout)
            {
                throw BrokerError(
                    .preconditionFailed,
                    "a consumer timeout of \(timeout) ms; 1 to \(QueueSettings.millisecondsMax) are allowed")
            }
            try checkExclusive(consume, queue)
            nextConsumer += 1
            let consumer = Consumer(consume, tag: tag, serial: nextConsumer, session: session, queue: queue)
            session.consumers.append(consumer)
            queue.consumers.append(consumer)
            queue.chooseActive()
            outputs.events.append(.consumerAdded(queue.name, tag, in: queue.host.name))
            answer(session, ticket, .consuming(tag))
            dispatch(queue, now: now)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    private func checkExclusive(_ consume: Consume, _ queue: MessageQueue) throws(BrokerError) {
        if consume.isExclusive, queue.settings.isSingleActive {
            let text = "queue '\(queue.name)' has a single active consumer; exclusive access is refused"
            throw BrokerError(.accessRefused, text)
        }
        guard let other = queue.consumers.first, other.isExclusive || consume.isExclusive else { return }
        let kind = other.isExclusive ? "an exclusive consumer" : "consumers"
        let text = "queue '\(queue.name)' has \(kind) already; exclusive access is refused"
        throw BrokerError(.accessRefused, text)
    }

    mutating func cancel(
        _ tag: ConsumerTag, requeue: Bool, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        guard let consumer = session.consumers.first(where: { $0.tag == tag }) else {
            let text = "no consumer '\(tag)' on this session"
            // It may have ended by itself, so no session stops at this.
            return post(.answer(ticket, .refused(BrokerError(.notFound, text))), to: session)
        }
        let before = gathering.durableChanges
        let queue = consumer.queue
        if requeue {
            for tag in session.heldTags() where session.isHeld(tag, by: consumer) {
                guard let held = session.release(tag) else { continue }
                giveBack(held, counted: false, now: now)
            }
        }
        remove(consumer, now: now)
        dispatchBlocked(by: session, now: now)
        returned(to: queue, now: now)
        settleDying(now: now)
        answerDurably(session, ticket, .done, since: before)
    }

    /// Takes a consumer off its queue.
    mutating func remove(_ consumer: Consumer, now: Instant) { remove([consumer], now: now) }

    /// Takes consumers off their queues; an auto-delete queue goes with its last. O(consumers of these queues and
    /// sessions), however many go.
    mutating func remove(_ ended: [Consumer], now: Instant) {
        for consumer in ended {
            consumer.isCancelled = true
            let queue = consumer.queue
            outputs.events.append(.consumerRemoved(queue.name, consumer.tag, in: queue.host.name))
        }
        for session in ended.eachOnce(\.session) { session.consumers.removeAll(where: \.isCancelled) }
        for queue in ended.eachOnce(\.queue) { lostConsumers(queue, now: now) }
    }

    private mutating func lostConsumers(_ queue: MessageQueue, now: Instant) {
        queue.consumers.removeAll(where: \.isCancelled)
        queue.nextConsumer = 0
        queue.chooseActive()
        queue.lastUsed = now
        if queue.definition.isAutoDelete, queue.consumers.isEmpty, !queue.isDeleted {
            _ = deleteQueue(queue, now: now)
        } else {
            arm(queue)
        }
    }

    /// Stops the dispatch of a queue, or lets it go on.
    mutating func setPaused(_ queue: MessageQueue, _ isPaused: Bool, now: Instant) {
        guard isPaused != (queue.pausedSince != nil) else { return }
        queue.pausedSince = isPaused ? now : nil
        queue.chooseActive()
        if queue.survives { gathering.define(.pauseQueue(queue.id, since: queue.pausedSince)) }
        dispatch(queue, now: now)
    }
}

extension [Consumer] {
    /// What the consumers have, each object once, in their order.
    func eachOnce<Object: AnyObject>(_ path: KeyPath<Consumer, Object>) -> [Object] {
        var seen: Set<ObjectIdentifier> = []
        return map { $0[keyPath: path] }.filter { seen.insert(ObjectIdentifier($0)).inserted }
    }
}

extension MessageQueue {
    /// Sees who is active, and whether the plain rule of dispatch is enough. Called when consumers come and
    /// go, and when the queue is paused or goes on.
    func chooseActive() {
        active = nil
        if settings.isSingleActive {
            // The first of the highest priority: one that comes later takes over only from a lower one.
            for consumer in consumers where consumer.priority > active?.priority ?? .min || active == nil {
                active = consumer
            }
        }
        let hasPriorities = consumers.contains { $0.priority != consumers[0].priority }
        dispatchesPlainly = pausedSince == nil && !settings.isSingleActive && !hasPriorities
    }

    /// Which consumer is next where the plain rule is not enough.
    func chosenConsumer() -> Consumer? {
        if settings.isSingleActive {
            guard let active, isHandedOver, active.hasCredit else { return nil }
            return active
        }
        var priority: Int32?
        for consumer in consumers where consumer.priority >= priority ?? .min && consumer.hasCredit {
            priority = consumer.priority
        }
        guard let priority else { return nil }
        return leastLoaded { $0.priority == priority }
    }

    /// True where nobody but the active consumer holds messages: those before go back first, or are settled,
    /// so that the order stays.
    var isHandedOver: Bool { unackedCount - heldByGets == active?.unacked ?? 0 }

    /// Of the consumers with credit the one that holds least, in turn among equals.
    func leastLoaded(where isWanted: (Consumer) -> Bool) -> Consumer? {
        var best: Int?
        for offset in 0..<consumers.count {
            let index = (nextConsumer + offset) % consumers.count
            guard isWanted(consumers[index]), consumers[index].hasCredit else { continue }
            if best == nil || consumers[index].unacked < consumers[best ?? index].unacked { best = index }
        }
        guard let best else { return nil }
        nextConsumer = (best + 1) % consumers.count
        return consumers[best]
    }
}
