// The ids that queues and exchanges have seen: those that count for a while in the table `dedup`, those that count
// as long as their message is there in `message.dedup`. Called by Store inside a transaction, and for reads.

import LeveretCore

/// Writes and reads ids.
struct IDRows {
    let database: Database

    /// Remembers ids, in the place of what was known of them.
    func put(_ ids: [StoredID]) throws(StoreFailure) {
        guard !ids.isEmpty else { return }
        let statement = try database.prepared(
            "INSERT OR REPLACE INTO dedup (scope, id, expires) VALUES (?1, ?2, ?3)")
        var scope: DedupScope?
        for id in ids {
            if scope != id.key.scope {
                scope = id.key.scope
                statement.bind(1, id.key.scope.column)
            }
            statement.bind(2, id.key.id)
            statement.bind(3, id.expires.milliseconds)
            try statement.run()
        }
    }

    /// Removes at most `countMax` ids that ended by `time`.
    func removeEnded(by time: Instant, countMax: Int) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            DELETE FROM dedup WHERE (scope, id) IN (
                SELECT scope, id FROM dedup INDEXED BY dedup_expires WHERE expires <= ?1 LIMIT ?2
            )
            """
        )
        statement.bind(1, time.milliseconds)
        statement.bind(2, Int64(countMax))
        try statement.run()
    }

    /// Removes all ids of a scope that count for a while.
    func forget(_ scope: DedupScope) throws(StoreFailure) {
        let statement = try database.prepared("DELETE FROM dedup WHERE scope = ?1")
        statement.bind(1, scope.column)
        try statement.run()
    }

    /// What is known of `keys`; in the spill file only what counts as long as its message.
    func find(_ keys: [DedupKey], isSpill: Bool) throws(StoreFailure) -> [StoredID] {
        let queued = try database.prepared(
            """
            SELECT id, place, priority FROM message INDEXED BY message_dedup
            WHERE queue = ?1 AND dedup = ?2 ORDER BY id DESC LIMIT 1
            """
        )
        let timed =
            isSpill ? nil : try database.prepared("SELECT expires FROM dedup WHERE scope = ?1 AND id = ?2")
        var found: [StoredID] = []
        var scope: DedupScope?
        for key in keys {
            if key.isWhileQueued, case .queue(let queue) = key.scope {
                defer { queued.reset() }
                queued.bind(1, queue.rawValue)
                queued.bind(2, key.id)
                guard try queued.next() else { continue }
                found.append(
                    StoredID(
                        key: key, expires: .distantFuture, number: MessageNumber(queued.int(0)),
                        place: MessageNumber(queued.int(1)),
                        priority: queued.isNull(2) ? nil : UInt8(clamping: queued.int(2))))
            } else if let timed {
                defer { timed.reset() }
                if scope != key.scope {
                    scope = key.scope
                    timed.bind(1, key.scope.column)
                }
                timed.bind(2, key.id)
                guard try timed.next() else { continue }
                found.append(StoredID(key: key, expires: Instant(stored: timed.int(0))))
            }
        }
        return found
    }

    /// Those that ids are known of. One look into the index for each.
    func scopes() throws(StoreFailure) -> [DedupScope] {
        let statement = try database.prepared(
            "SELECT scope FROM dedup WHERE scope > ?1 ORDER BY scope LIMIT 1")
        var scopes: [DedupScope] = []
        var last = ""
        while true {
            statement.bind(1, last)
            let isThere = try statement.next()
            if isThere { last = statement.text(0) }
            statement.reset()
            guard isThere else { return scopes }
            if let scope = DedupScope(column: last) { scopes.append(scope) }
        }
    }
}

extension DedupScope {
    /// As the column `dedup.scope` has it.
    fileprivate var column: String {
        switch self {
        case .queue(let id): "queue \(id.rawValue)"
        case .exchange(let name, in: .default): "exchange \(name)"
        case .exchange(let name, let vhost): "vhost \(vhost.rawValue) exchange \(name)"
        }
    }

    fileprivate init?(column: String) {
        if column.hasPrefix("exchange ") {
            self = .exchange(ExchangeName(String(column.dropFirst(9))), in: .default)
        } else if column.hasPrefix("queue "), let id = Int64(column.dropFirst(6)) {
            self = .queue(QueueID(id))
        } else if column.hasPrefix("vhost ") {
            let parts = column.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
            guard parts.count == 4, parts[2] == "exchange", let id = Int64(parts[1]) else { return nil }
            self = .exchange(ExchangeName(String(parts[3])), in: VirtualHostID(id))
        } else {
            return nil
        }
    }
}
