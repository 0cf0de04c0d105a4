// What memory does not hold is read back: the window of a queue, single messages, what has expired.

/// A read that is not a queue's next window.
struct SpecialLoad {
    enum Purpose {
        /// Entries at the head of a window lost their bodies to save memory.
        case bodies(of: [Spot])
        /// A rejected message needs its body to be dead-lettered.
        case death(Dying)
        /// The one message of a MOVE is only stored; `removals` is the queue's count when it was asked.
        case moveOne(Move, MoveTarget, removals: Int)
        /// The one message of a CANCEL or EDIT is only stored; `removals` as for `moveOne`.
        case change(MessageNumber, SingleChange, removals: Int)
        /// PEEK looks behind the window, or at bodies that are not in memory.
        case peek(PeekInProgress)
        /// WHY asks which of the delayed messages is due next.
        case why
        /// Messages that a MOVE has found by its condition are only stored; `removals` as for `change`.
        case moveFound(FoundMove, removals: Int)
    }

    /// Where an entry stands in its queue.
    struct Spot {
        var number: MessageNumber
        var place: MessageNumber
        var priority: UInt8
    }

    var queue: MessageQueue
    var purpose: Purpose
    /// For `moveOne`, `change`, `peek` and `why`: who asked.
    var session: Session?
    var ticket: Ticket = 0
    /// An answer that waits for this read.
    var deferred: DeferredAnswer?
    /// The batch that gathers waits for it, too.
    var holdsBatch = false
}

extension BrokerCore {
    /// Asks for the next stretch of the queue when memory runs low of what is delivered next.
    mutating func refill(_ queue: MessageQueue) {
        guard queue.storedCount > 0, !queue.isLoading, !queue.isDeleted else { return }
        // The first window from the top of which anything is only stored, and what is in memory up to it.
        var priority = queue.highestPriority
        var (count, bytes) = (queue[priority].entries.count, queue[priority].bulk)
        while queue[priority].storedCount == 0 {
            priority = queue.priority(below: priority)
            count += queue[priority].entries.count
            bytes += queue[priority].bulk
        }
        guard count <= windowCountWanted(queue) / 2 else { return }
        loadWindow(of: queue, priority, besides: (count, bytes))
    }

    /// Asks for the next stretch of one window, so much that memory is as full as it should be of what is
    /// delivered next.
    mutating func loadWindow(
        of queue: MessageQueue, _ priority: UInt8, besides inMemory: (count: Int, bytes: Int)
    ) {
        guard !queue.isLoading else { return }
        queue.isLoading = true
        var request = LoadRequest(
            queue: queue.id, kind: .window(after: queue[priority].cursor), priority: queue.column(priority),
            countMax: max(1, windowCountWanted(queue) - inMemory.count),
            bytesMax: max(0, limits.windowBytesMax - inMemory.bytes), epoch: queue.epoch,
            barrier: queue.barrier)
        request.isBare = queue.onlyDrops
        ask(request)
    }

    /// How many ready messages the queue should keep in memory.
    func windowCountWanted(_ queue: MessageQueue) -> Int {
        messageBytes < limits.messageBytesMax ? limits.windowCountMax : limits.windowCountMin
    }

    mutating func ask(_ request: LoadRequest) {
        if request.barrier >= gathering.batch.number {
            gathering.isAwaited = true
            gathering.wants(.now)
        }
        outputs.loads.append(request)
    }

    /// The number of the last batch that has anything in it.
    var latestBarrier: BatchNumber {
        if gathering.hasChanges { return gathering.batch.number }
        return inFlight?.batch.number ?? committedBarrier
    }

    /// The batch that is on disk now.
    var committedBarrier: BatchNumber {
        BatchNumber((inFlight?.batch.number ?? gathering.batch.number).rawValue - 1)
    }

    /// The batch in which all stands of which the core has let the body go, and which waits for no read.
    var barrierOfStored: BatchNumber {
        inFlight?.batch.number ?? BatchNumber(gathering.batch.number.rawValue - 1)
    }

    /// Puts the last messages of a queue that grew too large in memory back into the store, lowest priorities
    /// first, and only those up to `highest`.
    mutating func trim(_ queue: MessageQueue, upTo highest: UInt8 = .max) {
        guard queue.inMemory > 2 * limits.windowCountMax else { return }
        for priority in queue.priorities.reversed() where priority <= highest {
            while queue.inMemory > 2 * limits.windowCountMax, let last = queue[priority].entries.last,
                last.place > queue[priority].highestTaken, isCommitted(last),
                let entry = queue[priority].popLastToStore()
            {
                messageBytes -= entry.footprint
                queue.barrier = latestBarrier
                dropAnswersUnderWay(for: queue)
            }
        }
    }

    func isCommitted(_ entry: Entry) -> Bool {
        guard entry.storage != .memory else { return false }
        return entry.batch < (inFlight?.batch.number ?? gathering.batch.number)
    }

    /// What the store is reading of the queue's window no longer counts; who waited for it looks again.
    mutating func dropAnswersUnderWay(for queue: MessageQueue) {
        queue.epoch += 1
        queue.isLoading = false
        if queue.isLoadingExpired {
            queue.isLoadingExpired = false
            // What has expired is asked for again.
            arm(queue)
        }
        resumeMoves(from: queue)
    }

    /// Lets go of the bodies of what is held, where they are stored, when memory is short.
    mutating func dropHeldBodies() {
        guard messageBytes > unackedDropAt else { return }
        for connection in connections {
            for session in connection.sessions where session.heldCount > 0 {
                session.droppedBelow = session.updateHeld(from: session.droppedBelow) { _, held in
                    if held.entry.storage == .memory || held.entry.message?.overridesRetry == true {
                        return true
                    }
                    guard isCommitted(held.entry) else { return false }
                    messageBytes -= held.entry.footprint
                    held.entry.message = nil
                    return true
                }
            }
        }
        unackedDropAt = max(limits.messageBytesMax, messageBytes + limits.messageBytesMax / 4)
    }

    /// Reads the bodies of entries at the head that were dropped while they were held, or not read at first.
    mutating func fetchBodies(of queue: MessageQueue, _ priority: UInt8) {
        guard !queue.isFetching else { return }
        queue.isFetching = true
        // They are read by number, as many as there is room for: so the first of them must be the head.
        var spots: [SpecialLoad.Spot] = []
        let window = queue[priority]
        for entry in window.entries.prefix(limits.windowCountMin * 4) where entry.message == nil {
            if let last = spots.last, entry.number < last.number { break }
            spots.append(
                SpecialLoad.Spot(number: entry.number, place: entry.place, priority: entry.priority))
        }
        _ = load(
            .numbers(spots.map(\.number)), countMax: spots.count, bytesMax: limits.windowBytesMax, of: queue,
            for: SpecialLoad(queue: queue, purpose: .bodies(of: spots)))
    }

    /// Reads certain messages; the answer comes to `purpose`.
    mutating func load(
        _ numbers: [MessageNumber], of queue: MessageQueue, for purpose: SpecialLoad.Purpose,
        barrier: BatchNumber? = nil
    ) -> UInt64 {
        load(
            .numbers(numbers), countMax: numbers.count, of: queue,
            for: SpecialLoad(queue: queue, purpose: purpose), barrier: barrier)
    }

    /// Makes a read that is not a window; the answer comes to `special`.
    mutating func load(
        _ kind: LoadRequest.Kind, priority: UInt8 = 0, countMax: Int, bytesMax: Int = .max,
        of queue: MessageQueue, for special: SpecialLoad, barrier: BatchNumber? = nil
    ) -> UInt64 {
        let epoch = nextSpecialLoad
        nextSpecialLoad += 1
        specialLoads[epoch] = special
        ask(
            LoadRequest(
                queue: queue.id, kind: kind, priority: queue.column(priority), countMax: countMax,
                bytesMax: bytesMax, epoch: epoch, barrier: barrier ?? latestBarrier))
        return epoch
    }

    /// Takes the store's answer.
    public mutating func loaded(_ result: LoadResult, now: Instant) {
        var result = result
        if let queue = queuesByID[result.request.queue] { queue.correct(&result) }
        if case .ids = result.request.kind {
            idsLoaded(result, now: now)
        } else if let special = specialLoads.removeValue(forKey: result.request.epoch) {
            specialLoaded(special, result, now: now)
        } else if let queue = queuesByID[result.request.queue] {
            switch result.request.kind {
            case .window where result.request.epoch == queue.epoch:
                windowLoaded(result, of: queue, now: now)
            case .expired(_, let by) where result.request.epoch == queue.epoch:
                expiredLoaded(result, of: queue, by: by, now: now)
            case .due where result.request.epoch == queue.delayed.epoch:
                delayedLoaded(result, of: queue, now: now)
            case .window, .expired, .due, .numbers, .ids: break
            }
        }
        settleDying(now: now)
    }

    /// A read has failed, and will be tried again: nobody else is to wait for that.
    public mutating func loadFailed(_ request: LoadRequest) {
        guard let special = specialLoads[request.epoch], special.holdsBatch else { return }
        specialLoads[request.epoch]?.holdsBatch = false
        letBatchGo()
    }

    private mutating func letBatchGo() {
        gathering.bodiesAwaited -= 1
        if gathering.bodiesAwaited == 0 { gathering.wants(.now) }
    }

    private mutating func windowLoaded(_ result: LoadResult, of queue: MessageQueue, now: Instant) {
        queue.isLoading = false
        let priority = result.request.priority ?? 0
        if result.rows.isEmpty {
            if result.request.barrier < queue.storedThrough {
                queue.barrier = queue.storedThrough
            } else {
                queue[priority].forgetStored()
            }
        }
        for row in result.rows where queue[priority].storedCount > 0 {
            let entry = Entry(row)
            queue[priority].tookFromStore(entry)
            messageBytes += entry.footprint
            if let damage = row.damage, !row.isBare {
                setAside(entry, of: queue, because: damage)
            } else if let limit = queue.settings.deliveryLimit, Int64(entry.failed) > limit {
                drop(entry, from: queue, .deliveryLimit)
            } else {
                queue.append(entry)
            }
        }
        if priority > 0 { trim(queue, upTo: priority - 1) }
        enforceLength(of: queue, now: now)
        arm(queue)
        dispatch(queue, now: now)
        noteEmptied(queue, now: now)
        resumeMoves(from: queue)
    }

    /// Asks for what has expired behind the windows, of one priority at a time.
    mutating func loadExpired(_ queue: MessageQueue, now: Instant) {
        guard !queue.isLoadingExpired,
            let priority = queue.priorities.first(where: { queue[$0].storedNextExpiry <= now })
        else { return }
        let slice = expirySlice(since: queue[priority].storedNextExpiry, now: now)
        queue.isLoadingExpired = true
        queue[priority].storedExpirySinceAsked = .distantFuture
        ask(
            LoadRequest(
                queue: queue.id, kind: .expired(after: queue[priority].cursor, by: now),
                priority: queue.column(priority), countMax: slice, bytesMax: limits.windowBytesMax,
                epoch: queue.epoch, barrier: latestBarrier))
    }

    private mutating func expiredLoaded(
        _ result: LoadResult, of queue: MessageQueue, by: Instant, now: Instant
    ) {
        queue.isLoadingExpired = false
        let priority = result.request.priority ?? 0
        let rows = result.rows.filter { $0.place > queue[priority].cursor }
        for row in rows where queue[priority].storedCount > 0 {
            removeStored(row, of: queue)
            dying.append(Dying(entry: Entry(row), queue: queue, reason: .expired, damage: row.damage))
        }
        queue[priority].storedNextExpiry =
            queue[priority].storedCount == 0
            ? .distantFuture : min(result.nextExpiry, queue[priority].storedExpirySinceAsked)
        arm(queue)
        noteEmptied(queue, now: now)
        // What GETs and moves wait for from the store may be just what has expired.
        dispatch(queue, now: now)
        resumeMoves(from: queue)
    }

    /// Takes a message that stands behind the window out of the queue's counts. Its row is removed by the
    /// caller in this batch, which must be committed before the queue is read again.
    mutating func removeStored(_ row: LoadedRow, of queue: MessageQueue) {
        queue[row.priority ?? 0].forgetStored(bytes: row.message.body.count)
        noteRemoved(from: queue)
    }

    /// What is being read of the queue's window may hold a message that is removed in this batch.
    mutating func noteRemoved(from queue: MessageQueue) {
        queue.removals += 1
        queue.barrier = gathering.batch.number
        if queue.isLoading { dropAnswersUnderWay(for: queue) }
    }

    private mutating func specialLoaded(_ special: SpecialLoad, _ result: LoadResult, now: Instant) {
        let queue = special.queue
        switch special.purpose {
        case .bodies(let spots):
            bodiesLoaded(result, spots, of: queue, now: now)
        case .death(var dying):
            queue.inTransit -= 1
            if !queue.isDeleted {
                // A row that somebody else has removed still dies, and is counted; nothing is left to send on.
                dying.entry.message = result.rows.first?.message
                dying.damage = result.rows.first?.damage
                self.dying.append(dying)
                settleDying(now: now)
            }
            noteEmptied(queue, now: now)
            finish(special.deferred)
            if special.holdsBatch { letBatchGo() }
        case .moveOne(let move, let target, let removals):
            guard let session = special.session, !session.isClosed else { return }
            moveOneLoaded(
                move, target, removals: removals, result, queue, session, special.ticket, now: now)
        case .change(let position, let change, let removals):
            guard let session = special.session, !session.isClosed else { return }
            changeLoaded(
                position, change, removals: removals, result, queue, session, special.ticket, now: now)
        case .peek(let peek):
            guard let session = special.session, !session.isClosed else { return }
            peekLoaded(peek, result, queue, session, special.ticket, now: now)
        case .why:
            guard let session = special.session, !session.isClosed else { return }
            whyLoaded(result.rows.first, queue, session, special.ticket, now: now)
        case .moveFound(let move, let removals):
            foundLoaded(move, removals: removals, result, now: now)
        }
    }

    private mutating func bodiesLoaded(
        _ result: LoadResult, _ spots: [SpecialLoad.Spot], of queue: MessageQueue, now: Instant
    ) {
        queue.isFetching = false
        guard !queue.isDeleted else { return }
        let bytes = result.rows.reduce(0) { $0 + $1.message.bulk }
        let last = bytes > result.request.bytesMax ? result.rows.last?.number : nil
        for spot in spots {
            if let last, spot.number > last { break }  // there was no room for it
            guard var entry = queue[spot.priority].entry(at: spot.place), entry.number == spot.number,
                entry.message == nil
            else { continue }
            guard let row = result.rows.first(where: { $0.number == spot.number }) else {
                _ = queue[spot.priority].remove(at: spot.place)
                continue
            }
            entry.fill(row.message)
            messageBytes += entry.footprint
            if let damage = row.damage {
                _ = queue[spot.priority].remove(at: spot.place)
                setAside(entry, of: queue, because: damage)
            } else {
                queue[spot.priority].replace(with: entry)
            }
        }
        dispatch(queue, now: now)
        noteEmptied(queue, now: now)
        resumeMoves(from: queue)
    }

    private mutating func finish(_ deferred: DeferredAnswer?) {
        guard let deferred else { return }
        deferred.remaining -= 1
        guard deferred.remaining == 0 else { return }
        gathering.answers.append(
            WaitingAnswer(session: deferred.session, ticket: deferred.ticket, answer: deferred.answer))
        gathering.wants(.now)
    }
}
