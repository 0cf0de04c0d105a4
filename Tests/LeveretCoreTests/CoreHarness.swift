// Drives one BrokerCore in tests: a clock that stands still, a store of two dictionaries, and sessions whose
// answers are matched to their tickets.

@testable import LeveretCore

/// A core with one connection, a fake clock and a store that keeps rows in memory.
final class CoreHarness {
    var core: BrokerCore
    var now: Instant = 1_000_000
    let connection: ConnectionID
    let session: SessionID
    var rows: [MessageNumber: InsertRow] = [:]
    var counters: [MessageNumber: CounterUpdate] = [:]
    var definitions: [DefinitionChange] = []
    var reservedThrough: MessageNumber = 0
    var events: [SessionID: [SessionEvent]] = [:]
    private(set) var nextTicket: UInt64 = 1

    var hasMoreWork: Bool { core.hasMoreWork }
    var hasRoomForWork: Bool { core.hasRoomForWork }

    init(limits: CoreLimits = CoreLimits()) {
        core = BrokerCore(limits: limits, seed: 1)
        connection = core.openConnection(name: "test", now: now)
        session = core.openSession(on: connection, now: now)
    }

    /// A broker that finds, so much later, what this one had committed when it died.
    func crashed(after milliseconds: Int64 = 1, limits: CoreLimits? = nil) -> CoreHarness {
        let next = CoreHarness(limits: limits ?? core.limits)
        next.now = now.advanced(byMilliseconds: milliseconds)
        (next.rows, next.counters, next.definitions, next.ids) = (rows, counters, definitions, ids)
        for (number, counter) in counters where counter.heldBy != nil {
            next.counters[number]?.failed += 1
            next.counters[number]?.heldBy = nil
        }
        var state = RecoveredState()
        state.dedupScopes = Array(Set(ids.keys.map(\.scope)))
        state.idsEnd = ids.values.map(\.expires).max() ?? 0
        state.nextNumber = MessageNumber(max(reservedThrough, rows.keys.max() ?? 0).rawValue + 1)
        for case .putVirtualHost(let id, let name, let limits) in definitions {
            state.virtualHosts.removeAll { $0.id == id }
            state.virtualHosts.append(RecoveredVirtualHost(id: id, name: name, limits: limits))
        }
        for case .deleteVirtualHost(let id) in definitions { state.virtualHosts.removeAll { $0.id == id } }
        for case .putPolicy(let policy, let vhost) in definitions {
            guard let host = state.virtualHosts.firstIndex(where: { $0.id == vhost }) else { continue }
            state.virtualHosts[host].policies.append(policy)
        }
        for case .putQueue(let id, let definition, let vhost) in definitions {
            guard let host = state.virtualHosts.firstIndex(where: { $0.id == vhost }) else {
                state.orphans.append(id)
                continue
            }
            let own = rows.values.filter { $0.queue == id && !$0.isSpilled }
            state.nextQueueID = QueueID(id.rawValue + 1)
            let levels = Dictionary(grouping: own.filter { $0.due == nil }) { $0.priority ?? 0 }
            let delayed = own.compactMap(\.due)
            state.virtualHosts[host].queues.append(
                RecoveredQueue(
                    id: id, definition: definition,
                    levels: levels.map { priority, rows in
                        RecoveredLevel(
                            priority: priority, count: rows.count,
                            bytes: rows.reduce(0) { $0 + ($1.message?.body.count ?? 0) },
                            nextExpiry: rows.map(\.expires).min() ?? .distantFuture)
                    },
                    delayed: delayed.count, nextDue: delayed.min() ?? .distantFuture))
        }
        next.core.recover(state, now: next.now)
        return next
    }

    func openSession() -> SessionID { core.openSession(on: connection, now: now) }

    /// The queue of this name in `/`.
    func found(_ name: QueueName) -> MessageQueue? { core.queue(named: name, in: core.defaultHost) }

    /// A session of a connection of its own, in a virtual host; `isClosable` says that an operator could close it.
    func openSession(in vhost: VirtualHostName, isClosable: Bool = false) -> SessionID {
        let connection = core.openConnection(name: "other", isClosable: isClosable, now: now)
        let session = core.openSession(on: connection, now: now)
        run(.enter(vhost), from: session)
        return session
    }

    /// Submits a request and returns its answer, if it is there already.
    @discardableResult
    func ask(_ request: Request, from session: SessionID? = nil) -> Answer? {
        let session = session ?? self.session
        let ticket = Ticket(nextTicket)
        nextTicket += 1
        core.submit(ticket, request, from: session, now: now)
        drain(session)
        return answer(ticket, of: session)
    }

    /// The same, after as many commits and reads as it takes.
    @discardableResult
    func run(_ request: Request, from session: SessionID? = nil) -> Answer? {
        let ticket = Ticket(nextTicket)
        if let answer = ask(request, from: session) { return answer }
        settle()
        return answer(ticket, of: session ?? self.session)
    }

    /// Commits, reads and works until nothing is left to do.
    func settle() {
        for _ in 0..<1000 {
            let didCommit = commit()
            let didLoad = serveLoads()
            while core.hasMoreWork { core.continueWork(now: now) }
            if !didCommit, !didLoad, !core.hasMoreWork { break }
        }
        for session in core.sessionsByID.keys { drain(session) }
        core.checkInvariants()
    }

    /// Takes and applies one batch.
    @discardableResult
    func commit() -> Bool {
        guard let batch = core.takeBatch(now: now) else { return false }
        apply(batch)
        core.committed(batch.number, unfinished: [], now: now)
        return true
    }

    /// Ids that count for a while.
    var ids: [DedupKey: StoredID] = [:]

    private func find(_ keys: [DedupKey], _ load: LoadRequest) -> LoadResult {
        var result = LoadResult(request: load, rows: [])
        for key in keys {
            let row = rows.values.filter {
                key.isWhileQueued && $0.dedupID == key.id && key.scope == .queue($0.queue)
            }.max { $0.number < $1.number }
            let found = row.map {
                StoredID(
                    key: key, expires: .distantFuture, number: $0.number, place: $0.place,
                    priority: $0.priority)
            }
            if let id = found ?? ids[key] {
                result.ids.append(id)
            }
        }
        return result
    }

    func apply(_ batch: WriteBatch) {
        definitions += batch.definitions
        reservedThrough = batch.reserveThrough ?? reservedThrough
        for case .forgetIDs(let scope) in batch.definitions { ids = ids.filter { $0.key.scope != scope } }
        for id in batch.ids { ids[id.key] = id }
        if let time = batch.idsEndedBy { ids = ids.filter { $0.value.expires > time } }
        for row in batch.inserts where row.message != nil { rows[row.number] = row }
        for counter in batch.counters { counters[counter.number] = counter }
        for place in batch.places { rows[place.number]?.move(to: place) }
        for content in batch.contents { rows[content.number]?.message = content.message }
        for number in batch.removals + batch.spillRemovals {
            rows[number] = nil
            counters[number] = nil
        }
        for range in batch.ranges {
            rows = rows.filter {
                let row = $0.value
                return row.queue != range.queue || row.place <= range.after || row.place > range.through
                    || (range.priority != nil && row.priority != range.priority)
            }
        }
    }

    var loads: [LoadRequest] = []

    /// Answers the reads that were asked for, in this order or, as two readers may, the other way round.
    @discardableResult
    func serveLoads(lastFirst: Bool = false) -> Bool {
        loads += core.takeOutputs().loads
        if lastFirst { loads.reverse() }
        guard !loads.isEmpty else { return false }
        let asked = loads
        loads = []
        for load in asked { core.loaded(read(load), now: now) }
        return true
    }

    /// Messages whose rows don't decode.
    var damaged: Set<MessageNumber> = []

    /// How many reads wanted rows without their messages.
    private(set) var bareReads = 0

    private func read(_ load: LoadRequest) -> LoadResult {
        if load.isBare { bareReads += 1 }
        let own = rows.values.filter { $0.queue == load.queue }.sorted { $0.place < $1.place }
        let queue = own.filter { load.priority == nil || $0.priority == load.priority }
        var next = Instant.distantFuture
        var nextDue = Instant.distantFuture
        let found: [InsertRow]
        switch load.kind {
        case .window(let after): found = queue.filter { $0.place > after }
        case .ids(let keys): return find(keys, load)
        case .due(let after, let by, let from):
            func key(_ row: InsertRow) -> DueKey { DueKey(row.due ?? .distantFuture, row.number) }
            let behind = own.filter { $0.due != nil && key($0) > after && $0.number >= from }
                .sorted { key($0) < key($1) }
            found = behind.filter { key($0).due <= by }
            nextDue = behind.dropFirst(min(found.count, load.countMax)).first?.due ?? .distantFuture
        case .numbers(let numbers):
            found = own.filter { numbers.contains($0.number) }.sorted { $0.number < $1.number }
        case .expired(let after, let by):
            let behind = queue.filter { $0.place > after }
            found = behind.filter { $0.expires <= by }
            let taken = Set(found.prefix(load.countMax).map(\.number))
            next = behind.filter { !taken.contains($0.number) }.map(\.expires).min() ?? .distantFuture
        }
        var bytes = 0
        let fitting = found.prefix { row in
            defer { bytes += load.isBare ? 0 : row.message?.bulk ?? 0 }
            return bytes <= load.bytesMax
        }
        let loaded = fitting.prefix(load.countMax).compactMap { row in
            row.message.map { message in
                var loaded = LoadedRow(
                    number: row.number, place: row.place, priority: row.priority, due: row.due,
                    version: row.version, message: message, isSpilled: row.isSpilled, entered: row.entered,
                    expires: row.expires, failed: counters[row.number]?.failed ?? row.failed,
                    acquired: counters[row.number]?.acquired ?? row.acquired, deaths: row.deaths,
                    hasHeldRow: counters[row.number] != nil)
                if load.isBare {
                    loaded.isBare = true
                    loaded.message = Message(exchange: "", routingKey: "", body: [])
                }
                if damaged.contains(row.number) { loaded.damage = "its death history doesn't decode" }
                return loaded
            }
        }
        return LoadResult(request: load, rows: loaded, nextExpiry: next, nextDue: nextDue)
    }

    func advance(milliseconds: Int64) {
        now = now.advanced(byMilliseconds: milliseconds)
        if core.nextWake <= now { core.timeReached(now: now) }
        settle()
    }

    func drain(_ session: SessionID) {
        while true {
            var fresh: [SessionEvent] = []
            core.drain(session, into: &fresh, now: now)
            if fresh.isEmpty { return }
            events[session, default: []] += fresh
        }
    }

    func answer(_ ticket: Ticket, of session: SessionID) -> Answer? {
        for case .answer(ticket, let answer) in events[session] ?? [] { return answer }
        return nil
    }

    /// The deliveries a session has had so far.
    func deliveries(of session: SessionID? = nil) -> [Delivery] {
        (events[session ?? self.session] ?? []).compactMap {
            if case .delivery(let d) = $0 { d } else { nil }
        }
    }

    // MARK: - Short forms

    func queue(_ name: QueueName, _ arguments: FieldTable = [:], durable: Bool = true) {
        run(.declareQueue(QueueDefinition(name, durable: durable, arguments: arguments), passive: false))
    }

    func publish(
        _ body: String, to queue: String, expiration: String? = nil, persistent: Bool = true,
        priority: UInt8? = nil, headers: FieldTable = [:]
    ) -> Answer? {
        var properties = MessageProperties()
        properties.expiration = expiration
        properties.priority = priority
        properties.headers = headers
        let message = Message(
            exchange: "", routingKey: queue, properties: properties.isEmpty ? nil : properties,
            isPersistent: persistent, body: Array(body.utf8))
        return ask(.publish(message, mandatory: false))
    }

    /// One message after the other.
    func publish(_ bodies: [String], to queue: String) {
        for body in bodies { _ = publish(body, to: queue) }
    }

    func get(_ queue: QueueName, autoAck: Bool = false) -> Delivery? {
        guard case .delivered(let delivery, _)? = run(.get(queue, autoAck: autoAck, waitMilliseconds: 0))
        else {
            return nil
        }
        return delivery
    }

    /// Bodies of what is ready, taken out one by one.
    func bodies(of queue: QueueName) -> [String] {
        var bodies: [String] = []
        while let delivery = get(queue, autoAck: true) { bodies.append(delivery.text) }
        return bodies
    }

    /// What a request was refused with.
    func refusal(of request: Request, from session: SessionID? = nil) -> BrokerError? {
        if case .refused(let error)? = run(request, from: session) { error } else { nil }
    }

    func info(_ queue: QueueName) -> QueueInfo? {
        guard case .queues(let rows)? = run(.status(queue)) else { return nil }
        return rows.first
    }
}

extension FieldTable {
    /// Arguments that send dead letters to the queue `dead`.
    static let toDead: FieldTable = [
        "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead"),
    ]

    /// These and more.
    func adding(_ more: FieldTable) -> FieldTable {
        var table = self
        for field in more.fields { table[field.name] = field.value }
        return table
    }
}

extension Delivery {
    var text: String { String(decoding: message.body, as: UTF8.self) }
}
