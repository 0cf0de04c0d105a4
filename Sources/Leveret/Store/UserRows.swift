// Writes and reads the tables `user`, `permission` and `topic_permission`. Called by DefinitionRows inside a
// transaction, and by recovery.
// Nothing that users of the broker can ask for reads the first: what stands for passwords is in it.

import LeveretCore

/// The users in the database.
struct UserRows {
    let database: Database

    // MARK: Writing

    func put(_ user: UserDefinition) throws(StoreFailure) {
        let statement = try database.prepared("INSERT OR REPLACE INTO user VALUES (?1, ?2, ?3, ?4, ?5)")
        statement.bind(1, user.name.rawValue)
        statement.bind(2, user.passwordHash)
        statement.bind(3, user.tags.joined(separator: ","))
        bind(user.limits.connectionsMax, at: 4, of: statement)
        bind(user.limits.sessionsMax, at: 5, of: statement)
        try statement.run()
    }

    private func bind(_ limit: Int?, at index: Int32, of statement: Prepared) {
        if let limit { statement.bind(index, Int64(limit)) } else { statement.bindNull(index) }
    }

    func delete(_ name: UserName) throws(StoreFailure) {
        for sql in [
            "DELETE FROM topic_permission WHERE user = ?1", "DELETE FROM permission WHERE user = ?1",
            "DELETE FROM user WHERE name = ?1",
        ] {
            let statement = try database.prepared(sql)
            statement.bind(1, name.rawValue)
            try statement.run()
        }
    }

    func put(_ permission: UserPermission) throws(StoreFailure) {
        let statement = try database.prepared(
            "INSERT OR REPLACE INTO permission VALUES (?1, ?2, ?3, ?4, ?5)")
        statement.bind(1, permission.user.rawValue)
        statement.bind(2, permission.vhost.rawValue)
        statement.bind(3, permission.configure)
        statement.bind(4, permission.write)
        statement.bind(5, permission.read)
        try statement.run()
    }

    func deletePermission(of name: UserName, in vhost: VirtualHostName) throws(StoreFailure) {
        let statement = try database.prepared("DELETE FROM permission WHERE user = ?1 AND vhost = ?2")
        statement.bind(1, name.rawValue)
        statement.bind(2, vhost.rawValue)
        try statement.run()
    }

    func put(_ permission: TopicPermission) throws(StoreFailure) {
        let statement = try database.prepared(
            "INSERT OR REPLACE INTO topic_permission VALUES (?1, ?2, ?3, ?4, ?5)")
        statement.bind(1, permission.user.rawValue)
        statement.bind(2, permission.vhost.rawValue)
        statement.bind(3, permission.exchange.rawValue)
        statement.bind(4, permission.write)
        statement.bind(5, permission.read)
        try statement.run()
    }

    func deleteTopicPermission(
        of name: UserName, in vhost: VirtualHostName, exchange: ExchangeName
    ) throws(StoreFailure) {
        let statement = try database.prepared(
            "DELETE FROM topic_permission WHERE user = ?1 AND vhost = ?2 AND exchange = ?3")
        statement.bind(1, name.rawValue)
        statement.bind(2, vhost.rawValue)
        statement.bind(3, exchange.rawValue)
        try statement.run()
    }

    // MARK: Reading

    /// Every user, by name.
    func users() throws(StoreFailure) -> [UserDefinition] {
        let statement = try database.prepared(
            "SELECT name, password_hash, tags, max_connections, max_channels FROM user ORDER BY name")
        defer { statement.reset() }
        var users: [UserDefinition] = []
        while try statement.next() {
            users.append(
                UserDefinition(
                    UserName(statement.text(0)), passwordHash: statement.text(1),
                    tags: statement.text(2).split(separator: ",").map(String.init),
                    limits: UserLimits(
                        connectionsMax: limit(statement, 3), sessionsMax: limit(statement, 4))))
        }
        return users
    }

    private func limit(_ statement: Prepared, _ column: Int32) -> Int? {
        statement.isNull(column) ? nil : Int(clamping: statement.int(column))
    }

    /// Every permission, by user and virtual host.
    func permissions() throws(StoreFailure) -> [UserPermission] {
        let statement = try database.prepared(
            "SELECT user, vhost, configure, write, read FROM permission ORDER BY user, vhost")
        defer { statement.reset() }
        var permissions: [UserPermission] = []
        while try statement.next() {
            permissions.append(
                UserPermission(
                    UserName(statement.text(0)), in: VirtualHostName(statement.text(1)),
                    configure: statement.text(2), write: statement.text(3), read: statement.text(4)))
        }
        return permissions
    }

    /// Every topic permission, by user, virtual host and exchange.
    func topicPermissions() throws(StoreFailure) -> [TopicPermission] {
        let statement = try database.prepared(
            "SELECT user, vhost, exchange, write, read FROM topic_permission ORDER BY user, vhost, exchange")
        defer { statement.reset() }
        var permissions: [TopicPermission] = []
        while try statement.next() {
            permissions.append(
                TopicPermission(
                    UserName(statement.text(0)), in: VirtualHostName(statement.text(1)),
                    exchange: ExchangeName(statement.text(2)), write: statement.text(3),
                    read: statement.text(4)))
        }
        return permissions
    }
}
