// Reads a database file without a broker: for `leveret --db FILE`, beside a running server or after it. It
// changes nothing, takes no lock that a broker would notice, and knows only what is stored: no consumers, no
// transient messages.

public import LeveretCore

/// A database file opened for reading; it sees each moment's commits.
///
/// Every call throws 404 for a queue, or a virtual host, that is not there and 541 when the file can't be read.
public final class DatabaseInspector: Sendable {
    /// Where the file is.
    public let path: String
    /// Whose queues, exchanges, bindings and policies it shows.
    public let virtualHost: VirtualHostName
    /// It behind all links, with what SQLite and a broker keep beside it.
    let file: String
    let reader: DatabaseQueue

    /// Opens the file at `path` for what is of one virtual host.
    ///
    /// Throws 404 when there is none, 402 for a folder, 406 when it isn't a Leveret database of this version or
    /// an older one, 403 when it can't be read: beside a running server that needs the right to write the file's
    /// `-shm`.
    public init(path: String, virtualHost: VirtualHostName = .default) throws(BrokerError) {
        self.path = path
        file = Files.followingLinks(path)
        self.virtualHost = virtualHost
        guard Files.exists(path) else {
            throw BrokerError(.notFound, "database '\(path)' does not exist; check the path given with --db")
        }
        try DatabaseFile.checkReadable(path)
        do {
            let options = Database.Options(isReadOnly: true, busyMilliseconds: Schema.busyMilliseconds)
            reader = try DatabaseQueue(path: path, options)
            _ = try reader.access { database throws(StoreFailure) in
                try database.number("SELECT count(*) FROM sqlite_schema")
            }
        } catch  where error.kind == .notADatabase || error.kind == .corrupt {
            throw error.brokerError(on: path)
        } catch {
            throw BrokerError(
                .accessRefused,
                "database '\(path)' can't be read: \(error.text); reading beside a server needs the right to write "
                    + "'\(path)-shm', and after a crash the right to write the folder"
            )
        }
        try read { database throws(BrokerError) in try Migrator().check(database, path: path) }
    }

    /// Bytes that are free on the file's disk; `nil` when nobody knows.
    public var diskFreeBytes: Int? { FileSize.freeBytesIfKnown(at: path) }

    /// Bytes of the file and its write-ahead log.
    public var fileBytes: Int { FileSize.bytes(of: file) + FileSize.bytes(of: file + "-wal") }

    /// Every queue in the file, by name. Counters that count from a broker's start are 0.
    public func queues() throws(BrokerError) -> [QueueInfo] {
        try read { database throws(BrokerError) in
            let vhost = try virtualHostID(database)
            return try stored { () throws(StoreFailure) in
                let depths = try depths(database)
                let rows = DefinitionRows(database: database)
                let paused = try rows.paused()
                let policies = try rows.policies().of(vhost)
                return try rows.queues().of(vhost).map { queue in
                    var info = depths[queue.id] ?? QueueInfo(queue.definition)
                    info.definition = queue.definition
                    info.pausedSince = paused[queue.id]
                    info.explain(policies)
                    return info
                }
            }
        }
    }

    /// One queue, as `queues` has it.
    public func queue(_ name: QueueName) throws(BrokerError) -> QueueInfo {
        guard let info = try queues().first(where: { $0.definition.name == name }) else {
            throw unknown(name)
        }
        return info
    }

    /// Every user in the file, by name, with what stands for its password.
    public func users() throws(BrokerError) -> [UserDefinition] {
        try rows(of: "user") { (users) throws(StoreFailure) in try users.users() }
    }

    /// Every permission in the file, by user and virtual host.
    public func permissions() throws(BrokerError) -> [UserPermission] {
        try rows(of: "permission") { (users) throws(StoreFailure) in try users.permissions() }
    }

    /// Every topic permission in the file, by user, virtual host and exchange.
    public func topicPermissions() throws(BrokerError) -> [TopicPermission] {
        try rows(of: "topic_permission") { (users) throws(StoreFailure) in try users.topicPermissions() }
    }

    /// What a file of an older version has none of.
    private func rows<Row>(
        of table: StaticString, _ ask: (UserRows) throws(StoreFailure) -> [Row]
    ) throws(BrokerError) -> [Row] {
        try read { database throws(BrokerError) in
            try stored { () throws(StoreFailure) in
                let isOld = try !DefinitionRows(database: database).hasTable(table)
                return isOld ? [] : try ask(UserRows(database: database))
            }
        }
    }

    /// Stored messages of a queue, in order, without those that have expired.
    public func peek(_ peek: Peek) throws(BrokerError) -> [PeekedMessage] {
        try read { database throws(BrokerError) in
            let vhost = try virtualHostID(database)
            let queues = try stored { () throws(StoreFailure) in
                try DefinitionRows(database: database).queues().of(vhost)
            }
            guard let queue = queues.first(where: { $0.definition.name == peek.queue }) else {
                throw unknown(peek.queue)
            }
            guard peek.condition == nil, peek.state != nil else {
                let settings = try? QueueSettings(queue.definition)
                return try search.messages(
                    peek, in: queue.id, hasPriorities: settings?.priorityMax != nil, nil, now: Self.now)
            }
            return try stored { () throws(StoreFailure) in
                try MessageReader(database: database, isSpill: false).peek(peek, in: queue.id, now: Self.now)
            }
        }
    }

    /// Hands over every stored message of these queues (`nil` is all), queue by queue and all as of one moment: first
    /// those that are delayed, then the others by place. Only one message is in memory at a time.
    ///
    /// - Parameter each: Returns false to hear no more.
    /// - Throws: 404 for a queue that isn't there, before anything is handed over.
    public func messages(
        of names: [QueueName]?, each: (QueueName, PeekedMessage) -> Bool
    ) throws(BrokerError) {
        try read { database throws(BrokerError) in
            let vhost = try virtualHostID(database)
            let queues = try stored { () throws(StoreFailure) in
                try DefinitionRows(database: database).queues().of(vhost)
            }
            var wanted = queues
            if let names {
                wanted = []
                for name in names {
                    guard let queue = queues.first(where: { $0.definition.name == name }) else {
                        throw unknown(name)
                    }
                    wanted.append(queue)
                }
            }
            try stored { () throws(StoreFailure) in
                let reader = MessageReader(database: database, isSpill: false)
                for queue in wanted {
                    let name = queue.definition.name
                    guard try reader.all(in: queue.id, now: Self.now, each: { each(name, $0) }) else {
                        return
                    }
                }
            }
        }
    }

    /// The rows of one SELECT over the tables and views of docs/database.md, as `Broker.query` has them.
    public func query(_ sql: String) throws(BrokerError) -> QueryResult { try search.query(sql) }

    /// A search of the file, on connections of its own.
    private var search: StoreSearch { StoreSearch(bounds: SearchBounds(CoreLimits()), path: path) }

    /// Every exchange that was declared, by name, and how many bindings it has.
    public func exchanges() throws(BrokerError) -> [ExchangeInfo] {
        try read { database throws(BrokerError) in
            let vhost = try virtualHostID(database)
            return try stored { () throws(StoreFailure) in
                let rows = DefinitionRows(database: database)
                let bindings = try rows.bindings().of(vhost)
                let policies = try rows.policies().of(vhost)
                return try rows.exchanges().of(vhost).map { exchange in
                    let count = bindings.count { $0.source == exchange.name }
                    var info = ExchangeInfo(
                        definition: exchange, bindings: count, published: 0, unroutable: 0)
                    info.explain(policies)
                    return info
                }
            }
        }
    }

    /// Every policy, by name.
    public func policies() throws(BrokerError) -> [Policy] {
        try read { database throws(BrokerError) in
            let vhost = try virtualHostID(database)
            return try stored { () throws(StoreFailure) in
                try DefinitionRows(database: database).policies().of(vhost)
            }
        }
    }

    /// Every binding that was made, in the order in which they were.
    public func bindings() throws(BrokerError) -> [Binding] {
        try read { database throws(BrokerError) in
            let vhost = try virtualHostID(database)
            return try stored { () throws(StoreFailure) in
                try DefinitionRows(database: database).bindings().of(vhost)
            }
        }
    }

    /// Every virtual host in the file, by name, with what of it is stored.
    public func virtualHosts() throws(BrokerError) -> [VirtualHostInfo] {
        try read { database throws(BrokerError) in
            try stored { () throws(StoreFailure) in
                let depths = try depths(database)
                let rows = DefinitionRows(database: database)
                let queues = try rows.queues()
                return try rows.virtualHosts().map { host in
                    let own: [StoredQueue] = queues.of(host.id)
                    var info = VirtualHostInfo(name: host.name, limits: host.limits)
                    info.queues = own.count
                    for depth in own.compactMap({ depths[$0.id] }) {
                        info.ready += depth.ready
                        info.unacked += depth.unacked
                        info.delayed += depth.delayed
                    }
                    return info
                }
            }
        }
    }

    /// Lets go of the file; no call may follow.
    public func close() {
        reader.close()
    }

    // MARK: Steps

    static var now: Instant {
        BrokerClock.system().now()
    }

    private func virtualHostID(_ database: Database) throws(BrokerError) -> VirtualHostID {
        let hosts = try stored { () throws(StoreFailure) in
            try DefinitionRows(database: database).virtualHosts()
        }
        guard let host = hosts.first(where: { $0.name == virtualHost }) else {
            throw BrokerError(.notFound, "no vhost '\(virtualHost)' in database '\(path)'")
        }
        return host.id
    }

    private func depths(_ database: Database) throws(StoreFailure) -> [QueueID: QueueInfo] {
        let statement = try database.prepared(
            """
            SELECT m.queue, count(*) FILTER (WHERE m.place > 0), sum(m.size) FILTER (WHERE m.place > 0),
                coalesce(h.count, 0), coalesce(h.bytes, 0),
                (SELECT entered FROM message WHERE queue = m.queue AND place > 0 ORDER BY place LIMIT 1),
                count(*) FILTER (WHERE m.place <= 0)
            FROM message AS m LEFT JOIN (
                SELECT held.queue, count(*) AS count, sum(size) AS bytes
                FROM held JOIN message ON message.id = held.message WHERE consumer IS NOT NULL GROUP BY held.queue
            ) AS h ON h.queue = m.queue GROUP BY m.queue
            """
        )
        defer { statement.reset() }
        var depths: [QueueID: QueueInfo] = [:]
        while try statement.next() {
            var info = QueueInfo(QueueDefinition(""))
            info.unacked = Int(statement.int(3))
            info.ready = Int(statement.int(1)) - info.unacked
            info.readyBytes = Recovery.bytes(statement.int(2)) - Recovery.bytes(statement.int(4))
            info.oldest = statement.isNull(5) ? nil : Instant(stored: statement.int(5))
            info.delayed = Int(statement.int(6))
            depths[QueueID(statement.int(0))] = info
        }
        return depths
    }

    func unknown(_ name: QueueName) -> BrokerError {
        BrokerError(
            .notFound,
            "no queue '\(name)' in vhost '\(virtualHost)' of database '\(path)'; transient queues are not in the file"
        )
    }

    func read<T>(_ work: (Database) throws(BrokerError) -> T) throws(BrokerError) -> T {
        let result = Result { () throws(StoreFailure) in
            try reader.snapshot { database in
                Result { () throws(BrokerError) in try work(database) }
            }
        }
        switch result {
        case .success(let inner): return try inner.get()
        case .failure(let failure): throw failure.brokerError(on: path)
        }
    }

    func stored<T>(_ work: () throws(StoreFailure) -> T) throws(BrokerError) -> T {
        do { return try work() } catch { throw error.brokerError(on: path) }
    }
}
