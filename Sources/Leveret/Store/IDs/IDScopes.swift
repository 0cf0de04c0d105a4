// Whose ids are remembered: a number for each queue and exchange, which is never used again. What a queue had seen is
// forgotten with its number; the ids themselves go in time.

import LeveretCore

/// Reads and writes the table `dedup_scope`.
struct IDScopes {
    let database: Database

    /// The number of a scope; `nil` where none of its ids is known.
    func number(of scope: DedupScope) throws(StoreFailure) -> Int64? {
        let statement = try database.prepared("SELECT number FROM dedup_scope WHERE scope = ?1")
        defer { statement.reset() }
        statement.bind(1, scope.column)
        return try statement.next() ? statement.int(0) : nil
    }

    /// The number of a scope, a new one where it has none.
    func makeNumber(of scope: DedupScope) throws(StoreFailure) -> Int64 {
        if let number = try number(of: scope) { return number }
        let statement = try database.prepared("INSERT INTO dedup_scope (scope) VALUES (?1)")
        statement.bind(1, scope.column)
        try statement.run()
        return try database.number("SELECT last_insert_rowid()")
    }

    /// Forgets all ids of a scope that count for a while.
    func forget(_ scope: DedupScope) throws(StoreFailure) {
        let statement = try database.prepared("DELETE FROM dedup_scope WHERE scope = ?1")
        statement.bind(1, scope.column)
        try statement.run()
    }

    /// Those that ids are known of, and until when at most.
    func all() throws(StoreFailure) -> (scopes: [DedupScope], end: Instant) {
        let statement = try database.prepared("SELECT scope FROM dedup_scope ORDER BY number")
        defer { statement.reset() }
        var scopes: [DedupScope] = []
        while try statement.next() {
            if let scope = DedupScope(column: statement.text(0)) { scopes.append(scope) }
        }
        let end = try database.number("SELECT coalesce(max(expires), 0) FROM dedup_run")
        return (scopes, Instant(stored: end))
    }
}

extension DedupScope {
    /// As the column `dedup_scope.scope` has it.
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
