// A database file as commands that only read see it: beside a running server, or with none. It knows what is
// stored: no consumers, no rates, no transient messages.

import Leveret
import LeveretWire

/// The rows of a database file.
struct FileSource: Source {
    private let inspector: DatabaseInspector
    private let path: String
    /// The virtual host that was named.
    private let named: String?

    /// Opens the file at `path`, for what is of one virtual host: `/` where none is named, but `status` is of all then.
    init(path: String, virtualHost named: String? = nil) throws(Failure) {
        self.path = path
        self.named = named
        do {
            inspector = try DatabaseInspector(path: path, virtualHost: VirtualHostName(named ?? "/"))
        } catch {
            throw Failure(error)
        }
    }

    var virtualHost: String { named ?? "/" }

    func status() throws -> JSON {
        var hosts: [JSON] = []
        if let named {
            hosts = [try virtualHost(named: named)]
        } else {
            try virtualHosts(match: nil) { hosts.append($0) }
        }
        var exchanges = 0
        for host in hosts { try entering(host.name).exchanges(match: nil) { _ in exchanges += 1 } }
        func sum(_ field: String) -> JSON { .int(hosts.reduce(0) { $0.adding($1.count(field)) }) }
        return .object([
            .init(name: "database", value: .string(path)),
            .init(name: "database_bytes", value: .int(inspector.fileBytes)),
            .init(name: "disk_free_bytes", value: inspector.diskFreeBytes.map(JSON.int) ?? .null),
            .init(name: "queues", value: sum("queues")),
            .init(name: "exchanges", value: .int(exchanges)),
            .init(name: "ready", value: sum("ready")),
            .init(name: "unacked", value: sum("unacked")),
            .init(name: "delayed", value: sum("delayed")),
        ])
    }

    func queues(match: String?, fields: [String]?, each: (JSON) throws -> Void) throws {
        let glob = match.map { Glob($0) }
        let wanted = fields.map { Set($0) }
        for queue in try read(inspector.queues) where glob?.matches(queue.definition.name.rawValue) ?? true {
            try each(try row(queue, fields: wanted))
        }
    }

    func queue(_ name: String) throws -> JSON {
        try row(try read { () throws(BrokerError) in try inspector.queue(QueueName(name)) })
    }

    /// What only a running server counts; a file gives null.
    static let unknownFields: Set<String> = [
        "consumers", "in_rate", "out_rate", "in_memory", "published", "delivered", "acked",
        "returned", "return_rate", "dead", "unroutable", "connections",
    ]

    private func row(_ queue: QueueInfo, fields: Set<String>? = nil) throws(Failure) -> JSON {
        try known(try row(ListingRow.queue(queue, fields: fields)))
    }

    private func known(_ row: JSON) throws(Failure) -> JSON {
        guard case .object(let fields) = row else { return .null }
        return .object(
            fields.map { field in
                Self.unknownFields.contains(field.name) ? JSON.Field(name: field.name, value: .null) : field
            }
        )
    }

    func exchanges(match: String?, each: (JSON) throws -> Void) throws {
        // The file leaves out those that every broker has.
        try pages(of: .list(.exchanges, match: match)) { page in
            guard case .exchanges(let rows) = page else { return }
            for exchange in rows { try each(try known(try row(ListingRow.exchange(exchange)))) }
        }
    }

    func bindings(each: (JSON) throws -> Void) throws {
        for binding in try read(inspector.bindings) { try each(try row(ListingRow.binding(binding))) }
    }

    func virtualHosts(match: String?, each: (JSON) throws -> Void) throws {
        let glob = match.map { Glob($0) }
        for host in try read(inspector.virtualHosts) where glob?.matches(host.name.rawValue) ?? true {
            try each(try known(try row(ListingRow.virtualHost(host))))
        }
    }

    func entering(_ virtualHost: String) throws -> any Source {
        try FileSource(path: path, virtualHost: virtualHost)
    }

    func policies(each: (JSON) throws -> Void) throws {
        for policy in try read(inspector.policies) {
            try each(try row(ListingRow.policy(PolicyInfo(policy: policy, queues: 0, exchanges: 0))))
        }
    }

    func users(each: (JSON) throws -> Void) throws {
        for user in try read(inspector.users) { try each(try row(ListingRow.user(user))) }
    }

    func permissions(each: (JSON) throws -> Void) throws {
        for permission in try read(inspector.permissions) {
            try each(try row(ListingRow.permission(permission)))
        }
    }

    func topicPermissions(each: (JSON) throws -> Void) throws {
        for permission in try read(inspector.topicPermissions) {
            try each(try row(ListingRow.topicPermission(permission)))
        }
    }

    func consumers(match: String?, each: (JSON) throws -> Void) throws {}

    func peek(_ peek: PeekRequest, each: (JSON) throws -> Void) throws {
        let wanted = Peek(
            QueueName(peek.queue), state: Peek.State(rawValue: peek.state.rawValue),
            from: MessageNumber(Int64(peek.from)), countMax: peek.count, where: peek.condition)
        let messages = try read { () throws(BrokerError) in try inspector.peek(wanted) }
        for message in messages { try each(try row(ListingRow.message(message))) }
    }

    func query(_ sql: String, each: (JSON) throws -> Void) throws {
        let result = try read { () throws(BrokerError) in try inspector.query(sql) }
        for row in result.rows { try each(try self.row(ListingRow.query(row, columns: result.columns))) }
    }

    func route(exchange: String, key: String, headers: [HeaderArgument], each: (JSON) throws -> Void) throws {
        var properties = MessageProperties()
        for header in headers { properties.headers[header.name] = try read(header.fieldValue) }
        let message = Message(
            exchange: ExchangeName(exchange), routingKey: key,
            properties: properties.isEmpty ? nil : properties, body: []
        )
        try pages(of: .route(message)) { page in
            guard case .routes(let steps) = page else { return }
            for step in steps { try each(try row(ListingRow.route(step))) }
        }
    }

    /// What a broker's core says that knows the file's topology and nothing else.
    private func pages(of first: Request, each: (Answer) throws -> Void) throws {
        let name = VirtualHostName(virtualHost)
        var host = RecoveredVirtualHost(id: name == .default ? .default : 2, name: name)
        host.exchanges = try read(inspector.exchanges).map(\.definition)
        host.bindings = try read(inspector.bindings)
        host.policies = try read(inspector.policies)
        host.queues = try read(inspector.queues).enumerated().map { index, queue in
            RecoveredQueue(id: QueueID(Int64(index + 1)), definition: queue.definition)
        }
        var state = RecoveredState()
        state.virtualHosts = [host]
        state.nextQueueID = QueueID(Int64(host.queues.count + 1))
        var core = BrokerCore(seed: 0)
        core.recover(state, now: 0)
        let session = core.openSession(on: core.openConnection(name: "leveret", now: 0), now: 0)
        core.submit(0, .enter(name), from: session, now: 0)
        var request: Request? = first
        while let asked = request {
            request = nil
            core.submit(0, asked, from: session, now: 0)
            var events: [SessionEvent] = []
            core.drain(session, into: &events, now: 0)
            for case .answer(_, let answer) in events {
                if case .refused(let error) = answer { throw Failure(error) }
                guard case .page(let page, let next) = answer else { continue }
                try each(page)
                request = next.flatMap { asked.goingOn(after: $0) }
            }
        }
    }

    /// Asks the file, or reads what is asked of it; what goes wrong is a `Failure` as from a server.
    private func read<T>(_ ask: () throws(BrokerError) -> T) throws(Failure) -> T {
        do { return try ask() } catch { throw Failure(error) }
    }

    private func row(_ text: String) throws(Failure) -> JSON {
        guard let row = JSON(text.utf8) else {
            throw Failure(.refused, "database '\(path)' holds a row that can't be shown")
        }
        return row
    }
}

extension Failure {
    /// A refusal by a broker or a file in this process.
    init(_ error: BrokerError) {
        let code = error.code.rawValue
        self.init(CommandStatus(replyCode: code), error.text.printable + Self.advice(code, error.text))
    }
}

extension HeaderArgument {
    /// The value as the broker knows it.
    func fieldValue() throws(BrokerError) -> FieldValue {
        switch value {
        case .string(let text): .string(text)
        case .bare(let word), .json(let word): try JSONText.read(word)
        }
    }
}
