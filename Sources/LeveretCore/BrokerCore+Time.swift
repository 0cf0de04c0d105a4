// Time passes: messages expire wherever they stand, GETs give up, unused queues go.

import DequeModule
import HeapModule

/// When something is due in a queue.
struct QueueTimer: Comparable {
    var at: Instant
    var queue: MessageQueue

    static func < (a: Self, b: Self) -> Bool { (a.at, a.queue.id) < (b.at, b.queue.id) }
    static func == (a: Self, b: Self) -> Bool { a.at == b.at && a.queue === b.queue }
}

extension BrokerCore {
    /// The time that `nextWake` named has come.
    public mutating func timeReached(now: Instant) {
        while let timer = timers.min, timer.at <= now {
            _ = timers.popMin()
            guard timer.queue.armed == timer.at, !timer.queue.isDeleted else { continue }
            timer.queue.armed = .distantFuture
            timerFired(timer.queue, now: now)
        }
        if let lease = leases.min, lease.at <= now { endLeases(now: now) }
        if nextHoldMark <= now { markHeld(now: now) }
        settleDying(now: now)
    }

    private mutating func timerFired(_ queue: MessageQueue, now: Instant) {
        endWaitingGets(of: queue, now: now)
        // What is left of a crowd is long work, which sets the timer once it is done.
        let isCrowd = expireDue(queue, now: now)
        if isCrowd { work.append(.expire(queue)) }
        if queue.storedCount > 0 { loadExpired(queue, now: now) }
        if queue.delayed.count > 0 { takeDueSlices(queue, now: now) }
        if let deadline = deadline(ofUnused: queue), deadline <= now {
            _ = deleteQueue(queue, now: now)
        } else if !isCrowd {
            arm(queue)
        }
    }

    /// Sets the queue's timer to whatever is due in it next.
    mutating func arm(_ queue: MessageQueue) {
        var next = queue.expiries.min?.at ?? .distantFuture
        if !queue.isLoadingExpired, queue.storedCount > 0 { next = min(next, queue.storedNextExpiry) }
        if queue.delayed.count > 0 { next = min(next, nextDue(in: queue)) }
        next = min(next, queue.gets.earliestDeadline)
        if let deadline = deadline(ofUnused: queue) { next = min(next, deadline) }
        guard next < queue.armed else { return }
        if timers.count > 2 * queuesByID.count + 1024 {
            timers = Heap(
                queues.compactMap { queue in
                    guard let queue, queue.armed != .distantFuture else { return nil }
                    return QueueTimer(at: queue.armed, queue: queue)
                })
        }
        queue.armed = next
        timers.insert(QueueTimer(at: next, queue: queue))
    }

    /// When something is to be done for the delayed messages of the queue.
    private func nextDue(in queue: MessageQueue) -> Instant {
        // A crowd that is due comes in as long work, which sets the timer once it is done.
        guard !queue.isTakingDue else { return .distantFuture }
        let next = queue.delayed.soon.min?.due ?? .distantFuture
        guard queue.delayed.storedCount > 0, !queue.delayed.isLoading,
            queue.delayed.soon.count <= windowCountWanted(queue) / 2
        else { return next }
        let stored = queue.delayed.storedNextDue
        return min(next, stored.advanced(byMilliseconds: -limits.delayedLookaheadMilliseconds))
    }

    private func deadline(ofUnused queue: MessageQueue) -> Instant? {
        let settings = queue.settings
        guard let expires = settings.expiresMilliseconds ?? settings.expiresIfEmptyMilliseconds,
            queue.consumers.isEmpty, queue.gets.isEmpty,
            settings.expiresIfEmptyMilliseconds == nil || queue.holdsNothing
        else { return nil }
        return queue.lastUsed.advanced(byMilliseconds: expires)
    }

    /// A message left the queue: if it was the last, `x-expires-if-empty` counts from now, and no id is left.
    mutating func noteEmptied(_ queue: MessageQueue, now: Instant) {
        if !seenIDs.isComplete { noteIDsGone(from: queue) }
        guard queue.settings.expiresIfEmptyMilliseconds != nil, queue.holdsNothing, !queue.isDeleted else {
            return
        }
        queue.lastUsed = now
        arm(queue)
    }

    /// Takes out what has expired in the window, a slice of it. Returns true when there is more.
    mutating func expireDue(_ queue: MessageQueue, now: Instant) -> Bool {
        let slice = expirySlice(since: queue.expiries.min?.at, now: now)
        var left = slice
        while let expiry = queue.expiries.min, expiry.at <= now {
            guard left > 0 else {
                noteEmptied(queue, now: now)
                return true
            }
            _ = queue.expiries.popMin()
            let waiting = queue[expiry.priority].entry(at: expiry.place)
            guard let waiting, waiting.expires <= now else { continue }
            left -= 1
            if let entry = queue[expiry.priority].remove(at: expiry.place) {
                drop(entry, from: queue, .expired)
            }
        }
        if left < slice {
            refill(queue)
            noteEmptied(queue, now: now)
        }
        return false
    }

    /// How many of a crowd go at once whose first expired at `first`. Few while they are on time: their rows make the
    /// commit longer for whoever else waits for it. More the later they are, so that the last is not late for long.
    func expirySlice(since first: Instant?, now: Instant) -> Int {
        let late = first.map { max(0, now.milliseconds - $0.milliseconds) } ?? 0
        return max(1, limits.sliceCount >> max(0, 3 - late / 500))
    }

    /// Takes out the head of this priority, which has expired.
    mutating func expireFirst(of queue: MessageQueue, _ priority: UInt8) {
        guard let entry = queue[priority].popFirst() else { return }
        drop(entry, from: queue, .expired)
    }
}
