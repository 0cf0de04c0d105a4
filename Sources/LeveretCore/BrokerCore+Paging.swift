// What memory does not hold is read back: the window of a queue, single messages, what has expired.

/// A read that is not a queue's next window.
struct SpecialLoad {
    enum Purpose {
        /// Entries at the head of a window lost their bodies to save memory.
        case bodies
        /// A rejected message needs its body to be dead-lettered.
        case death(Dying)
        /// The one message of a MOVE stands behind the window.
        case moveOne(Move, MoveTarget)
        /// PEEK looks behind the window, or at bodies that are not in memory.
        case peek(PeekInProgress)
    }

    var queue: MessageQueue
    var purpose: Purpose
    /// For `moveOne` and `peek`: who asked.
    var session: Session?
    var ticket: Ticket = 0
    /// An answer that waits for this read.
    var deferred: DeferredAnswer?
}

extension BrokerCore {
    /// Asks for the next stretch of the queue when its window runs low.
    mutating func refill(_ queue: MessageQueue) {
        guard queue.storedCount > 0, !queue.isLoading, !queue.isDeleted else { return }
        guard queue.ready.count <= windowCountWanted(queue) / 2 else { return }
        queue.isLoading = true
        let count = max(1, windowCountWanted(queue) - queue.ready.count)
        ask(
            LoadRequest(
                queue: queue.id, kind: .window(after: queue.cursor), countMax: count,
                bytesMax: max(0, limits.windowBytesMax - queue.windowBytes), epoch: queue.epoch,
                barrier: queue.barrier))
    }

    /// How many ready messages the queue should keep in memory.
    private func windowCountWanted(_ queue: MessageQueue) -> Int {
        messageBytes < limits.messageBytesMax ? limits.windowCountMax : limits.windowCountMin
    }

    private mutating func ask(_ request: LoadRequest) {
        if request.barrier >= gathering.batch.number {
            gathering.isAwaited = true
            gathering.wants(.now)
        }
        outputs.loads.append(request)
    }

    /// The number of the last batch that has anything in it.
    var latestBarrier: BatchNumber {
        if gathering.hasChanges { return gathering.batch.number }
        return inFlight?.batch.number ?? BatchNumber(gathering.batch.number.rawValue - 1)
    }

    /// Puts the last messages of a window that grew too large back into the store.
    mutating func trim(_ queue: MessageQueue) {
        while queue.ready.count > 2 * limits.windowCountMax, let last = queue.ready.last,
            last.number > queue.highestTaken, isCommitted(last), let entry = queue.popLastToStore()
        {
            messageBytes -= entry.footprint
            if queue.storedCount == 1 { queue.oldestStored = entry.entered }
            dropAnswersUnderWay(for: queue)
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
        queue.isLoadingExpired = false
        resumeMoves(from: queue)
    }

    /// Lets go of the bodies of what is held, where they are stored, when memory is short.
    mutating func dropHeldBodies() {
        guard messageBytes > unackedDropAt else { return }
        for connection in connections {
            for session in connection.sessions where session.heldCount > 0 {
                session.droppedBelow = session.updateHeld(from: session.droppedBelow) { _, held in
                    if held.entry.storage == .memory { return true }
                    guard isCommitted(held.entry) else { return false }
                    messageBytes -= held.entry.footprint
                    held.entry.message = nil
                    return true
                }
            }
        }
        unackedDropAt = max(limits.messageBytesMax, messageBytes + limits.messageBytesMax / 4)
    }

    /// Reads the bodies of entries at the head that were dropped while they were held.
    mutating func fetchBodies(of queue: MessageQueue) {
        guard !queue.isFetching else { return }
        queue.isFetching = true
        var numbers: [MessageNumber] = []
        for entry in queue.ready.prefix(limits.windowCountMin * 4) where entry.message == nil {
            numbers.append(entry.number)
        }
        _ = load(numbers, of: queue, for: .bodies)
    }

    /// Reads certain messages; the answer comes to `purpose`.
    mutating func load(
        _ numbers: [MessageNumber], of queue: MessageQueue, for purpose: SpecialLoad.Purpose
    ) -> UInt64 {
        load(
            .numbers(numbers), countMax: numbers.count, of: queue,
            for: SpecialLoad(queue: queue, purpose: purpose))
    }

    /// Makes a read that is not a window; the answer comes to `special`.
    mutating func load(
        _ kind: LoadRequest.Kind, countMax: Int, of queue: MessageQueue, for special: SpecialLoad
    ) -> UInt64 {
        let epoch = nextSpecialLoad
        nextSpecialLoad += 1
        specialLoads[epoch] = special
        ask(
            LoadRequest(
                queue: queue.id, kind: kind, countMax: countMax, bytesMax: .max, epoch: epoch,
                barrier: latestBarrier))
        return epoch
    }

    /// Takes the store's answer.
    public mutating func loaded(_ result: LoadResult, now: Instant) {
        if let special = specialLoads.removeValue(forKey: result.request.epoch) {
            specialLoaded(special, result, now: now)
        } else if let queue = queuesByID[result.request.queue], queue.epoch == result.request.epoch {
            switch result.request.kind {
            case .window: windowLoaded(result, of: queue, now: now)
            case .expired(_, let by): expiredLoaded(result, of: queue, by: by, now: now)
            case .numbers: break
            }
        }
        settleDying(now: now)
    }

    private mutating func windowLoaded(_ result: LoadResult, of queue: MessageQueue, now: Instant) {
        queue.isLoading = false
        if result.rows.isEmpty {
            if result.request.barrier < latestBarrier {
                queue.barrier = latestBarrier
            } else {
                queue.storedCount = 0
                queue.storedBytes = 0
            }
        }
        for row in result.rows where queue.storedCount > 0 {
            let entry = Entry(row)
            queue.storedCount -= 1
            queue.storedBytes = queue.storedCount == 0 ? 0 : max(0, queue.storedBytes - Int(entry.bytes))
            queue.oldestStored = row.entered
            messageBytes += entry.footprint
            if let limit = queue.settings.deliveryLimit, Int64(entry.failed) > limit {
                queue.cursor = entry.number
                drop(entry, from: queue, .deliveryLimit)
            } else {
                queue.append(entry)
            }
        }
        if queue.storedCount == 0 {
            queue.storedNextExpiry = .distantFuture
            queue.storedExpirySinceAsked = .distantFuture
        }
        enforceLength(of: queue, now: now)
        arm(queue)
        dispatch(queue, now: now)
        resumeMoves(from: queue)
    }

    /// Asks for what has expired behind the window.
    mutating func loadExpired(_ queue: MessageQueue, now: Instant) {
        guard !queue.isLoadingExpired else { return }
        queue.isLoadingExpired = true
        queue.storedExpirySinceAsked = .distantFuture
        ask(
            LoadRequest(
                queue: queue.id, kind: .expired(after: queue.cursor, by: now), countMax: limits.sliceCount,
                bytesMax: limits.windowBytesMax, epoch: queue.epoch, barrier: latestBarrier))
    }

    private mutating func expiredLoaded(
        _ result: LoadResult, of queue: MessageQueue, by: Instant, now: Instant
    ) {
        queue.isLoadingExpired = false
        let rows = result.rows.filter { $0.number > queue.cursor }
        for row in rows where queue.storedCount > 0 {
            removeStored(row, of: queue)
            dying.append(Dying(entry: Entry(row), queue: queue, reason: .expired))
        }
        queue.storedNextExpiry = min(result.nextExpiry, queue.storedExpirySinceAsked)
        if queue.storedCount == 0 { queue.storedNextExpiry = .distantFuture }
        arm(queue)
        // What GETs and moves wait for from the store may be just what has expired.
        dispatch(queue, now: now)
        resumeMoves(from: queue)
    }

    /// Takes a message that stands behind the window out of the queue's counts. Its row is removed by the
    /// caller in this batch, which must be committed before the queue is read again.
    mutating func removeStored(_ row: LoadedRow, of queue: MessageQueue) {
        queue.storedCount -= 1
        queue.storedBytes = queue.storedCount == 0 ? 0 : max(0, queue.storedBytes - row.message.body.count)
        queue.barrier = gathering.batch.number
        if queue.isLoading { dropAnswersUnderWay(for: queue) }
    }

    private mutating func specialLoaded(_ special: SpecialLoad, _ result: LoadResult, now: Instant) {
        let queue = special.queue
        switch special.purpose {
        case .bodies:
            queue.isFetching = false
            guard !queue.isDeleted else { return }
            for row in result.rows where queue.fill(row.number, with: row.message) {
                messageBytes += row.message.footprint
            }
            if case .numbers(let asked) = result.request.kind {
                for number in asked where queue.isBodyless(number) { _ = queue.remove(number) }
            }
            dispatch(queue, now: now)
            resumeMoves(from: queue)
        case .death(var dying):
            queue.inTransit -= 1
            if !queue.isDeleted, let row = result.rows.first {
                dying.entry.message = row.message
                self.dying.append(dying)
                settleDying(now: now)
            }
            finish(special.deferred)
        case .moveOne(let move, let target):
            guard let session = special.session else { return }
            moveOneLoaded(move, target, result, queue, session, special.ticket, now: now)
        case .peek(let peek):
            guard let session = special.session else { return }
            peekLoaded(peek, result, queue, session, special.ticket, now: now)
        }
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
