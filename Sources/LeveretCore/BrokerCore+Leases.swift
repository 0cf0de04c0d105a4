// How long a consumer may hold a message: a delivery that is not settled in time goes back to its place, counted
// as failed, and its consumer ends. Sessions without a timeout never get here.

import DequeModule
import HeapModule

/// When a session's leases are to be looked at.
struct LeaseTimer: Comparable {
    var at: Instant
    /// Not the session itself: one that is closed should not have to wait here.
    var session: SessionID

    static func < (a: Self, b: Self) -> Bool { (a.at, a.session) < (b.at, b.session) }
}

extension BrokerCore {
    /// Sees that the session's leases are looked at then, or before.
    mutating func checkLeases(of session: Session, at time: Instant) {
        guard time < session.leaseCheck else { return }
        session.leaseCheck = time
        if leases.count > 2 * sessionsByID.count + 1024 {
            leases = Heap(leases.unordered.filter { sessionsByID[$0.session]?.leaseCheck == $0.at })
        }
        leases.insert(LeaseTimer(at: time, session: session.id))
    }

    /// Gives a delivery more time. One without a lease has all the time there is, which is fine.
    mutating func touch(
        _ tag: DeliveryTag, for milliseconds: Int64?, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        if let refusal = refusal(of: Settlement(.ack, tag), session) {
            return answer(session, ticket, .refused(refusal))
        }
        if let milliseconds, !(1...QueueSettings.millisecondsMax).contains(milliseconds) {
            let text = "a lease of \(milliseconds) ms; 1 to \(QueueSettings.millisecondsMax) are allowed"
            return answer(session, ticket, .refused(BrokerError(.preconditionFailed, text)))
        }
        if let lease = session[tag]?.leaseMilliseconds {
            let end = now.advanced(byMilliseconds: milliseconds ?? lease)
            session.touched[tag.rawValue] = end
            checkLeases(of: session, at: end)
        }
        answer(session, ticket, .done)
    }

    /// Ends the leases whose time is over, a slice of them; `nextWake` stays due while there are more.
    mutating func endLeases(now: Instant) {
        var over: [(session: Session, tag: UInt64, end: Instant)] = []
        while let timer = leases.min, timer.at <= now, over.count < limits.sliceCount {
            _ = leases.popMin()
            guard let session = sessionsByID[timer.session], session.leaseCheck == timer.at else { continue }
            session.leaseCheck = .distantFuture
            let (ended, next) = session.endedLeases(now: now)
            let room = limits.sliceCount - over.count
            for (tag, end) in ended.prefix(room) { over.append((session, tag, end)) }
            checkLeases(of: session, at: ended.count > room ? now : next)
        }
        endConsumers(of: over.map { ($0.session, $0.tag) }, now: now)
        var queues: [MessageQueue] = []
        for (session, tag, end) in over {
            guard let held = session.release(tag) else { continue }
            session.expiredLeases.append((tag, end))
            if session.expiredLeases.count > limits.expiredLeasesMax { session.expiredLeases.removeFirst() }
            let text = "not settled within \(end.milliseconds - held.since.milliseconds) ms"
            giveBack(held, counted: true, errorText: text, now: now)
            if !queues.contains(where: { $0 === held.queue }) { queues.append(held.queue) }
        }
        for (session, _, _) in over { dispatchBlocked(by: session, now: now) }
        for queue in queues { returned(to: queue, now: now) }
    }

    /// Those that let a lease end take no more; what else they hold they may still settle.
    private mutating func endConsumers(of deliveries: [(Session, UInt64)], now: Instant) {
        for (session, tag) in deliveries {
            guard let consumer = session[DeliveryTag(tag)]?.consumer, !consumer.isCancelled else { continue }
            post(.consumerEnded(consumer.tag, .leaseExpired), to: session)
            remove(consumer, now: now)
        }
    }
}

extension Session {
    /// The deliveries whose leases are over, oldest first, and when the next lease ends.
    fileprivate func endedLeases(now: Instant) -> (ended: [(tag: UInt64, end: Instant)], next: Instant) {
        var ended: [(tag: UInt64, end: Instant)] = []
        var next = Instant.distantFuture
        for (tag, end) in touched {
            if end <= now { ended.append((tag, end)) } else { next = min(next, end) }
        }
        var tag = firstTag
        for delivery in held {
            defer { tag += 1 }
            guard let delivery else { continue }
            // Deliveries are in the order of their times: no later one can end before `next`.
            if delivery.since.advanced(byMilliseconds: shortestLease) >= next { break }
            guard touched[tag] == nil, let lease = delivery.leaseMilliseconds else { continue }
            let end = delivery.since.advanced(byMilliseconds: lease)
            if end <= now { ended.append((tag, end)) } else { next = min(next, end) }
        }
        return (ended.sorted { $0.tag < $1.tag }, next)
    }
}

extension Held {
    /// How long it may be held; `nil` is for ever.
    var leaseMilliseconds: Int64? {
        if let consumer { return consumer.timeoutMilliseconds }
        return queue.settings.consumerTimeoutMilliseconds
    }
}
