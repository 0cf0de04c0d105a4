// Searches: PEEK with a condition, and SQL. The core says what the file lacks and asks; the searcher reads beside
// everything else and answers. MOVE with a condition is in BrokerCore+MoveFound.

import DequeModule

/// Whom a search is for.
enum SearchPurpose {
    /// The answer is what was found.
    case answer(Session, Ticket)
    /// A MOVE goes on.
    case move(FoundMove)
}

extension BrokerCore {
    /// PEEK with a condition, or of every state.
    mutating func searchMessages(
        _ peek: Peek, in queue: MessageQueue, _ ticket: Ticket, _ session: Session, now: Instant
    ) throws(BrokerError) {
        try checkSearch(peek.condition ?? "")
        search(.messages(peek, overlay(of: queue)), for: .answer(session, ticket), session, now: now)
    }

    /// SQL.
    mutating func query(_ sql: String, _ ticket: Ticket, _ session: Session, now: Instant) {
        do throws(BrokerError) {
            try checkSearch(sql)
            search(.query(sql), for: .answer(session, ticket), session, now: now)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    /// Throws where a condition or query is too long, or too many searches wait.
    func checkSearch(_ text: String) throws(BrokerError) {
        guard text.utf8.count <= limits.queryTextBytesMax else {
            throw BrokerError(
                .preconditionFailed,
                "a condition or query of \(text.utf8.count) bytes; \(limits.queryTextBytesMax) are allowed")
        }
        guard searches.count < limits.searchesWaitingMax else {
            throw BrokerError(
                .resourceError, "\(searches.count) searches wait already; ask again in a moment")
        }
    }

    /// Asks for a search of everything that was answered so far.
    mutating func search(
        _ kind: Search.Kind, for purpose: SearchPurpose, _ session: Session, now: Instant
    ) {
        let search = Search(
            number: nextSearch, session: session.id, kind: kind, now: now, barrier: latestBarrier)
        nextSearch += 1
        searches[search.number] = purpose
        if search.barrier >= gathering.batch.number {
            gathering.isAwaited = true
            gathering.wants(.now)
        }
        outputs.searches.append(search)
    }

    /// Takes what a search has found, or why it was refused.
    public mutating func searched(
        _ number: UInt64, _ result: Result<SearchFound, BrokerError>, now: Instant
    ) {
        guard let purpose = searches.removeValue(forKey: number) else { return }
        switch purpose {
        case .move(let move): placesFound(move, result, now: now)
        case .answer(let session, let ticket):
            switch result {
            case .success(.messages(let rows)): answer(session, ticket, .messages(rows))
            case .success(.table(let table)): answer(session, ticket, .table(table))
            case .success(.places(let places)): answer(session, ticket, .count(places.count))
            case .failure(let error): answer(session, ticket, .refused(error))
            }
        }
        settleDying(now: now)
    }

    /// False where nobody waits for a search any more.
    public func awaits(search number: UInt64) -> Bool {
        switch searches[number] {
        case .answer(let session, _): !session.isClosed
        case .move: true
        case nil: false
        }
    }

    // MARK: - What the file lacks

    /// What the core knows of a queue's messages beside the file. O(messages in memory, and held ones).
    func overlay(of queue: MessageQueue) -> QueueOverlay {
        var overlay = QueueOverlay(queue: queue.id, hasPriorities: queue.settings.priorityMax != nil)
        for priority in queue.priorities {
            for entry in queue[priority].entries { overlay.add(entry, of: queue) }
        }
        for delayed in queue.delayed.inMemory {
            overlay.add(delayed.entry, of: queue, due: delayed.due)
        }
        guard queue.unackedCount > 0 else { return overlay }
        for session in connections.flatMap(\.sessions) where session.heldCount > 0 {
            for case .some(let held) in session.held where held.queue === queue {
                let holder = session.holder(of: held.consumer)
                overlay.add(held.entry, of: queue, heldBy: holder, since: held.since)
            }
        }
        return overlay
    }
}

extension QueueOverlay {
    fileprivate mutating func add(
        _ entry: Entry, of queue: MessageQueue, due: Instant? = nil, heldBy: String? = nil,
        since: Instant? = nil
    ) {
        if heldBy != nil || entry.acquired > 0 || entry.failed > 0 {
            notes.append(
                Note(
                    number: entry.number, failed: entry.failed, acquired: entry.acquired, heldBy: heldBy,
                    heldSince: since))
        }
        guard entry.storage == .memory, let message = entry.message else { return }
        var row = InsertRow(
            number: entry.number, place: due == nil ? entry.place : 0, queue: queue.id, message: message,
            isSpilled: true, priority: queue.column(entry.priority), due: due, entered: entry.entered,
            expires: entry.expires, deaths: entry.deaths)
        row.version = entry.version
        inMemory.append(row)
    }
}
