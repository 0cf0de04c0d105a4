// Looking without touching: STAT and PEEK.

import DequeModule

/// A PEEK that waits for the store.
final class PeekInProgress {
    /// A message in memory, perhaps without its body.
    struct Candidate {
        var entry: Entry
        var due: Instant?
        var heldBy: String?
        var heldSince: Instant?
    }

    let peek: Peek
    var candidates: [Candidate] = []
    /// Whose stored messages are looked at next, once those in memory have been.
    var next: UInt8?
    /// Bytes that the answer still has room for; the message that passes it is the last.
    private(set) var bytesLeft: Int

    var missing: Int { peek.countMax - candidates.count }

    init(_ peek: Peek, bytesMax: Int) {
        self.peek = peek
        bytesLeft = bytesMax
    }

    /// One more fits.
    var hasRoom: Bool { candidates.count < peek.countMax && bytesLeft >= 0 }

    /// Adds one.
    func add(_ candidate: Candidate) {
        candidates.append(candidate)
        bytesLeft -= candidate.entry.bulk
    }
}

extension BrokerCore {
    // MARK: - STAT

    /// The row of one queue.
    func info(of queue: MessageQueue, now: Instant) -> QueueInfo {
        var info = QueueInfo(queue.definition)
        info.ready = queue.readyCount
        info.unacked = queue.unackedCount
        info.delayed = queue.delayed.count
        info.readyBytes = queue.readyBytes
        info.inMemory = queue.inMemory
        info.consumers = queue.consumers.count
        info.explain(queue.policy, queue.operatorPolicy)
        info.pausedSince = queue.pausedSince
        info.oldest = queue.oldest
        info.published = queue.published
        info.delivered = queue.delivered
        info.acked = queue.acked
        info.returned = queue.returned
        info.deduplicated = queue.deduplicated
        info.deaths = queue.deaths
        info.publishRate = queue.publishRate.rate(now: now)
        info.deliverRate = queue.deliverRate.rate(now: now)
        info.returnRate = queue.returnRate.rate(now: now)
        return info
    }

    /// Answers with one queue, or the broker as a whole.
    mutating func status(of name: QueueName?, _ ticket: Ticket, _ session: Session, now: Instant) {
        guard let name else { return answer(session, ticket, .status(status(now: now))) }
        guard let queue = queue(named: name, in: session.host) else {
            return answer(session, ticket, .refused(.noQueue(name, in: session.host.name)))
        }
        var info = info(of: queue, now: now)
        info.now = now
        answer(session, ticket, .queues([info]))
    }

    /// The broker as a whole. O(queues).
    package func status(now: Instant) -> BrokerStatus {
        var status = totals
        status.now = now
        status.version = facts.version
        status.database = facts.database
        status.databaseID = facts.databaseID
        status.databaseBytes = facts.databaseBytes
        status.diskFreeBytes = facts.diskFreeBytes
        status.residentBytes = facts.residentBytes
        status.limits = facts.limits
        status.logLevel = facts.logLevel
        status.messageBytes = messageBytes
        status.queues = queuesByID.count
        status.exchanges = virtualHosts.reduce(0) { $0 + $1.topology.exchangeCount }
        status.connections = connections.count
        for queue in queues {
            guard let queue else { continue }
            status.ready += queue.readyCount
            status.unacked += queue.unackedCount
            status.delayed += queue.delayed.count
            status.consumers += queue.consumers.count
            status.deliverRate += queue.deliverRate.rate(now: now)
        }
        status.publishRate = publishRate.rate(now: now)
        status.alarms = AlarmCause.allCases.compactMap { alarms[$0] } + warnings
        return status
    }

    // MARK: - PEEK

    mutating func peek(_ peek: Peek, _ ticket: Ticket, _ session: Session, now: Instant) {
        let queue: MessageQueue
        do throws(BrokerError) {
            queue = try usableQueue(peek.queue, by: session)
            guard (1...limits.peekCountMax).contains(peek.countMax) else {
                let text = "PEEK of \(peek.countMax) messages; 1 to \(limits.peekCountMax) are allowed"
                throw BrokerError(.preconditionFailed, text)
            }
            guard peek.condition == nil, peek.state != nil else {
                return try searchMessages(peek, in: queue, ticket, session, now: now)
            }
        } catch {
            return answer(session, ticket, .refused(error))
        }
        let progress = PeekInProgress(peek, bytesMax: limits.peekBytesMax)
        switch peek.state ?? .ready {
        case .ready:
            progress.next = addReady(to: progress, from: queue.highestPriority, of: queue, now: now)
        case .delayed:
            addDelayed(to: progress, of: queue)
        case .unacked:
            for candidate in unackedCandidates(of: queue, peek) where progress.hasRoom {
                progress.add(candidate)
            }
        }
        goOn(progress, queue, ticket, session, now: now)
    }

    /// Adds what is in memory, in order of delivery, from this priority down to one of which something is only
    /// stored. Returns that one.
    private func addReady(
        to progress: PeekInProgress, from highest: UInt8, of queue: MessageQueue, now: Instant
    ) -> UInt8? {
        var priority = highest
        while progress.hasRoom {
            let window = queue[priority]
            let first = window.firstIndex(notBelow: progress.peek.from)
            for entry in window.entries[first...] where entry.expires > now {
                guard progress.hasRoom else { return nil }
                progress.add(PeekInProgress.Candidate(entry: entry))
            }
            if window.storedCount > 0 { return priority }
            guard priority > 0 else { return nil }
            priority = queue.priority(below: priority)
        }
        return nil
    }

    /// Adds what is delayed and in memory, in order of due times.
    private func addDelayed(to progress: PeekInProgress, of queue: MessageQueue) {
        let soon = queue.delayed.inMemory.filter { $0.entry.number >= progress.peek.from }.sorted()
        for delayed in soon where progress.hasRoom {
            progress.add(PeekInProgress.Candidate(entry: delayed.entry, due: delayed.due))
        }
        if queue.delayed.storedCount > 0 { progress.next = 0 }
    }

    private func unackedCandidates(of queue: MessageQueue, _ peek: Peek) -> [PeekInProgress.Candidate] {
        var candidates: [PeekInProgress.Candidate] = []
        for session in connections.flatMap(\.sessions) {
            for held in session.held {
                guard let held, held.queue === queue, held.entry.number >= peek.from else { continue }
                let holder = session.holder(of: held.consumer)
                candidates.append(
                    PeekInProgress.Candidate(entry: held.entry, heldBy: holder, heldSince: held.since))
            }
        }
        candidates.sort { $0.entry.number < $1.entry.number }
        return Array(candidates.prefix(peek.countMax))
    }

    /// Answers a PEEK, or reads what it still lacks.
    private mutating func goOn(
        _ progress: PeekInProgress, _ queue: MessageQueue, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        let special = SpecialLoad(queue: queue, purpose: .peek(progress), session: session, ticket: ticket)
        let bodyless = progress.candidates.filter { $0.entry.message == nil }.map(\.entry.number)
        if !bodyless.isEmpty {
            _ = load(.numbers(bodyless), countMax: bodyless.count, of: queue, for: special)
        } else if let priority = progress.next, progress.hasRoom, !queue.isDeleted {
            if progress.peek.state == .delayed {
                let kind = LoadRequest.Kind.due(
                    after: queue.delayed.cursor, by: .distantFuture, from: progress.peek.from)
                _ = load(
                    kind, countMax: progress.missing, bytesMax: progress.bytesLeft, of: queue, for: special)
                return
            }
            let before = progress.peek.from.rawValue.subtractingReportingOverflow(1).partialValue
            let after = max(queue[priority].cursor, MessageNumber(before))
            _ = load(
                .window(after: after), priority: priority, countMax: progress.missing,
                bytesMax: progress.bytesLeft, of: queue, for: special)
        } else {
            answer(session, ticket, .messages(progress.rows))
        }
    }

    /// The store has answered a PEEK.
    mutating func peekLoaded(
        _ progress: PeekInProgress, _ result: LoadResult, _ queue: MessageQueue, _ session: Session,
        _ ticket: Ticket,
        now: Instant
    ) {
        switch result.request.kind {
        case .numbers:
            for index in progress.candidates.indices.reversed()
            where progress.candidates[index].entry.message == nil {
                let number = progress.candidates[index].entry.number
                if let row = result.rows.first(where: { $0.number == number }) {
                    progress.candidates[index].entry.message = row.message
                } else {
                    progress.candidates.remove(at: index)
                }
            }
        case .due:
            for row in result.rows {
                progress.add(PeekInProgress.Candidate(entry: Entry(row), due: row.due))
            }
            progress.next = nil
        case .window, .expired, .ids:
            for row in result.rows where row.expires > now {
                progress.add(PeekInProgress.Candidate(entry: Entry(row)))
            }
            let priority = progress.next ?? 0
            progress.next =
                priority == 0
                ? nil : addReady(to: progress, from: queue.priority(below: priority), of: queue, now: now)
        }
        goOn(progress, queue, ticket, session, now: now)
    }
}

extension PeekInProgress {
    /// The rows of the answer.
    var rows: [PeekedMessage] {
        candidates.compactMap { candidate in
            guard let message = candidate.entry.message else { return nil }
            return PeekedMessage(candidate, message, peek.state ?? .ready)
        }
    }
}

extension PeekedMessage {
    fileprivate init(
        _ candidate: PeekInProgress.Candidate, _ message: Message, _ state: Peek.State
    ) {
        let entry = candidate.entry
        self.init(
            number: entry.number, place: candidate.due == nil ? entry.place : nil,
            version: Int(entry.version), state: state, message: message,
            entered: entry.entered,
            expires: entry.expires == .distantFuture ? nil : entry.expires,
            due: candidate.due, deliveries: Int(entry.acquired), failed: Int(entry.failed),
            heldBy: candidate.heldBy, heldSince: candidate.heldSince, deaths: entry.deaths)
    }
}

extension Consumer {
    /// The consumer as listings show it.
    var info: ConsumerInfo {
        ConsumerInfo(
            session: session.connection.name, connection: session.connection.id,
            channel: session.notes.channel, user: session.connection.user?.definition.name, tag: tag,
            queue: queue.name, prefetch: prefetch,
            unacked: unacked,
            autoAck: source.autoAck, exclusive: isExclusive, priority: priority,
            timeoutMilliseconds: timeoutMilliseconds,
            active: queue.active === self || !queue.settings.isSingleActive)
    }
}

extension Session {
    /// The session as listings show it.
    var info: SessionInfo {
        SessionInfo(
            id: id, connection: connection.id, name: connection.name, user: connection.user?.definition.name,
            virtualHost: host.name, notes: notes, prefetch: prefetch, consumers: consumers.count,
            unacked: heldCount)
    }
}

extension BindingTarget {
    /// The name of the queue or exchange.
    var name: String {
        switch self {
        case .queue(let name): name.rawValue
        case .exchange(let name): name.rawValue
        }
    }
}
