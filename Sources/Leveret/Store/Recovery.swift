// What a store finds when it is opened: definitions, what each queue holds, and who held messages when the
// broker ended. Called once by Store.open; reads indexes, and one row for
// each queue and priority, so it takes a tenth of a second per million rows.

import LeveretCore

/// Reads the state that the core starts from.
struct Recovery {
    let database: Database

    /// Counts what was held as failed and lets go of it, as one transaction.
    func releaseHeld() throws(StoreFailure) {
        guard try database.number("SELECT EXISTS (SELECT 1 FROM held)") != 0 else { return }
        try database.transaction { () throws(StoreFailure) in
            try database.run(
                """
                UPDATE message SET failed = failed + 1
                    WHERE id IN (SELECT message FROM held WHERE consumer IS NOT NULL)
                """
            )
            try database.run("UPDATE held SET consumer = NULL, since = NULL WHERE consumer IS NOT NULL")
        }
    }

    /// Everything the core needs to go on.
    func state() throws(StoreFailure) -> RecoveredState {
        let definitions = DefinitionRows(database: database)
        var state = RecoveredState()
        var queues: [VirtualHostID: [RecoveredQueue]] = [:]
        var levels = try self.levels()
        var prioritized = try prioritizedLevels()
        let paused = try definitions.paused()
        for placed in try definitions.queues() {
            let queue = placed.value
            let delayed = try self.delayed(in: queue.id)
            let isPrioritized = queue.definition.arguments[QueueArgument.priorityMax] != nil
            let all = levels.removeValue(forKey: queue.id).map { [$0] } ?? []
            let found = isPrioritized ? prioritized.removeValue(forKey: queue.id) ?? [] : all
            queues[placed.vhost, default: []].append(
                RecoveredQueue(
                    id: queue.id, definition: queue.definition,
                    levels: try found.map { level throws(StoreFailure) in
                        try completed(level, of: queue.id, isPrioritized: isPrioritized)
                    },
                    delayed: delayed.count, nextDue: delayed.first, pausedSince: paused[queue.id]))
        }
        let exchanges = Dictionary(grouping: try definitions.exchanges(), by: \.vhost)
        let bindings = Dictionary(grouping: try definitions.bindings(), by: \.vhost)
        let policies = Dictionary(grouping: try definitions.policies(), by: \.vhost)
        state.virtualHosts = try definitions.virtualHosts()
        for index in state.virtualHosts.indices {
            let id = state.virtualHosts[index].id
            state.virtualHosts[index].queues = queues[id] ?? []
            state.virtualHosts[index].exchanges = exchanges[id]?.map(\.value) ?? []
            state.virtualHosts[index].bindings = bindings[id]?.map(\.value) ?? []
            state.virtualHosts[index].policies = policies[id]?.map(\.value) ?? []
        }
        let users = UserRows(database: database)
        state.users = try users.users()
        state.permissions = try users.permissions()
        state.topicPermissions = try users.topicPermissions()
        state.orphans = levels.keys.sorted()
        (state.dedupScopes, state.idsEnd) = try IDScopes(database: database).all()
        let number = try database.number(
            "SELECT max(value, (SELECT coalesce(max(id), 0) FROM message)) FROM meta WHERE name = 'reserved_through'"
        )
        state.nextNumber = MessageNumber(try Self.following(number, "message"))
        let queue = try database.number(
            """
            SELECT max(value, (SELECT coalesce(max(id), 0) FROM queue), (SELECT coalesce(max(queue), 0) FROM message))
            FROM meta WHERE name = 'last_queue'
            """
        )
        state.nextQueueID = QueueID(try Self.following(queue, "queue"))
        return state
    }

    /// The id after the last one. There are so many that none is out of reach by use.
    private static func following(_ last: Int64, _ what: String) throws(StoreFailure) -> Int64 {
        guard (0..<(1 << 62)).contains(last) else {
            throw .unreadable("\(what) \(last)", "its id is out of range")
        }
        return last + 1
    }

    /// What each queue holds.
    private func levels() throws(StoreFailure) -> [QueueID: RecoveredLevel] {
        var levels: [QueueID: RecoveredLevel] = [:]
        let all = try database.prepared(
            """
            SELECT queue, count(*) FILTER (WHERE place > 0), sum(size) FILTER (WHERE place > 0)
            FROM message INDEXED BY message_place GROUP BY queue
            """
        )
        defer { all.reset() }
        while try all.next() {
            levels[QueueID(all.int(0))] = RecoveredLevel(
                count: Int(all.int(1)), bytes: Self.bytes(all.int(2)))
        }
        return levels
    }

    /// What each queue holds, by priority.
    private func prioritizedLevels() throws(StoreFailure) -> [QueueID: [RecoveredLevel]] {
        var levels: [QueueID: [RecoveredLevel]] = [:]
        let prioritized = try database.prepared(
            """
            SELECT queue, priority, count(*), sum(size) FROM message INDEXED BY message_priority
            WHERE priority IS NOT NULL AND place > 0 GROUP BY queue, priority
            """
        )
        defer { prioritized.reset() }
        while try prioritized.next() {
            levels[QueueID(prioritized.int(0)), default: []].append(
                RecoveredLevel(
                    priority: UInt8(clamping: prioritized.int(1)), count: Int(prioritized.int(2)),
                    bytes: Self.bytes(prioritized.int(3))))
        }
        return levels
    }

    /// A sum of sizes as the file has it, kept so small that nothing which reckons with it can overflow.
    static func bytes(_ sum: Int64) -> Int { Int(min(max(sum, 0), 1 << 52)) }

    private func delayed(in queue: QueueID) throws(StoreFailure) -> (count: Int, first: Instant) {
        let statement = try database.prepared(
            "SELECT count(*), min(due) FROM message INDEXED BY message_due WHERE queue = ?1 AND due IS NOT NULL"
        )
        defer { statement.reset() }
        statement.bind(1, queue.rawValue)
        guard try statement.next(), !statement.isNull(1) else { return (0, .distantFuture) }
        return (Int(statement.int(0)), Instant(stored: statement.int(1)))
    }

    /// The level with what its counts don't say. The expiry is that of the whole queue: it only must not be late.
    private func completed(
        _ level: RecoveredLevel, of queue: QueueID, isPrioritized: Bool
    ) throws(StoreFailure) -> RecoveredLevel {
        var level = level
        let expiry = try database.prepared(
            """
            SELECT expires FROM message INDEXED BY message_expires
            WHERE queue = ?1 AND expires IS NOT NULL ORDER BY expires LIMIT 1
            """
        )
        defer { expiry.reset() }
        expiry.bind(1, queue.rawValue)
        if try expiry.next() { level.nextExpiry = Instant(stored: expiry.int(0)) }
        let oldest = try database.prepared(
            """
            SELECT entered FROM message WHERE queue = ?1 AND priority IS ?2 AND place > 0 ORDER BY place LIMIT 1
            """
        )
        defer { oldest.reset() }
        oldest.bind(1, queue.rawValue)
        if isPrioritized { oldest.bind(2, Int64(level.priority)) } else { oldest.bindNull(2) }
        if try oldest.next() { level.oldest = Instant(stored: oldest.int(0)) }
        return level
    }
}
