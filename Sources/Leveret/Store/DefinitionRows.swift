// Writes and reads the tables `exchange`, `queue`, `binding`, `policy` and `paused`. Called by Store inside a
// transaction, by recovery and by DatabaseInspector.

import LeveretCore

/// The topology in the database.
struct DefinitionRows {
    let database: Database

    /// Makes the changes in their order.
    func apply(_ changes: [DefinitionChange]) throws(StoreFailure) {
        for change in changes {
            switch change {
            case .putExchange(let exchange): try put(exchange)
            case .deleteExchange(let name):
                let statement = try database.prepared("DELETE FROM exchange WHERE vhost = 1 AND name = ?1")
                statement.bind(1, name.rawValue)
                try statement.run()
            case .putQueue(let id, let queue): try put(queue, id)
            case .deleteQueue(let id):
                let statement = try database.prepared("DELETE FROM queue WHERE id = ?1")
                statement.bind(1, id.rawValue)
                try statement.run()
                try pause(id, since: nil)
            case .pauseQueue(let id, let since): try pause(id, since: since)
            case .putPolicy(let policy): try put(policy)
            case .deletePolicy(let name, let isOperator):
                let statement = try database.prepared("DELETE FROM policy WHERE operator = ?1 AND name = ?2")
                statement.bind(1, isOperator ? 1 : 0)
                statement.bind(2, name)
                try statement.run()
            case .forgetIDs(let scope): try IDRows(database: database).forget(scope)
            case .putBinding(let binding): try put(binding)
            case .deleteBinding(let binding): try delete(binding)
            }
        }
    }

    // MARK: Writing

    private func put(_ exchange: ExchangeDefinition) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            INSERT OR REPLACE INTO exchange (name, type, durable, auto_delete, internal, arguments, arguments_json)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            """
        )
        statement.bind(1, exchange.name.rawValue)
        statement.bind(2, exchange.type.rawValue)
        statement.bind(3, exchange.isDurable ? 1 : 0)
        statement.bind(4, exchange.isAutoDelete ? 1 : 0)
        statement.bind(5, exchange.isInternal ? 1 : 0)
        bind(exchange.arguments, at: 6, of: statement)
        try statement.run()
    }

    private func put(_ queue: QueueDefinition, _ id: QueueID) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            INSERT OR REPLACE INTO queue (id, name, durable, exclusive, auto_delete, arguments, arguments_json)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            """
        )
        statement.bind(1, id.rawValue)
        statement.bind(2, queue.name.rawValue)
        statement.bind(3, queue.isDurable ? 1 : 0)
        statement.bind(4, queue.isExclusive ? 1 : 0)
        statement.bind(5, queue.isAutoDelete ? 1 : 0)
        bind(queue.arguments, at: 6, of: statement)
        try statement.run()
        let last = try database.prepared("UPDATE meta SET value = max(value, ?1) WHERE name = 'last_queue'")
        last.bind(1, id.rawValue)
        try last.run()
    }

    private func put(_ policy: Policy) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            INSERT OR REPLACE INTO policy
                (name, operator, pattern, priority, definition, definition_json, apply_to)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            """
        )
        statement.bind(1, policy.name)
        statement.bind(2, policy.isOperator ? 1 : 0)
        statement.bind(3, policy.pattern)
        statement.bind(4, Int64(policy.priority))
        bind(policy.definition, at: 5, of: statement)
        statement.bind(7, policy.appliesTo.rawValue)
        try statement.run()
    }

    private func pause(_ id: QueueID, since: Instant?) throws(StoreFailure) {
        let sql =
            since == nil
            ? "DELETE FROM paused WHERE queue = ?1" : "INSERT OR REPLACE INTO paused VALUES (?1, ?2)"
        let statement = try database.prepared(sql)
        statement.bind(1, id.rawValue)
        if let since { statement.bind(2, since.milliseconds) }
        try statement.run()
    }

    private func put(_ binding: Binding) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            INSERT OR IGNORE INTO binding (source, target_kind, target, routing_key, arguments, arguments_json)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            """
        )
        bindKey(of: binding, to: statement)
        bind(binding.arguments, at: 5, of: statement)
        try statement.run()
    }

    private func delete(_ binding: Binding) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            DELETE FROM binding WHERE vhost = 1 AND source = ?1 AND target_kind = ?2 AND target = ?3
                AND routing_key = ?4 AND arguments = ?5
            """
        )
        bindKey(of: binding, to: statement)
        statement.bind(5, copying: FieldTableCodec.encode(binding.arguments))
        try statement.run()
    }

    private func bindKey(of binding: Binding, to statement: Prepared) {
        statement.bind(1, binding.source.rawValue)
        switch binding.target {
        case .queue(let name):
            statement.bind(2, "queue")
            statement.bind(3, name.rawValue)
        case .exchange(let name):
            statement.bind(2, "exchange")
            statement.bind(3, name.rawValue)
        }
        statement.bind(4, binding.routingKey)
    }

    /// Binds the arguments as the wire has them, and as JSON for people right after.
    private func bind(_ arguments: FieldTable, at index: Int32, of statement: Prepared) {
        statement.bind(index, copying: FieldTableCodec.encode(arguments))
        if arguments.isEmpty {
            statement.bindNull(index + 1)
        } else {
            statement.bind(index + 1, JSONText.write(arguments))
        }
    }

    // MARK: Reading

    /// Every exchange that was declared, by name.
    func exchanges() throws(StoreFailure) -> [ExchangeDefinition] {
        let statement = try database.prepared(
            "SELECT name, type, durable, auto_delete, internal, arguments FROM exchange ORDER BY name"
        )
        defer { statement.reset() }
        var exchanges: [ExchangeDefinition] = []
        while try statement.next() {
            let name = statement.text(0)
            guard let type = ExchangeType(rawValue: statement.text(1)) else {
                throw .unreadable("exchange '\(name)'", "its type is '\(statement.text(1))'")
            }
            exchanges.append(
                ExchangeDefinition(
                    ExchangeName(name), type: type, durable: statement.int(2) != 0,
                    autoDelete: statement.int(3) != 0, internal: statement.int(4) != 0,
                    arguments: try arguments(statement.bytes(5), of: "exchange '\(name)'")
                )
            )
        }
        return exchanges
    }

    /// Every queue, by name.
    func queues() throws(StoreFailure) -> [(id: QueueID, definition: QueueDefinition)] {
        let statement = try database.prepared(
            "SELECT id, name, durable, exclusive, auto_delete, arguments FROM queue ORDER BY name"
        )
        defer { statement.reset() }
        var queues: [(id: QueueID, definition: QueueDefinition)] = []
        while try statement.next() {
            let name = statement.text(1)
            let definition = QueueDefinition(
                QueueName(name), durable: statement.int(2) != 0, exclusive: statement.int(3) != 0,
                autoDelete: statement.int(4) != 0,
                arguments: try arguments(statement.bytes(5), of: "queue '\(name)'")
            )
            queues.append((QueueID(statement.int(0)), definition))
        }
        return queues
    }

    /// Every policy, by name.
    func policies() throws(StoreFailure) -> [Policy] {
        guard try hasTable("policy") else { return [] }
        let knowsTargets =
            try database.number(
                "SELECT count(*) FROM pragma_table_info('policy') WHERE name = 'apply_to'") > 0
        let statement = try database.prepared(
            """
            SELECT name, operator, pattern, priority, definition, \(knowsTargets ? "apply_to" : "'all'") FROM policy
            ORDER BY operator, name
            """
        )
        defer { statement.reset() }
        var policies: [Policy] = []
        while try statement.next() {
            let name = statement.text(0)
            guard let target = PolicyTarget(rawValue: statement.text(5)) else {
                throw .unreadable("policy '\(name)'", "it applies to '\(statement.text(5))'")
            }
            policies.append(
                Policy(
                    name, pattern: statement.text(2), appliesTo: target,
                    priority: Int32(clamping: statement.int(3)),
                    isOperator: statement.int(1) != 0,
                    definition: try arguments(statement.bytes(4), of: "policy '\(name)'")
                )
            )
        }
        return policies
    }

    /// Since when the queues that are paused have been.
    func paused() throws(StoreFailure) -> [QueueID: Instant] {
        guard try hasTable("paused") else { return [:] }
        let statement = try database.prepared("SELECT queue, since FROM paused")
        defer { statement.reset() }
        var paused: [QueueID: Instant] = [:]
        while try statement.next() {
            paused[QueueID(statement.int(0))] = Instant(stored: statement.int(1))
        }
        return paused
    }

    /// False for a table that a file is too old to have, which a reader may have opened.
    private func hasTable(_ name: StaticString) throws(StoreFailure) -> Bool {
        try database.number("SELECT count(*) FROM sqlite_schema WHERE name = '\(name)'") > 0
    }

    /// Every binding, in the order in which they were made.
    func bindings() throws(StoreFailure) -> [Binding] {
        let statement = try database.prepared(
            "SELECT source, target_kind, target, routing_key, arguments FROM binding ORDER BY id"
        )
        defer { statement.reset() }
        var bindings: [Binding] = []
        while try statement.next() {
            let source = statement.text(0)
            let target = statement.text(2)
            bindings.append(
                Binding(
                    source: ExchangeName(source),
                    target: statement.text(1) == "queue"
                        ? .queue(QueueName(target)) : .exchange(ExchangeName(target)),
                    routingKey: statement.text(3),
                    arguments: try arguments(statement.bytes(4), of: "a binding of exchange '\(source)'")
                )
            )
        }
        return bindings
    }

    private func arguments(_ bytes: [UInt8], of entity: String) throws(StoreFailure) -> FieldTable {
        do { return try FieldTableCodec.decode(bytes) } catch {
            throw .unreadable(entity, "its arguments don't decode: \(error.text)")
        }
    }
}

extension StoreFailure {
    /// A row whose content Leveret didn't write.
    static func unreadable(_ entity: String, _ why: String) -> StoreFailure {
        StoreFailure(
            kind: .corrupt,
            text:
                "the database is damaged: \(entity) can't be read, \(why); restore a backup, or remove the row "
                + "with sqlite3 while no broker runs"
        )
    }
}
