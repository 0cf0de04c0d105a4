// A client's publish whose id was seen is confirmed and dropped. What memory can't say is asked of the store;
// until it has answered, this and every later publish to a queue or exchange that deduplicates waits its turn.
// Dead letters and moves never come here.

import DequeModule

/// A publish or a transaction that waits to hear of the store whether its ids were seen.
struct WaitingPublish {
    var request: Request
    var ticket: Ticket
    var session: Session
    /// Where its names mean something; the session may have gone elsewhere since.
    var host: VirtualHost
    var bytes: Int
}

/// The question to the store that is under way.
struct IDLookup {
    var asked: Set<DedupKey>
    /// Messages that left their queues since it was asked.
    var left: Set<MessageNumber> = []
    /// Stretches of queues that were being purged when it was asked, or have been since: a long one is removed in
    /// parts, and the store may have answered between two of them.
    var purged: [RangeRemoval]
    /// Where messages stand that have moved within their queues since.
    var places: [MessageNumber: MessageNumber] = [:]
    /// How the store answered.
    var found: [DedupKey: StoredID] = [:]
}

/// What a publish meets.
enum DedupVerdict {
    /// Its id, if it has one, and the queues that have not seen it.
    case publish(id: String?, queues: [QueueSlot])
    /// Every queue, or its exchange, has seen it; the last of these claims stands in this batch.
    case seen(BatchNumber)
    /// The store has to be asked about these.
    case unknown([DedupKey])
}

extension BrokerCore {
    /// True where a publish to this exchange, which reaches these queues, may be a double.
    func deduplicates(_ exchange: ExchangeName, in host: VirtualHost, _ slots: [QueueSlot]) -> Bool {
        guard dedupScopes > 0 else { return false }
        if host.dedupExchanges[exchange] != nil { return true }
        return slots.contains { queue(at: $0)?.settings.deduplication != nil }
    }

    /// Publishes a message unless its id was seen. What only the store knows has been asked for.
    mutating func publishOnce(
        _ message: Message, _ route: Route, _ ticket: Ticket, _ session: Session, in host: VirtualHost,
        now: Instant
    ) {
        do throws(BrokerError) {
            let verdict = try verdict(on: message, in: host, route.queues, now: now)
            totals.published += 1
            publishRate.mark(1, now: now)
            switch verdict {
            case .publish(let id, let queues):
                noteDoubles(route.queues.count - queues.count, among: route.queues, except: queues, now: now)
                let message = message.withoutBlindCopies()
                publish(message, to: queues, id: id, ticket, session, in: host, now: now)
            case .seen(let batch):
                noteDoubles(max(1, route.queues.count), among: route.queues, except: [], now: now)
                answerOnceCommitted(session, ticket, .routed(0), batch)
            case .unknown: break
            }
            shrinkSeen(now: now)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    private mutating func publish(
        _ message: Message, to queues: [QueueSlot], id: String?, _ ticket: Ticket, _ session: Session,
        in host: VirtualHost, now: Instant
    ) {
        let isRefused =
            message.due(now: now) == nil
            && queues.contains { queue(at: $0).map { isFull($0, for: message) } ?? false }
        if queues.count == 1, let queue = queue(at: queues[0]) {
            publish(message, toOne: queue, id: id, ticket, session, now: now)
        } else {
            publish(message, toMany: queues, id: id, ticket, session, now: now)
        }
        // A publish that is refused in part comes again, and must not be taken for a double then.
        if !isRefused { claim(id, at: message.exchange, in: host, now: now) }
    }

    /// Counts copies that were dropped as doubles.
    mutating func noteDoubles(
        _ count: Int, among slots: [QueueSlot], except taken: [QueueSlot], now: Instant
    ) {
        totals.deduplicated += count
        for slot in slots where !taken.contains(slot) {
            queue(at: slot)?.deduplicated += 1
            queue(at: slot)?.lastDouble = now
        }
    }

    // MARK: - Verdicts

    /// What becomes of a publish.
    func verdict(
        on message: Message, in host: VirtualHost, _ slots: [QueueSlot], now: Instant
    ) throws(BrokerError) -> DedupVerdict {
        guard let id = try dedupID(of: message) else { return .publish(id: nil, queues: slots) }
        if message.hasNewID { return .publish(id: id, queues: slots) }
        var unknown: [DedupKey] = []
        var batch: BatchNumber = 0
        if host.dedupExchanges[message.exchange] != nil {
            let key = DedupKey(scope: .exchange(message.exchange, in: host.id), id: id)
            switch verdict(on: key, now: now) {
            case .seen(let batch): return .seen(batch)
            case .unknown: unknown.append(key)
            case .new: break
            }
        }
        var left: [QueueSlot] = []
        for slot in slots {
            guard let queue = queue(at: slot), let key = queue.dedupKey(id) else {
                left.append(slot)
                continue
            }
            switch verdict(on: key, now: now) {
            case .seen(let claimed): batch = max(batch, claimed)
            case .unknown: unknown.append(key)
            case .new: left.append(slot)
            }
        }
        if !unknown.isEmpty { return .unknown(unknown) }
        return left.isEmpty && !slots.isEmpty ? .seen(batch) : .publish(id: id, queues: left)
    }

    private func verdict(on key: DedupKey, now: Instant) -> SeenIDs.Verdict {
        let verdict = seenIDs.verdict(on: key, now: now)
        guard verdict == .unknown, let lookup = idLookup, isAnsweringIDs, lookup.asked.contains(key) else {
            return verdict
        }
        guard let found = lookup.found[key], found.expires > now, !lookup.left.contains(found.number),
            !isPurged(found)
        else { return .new }
        return .seen(0)
    }

    /// The row of a message that was purged may still be there for a while.
    private func isPurged(_ found: StoredID) -> Bool {
        guard found.number != 0, case .queue(let queue) = found.key.scope else { return false }
        let place = idLookup?.places[found.number] ?? found.place
        return (idLookup?.purged ?? []).contains {
            $0.queue == queue && ($0.priority == nil || $0.priority == found.priority)
                && $0.after < place && place <= $0.through
        }
    }

    /// What tells a message from others; `nil` where it says nothing.
    func dedupID(of message: Message) throws(BrokerError) -> String? {
        guard let shared = message.shared else { return nil }
        let id: String?
        switch shared.properties.headers[HeaderName.deduplication] {
        case .string(let text)?: id = text
        case .int(let number)?: id = String(number)
        case nil: id = shared.properties.messageID
        case .some(let value):
            throw BrokerError(
                .preconditionFailed,
                "header \(HeaderName.deduplication) is '\(value.shown)' of type '\(value.typeName)'; "
                    + "expected a string or a whole number")
        }
        if let id { try ShortString.check(id, "the id that tells the message from its doubles") }
        return id
    }

    // MARK: - Claims

    /// Remembers an id at the exchange it was published to.
    mutating func claim(_ id: String?, at exchange: ExchangeName, in host: VirtualHost, now: Instant) {
        guard let id, let window = host.dedupExchanges[exchange] else { return }
        claim(DedupKey(scope: .exchange(exchange, in: host.id), id: id), for: window, now: now)
    }

    /// Remembers the id of a copy that a queue has taken.
    mutating func claim(
        _ id: String, _ number: MessageNumber, in queue: MessageQueue, isStored: Bool, now: Instant
    ) {
        switch queue.settings.deduplication {
        case .window(let milliseconds)?:
            claim(DedupKey(scope: .queue(queue.id), id: id), for: milliseconds, now: now)
        case .whileQueued?:
            seenIDs.claim(
                DedupKey(scope: .queue(queue.id), id: id, isWhileQueued: true), until: .distantFuture,
                number: number, batch: isStored ? gathering.batch.number : 0, isStored: isStored)
        case nil: break
        }
    }

    private mutating func claim(_ key: DedupKey, for milliseconds: Int64, now: Instant) {
        let expires = now.advanced(byMilliseconds: milliseconds)
        guard expires > now else { return }
        idsEnd = max(idsEnd, expires)
        seenIDs.claim(key, until: expires, number: 0, batch: gathering.batch.number, isStored: true)
        gathering.remember(StoredID(key: key, expires: expires))
    }

    /// Forgets in memory what the store can tell. While it is asked, nothing that it may not have seen.
    mutating func shrinkSeen(now: Instant) {
        guard idLookup == nil, dedupScopes > 0 else { return }
        seenIDs.shrink(
            committedBefore: inFlight?.batch.number ?? gathering.batch.number, now: now)
    }

    /// A message is gone from its queue: an id that lives as long as it does goes with it. What a full queue refused
    /// never had a number, nor have ids that live for a while.
    mutating func forgetID(of number: MessageNumber) {
        guard number != 0 else { return }
        if !seenIDs.hasNoQueued { seenIDs.left(number) }
        if idLookup != nil { idLookup?.left.insert(number) }
    }

    /// All messages of a queue are gone but those that are held or delayed.
    mutating func forgetPurgedIDs(of queue: MessageQueue) {
        guard !seenIDs.hasNoQueued else { return }
        var held: Set<MessageNumber> = []
        var sessions = connections.flatMap(\.sessions)
        // What a closed session has not handed back yet.
        for case .giveBack(let session) in work { sessions.append(session) }
        for session in sessions {
            for case .some(let delivery) in session.held where delivery.queue === queue {
                held.insert(delivery.entry.number)
            }
            for delivery in session.handingOver where delivery.queue === queue {
                held.insert(delivery.entry.number)
            }
        }
        for delayed in queue.delayed.inMemory { held.insert(delayed.entry.number) }
        seenIDs.left(.queue(queue.id), but: held)
        if queue.delayed.storedCount > 0 { seenIDs.mayBeStored(.queue(queue.id), until: .distantFuture) }
    }

    /// The store need not be asked for the ids of messages where there are none any more.
    mutating func noteIDsGone(from queue: MessageQueue) {
        let scope = DedupScope.queue(queue.id)
        guard queue.settings.deduplication == .whileQueued, queue.holdsNothing, seenIDs.hasForgotten(scope)
        else { return }
        // What is acked automatically may come back until it has been fetched.
        let comesBack = connections.flatMap(\.sessions).contains { session in
            session.handingOver.contains { $0.queue === queue }
        }
        if !comesBack { seenIDs.emptied(scope) }
    }

    /// An exchange or queue is gone, and with it the ids it had seen.
    mutating func forgetIDs(of scope: DedupScope) {
        seenIDs.forget(scope)
        gathering.batch.ids.removeAll { $0.key.scope == scope }
        gathering.define(.forgetIDs(scope))
    }

    /// Takes note of for how many milliseconds an exchange remembers ids from now on; `nil` is not at all.
    mutating func noteDeduplication(of exchange: ExchangeName, in host: VirtualHost, for window: Int64?) {
        let before = host.dedupExchanges[exchange]
        host.dedupExchanges[exchange] = window
        dedupScopes += (window == nil ? 0 : 1) - (before == nil ? 0 : 1)
        guard window != nil, before == nil else { return }
        // What it had seen it still knows when it deduplicates again.
        if !host.exchangesWithIDs.insert(exchange).inserted {
            seenIDs.mayBeStored(.exchange(exchange, in: host.id), until: idsEnd)
        }
    }

    /// Takes over that the store knows ids; those of scopes that are gone, it forgets.
    mutating func recoverIDs(_ state: RecoveredState, now: Instant) {
        idsEnd = state.idsEnd
        for recovered in state.virtualHosts.flatMap(\.queues) where recovered.count + recovered.delayed > 0 {
            guard let queue = queuesByID[recovered.id], queue.settings.deduplication == .whileQueued else {
                continue
            }
            seenIDs.mayBeStored(.queue(queue.id), until: .distantFuture)
        }
        for scope in state.dedupScopes {
            let isThere: Bool
            switch scope {
            case .exchange(let name, let id):
                let host = virtualHosts.first { $0.id == id && $0.topology.exchange(name) != nil }
                host?.exchangesWithIDs.insert(name)
                isThere = host != nil
            case .queue(let id): isThere = queuesByID[id] != nil
            }
            if isThere {
                seenIDs.mayBeStored(scope, until: idsEnd)
            } else {
                gathering.define(.forgetIDs(scope))
                // Of a transient queue: no other is to be called so before the store has forgotten them.
                if case .queue(let id) = scope, id >= nextQueueID, id.rawValue < 1 << 62 {
                    nextQueueID = QueueID(id.rawValue + 1)
                }
            }
        }
    }

    // MARK: - Waiting for the store

    /// True where a publish has to wait for the store, or behind others that do.
    mutating func mustWait(_ message: Message, in host: VirtualHost, now: Instant) -> Bool {
        // Nearly always memory has all ids there are.
        guard !seenIDs.isComplete || !waitingForIDs.isEmpty else { return false }
        guard let slots = try? host.topology.destinations(of: message),
            deduplicates(message.exchange, in: host, slots)
        else { return false }
        if !waitingForIDs.isEmpty, !isAnsweringIDs { return true }
        if message.hasNewID { return false }
        if case .unknown? = try? verdict(on: message, in: host, slots, now: now) { return true }
        return false
    }

    /// True where any part of a transaction has to wait.
    mutating func mustWait(_ requests: [Request], in host: VirtualHost, now: Instant) -> Bool {
        for case .publish(let message, _) in requests where mustWait(message, in: host, now: now) {
            return true
        }
        return false
    }

    mutating func wait(
        _ request: Request, _ ticket: Ticket, _ session: Session, in host: VirtualHost, now: Instant
    ) {
        let bytes = request.publishedBytes
        waitingForIDs.append(
            WaitingPublish(request: request, ticket: ticket, session: session, host: host, bytes: bytes))
        waitingForIDsBytes += bytes
        askForIDs(now: now)
    }

    /// Asks the store about the first that wait, unless it is being asked. It need not wait for a commit: what
    /// memory has forgotten is committed. But where a message has left with its id, that must be, too.
    private mutating func askForIDs(now: Instant) {
        guard idLookup == nil, !waitingForIDs.isEmpty else { return }
        var asked: Set<DedupKey> = []
        var keys: [DedupKey] = []
        for waiting in waitingForIDs.prefix(limits.sliceCount) {
            for message in waiting.request.publishedMessages {
                guard let slots = try? waiting.host.topology.destinations(of: message),
                    case .unknown(let unknown)? = try? verdict(
                        on: message, in: waiting.host, slots, now: now)
                else { continue }
                for key in unknown where asked.insert(key).inserted { keys.append(key) }
            }
        }
        idLookup = IDLookup(asked: asked, purged: gathering.batch.ranges + (inFlight?.batch.ranges ?? []))
        ask(
            LoadRequest(
                queue: 0, kind: .ids(keys), countMax: keys.count, bytesMax: .max, epoch: 0,
                barrier: keys.contains(where: \.isWhileQueued) ? latestBarrier : committedBarrier))
    }

    /// The store has answered: those who waited for it go on, in their order.
    mutating func idsLoaded(_ result: LoadResult, now: Instant) {
        for found in result.ids { idLookup?.found[found.key] = found }
        isAnsweringIDs = true
        while let waiting = waitingForIDs.first {
            if mustWait([waiting.request] + waiting.request.parts, in: waiting.host, now: now) { break }
            waitingForIDs.removeFirst()
            waitingForIDsBytes -= waiting.bytes
            guard !waiting.host.isDeleted else {
                let gone = BrokerError(.notFound, "vhost '\(waiting.host.name)' was deleted meanwhile")
                answer(waiting.session, waiting.ticket, .refused(gone))
                continue
            }
            switch waiting.request {
            case .publish(let message, let mandatory):
                publish(
                    message, mandatory: mandatory, waiting.ticket, waiting.session, in: waiting.host, now: now
                )
            case .transaction(let requests):
                // What a session held that is closed has gone back: nobody was promised its transaction.
                guard !waiting.session.isClosed else { continue }
                transaction(requests, waiting.ticket, waiting.session, in: waiting.host, now: now)
            default: break
            }
            settleDying(now: now)
        }
        isAnsweringIDs = false
        idLookup = nil
        shrinkSeen(now: now)  // there may be no other moment without a question
        askForIDs(now: now)
    }

    /// Answers once a batch is committed.
    mutating func answerOnceCommitted(
        _ session: Session, _ ticket: Ticket, _ answer: Answer, _ batch: BatchNumber
    ) {
        guard batch != 0, batch >= inFlight?.batch.number ?? gathering.batch.number else {
            return self.answer(session, ticket, answer)
        }
        gathering.answers.append(WaitingAnswer(session: session, ticket: ticket, answer: answer))
        gathering.wants(.now)
    }
}

extension MessageQueue {
    /// What this queue remembers a message by.
    func dedupKey(_ id: String) -> DedupKey? {
        settings.deduplication.map {
            DedupKey(scope: .queue(self.id), id: id, isWhileQueued: $0 == .whileQueued)
        }
    }
}

extension Request {
    /// The messages that it publishes.
    fileprivate var publishedMessages: [Message] {
        switch self {
        case .publish(let message, _): [message]
        case .transaction(let requests): requests.flatMap(\.publishedMessages)
        default: []
        }
    }

    /// What a transaction is made of.
    fileprivate var parts: [Request] {
        if case .transaction(let requests) = self { requests } else { [] }
    }

    /// What these weigh.
    fileprivate var publishedBytes: Int { publishedMessages.reduce(0) { $0 + $1.footprint } }
}
