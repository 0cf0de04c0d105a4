// Writes and reads the tables `vhost`, `exchange`, `queue`, `binding`, `policy` and `paused`. Called by Store inside a
// transaction, by recovery and by DatabaseInspector.

import LeveretCore

/// Something that was declared, and in which virtual host.
struct Placed<Value> {
    let vhost: VirtualHostID
    let value: Value
}

extension Array {
    /// What is of one virtual host.
    func of<Value>(_ vhost: VirtualHostID) -> [Value] where Element == Placed<Value> {
        compactMap { $0.vhost == vhost ? $0.value : nil }
    }
}

/// A queue as it was declared, and its row's id.
struct StoredQueue {
    let id: QueueID
    let definition: QueueDefinition
}

/// The topology in the database.
struct DefinitionRows {
    let database: Database

    /// Makes the changes in their order.
    func apply(_ changes: [DefinitionChange]) throws(StoreFailure) {
        for change in changes {
            switch change {
            case .putVirtualHost(let id, let name, let limits): try put(id, name, limits)
            case .deleteVirtualHost(let id): try delete(id)
            case .putExchange(let exchange, let vhost): try put(exchange, in: vhost)
            case .deleteExchange(let name, let vhost):
                let statement = try database.prepared("DELETE FROM exchange WHERE vhost = ?1 AND name = ?2")
                statement.bind(1, vhost.rawValue)
                statement.bind(2, name.rawValue)
                try statement.run()
            case .putQueue(let id, let queue, let vhost): try put(queue, id, in: vhost)
            case .deleteQueue(let id):
                let statement = try database.prepared("DELETE FROM queue WHERE id = ?1")
                statement.bind(1, id.rawValue)
                try statement.run()
                try pause(id, since: nil)
            case .pauseQueue(let id, let since): try pause(id, since: since)
            case .putPolicy(let policy, let vhost): try put(policy, in: vhost)
            case .deletePolicy(let name, let isOperator, let vhost):
                let statement = try database.prepared(
                    "DELETE FROM policy WHERE vhost = ?1 AND operator = ?2 AND name = ?3")
                statement.bind(1, vhost.rawValue)
                statement.bind(2, isOperator ? 1 : 0)
                statement.bind(3, name)
                try statement.run()
            case .putUser(let user): try UserRows(database: database).put(user)
            case .deleteUser(let name): try UserRows(database: database).delete(name)
            case .putPermission(let permission): try UserRows(database: database).put(permission)
            case .deletePermission(let name, let vhost):
                try UserRows(database: database).deletePermission(of: name, in: vhost)
            case .putTopicPermission(let permission): try UserRows(database: database).put(permission)
            case .deleteTopicPermission(let name, let vhost, let exchange):
                try UserRows(database: database).deleteTopicPermission(
                    of: name, in: vhost, exchange: exchange)
            case .forgetIDs(let scope): try IDScopes(database: database).forget(scope)
            case .putBinding(let binding, let vhost): try put(binding, in: vhost)
            case .deleteBinding(let binding, let vhost): try delete(binding, in: vhost)
            }
        }
    }

    // MARK: Writing

    private func put(
        _ id: VirtualHostID, _ name: VirtualHostName, _ limits: VirtualHostLimits
    ) throws(StoreFailure) {
        let statement = try database.prepared(
            "INSERT OR REPLACE INTO vhost (id, name, max_queues, max_connections) VALUES (?1, ?2, ?3, ?4)")
        statement.bind(1, id.rawValue)
        statement.bind(2, name.rawValue)
        for (index, most) in [(Int32(3), limits.queuesMax), (4, limits.connectionsMax)] {
            if let most { statement.bind(index, Int64(most)) } else { statement.bindNull(index) }
        }
        try statement.run()
    }

    /// Removes a virtual host and what was declared in it; the messages of its queues are left to ranges.
    private func delete(_ vhost: VirtualHostID) throws(StoreFailure) {
        for sql in [
            "DELETE FROM paused WHERE queue IN (SELECT id FROM queue WHERE vhost = ?1)",
            "DELETE FROM queue WHERE vhost = ?1", "DELETE FROM exchange WHERE vhost = ?1",
            "DELETE FROM binding WHERE vhost = ?1", "DELETE FROM policy WHERE vhost = ?1",
            "DELETE FROM vhost WHERE id = ?1",
        ] {
            let statement = try database.prepared(sql)
            statement.bind(1, vhost.rawValue)
            try statement.run()
        }
    }

    private func put(_ exchange: ExchangeDefinition, in vhost: VirtualHostID) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            INSERT OR REPLACE INTO exchange
                (name, type, durable, auto_delete, internal, arguments, arguments_json, vhost)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            """
        )
        statement.bind(8, vhost.rawValue)
        statement.bind(1, exchange.name.rawValue)
        statement.bind(2, exchange.type.rawValue)
        statement.bind(3, exchange.isDurable ? 1 : 0)
        statement.bind(4, exchange.isAutoDelete ? 1 : 0)
        statement.bind(5, exchange.isInternal ? 1 : 0)
        bind(exchange.arguments, at: 6, of: statement)
        try statement.run()
    }

    private func put(
        _ queue: QueueDefinition, _ id: QueueID, in vhost: VirtualHostID
    ) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            INSERT OR REPLACE INTO queue
                (id, name, durable, exclusive, auto_delete, arguments, arguments_json, vhost)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            """
        )
        statement.bind(8, vhost.rawValue)
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

    private func put(_ policy: Policy, in vhost: VirtualHostID) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            INSERT OR REPLACE INTO policy
                (name, operator, pattern, priority, definition, definition_json, apply_to, vhost)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            """
        )
        statement.bind(8, vhost.rawValue)
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

    private func put(_ binding: Binding, in vhost: VirtualHostID) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            INSERT OR IGNORE INTO binding
                (source, target_kind, target, routing_key, arguments, arguments_json, vhost)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            """
        )
        bindKey(of: binding, to: statement)
        bind(binding.arguments, at: 5, of: statement)
        statement.bind(7, vhost.rawValue)
        try statement.run()
    }

    private func delete(_ binding: Binding, in vhost: VirtualHostID) throws(StoreFailure) {
        let statement = try database.prepared(
            """
            DELETE FROM binding WHERE source = ?1 AND target_kind = ?2 AND target = ?3
                AND routing_key = ?4 AND arguments = ?5 AND vhost = ?6
            """
        )
        bindKey(of: binding, to: statement)
        statement.bind(5, copying: FieldTableCodec.encode(binding.arguments))
        statement.bind(6, vhost.rawValue)
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

    /// Every virtual host, by name; nothing is in them yet.
    func virtualHosts() throws(StoreFailure) -> [RecoveredVirtualHost] {
        let limits = try hasColumn("max_queues", of: "vhost") ? "max_queues, max_connections" : "NULL, NULL"
        let statement = try database.prepared("SELECT id, name, \(limits) FROM vhost ORDER BY name")
        defer { statement.reset() }
        var hosts: [RecoveredVirtualHost] = []
        func limit(_ index: Int32) -> Int? {
            statement.isNull(index) ? nil : max(0, Int(statement.int(index)))
        }
        while try statement.next() {
            let id = VirtualHostID(statement.int(0))
            guard (1..<(1 << 62)).contains(id.rawValue) else {
                throw .unreadable("vhost \(id.rawValue)", "its id is out of range")
            }
            // The first is the default one whatever another program may call it.
            let name = id == .default ? .default : VirtualHostName(statement.text(1))
            guard id == .default || name != .default else {
                throw .unreadable("vhost \(id.rawValue)", "its name is that of the first")
            }
            let limits = VirtualHostLimits(queuesMax: limit(2), connectionsMax: limit(3))
            hosts.append(RecoveredVirtualHost(id: id, name: name, limits: limits))
        }
        return hosts
    }

    /// Reads the virtual host of a row, which must be there.
    private func vhost(
        _ column: Int32, of row: Prepared, _ known: Set<VirtualHostID>, _ entity: @autoclosure () -> String
    ) throws(StoreFailure) -> VirtualHostID {
        let id = VirtualHostID(row.int(column))
        guard known.contains(id) else { throw .unreadable(entity(), "there is no vhost \(id.rawValue)") }
        return id
    }

    private func knownVirtualHosts() throws(StoreFailure) -> Set<VirtualHostID> {
        Set(try virtualHosts().map(\.id))
    }

    /// Every exchange that was declared, by name.
    func exchanges() throws(StoreFailure) -> [Placed<ExchangeDefinition>] {
        let known = try knownVirtualHosts()
        let statement = try database.prepared(
            "SELECT name, type, durable, auto_delete, internal, arguments, vhost FROM exchange ORDER BY name"
        )
        defer { statement.reset() }
        var exchanges: [Placed<ExchangeDefinition>] = []
        while try statement.next() {
            let name = statement.text(0)
            let vhost = try vhost(6, of: statement, known, "exchange '\(name)'")
            guard let type = ExchangeType(rawValue: statement.text(1)) else {
                throw .unreadable("exchange '\(name)'", "its type is '\(statement.text(1))'")
            }
            let exchange = ExchangeDefinition(
                ExchangeName(name), type: type, durable: statement.int(2) != 0,
                autoDelete: statement.int(3) != 0, internal: statement.int(4) != 0,
                arguments: try arguments(statement.bytes(5), of: "exchange '\(name)'"))
            exchanges.append(Placed(vhost: vhost, value: exchange))
        }
        return exchanges
    }

    /// Every queue, by name.
    func queues() throws(StoreFailure) -> [Placed<StoredQueue>] {
        let known = try knownVirtualHosts()
        let statement = try database.prepared(
            "SELECT id, name, durable, exclusive, auto_delete, arguments, vhost FROM queue ORDER BY name"
        )
        defer { statement.reset() }
        var queues: [Placed<StoredQueue>] = []
        while try statement.next() {
            let name = statement.text(1)
            let vhost = try vhost(6, of: statement, known, "queue '\(name)'")
            let definition = QueueDefinition(
                QueueName(name), durable: statement.int(2) != 0, exclusive: statement.int(3) != 0,
                autoDelete: statement.int(4) != 0,
                arguments: try arguments(statement.bytes(5), of: "queue '\(name)'")
            )
            let queue = StoredQueue(id: QueueID(statement.int(0)), definition: definition)
            queues.append(Placed(vhost: vhost, value: queue))
        }
        return queues
    }

    /// Every policy, by name.
    func policies() throws(StoreFailure) -> [Placed<Policy>] {
        guard try hasTable("policy") else { return [] }
        let known = try knownVirtualHosts()
        let target = try hasColumn("apply_to", of: "policy") ? "apply_to" : "'all'"
        let vhost = try hasColumn("vhost", of: "policy") ? "vhost" : "1"
        let statement = try database.prepared(
            """
            SELECT name, operator, pattern, priority, definition, \(target), \(vhost) FROM policy
            ORDER BY operator, name
            """
        )
        defer { statement.reset() }
        var policies: [Placed<Policy>] = []
        while try statement.next() {
            let name = statement.text(0)
            let vhost = try self.vhost(6, of: statement, known, "policy '\(name)'")
            guard let target = PolicyTarget(rawValue: statement.text(5)) else {
                throw .unreadable("policy '\(name)'", "it applies to '\(statement.text(5))'")
            }
            let policy = Policy(
                name, pattern: statement.text(2), appliesTo: target,
                priority: Int32(clamping: statement.int(3)), isOperator: statement.int(1) != 0,
                definition: try arguments(statement.bytes(4), of: "policy '\(name)'"))
            policies.append(Placed(vhost: vhost, value: policy))
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

    /// False for a column that a file is too old to have.
    private func hasColumn(_ name: StaticString, of table: StaticString) throws(StoreFailure) -> Bool {
        try database.number("SELECT count(*) FROM pragma_table_info('\(table)') WHERE name = '\(name)'") > 0
    }

    /// False for a table that a file is too old to have, which a reader may have opened.
    func hasTable(_ name: StaticString) throws(StoreFailure) -> Bool {
        try database.number("SELECT count(*) FROM sqlite_schema WHERE name = '\(name)'") > 0
    }

    /// Every binding, in the order in which they were made.
    func bindings() throws(StoreFailure) -> [Placed<Binding>] {
        let known = try knownVirtualHosts()
        let statement = try database.prepared(
            "SELECT source, target_kind, target, routing_key, arguments, vhost FROM binding ORDER BY id"
        )
        defer { statement.reset() }
        var bindings: [Placed<Binding>] = []
        while try statement.next() {
            let source = statement.text(0)
            let target = statement.text(2)
            let entity = "a binding of exchange '\(source)'"
            let binding = Binding(
                source: ExchangeName(source),
                target: statement.text(1) == "queue"
                    ? .queue(QueueName(target)) : .exchange(ExchangeName(target)),
                routingKey: statement.text(3), arguments: try arguments(statement.bytes(4), of: entity))
            bindings.append(
                Placed(vhost: try vhost(5, of: statement, known, entity), value: binding))
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
