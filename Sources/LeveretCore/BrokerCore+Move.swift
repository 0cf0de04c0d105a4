// MOVE: ready messages go to another queue or exchange, in order, a slice at a time. Each slice's removals
// and copies stand in one batch. What a replay makes of a message is in Message+Replay.swift.

/// Where a move leads, resolved to something that exists.
enum MoveTarget {
    case queue(MessageQueue)
    /// Each message with its own key or this one, if whoever asked may publish with it.
    case exchange(ExchangeName, routingKey: String?, for: Access?)
    /// For each message the queue where it died first, if whoever asked may write to it.
    case origin(for: Access?)
    case nowhere
}

/// A move that goes on over several slices.
final class MoveInProgress {
    let source: MessageQueue
    let target: MoveTarget
    /// What is moved is marked as replayed.
    let isReplay: Bool
    let session: Session
    let ticket: Ticket
    /// Messages with a place behind this came after the move began.
    let through: MessageNumber
    /// Something has left the source.
    var hasTaken = false
    var left: Int
    var moved = 0

    init(
        source: MessageQueue, target: MoveTarget, isReplay: Bool, session: Session, ticket: Ticket,
        through: MessageNumber, left: Int
    ) {
        self.source = source
        self.target = target
        self.isReplay = isReplay
        self.session = session
        self.ticket = ticket
        self.through = through
        self.left = left
    }
}

extension BrokerCore {
    /// Begins a move.
    mutating func move(
        _ move: Move, in host: VirtualHost, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        do throws(BrokerError) {
            let source = try usableQueue(move.source, in: host, by: session)
            try checkContent(headers: move.headers, body: move.body)
            let target = try self.target(of: move, in: host, session)
            if let condition = move.neededCondition {
                guard move.position == nil else {
                    throw BrokerError(.preconditionFailed, "a move takes a condition or a position, not both")
                }
                try checkSearch(condition)
                let progress = MoveInProgress(
                    source: source, target: target, isReplay: move.isReplay, session: session, ticket: ticket,
                    through: lastNumber, left: move.countMax ?? .max)
                searchPlaces(FoundMove(progress, condition: condition), now: now)
            } else if let position = move.position {
                try moveOne(move, position, from: source, to: target, session, ticket, now: now)
            } else {
                let left = min(move.countMax ?? .max, source.readyCount)
                let progress = MoveInProgress(
                    source: source, target: target, isReplay: move.isReplay, session: session, ticket: ticket,
                    through: lastNumber, left: left)
                moveSlice(progress, now: now)
            }
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    private func target(
        of move: Move, in host: VirtualHost, _ session: Session
    ) throws(BrokerError) -> MoveTarget {
        switch move.destination {
        case .queue(let name):
            return .queue(try usableQueue(name, in: host, by: session))
        case .exchange(let name, let key):
            try checkContent(routingKey: key)
            guard let exchange = host.topology.exchange(name) else {
                throw .noExchange(name, in: host.name)
            }
            if exchange.isInternal {
                throw BrokerError(
                    .accessRefused, "exchange '\(name)' is internal; messages can't be moved to it")
            }
            return .exchange(name, routingKey: key, for: session.access)
        case .origin: return .origin(for: session.access)
        case .nowhere: return .nowhere
        }
    }

    /// Moves a slice; goes on later when there is more.
    mutating func moveSlice(_ move: MoveInProgress, now: Instant) {
        let source = move.source
        var slice = limits.sliceCount
        while move.left > 0, !source.isDeleted {
            guard slice > 0 else { return work.append(.move(move)) }
            guard let priority = priority(next: move) else { break }
            guard let head = source[priority].entries.first else {
                source.waitingMoves.append(move)
                return loadWindow(of: source, priority, besides: (0, 0))
            }
            if head.expires <= now {
                expireFirst(of: source, priority)
                move.hasTaken = true
                move.left -= 1
                continue
            }
            guard head.message != nil else {
                source.waitingMoves.append(move)
                return fetchBodies(of: source, priority)
            }
            guard let entry = source[priority].popFirst() else { break }
            let message = move.isReplay ? entry.replayed(nil, from: source, now: now) : nil
            if let refusal = transfer(entry, of: source, to: move.target, message, now: now) {
                source.putBack(entry)
                return end(move, refusal)
            }
            takeAway(entry, now: now)
            move.hasTaken = true
            move.left -= 1
            move.moved += 1
            slice -= 1
        }
        refill(source)
        if move.hasTaken { noteEmptied(source, now: now) }
        end(move, nil)
    }

    /// The priority whose first message is moved next: what came after the move began stays, whatever its
    /// priority.
    private func priority(next move: MoveInProgress) -> UInt8? {
        var priority = move.source.highestPriority
        while true {
            let window = move.source[priority]
            if let first = window.entries.first {
                if first.place <= move.through { return priority }
            } else if window.storedCount > 0 {
                return priority
            }
            guard priority > 0 else { return nil }
            priority = move.source.priority(below: priority)
        }
    }

    /// Lets the moves go on that waited for the queue to be read.
    mutating func resumeMoves(from queue: MessageQueue) {
        for move in queue.waitingMoves { work.append(.move(move)) }
        queue.waitingMoves = []
    }

    /// Answers a move, once what was moved is safe.
    mutating func end(_ move: MoveInProgress, _ refusal: BrokerError?) {
        let did = if case .nowhere = move.target { "removed" } else { move.isReplay ? "replayed" : "moved" }
        let messages = move.moved == 1 ? "1 message was" : "\(move.moved) messages were"
        let result: Answer =
            refusal.map {
                .refused(BrokerError($0.code, "\($0.text); \(messages) \(did) before"))
            } ?? .count(move.moved)
        guard move.moved > 0 else { return answer(move.session, move.ticket, result) }
        gathering.answers.append(WaitingAnswer(session: move.session, ticket: move.ticket, answer: result))
        gathering.wants(.now)
        gathering.isAwaited = true
    }

    /// Puts a message where a move leads. Returns why not.
    mutating func transfer(
        _ entry: Entry, of source: MessageQueue, to target: MoveTarget, _ edited: Message?, now: Instant
    ) -> BrokerError? {
        guard let message = edited ?? entry.message else { return nil }
        switch target {
        case .queue(let queue): return transfer(entry, message, to: queue, now: now)
        case .exchange(let name, let key, let access):
            let confirm = takeConfirm(of: entry)
            let copy = message.readdressed(to: name, routingKey: key ?? message.routingKey)
            let slots: [QueueSlot]
            do throws(BrokerError) {
                try access?.requireKeys(of: copy)
                slots = try source.host.topology.destinations(of: copy)
            } catch {
                restore(confirm, of: entry)
                return error
            }
            let targets = slots.compactMap { queue(at: $0) }.filter { !isFull($0, for: copy) }
            guard !targets.isEmpty else {
                restore(confirm, of: entry)
                return BrokerError(
                    .noRoute, "exchange '\(name)' routes key '\(copy.routingKey)' to no queue with room")
            }
            deliver(copy, to: targets, entry.deaths, confirm, now: now)
        case .origin(let access):
            guard let name = entry.deaths?.originQueue else {
                return BrokerError(
                    .preconditionFailed,
                    "message \(entry.number.rawValue) has never died; say which queue or exchange it goes to")
            }
            guard let queue = queue(named: name, in: source.host) else {
                return BrokerError(
                    .notFound,
                    "queue '\(name)', where message \(entry.number.rawValue) died first, is gone; make it again, or "
                        + "say which queue or exchange it goes to")
            }
            do throws(BrokerError) { try access?.require(.write, .queue(name)) } catch {
                return error
            }
            return transfer(entry, message, to: queue, now: now)
        case .nowhere: fireOfGone(takeConfirm(of: entry))
        }
        return nil
    }

    /// Moves a message that stands behind the window and has been read. It is no longer counted first: where it moves
    /// within its queue, it must not make that too long for a moment. Returns why it stays; then all is as it was.
    mutating func transferStored(
        _ row: LoadedRow, _ message: Message?, of source: MessageQueue, to target: MoveTarget, now: Instant
    ) -> BrokerError? {
        let entry = Entry(row)
        source[entry.priority].forgetStored(bytes: row.message.body.count)
        if let refusal = transfer(entry, of: source, to: target, message, now: now) {
            source[entry.priority].store(entry)
            return refusal
        }
        noteRemoved(from: source)
        removeRow(of: entry, isMove: true)
        forgetID(of: entry.number)
        return nil
    }

    /// Puts a message at the end of a queue. Returns why not.
    private mutating func transfer(
        _ entry: Entry, _ message: Message, to queue: MessageQueue, now: Instant
    ) -> BrokerError? {
        guard !queue.isDeleted else {
            return BrokerError(.notFound, "queue '\(queue.name)' was deleted meanwhile")
        }
        guard !isFull(queue, for: message) else { return .full(queue.name) }
        let confirm = takeConfirm(of: entry)
        let durable = isStoredDurably(message, in: queue)
        if !durable { fireOfGone(confirm) }
        _ = enqueue(message, on: queue, deaths: entry.deaths, confirm: durable ? confirm : .none, now: now)
        return nil
    }

    /// Puts back who waits for a copy's safety.
    private mutating func restore(_ confirm: Confirm, of entry: Entry) {
        guard case .none = confirm else {
            let row = Int(entry.row)
            if entry.batch == gathering.batch.number {
                gathering.confirms[row] = confirm
            } else {
                inFlight?.confirms[row] = confirm
            }
            return
        }
    }

    /// A message that stands at its new place now leaves the old.
    mutating func takeAway(_ entry: Entry, now: Instant) {
        messageBytes -= entry.footprint
        removeRow(of: entry, isMove: true)
        forgetID(of: entry.number)
    }

    // MARK: - One message

    private mutating func moveOne(
        _ move: Move, _ position: MessageNumber, from source: MessageQueue, to target: MoveTarget,
        _ session: Session,
        _ ticket: Ticket, now: Instant
    ) throws(BrokerError) {
        let entry = source.entry(numbered: position)
        if let entry, entry.expires > now, entry.message != nil {
            try check(entry, has: move.version)
            let before = gathering.durableChanges
            try transferOne(entry, entry.message, move, from: source, to: target, now: now)
            noteEmptied(source, now: now)
            settleDying(now: now)
            answerDurably(session, ticket, .count(1), since: before)
        } else if entry?.message == nil, entry != nil || source.storedCount > 0 {
            let special = SpecialLoad(
                queue: source, purpose: .moveOne(move, target, removals: source.removals), session: session,
                ticket: ticket)
            _ = load(.numbers([position]), countMax: 1, of: source, for: special)
        } else {
            throw notThere(position, source)
        }
    }

    /// The message that was to be moved has been read.
    mutating func moveOneLoaded(
        _ move: Move, _ target: MoveTarget, removals: Int, _ result: LoadResult, _ source: MessageQueue,
        _ session: Session, _ ticket: Ticket, now: Instant
    ) {
        // What was removed since may have been this one, or it is another by now.
        guard removals == source.removals else {
            return self.move(move, in: source.host, ticket, session, now: now)
        }
        do throws(BrokerError) {
            let position = move.position ?? 0
            guard let row = result.rows.first, row.expires > now, !source.isDeleted else {
                throw notThere(position, source)
            }
            let before = gathering.durableChanges
            if row.due == nil, isStillStored(row, in: source) {
                let entry = Entry(row)
                try check(entry, has: move.version)
                let message = edited(row.message, of: entry, by: move, source, now: now)
                if let refusal = transferStored(row, message, of: source, to: target, now: now) {
                    throw refusal
                }
            } else {
                guard let entry = source.entry(numbered: position) else { throw notThere(position, source) }
                try check(entry, has: move.version)
                try transferOne(entry, row.message, move, from: source, to: target, now: now)
            }
            dispatch(source, now: now)
            noteEmptied(source, now: now)
            settleDying(now: now)
            answerDurably(session, ticket, .count(1), since: before)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    /// Moves one message out of the window.
    private mutating func transferOne(
        _ waiting: Entry, _ message: Message?, _ move: Move, from source: MessageQueue,
        to target: MoveTarget, now: Instant
    ) throws(BrokerError) {
        guard let entry = source[waiting.priority].remove(at: waiting.place) else {
            throw notThere(waiting.number, source)
        }
        let edited = edited(message, of: entry, by: move, source, now: now)
        if let refusal = transfer(entry, of: source, to: target, edited, now: now) {
            source.putBack(entry)
            throw refusal
        }
        takeAway(entry, now: now)
    }

    /// The one message as it is moved.
    private func edited(
        _ message: Message?, of entry: Entry, by move: Move, _ source: MessageQueue, now: Instant
    ) -> Message? {
        guard let message else { return nil }
        var edited = message
        if !move.headers.isEmpty || move.body != nil {
            var properties = message.properties ?? MessageProperties()
            for field in move.headers.fields { properties.headers[field.name] = field.value }
            edited = Message(
                exchange: message.exchange, routingKey: message.routingKey,
                properties: properties.isEmpty ? nil : properties, isPersistent: message.isPersistent,
                body: move.body ?? message.body)
        }
        return move.isReplay ? entry.replayed(edited, from: source, now: now) : edited
    }

    private func notThere(_ position: MessageNumber, _ queue: MessageQueue) -> BrokerError {
        BrokerError(
            .notFound,
            "no ready message at position \(position.rawValue) of queue '\(queue.name)'; is it unacked?"
        )
    }
}

extension Move {
    /// What messages must meet. Not all of a queue may be at home elsewhere: those that are must be looked for.
    fileprivate var neededCondition: String? {
        condition ?? (destination == .origin && position == nil ? "origin IS NOT NULL" : nil)
    }
}

extension Message {
    /// The message as if it had been published elsewhere.
    func readdressed(to exchange: ExchangeName, routingKey: String) -> Message {
        Message(
            exchange: exchange, routingKey: routingKey, properties: properties, isPersistent: isPersistent,
            body: body)
    }
}
