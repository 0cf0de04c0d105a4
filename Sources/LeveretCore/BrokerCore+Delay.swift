// Messages that wait for a time: delayed when they were published, or until they are tried again. They are rows
// with `due` set; only what is due soon is in memory.

import HeapModule

extension BrokerCore {
    /// Makes a copy wait until `due`. It is counted in `messageBytes`, and in no window.
    mutating func delay(_ entry: Entry, until due: Instant, in queue: MessageQueue, now: Instant) {
        let delayed = Delayed(due: due, entry: entry)
        let isSoon = due <= now.advanced(byMilliseconds: limits.delayedLookaheadMilliseconds)
        if queue.delayed.isComplete(upTo: delayed.key)
            || (isSoon && queue.delayed.isNext(delayed.key) && hasRoomForDelayed(queue))
        {
            queue.delayed.insert(delayed)
            trimDelayed(queue)
        } else {
            spill(entry, of: queue, due: due)
            queue.delayed.store(delayed.key, in: gathering.batch.number)
            messageBytes -= entry.footprint
        }
        if due < queue.armed { arm(queue) }
    }

    private func hasRoomForDelayed(_ queue: MessageQueue) -> Bool {
        let count = queue.delayed.soon.count
        return count < limits.windowCountMin
            || (count < limits.windowCountMax && messageBytes < limits.messageBytesMax)
    }

    /// Puts what is due last back into the store when memory holds too much.
    private mutating func trimDelayed(_ queue: MessageQueue) {
        while queue.delayed.soon.count > 2 * limits.windowCountMax, let last = queue.delayed.soon.max,
            last.entry.storage == .memory || isCommitted(last.entry)
        {
            spill(last.entry, of: queue, due: last.due)
            _ = queue.delayed.popLastToStore(in: gathering.batch.number)
            messageBytes -= last.entry.footprint
        }
    }

    /// A copy that is only in memory gets a row in the spill file.
    mutating func spill(_ entry: Entry, of queue: MessageQueue, due: Instant? = nil) {
        guard entry.storage == .memory else { return }
        var row = insertRow(entry, queue, due: due)
        row.isSpilled = true
        row.dedupID = seenIDs.stored(entry.number, in: gathering.batch.number)
        queue.hasSpilled = true
        _ = gathering.insert(row, confirm: .none)
    }

    /// Writes down where a copy stands now: at its place, or delayed until `due`.
    mutating func keepPlace(of entry: Entry, in queue: MessageQueue, due: Instant? = nil) {
        guard entry.storage != .memory else { return }
        let place = PlaceUpdate(entry, due: due)
        if idLookup != nil { idLookup?.places[entry.number] = place.place }
        if entry.batch != 0, entry.batch == gathering.batch.number {
            gathering.batch.inserts[Int(entry.row)].move(to: place)
        } else {
            gathering.setPlace(place)
        }
    }

    // MARK: - Due

    /// Brings in what is due, a slice now and the others as long work.
    mutating func takeDueSlices(_ queue: MessageQueue, now: Instant) {
        guard !queue.isTakingDue, takeDue(queue, now: now) else { return }
        queue.isTakingDue = true
        work.append(.due(queue))
    }

    /// Brings in what is due, a slice of it. Returns true when there is more in memory.
    private mutating func takeDue(_ queue: MessageQueue, now: Instant) -> Bool {
        var left = limits.sliceCount
        while left > 0, let first = queue.delayed.soon.min, first.due <= now {
            _ = queue.delayed.popFirst()
            left -= 1
            comeDue(first.entry, in: queue, now: now)
        }
        if left < limits.sliceCount {
            enforceLength(of: queue, now: now)
            dispatch(queue, now: now)
            noteEmptied(queue, now: now)
        }
        loadDelayed(queue, now: now)
        return queue.delayed.soon.min.map { $0.due <= now } ?? false
    }

    /// A delayed copy becomes ready: at its old place, or at the tail if it has none yet.
    mutating func comeDue(_ entry: Entry, in queue: MessageQueue, now: Instant) {
        var entry = entry
        var taker: Taker?
        if entry.place == 0 {
            entry.place = takeNumber()
            entry.entered = now
            if let message = entry.message { entry.expires = expiry(of: message, in: queue, now: now) }
            if queue.isEmpty { taker = nextTaker(of: queue, now: now) }
        } else if isBeingPurged(entry, in: queue) {
            entry.place = takeNumber()
        }
        if taker == nil, entry.expires <= now { return drop(entry, from: queue, .expired) }
        keepPlace(of: entry, in: queue)
        if let taker {
            queue[entry.priority].passed(entry.place)
            hand(entry, from: queue, to: taker, now: now)
        } else {
            returnToPlace(entry, of: queue)
        }
    }

    /// Puts a copy that is counted in `messageBytes` where its place is, in memory or behind it.
    mutating func returnToPlace(_ entry: Entry, of queue: MessageQueue) {
        if entry.place <= queue[entry.priority].cursor {
            queue.putBack(entry)
            trim(queue)
        } else if hasRoom(queue, entry.priority) {
            queue.append(entry)
        } else {
            messageBytes -= entry.footprint
            store(entry, of: queue)
            if entry.place < lastNumber {
                // The place is in a stretch that may just be being read.
                queue.barrier = gathering.batch.number
                dropAnswersUnderWay(for: queue)
            }
        }
        if entry.expires < queue.armed { arm(queue) }
    }

    /// True while a purge that began before is still removing what stands where this copy's place is.
    private func isBeingPurged(_ entry: Entry, in queue: MessageQueue) -> Bool {
        func covers(_ range: RangeRemoval) -> Bool {
            range.queue == queue.id && range.after < entry.place && entry.place <= range.through
                && (range.priority == nil || range.priority == entry.priority)
        }
        return gathering.batch.ranges.contains(where: covers)
            || inFlight?.batch.ranges.contains(where: covers) == true
    }

    // MARK: - Reading

    /// Asks for what is due soon, if little of that is in memory.
    mutating func loadDelayed(_ queue: MessageQueue, now: Instant) {
        let horizon = now.advanced(byMilliseconds: limits.delayedLookaheadMilliseconds)
        guard queue.delayed.storedCount > 0, queue.delayed.storedNextDue <= horizon,
            !queue.delayed.isLoading, !queue.isDeleted,
            queue.delayed.soon.count <= windowCountWanted(queue) / 2
        else { return }
        queue.delayed.asked()
        ask(
            LoadRequest(
                queue: queue.id, kind: .due(after: queue.delayed.cursor, by: horizon, from: 0),
                countMax: max(1, windowCountWanted(queue) - queue.delayed.soon.count),
                bytesMax: limits.windowBytesMax, epoch: queue.delayed.epoch, barrier: queue.delayed.barrier))
    }

    /// The store has answered.
    mutating func delayedLoaded(_ result: LoadResult, of queue: MessageQueue, now: Instant) {
        let isNothing = result.rows.isEmpty && result.nextDue == .distantFuture
        for delayed in queue.delayed.loaded(result.rows, nextDue: result.nextDue) {
            messageBytes += delayed.entry.footprint
        }
        for row in result.rows {
            guard let damage = row.damage, let delayed = queue.delayed.remove(row.number) else { continue }
            setAside(delayed.entry, of: queue, because: damage)
        }
        if isNothing, queue.delayed.storedCount > 0, queue.delayed.storedNextDue == .distantFuture {
            queue.delayed.foundNothing(before: latestBarrier, now: now)
        }
        takeDueSlices(queue, now: now)
        arm(queue)
    }
}

extension BrokerCore {
    /// Until when a message that comes back waits; `nil` where it is ready at once. What was taken from a consumer
    /// free of charge never waits.
    mutating func retryDue(
        of entry: Entry, in queue: MessageQueue, counted: Bool, _ retry: Retry, now: Instant
    ) -> Instant? {
        var delay: Int64 = 0
        if case .settled(let asked?) = retry {
            delay = min(asked, QueueSettings.millisecondsMax)
        } else {
            if case .taken = retry, !counted { return nil }
            var settings = queue.settings.retry
            if let message = entry.message, message.overridesRetry, let headers = message.properties?.headers
            {
                settings = settings.overridden(by: headers)
            }
            guard settings.delays(failure: counted) else { return nil }
            delay = settings.delayMilliseconds(failed: entry.failed)
            let span = delay / 100 * settings.jitterPercent + delay % 100 * settings.jitterPercent / 100
            if span > 0 { delay -= Int64(generator.next() % UInt64(span + 1)) }
        }
        guard delay > 0 else { return nil }
        // It expires where it waits, too.
        return min(now.advanced(byMilliseconds: delay), entry.expires)
    }
}

extension PlaceUpdate {
    /// Where a copy stands: delayed until `due`, or ready.
    init(_ entry: Entry, due: Instant?) {
        self.init(
            number: entry.number, place: due == nil ? entry.place : MessageNumber(-entry.place.rawValue),
            due: due, entered: entry.entered, expires: entry.expires, version: entry.version)
    }
}

extension InsertRow {
    /// The copy stands elsewhere by now.
    public mutating func move(to update: PlaceUpdate) {
        place = update.place
        due = update.due
        entered = update.entered
        expires = update.expires
        version = update.version
    }
}
