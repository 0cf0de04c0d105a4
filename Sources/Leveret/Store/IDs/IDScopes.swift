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

    /// By bytes: what a name begins with may melt into the space before it.
    fileprivate init?(column: String) {
        if let name = column.rest(after: "exchange ") {
            self = .exchange(ExchangeName(name), in: .default)
        } else if let number = column.rest(after: "queue ") {
            guard let id = Int64(number) else { return nil }
            self = .queue(QueueID(id))
        } else if let placed = column.rest(after: "vhost ") {
            let number = String(decoding: placed.utf8.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
            guard let id = Int64(number), let name = placed.rest(after: number + " exchange ") else {
                return nil
            }
            self = .exchange(ExchangeName(name), in: VirtualHostID(id))
        } else {
            return nil
        }
    }
}

extension String {
    /// What follows behind these bytes; `nil` where it doesn't begin with them.
    fileprivate func rest(after prefix: String) -> String? {
        guard utf8.starts(with: prefix.utf8) else { return nil }
        return String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }
}
