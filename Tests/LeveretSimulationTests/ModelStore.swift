// A store as plain as can be: dictionaries that do what WriteBatch.swift says a store does. Fast enough to
// be under most seeds; the SQLite store is under the rest.

import LeveretCore

/// A copy as a store holds it.
struct StoredCopy: Equatable {
    var number: MessageNumber
    var queue: QueueID
    var failed: Int32
    var acquired: Int32
    var isHeld: Bool
    var expires: Instant
    var place: MessageNumber
    var priority: UInt8?
    var due: Instant?
    var version: Int

    /// As a restart has to find it: ready, and counted as failed where it was held.
    var recovered: StoredCopy {
        var copy = self
        copy.failed += isHeld ? 1 : 0
        copy.isHeld = false
        return copy
    }
}

/// What the simulator needs of a store.
protocol SimulatedStore: AnyObject {
    /// Applies one batch as one transaction; returns the ranges it did not finish.
    func apply(_ batch: WriteBatch) throws -> [RangeRemoval]
    /// Reads what the core asks for.
    func load(_ request: LoadRequest) throws -> LoadResult
    /// Looks for what a MOVE wants.
    func search(_ search: Search) throws -> SearchFound
    /// Loses what is not in the database, then opens again.
    func reopen() throws -> RecoveredState
    /// Every copy in the database, the spill file left out, by number.
    func copies() throws -> [StoredCopy]
}

/// Rows in memory.
final class ModelStore: SimulatedStore {
    private struct Row {
        var insert: InsertRow
        var failed: Int32
        var acquired: Int32
        var hasHeldRow = false
        var isHeld = false
        var due: DueKey? { insert.due.map { DueKey($0, insert.number) } }
    }

    private var rows: [MessageNumber: Row] = [:]
    private var spill: [MessageNumber: Row] = [:]
    private var queues: [QueueID: (definition: QueueDefinition, host: VirtualHostID)] = [:]
    private var ids: [DedupKey: StoredID] = [:]
    private var hosts: [VirtualHostID: RecoveredVirtualHost] = [
        .default: RecoveredVirtualHost(id: .default, name: .default)
    ]
    private var paused: [QueueID: Instant] = [:]
    private var reserved: MessageNumber = 0
    private var highestQueue: QueueID = 0
    /// Rows that one batch removes by ranges.
    private let rangeRowsMax: Int

    init(rangeRowsMax: Int) { self.rangeRowsMax = rangeRowsMax }

    func apply(_ batch: WriteBatch) throws -> [RangeRemoval] {
        for change in batch.definitions { apply(change) }
        for id in batch.ids { ids[id.key] = id }
        if let time = batch.idsEndedBy { ids = ids.filter { $0.value.expires > time } }
        for insert in batch.inserts where insert.message != nil {
            let row = Row(insert: insert, failed: insert.failed, acquired: insert.acquired)
            if insert.isSpilled { spill[insert.number] = row } else { rows[insert.number] = row }
        }
        for update in batch.counters {
            if spill[update.number] != nil {
                spill[update.number]?.failed = update.failed
                spill[update.number]?.acquired = update.acquired
                continue
            }
            guard rows[update.number] != nil else {
                throw Violation("counters of message \(update.number), which has no row")
            }
            rows[update.number]?.failed = update.failed
            rows[update.number]?.acquired = update.acquired
            rows[update.number]?.hasHeldRow = true
            rows[update.number]?.isHeld = update.heldBy != nil
        }
        for place in batch.places {
            rows[place.number]?.insert.move(to: place)
            spill[place.number]?.insert.move(to: place)
        }
        for content in batch.contents {
            rows[content.number]?.insert.message = content.message
            spill[content.number]?.insert.message = content.message
        }
        for number in batch.removals { rows[number] = nil }
        for number in batch.spillRemovals { spill[number] = nil }
        if let through = batch.reserveThrough { reserved = through }
        return remove(batch.ranges)
    }

    private func apply(_ change: DefinitionChange) {
        switch change {
        case .putVirtualHost(let id, let name, let limits):
            hosts[id, default: RecoveredVirtualHost(id: id, name: name)].limits = limits
        case .deleteVirtualHost(let id):
            hosts[id] = nil
            for (queue, found) in queues where found.host == id {
                queues[queue] = nil
                paused[queue] = nil
            }
        case .putExchange(let definition, let host): hosts[host]?.exchanges.append(definition)
        case .deleteExchange(let name, let host): hosts[host]?.exchanges.removeAll { $0.name == name }
        case .putQueue(let id, let definition, let host):
            queues[id] = (definition, host)
            highestQueue = max(highestQueue, id)
        case .deleteQueue(let id):
            queues[id] = nil
            paused[id] = nil
        case .putPolicy(let policy, let host):
            hosts[host]?.policies.removeAll { $0.name == policy.name && $0.isOperator == policy.isOperator }
            hosts[host]?.policies.append(policy)
        case .deletePolicy(let name, let isOperator, let host):
            hosts[host]?.policies.removeAll { $0.name == name && $0.isOperator == isOperator }
        case .putUser, .deleteUser, .putPermission, .deletePermission, .putTopicPermission,
            .deleteTopicPermission:
            break  // nobody has any here
        case .forgetIDs(let scope): ids = ids.filter { $0.key.scope != scope }
        case .pauseQueue(let id, let since): paused[id] = since
        case .putBinding(let binding, let host): hosts[host]?.bindings.append(binding)
        case .deleteBinding(let binding, let host): hosts[host]?.bindings.removeAll { $0 == binding }
        }
    }

    private func remove(_ ranges: [RangeRemoval]) -> [RangeRemoval] {
        var room = rangeRowsMax
        var unfinished: [RangeRemoval] = []
        for range in ranges {
            let numbers = (Array(rows.values) + Array(spill.values)).map(\.insert)
                .filter { insert in
                    insert.queue == range.queue && insert.place > range.after && insert.place <= range.through
                        && (range.priority == nil || insert.priority == range.priority)
                }
                .sorted { $0.place < $1.place }.map(\.number)
            for number in numbers.prefix(room) {
                rows[number] = nil
                spill[number] = nil
            }
            if numbers.count > room { unfinished.append(range) }
            room -= min(room, numbers.count)
        }
        return unfinished
    }

    func load(_ request: LoadRequest) -> LoadResult {
        if case .ids(let keys) = request.kind { return find(keys, request) }
        let own = (Array(rows.values) + Array(spill.values)).filter { $0.insert.queue == request.queue }
        let all = own.filter { request.priority == nil || $0.insert.priority == request.priority }
            .sorted { $0.insert.place < $1.insert.place }
        var found: [Row]
        switch request.kind {
        case .window(let after): found = all.filter { $0.insert.place > after }
        case .expired(let after, let by):
            found = all.filter { $0.insert.place > after && $0.insert.expires <= by }
        case .ids: found = []
        case .due(let after, let by, let from):
            found = own.filter { row in
                row.due.map { $0 > after && $0.due <= by } == true && row.insert.number >= from
            }.sorted { ($0.due ?? after) < ($1.due ?? after) }
        case .numbers(let numbers):
            found = own.filter { numbers.contains($0.insert.number) }
                .sorted { $0.insert.number < $1.insert.number }
        }
        var taken: [LoadedRow] = []
        var bytes = 0
        for row in found {
            guard taken.count < request.countMax, taken.isEmpty || bytes <= request.bytesMax else { break }
            guard let message = row.insert.message else { continue }
            bytes += message.bulk
            var row = loaded(row, message)
            row.isBare = request.isBare
            taken.append(row)
        }
        var nextExpiry = Instant.distantFuture
        if case .expired(let after, let by) = request.kind {
            let last = taken.last?.place ?? after
            for row in all where row.insert.place > last || row.insert.expires > by {
                nextExpiry = min(nextExpiry, row.insert.expires)
            }
        }
        var nextDue = Instant.distantFuture
        if case .due(let after, _, let from) = request.kind {
            let left = own.filter { row in
                row.due.map { $0 > after } == true && row.insert.number >= from
                    && !taken.contains { $0.number == row.insert.number }
            }
            nextDue = left.compactMap(\.insert.due).min() ?? .distantFuture
        }
        return LoadResult(request: request, rows: taken, nextExpiry: nextExpiry, nextDue: nextDue)
    }

    private func find(_ keys: [DedupKey], _ request: LoadRequest) -> LoadResult {
        var result = LoadResult(request: request, rows: [])
        for key in keys {
            let queued = (Array(rows.values) + Array(spill.values)).map(\.insert).filter {
                key.isWhileQueued && $0.dedupID == key.id && key.scope == .queue($0.queue)
            }
            if let row = queued.max(by: { $0.number < $1.number }) {
                result.ids.append(
                    StoredID(
                        key: key, expires: .distantFuture, number: row.number, place: row.place,
                        priority: row.priority))
            } else if let id = ids[key] {
                result.ids.append(id)
            }
        }
        return result
    }

    func search(_ search: Search) throws -> SearchFound {
        guard case .places(let wanted, let overlay) = search.kind,
            let condition = Condition(rawValue: wanted.condition)
        else { throw Violation("a search for something else: \(search.kind)") }
        let inMemory = overlay.inMemory.map { Row(insert: $0, failed: $0.failed, acquired: $0.acquired) }
        var seen: Set<MessageNumber> = []
        let found = (Array(rows.values) + Array(spill.values) + inMemory).filter { row in
            let insert = row.insert
            let note = overlay.notes.first { $0.number == insert.number }
            guard let message = insert.message, insert.queue == overlay.queue, insert.due == nil,
                insert.place <= wanted.through, insert.expires > search.now, note?.heldBy == nil
            else { return false }
            let header: Int64? =
                if case .int(let value)? = message.properties?.headers["h"] { value } else { nil }
            return condition.isMet(
                size: message.body.count, key: message.routingKey, header: header,
                failed: Int(note?.failed ?? row.failed), deliveries: Int(note?.acquired ?? row.acquired))
        }
        let places = found.map { row in
            FoundPlace(
                number: row.insert.number, place: row.insert.place, priority: row.insert.priority,
                version: row.insert.version)
        }
        func isBefore(_ a: FoundPlace, _ b: FoundPlace) -> Bool {
            (b.priority ?? 0, a.place) < (a.priority ?? 0, b.place)
        }
        let behind = places.filter { place in
            wanted.after.map { isBefore($0, place) } != false && seen.insert(place.number).inserted
        }
        return .places(Array(behind.sorted(by: isBefore).prefix(wanted.countMax)))
    }

    private func loaded(_ row: Row, _ message: Message) -> LoadedRow {
        LoadedRow(
            number: row.insert.number, place: row.insert.place, priority: row.insert.priority,
            due: row.insert.due, version: row.insert.version, message: message,
            isSpilled: row.insert.isSpilled,
            entered: row.insert.entered, expires: row.insert.expires, failed: row.failed,
            acquired: row.acquired,
            deaths: row.insert.deaths, hasHeldRow: row.hasHeldRow)
    }

    func reopen() -> RecoveredState {
        spill = [:]
        for number in rows.keys where rows[number]?.isHeld == true {
            rows[number]?.failed += 1
            rows[number]?.isHeld = false
        }
        var state = RecoveredState()
        state.nextNumber = MessageNumber(max(reserved, rows.keys.max() ?? 0).rawValue + 1)
        state.nextQueueID = QueueID(highestQueue.rawValue + 1)
        state.idsEnd = ids.values.map(\.expires).max() ?? 0
        state.dedupScopes = Set(ids.keys.map(\.scope)).sorted { "\($0)" < "\($1)" }
        let owners = Set(rows.values.map(\.insert.queue))
        state.orphans = owners.subtracting(queues.keys).sorted()
        var hosts = hosts
        for (id, (definition, host)) in queues.sorted(by: { $0.key < $1.key }) {
            let all = rows.values.filter { $0.insert.queue == id }
            let own = all.filter { $0.insert.due == nil }
            let delayed = all.compactMap(\.insert.due)
            let levels = Dictionary(grouping: own) { $0.insert.priority ?? 0 }.map { priority, rows in
                RecoveredLevel(
                    priority: priority, count: rows.count,
                    bytes: rows.reduce(0) { $0 + ($1.insert.message?.body.count ?? 0) },
                    nextExpiry: rows.map(\.insert.expires).min() ?? .distantFuture,
                    oldest: rows.min { $0.insert.place < $1.insert.place }?.insert.entered)
            }
            let found = RecoveredQueue(
                id: id, definition: definition, levels: levels.sorted { $0.priority > $1.priority },
                delayed: delayed.count, nextDue: delayed.min() ?? .distantFuture, pausedSince: paused[id])
            hosts[host]?.queues.append(found)
        }
        state.virtualHosts = hosts.values.sorted { $0.name < $1.name }
        return state
    }

    func copies() -> [StoredCopy] {
        rows.values.map {
            StoredCopy(
                number: $0.insert.number, queue: $0.insert.queue, failed: $0.failed, acquired: $0.acquired,
                isHeld: $0.isHeld, expires: $0.insert.expires, place: $0.insert.place,
                priority: $0.insert.priority, due: $0.insert.due, version: Int($0.insert.version))
        }.sorted { $0.number < $1.number }
    }
}
