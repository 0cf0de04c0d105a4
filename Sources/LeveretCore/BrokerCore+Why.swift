// WHY: for every reason why messages of a queue stand still one plain sentence, and the facts behind it. It looks
// and changes nothing. What can stop a message in BrokerCore+Dispatch.swift has its sentence here.

import DequeModule
import HeapModule

/// One reason why messages of a queue stand still, or what they do instead.
public struct QueueReason: Sendable, Hashable {
    /// What kind of reason: the names are stable.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Nothing is ready.
        case empty
        /// Messages wait for their time.
        case delayed
        /// The next of these came back and waits to be tried again.
        case retry
        /// Dispatch was stopped by PAUSE.
        case paused
        /// Messages are ready and nobody takes them.
        case noConsumer = "no_consumer"
        /// A consumer holds as much as its prefetch allows.
        case prefetch
        /// A session holds as much as its own prefetch allows, or as the broker allows any.
        case session
        /// A client does not read what waits for it.
        case notReading = "not_reading"
        /// The single active consumer waits for what others hold.
        case handOver = "hand_over"
        /// All but the single active consumer stand by.
        case standBy = "stand_by"
        /// Somebody holds messages.
        case held
        /// The next messages are being read from the file.
        case reading
        /// The queue is full and refuses publishes.
        case full
        /// Messages left it because it was full.
        case dropping
        /// Publishes were dropped as doubles of what had been seen.
        case doubles
        /// Publishes are refused, or wait for the disk.
        case alarm
        /// The broker is shutting down.
        case draining
        /// Messages expire before they are taken.
        case expiring
        /// Consumers refuse messages for good, or these fail too often.
        case failing
        /// Messages come back to be handed out again and again.
        case returning
        /// No exchange is bound to it, and nothing has come.
        case unbound
        /// What is published to an exchange it is bound to does not match.
        case elsewhere
        /// Nothing stands still.
        case goesOn = "goes_on"
        /// More comes in than goes out.
        case behind
    }

    /// What kind of reason.
    public var kind: Kind
    /// One sentence for people.
    public var text: String
    /// What the sentence says, for programs.
    public var facts: FieldTable

    /// A reason of these parts.
    public init(_ kind: Kind, _ text: String, _ facts: FieldTable = [:]) {
        self.kind = kind
        self.text = text
        self.facts = facts
    }
}

extension BrokerCore {
    /// Answers why messages of a queue stand still.
    mutating func why(_ name: QueueName, _ ticket: Ticket, _ session: Session, now: Instant) {
        do throws(BrokerError) {
            let queue = try usableQueue(name, by: session)
            let delayed = queue.delayed
            if let next = delayed.soon.min, delayed.isNext(next.key) || delayed.storedCount == 0 {
                answer(session, ticket, .reasons(reasons(for: queue, next: next, now: now)))
            } else if delayed.storedCount > 0 {
                let kind = LoadRequest.Kind.due(after: DueKey(.distantPast, 0), by: .distantFuture, from: 0)
                let special = SpecialLoad(queue: queue, purpose: .why, session: session, ticket: ticket)
                _ = load(kind, countMax: 1, bytesMax: 0, of: queue, for: special)
            } else {
                answer(session, ticket, .reasons(reasons(for: queue, next: nil, now: now)))
            }
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    /// The store has said which of the delayed messages is due next.
    mutating func whyLoaded(
        _ row: LoadedRow?, _ queue: MessageQueue, _ session: Session, _ ticket: Ticket, now: Instant
    ) {
        guard !queue.isDeleted else {
            let gone = BrokerError(.notFound, "queue '\(queue.name)' was deleted meanwhile")
            return answer(session, ticket, .refused(gone))
        }
        let next = row.flatMap { row in row.due.map { Delayed(due: $0, entry: Entry(row)) } }
        answer(session, ticket, .reasons(reasons(for: queue, next: next, now: now)))
    }

    private func reasons(for queue: MessageQueue, next: Delayed?, now: Instant) -> [QueueReason] {
        var reasons = obstacles(in: queue)
        if queue.readyCount == 0 {
            reasons.append(QueueReason(.empty, "nothing is ready in queue '\(queue.name)'"))
        } else if queue.consumers.isEmpty, reasons.allSatisfy({ $0.kind == .paused }) {
            reasons.append(noConsumer(queue))
        } else if reasons.isEmpty {
            reasons = consumersThatWait(at: queue, now: now)
        }
        reasons += holders(in: queue, butOf: Set(reasons.compactMap(\.holder)))
        reasons += waiting(in: queue, next: next) + expiring(in: queue, now: now)
        reasons += returning(to: queue, now: now) + failing(in: queue) + dropping(from: queue)
        reasons += publishesThatPassBy(queue) + obstaclesToPublishing(queue)
        let aside: Set<QueueReason.Kind> = [
            .held, .delayed, .retry, .expiring, .failing, .dropping, .returning, .full, .doubles, .alarm,
        ]
        let standsStill = reasons.contains { !aside.contains($0.kind) }
        return standsStill ? reasons : reasons + flow(of: queue, now: now)
    }

    /// What stops all dispatch, whoever consumes.
    private func obstacles(in queue: MessageQueue) -> [QueueReason] {
        var reasons: [QueueReason] = []
        if isDraining { reasons.append(QueueReason(.draining, "the broker is shutting down")) }
        if let since = queue.pausedSince {
            reasons.append(
                QueueReason(
                    .paused,
                    "queue '\(queue.name)' is paused since \(since.iso8601); 'leveret resume \(queue.name)' lets it "
                        + "go on",
                    ["since": .string(since.iso8601)]))
        }
        let waitsForStore = queue.first == nil ? queue.isLoading : queue.isFetching
        if queue.readyCount > 0, waitsForStore {
            reasons.append(QueueReason(.reading, "its next messages are being read from the file"))
        }
        return reasons
    }

    /// What waits for its time, and which of it is due next.
    private func waiting(in queue: MessageQueue, next: Delayed?) -> [QueueReason] {
        guard queue.delayed.count > 0 else { return [] }
        let due = (next?.due ?? queue.delayed.storedNextDue).iso8601
        let count = queue.delayed.count
        let verb = count == 1 ? "is delayed" : "are delayed, the next"
        let isAll = queue.readyCount + queue.unackedCount == 0
        let advice =
            isAll
            ? "; 'leveret delayed \(queue.name)' shows what waits, and 'leveret msg edit \(queue.name) POSITION "
                + "--delay 0' makes one ready" : ""
        var reasons = [
            QueueReason(
                .delayed, "\(counted(count)) of queue '\(queue.name)' \(verb) until \(due)\(advice)",
                ["delayed": .int(Int64(count)), "due": .string(due)])
        ]
        // One that was delayed when it was published, or by an edit, was never handed out.
        if let entry = next?.entry, entry.place != 0, entry.acquired > 0 {
            let position = entry.number.rawValue
            let failed = entry.failed == 0 ? "" : ", having failed \(times(entry.failed)),"
            reasons.append(
                QueueReason(
                    .retry, "message \(position) came back\(failed) and is tried again at \(due)",
                    ["position": .int(position), "failed": .int(Int64(entry.failed)), "due": .string(due)]))
        }
        return reasons
    }

    private func obstaclesToPublishing(_ queue: MessageQueue) -> [QueueReason] {
        var reasons: [QueueReason] = []
        let settings = queue.settings
        let isFull =
            settings.lengthMax.map { Int64(queue.readyCount) >= $0 } ?? false
            || settings.bytesMax.map { Int64(queue.readyBytes) >= $0 } ?? false
        if isFull, settings.overflow != .dropHead {
            var facts: FieldTable = [
                "ready": .int(Int64(queue.readyCount)), "ready_bytes": .int(Int64(queue.readyBytes)),
            ]
            if let most = settings.lengthMax { facts["max_length"] = .int(most) }
            if let most = settings.bytesMax { facts["max_bytes"] = .int(most) }
            let messages = settings.lengthMax.map {
                "\(Amount.count(queue.readyCount)) of \(counted(Int($0)))"
            }
            let bytes = settings.bytesMax.map {
                "\(Amount.count(queue.readyBytes)) of \(Amount.count(Int($0))) bytes"
            }
            let text =
                "queue '\(queue.name)' is full and refuses publishes: \(messages ?? counted(queue.readyCount)), "
                + "\(bytes ?? "\(Amount.count(queue.readyBytes)) bytes")"
            reasons.append(QueueReason(.full, text, facts))
        }
        if let last = queue.lastDouble {
            let text =
                "publishes were dropped because their ids had been seen: \(counted(queue.deduplicated)), the last at "
                + last.iso8601
            reasons.append(
                QueueReason(
                    .doubles, text,
                    ["deduplicated": .int(Int64(queue.deduplicated)), "last": .string(last.iso8601)]))
        }
        if let alarm {
            reasons.append(
                QueueReason(.alarm, "publishes are refused: \(alarm)", ["alarm": .string(alarm)]))
        } else if isUnderPressure {
            let text =
                "publishers wait: \(Amount.count(gathering.bytes)) bytes wait to be committed to the disk"
            reasons.append(QueueReason(.alarm, text, ["waiting_bytes": .int(Int64(gathering.bytes))]))
        }
        return reasons
    }

    private func noConsumer(_ queue: MessageQueue) -> QueueReason {
        QueueReason(
            .noConsumer, "queue '\(queue.name)' has \(counted(queue.readyCount)) ready and no consumer",
            ["ready": .int(Int64(queue.readyCount))])
    }

    // MARK: - Consumers

    /// Why each of the consumers takes nothing; empty when one does.
    private func consumersThatWait(at queue: MessageQueue, now: Instant) -> [QueueReason] {
        if let active = queue.active, !queue.isHandedOver {
            let others = queue.unackedCount - queue.heldByGets - active.unacked
            let text =
                "consumer '\(active.tag)' of '\(active.session.connection.name)' takes over once \(counted(others)) "
                + "that others hold went back or got settled"
            return [QueueReason(.handOver, text, active.facts + ["held_by_others": .int(Int64(others))])]
        }
        var reasons: [QueueReason] = []
        for consumer in queue.active.map({ [$0] }) ?? queue.consumers {
            guard let reason = reason(of: consumer, now: now) else { return [] }
            reasons.append(reason)
        }
        if let active = queue.active, queue.consumers.count > 1, !reasons.isEmpty {
            let others = queue.consumers.count - 1
            let text =
                "only consumer '\(active.tag)' of '\(active.session.connection.name)' gets messages, being the single "
                + "active one; \(others) \(others == 1 ? "stands" : "stand") by until it goes"
            reasons.append(
                QueueReason(.standBy, text, active.facts + ["stand_by": .int(Int64(others))]))
        }
        return Array(reasons.prefix(limits.reasonsMax))
    }

    private func reason(of consumer: Consumer, now: Instant) -> QueueReason? {
        let session = consumer.session
        let name = "consumer '\(consumer.tag)' of '\(session.connection.name)'"
        if consumer.prefetch > 0, consumer.unacked >= consumer.prefetch {
            let (since, facts) = oldest(of: consumer, now: now)
            return QueueReason(
                .prefetch,
                "\(name) holds \(counted(consumer.unacked)), as many as its prefetch allows\(since)",
                facts + ["prefetch": .int(Int64(consumer.prefetch))])
        }
        if session.outgoingBytes >= limits.outgoingBytesMax {
            return QueueReason(
                .notReading,
                "\(name) does not read its connection: \(Amount.count(session.outgoingBytes)) bytes wait for it"
                    + session.connection.advice,
                consumer.facts + ["waiting_bytes": .int(Int64(session.outgoingBytes))])
        }
        let isFull =
            session.prefetch > 0
            && session.heldCount - session.heldByGets >= session.prefetch
        if isFull || session.heldCount >= limits.unackedCountMax
            || session.heldBytes >= limits.unackedBytesMax
        {
            let text =
                "the session of \(name) holds \(counted(session.heldCount)) in all, \(Amount.count(session.heldBytes)) "
                + "bytes, as many as it may"
            return QueueReason(
                .session, text,
                consumer.facts + [
                    "session_held": .int(Int64(session.heldCount)),
                    "session_held_bytes": .int(Int64(session.heldBytes)),
                ])
        }
        return nil
    }

    /// What a consumer holds for the longest; of one that is at it for a while, how to have it back.
    private func oldest(of consumer: Consumer, now: Instant) -> (text: String, facts: FieldTable) {
        for case .some(let held) in consumer.session.held where held.consumer === consumer {
            let since = held.since.iso8601
            let isLong = now.milliseconds - held.since.milliseconds >= 10_000
            let advice = isLong ? consumer.session.connection.advice : ""
            return (
                "; message \(held.entry.number.rawValue) since \(since)\(advice)",
                consumer.facts + [
                    "position": .int(held.entry.number.rawValue), "since": .string(since),
                ]
            )
        }
        return ("", consumer.facts)
    }

    /// Hands over all that is held of a queue, session by session. O(all that is held).
    func forEachHeld(of queue: MessageQueue, _ body: (Session, Held) -> Void) {
        for session in connections.flatMap(\.sessions) where session.heldCount > 0 {
            for case .some(let held) in session.held where held.queue === queue { body(session, held) }
        }
    }

    /// Who holds messages of the queue; `named` have been told of already.
    private func holders(in queue: MessageQueue, butOf named: Set<String>) -> [QueueReason] {
        guard queue.unackedCount > 0 else { return [] }
        var holders: [(name: String, connection: ConnectionID, count: Int, first: Held)] = []
        var places: [String: Int] = [:]
        forEachHeld(of: queue) { session, held in
            let name = session.holder(of: held.consumer)
            if let place = places[name] {
                holders[place].count += 1
            } else {
                places[name] = holders.count
                holders.append((name, session.connection.id, 1, held))
            }
        }
        return holders.filter { !named.contains($0.name) }.prefix(limits.reasonsMax).map { holder in
            let position = holder.first.entry.number.rawValue
            let since = holder.first.since.iso8601
            return QueueReason(
                .held,
                "'\(holder.name)' holds \(counted(holder.count)); message \(position) since \(since)",
                [
                    "held_by": .string(holder.name), "connection": .int(Int64(holder.connection.rawValue)),
                    "unacked": .int(Int64(holder.count)),
                    "position": .int(position), "since": .string(since),
                ])
        }
    }
}

extension QueueReason {
    /// Who holds what the sentence speaks of.
    fileprivate var holder: String? {
        guard kind == .prefetch, case .string(let name)? = facts["held_by"] else { return nil }
        return name
    }
}

extension Consumer {
    /// The consumer as a reason names it.
    fileprivate var facts: FieldTable {
        [
            "held_by": .string("\(session.connection.name)/\(tag)"), "consumer": .string(tag.rawValue),
            "session": .string(session.connection.name),
            "connection": .int(Int64(session.connection.id.rawValue)), "unacked": .int(Int64(unacked)),
        ]
    }
}

extension Connection {
    /// How to have back what it holds.
    fileprivate var advice: String { "; 'leveret connections close \(id.rawValue)' gives back what it holds" }
}

extension FieldTable {
    /// Both tables in one.
    fileprivate static func + (a: FieldTable, b: FieldTable) -> FieldTable {
        var sum = a
        for field in b.fields { sum[field.name] = field.value }
        return sum
    }
}

/// `once`, `2 times`.
private func times(_ count: Int32) -> String { count == 1 ? "once" : "\(count) times" }

/// `1 message`, `2,000 messages`.
func counted(_ messages: Int) -> String { messages == 1 ? "1 message" : "\(Amount.count(messages)) messages" }
