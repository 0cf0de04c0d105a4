// What a store finds when it is opened: definitions, what each queue holds, and who held messages when the
// broker ended. Called once by Store.open; reads indexes only, so it takes a tenth of a second per million rows.

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
        state.exchanges = try definitions.exchanges()
        state.bindings = try definitions.bindings()
        var depths = try self.depths()
        for queue in try definitions.queues() {
            let depth = depths.removeValue(forKey: queue.id)
            state.queues.append(
                RecoveredQueue(
                    id: queue.id, definition: queue.definition, count: depth?.count ?? 0,
                    bytes: depth?.bytes ?? 0,
                    nextExpiry: try MessageReader(database: database, isSpill: false)
                        .nextExpiry(of: queue.id, after: 0, past: nil),
                    oldest: depth == nil ? nil : try oldest(in: queue.id)
                )
            )
        }
        state.orphans = depths.keys.sorted()
        let number = try database.number(
            "SELECT max(value, (SELECT coalesce(max(id), 0) FROM message)) FROM meta WHERE name = 'reserved_through'"
        )
        state.nextNumber = MessageNumber(number + 1)
        let queue = try database.number(
            """
            SELECT max(value, (SELECT coalesce(max(id), 0) FROM queue), (SELECT coalesce(max(queue), 0) FROM message))
            FROM meta WHERE name = 'last_queue'
            """
        )
        state.nextQueueID = QueueID(queue + 1)
        return state
    }

    private func depths() throws(StoreFailure) -> [QueueID: (count: Int, bytes: Int)] {
        let statement = try database.prepared(
            "SELECT queue, count(*), sum(size) FROM message INDEXED BY message_place GROUP BY queue"
        )
        defer { statement.reset() }
        var depths: [QueueID: (count: Int, bytes: Int)] = [:]
        while try statement.next() {
            depths[QueueID(statement.int(0))] = (Int(statement.int(1)), Int(statement.int(2)))
        }
        return depths
    }

    private func oldest(in queue: QueueID) throws(StoreFailure) -> Instant? {
        let statement = try database.prepared(
            "SELECT entered FROM message WHERE queue = ?1 ORDER BY place LIMIT 1")
        defer { statement.reset() }
        statement.bind(1, queue.rawValue)
        return try statement.next() ? Instant(milliseconds: statement.int(0)) : nil
    }
}
