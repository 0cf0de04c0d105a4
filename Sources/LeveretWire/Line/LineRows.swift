// The rows of PEEK, LIST, STAT and ROUTE as JSON. The names of the fields are a promise
// (docs/line-protocol.md, Rows): they are added to and never changed.

import LeveretCore

enum LineRows {
    static func message(_ row: PeekedMessage, withBody: Bool, to json: inout JSONRow) {
        let properties = row.message.properties ?? MessageProperties()
        json.field("position", row.number.rawValue)
        json.field("version", row.version)
        json.field("state", row.state.rawValue)
        json.field("exchange", row.message.exchange.rawValue)
        json.field("key", row.message.routingKey)
        if let priority = properties.priority {
            json.field("priority", priority)
        } else {
            json.null("priority")
        }
        json.field("entered", time: row.entered)
        json.field("expires", time: row.expires)
        json.field("due", time: row.due)
        json.field("deliveries", row.deliveries)
        json.field("failed", row.failed)
        json.field("size", row.message.body.count)
        json.field("headers", .table(properties.headers))
        json.field("properties", .table(properties.listed(isPersistent: row.message.isPersistent)))
        json.field("held_by", text: row.heldBy)
        json.field("held_since", time: row.heldSince)
        json.field("origin", text: row.deaths?.originQueue.rawValue)
        json.field("reason", text: row.deaths?.deaths.first?.reason.rawValue)
        json.field("error", text: row.deaths?.errorText)
        if let deaths = row.deaths { json.field("deaths", deaths.listed) } else { json.null("deaths") }
        place(row, to: &json)
        if withBody { json.bytes("body", row.message.body) }
        json.end()
    }

    static func place(_ row: PeekedMessage, to json: inout JSONRow) {
        if let place = row.place { json.field("place", place.rawValue) } else { json.null("place") }
    }

    static func queue(_ row: QueueInfo, to json: inout JSONRow) {
        let definition = row.definition
        json.field("name", definition.name.rawValue)
        json.field("ready", row.ready)
        json.field("unacked", row.unacked)
        json.field("delayed", row.delayed)
        json.field("consumers", row.consumers)
        json.field("in_rate", rate: row.publishRate)
        json.field("out_rate", rate: row.deliverRate)
        json.field("oldest", time: row.oldest)
        json.field("ready_bytes", row.readyBytes)
        json.field("in_memory", row.inMemory)
        json.field("published", row.published)
        json.field("delivered", row.delivered)
        json.field("acked", row.acked)
        json.field("returned", row.returned)
        json.field("return_rate", rate: row.returnRate)
        json.field("dead", Self.counts(row.deaths))
        json.field("durable", definition.isDurable)
        json.field("exclusive", definition.isExclusive)
        json.field("auto_delete", definition.isAutoDelete)
        json.field("dead_letter_exchange", text: row.effective.text(QueueArgument.deadLetterExchange))
        json.field("dead_letter_key", text: row.effective.text(QueueArgument.deadLetterRoutingKey))
        json.field("arguments", .table(definition.arguments))
        json.field("paused_since", time: row.pausedSince)
        json.field("deduplicated", row.deduplicated)
        json.field("policy", text: row.policy)
        json.field("operator_policy", text: row.operatorPolicy)
        json.field("effective", .table(row.effective))
        json.field("origins", .table(row.origins))
        if let now = row.now { json.field("now", time: now) }
        json.end()
    }

    static func exchange(_ row: ExchangeInfo, to json: inout JSONRow) {
        json.field("name", row.definition.name.rawValue)
        json.field("type", row.definition.type.rawValue)
        json.field("durable", row.definition.isDurable)
        json.field("auto_delete", row.definition.isAutoDelete)
        json.field("internal", row.definition.isInternal)
        json.field("alternate", text: row.effective.text("alternate-exchange"))
        json.field("bindings", row.bindings)
        json.field("published", row.published)
        json.field("unroutable", row.unroutable)
        json.field("arguments", .table(row.definition.arguments))
        json.field("policy", text: row.policy)
        json.field("operator_policy", text: row.operatorPolicy)
        json.field("effective", .table(row.effective))
        json.field("origins", .table(row.origins))
        json.end()
    }

    static func binding(_ row: Binding, to json: inout JSONRow) {
        json.field("source", row.source.rawValue)
        json.target(row.target)
        json.field("pattern", row.routingKey)
        json.field("arguments", .table(row.arguments))
        json.end()
    }

    static func consumer(_ row: ConsumerInfo, to json: inout JSONRow) {
        json.field("name", row.tag.rawValue)
        json.field("session", row.session)
        json.field("connection", row.connection.rawValue)
        json.field("channel", limit: row.channel)
        json.field("user", text: row.user?.rawValue)
        json.field("queue", row.queue.rawValue)
        json.field("prefetch", row.prefetch)
        json.field("unacked", row.unacked)
        json.field("auto_ack", row.autoAck)
        json.field("exclusive", row.isExclusive)
        json.field("priority", Int(row.priority))
        json.field("active", row.isActive)
        if let timeout = row.timeoutMilliseconds {
            json.field("consumer_timeout", timeout)
        } else {
            json.null("consumer_timeout")
        }
        json.end()
    }

    static func connection(_ row: ConnectionInfo, to json: inout JSONRow) {
        json.field("id", row.id.rawValue)
        json.field("name", row.name)
        json.field("since", time: row.since)
        json.field("consumers", row.consumers)
        json.field("unacked", row.unacked)
        json.field("vhost", row.virtualHost.rawValue)
        json.field("user", text: row.user?.rawValue)
        json.field("protocol", text: row.client.protocolName)
        json.field("peer", text: row.client.peer)
        json.field("channels", row.sessions)
        json.field("blocked", row.isBlocked)
        json.field("client_name", text: row.client.name)
        json.field("product", text: row.client.product)
        json.field("version", text: row.client.version)
        json.field("platform", text: row.client.platform)
        json.end()
    }

    static func session(_ row: SessionInfo, to json: inout JSONRow) {
        json.field("id", row.id.rawValue)
        json.field("connection", row.connection.rawValue)
        json.field("channel", limit: row.notes.channel)
        json.field("name", row.name)
        json.field("user", text: row.user?.rawValue)
        json.field("vhost", row.virtualHost.rawValue)
        json.field("mode", text: row.notes.mode?.rawValue)
        json.field("prefetch", row.notes.prefetch)
        json.field("channel_prefetch", row.prefetch)
        json.field("consumers", row.consumers)
        json.field("unacked", row.unacked)
        json.field("unconfirmed", row.notes.unconfirmed)
        json.field("uncommitted", row.notes.uncommitted)
        json.field("held_up", row.notes.isHeldUp)
        json.end()
    }

    static func virtualHost(_ row: VirtualHostInfo, to json: inout JSONRow) {
        json.field("name", row.name.rawValue)
        json.field("queues", row.queues)
        json.field("ready", row.ready)
        json.field("unacked", row.unacked)
        json.field("delayed", row.delayed)
        json.field("connections", row.connections)
        json.field("max_queues", limit: row.limits.queuesMax)
        json.field("max_connections", limit: row.limits.connectionsMax)
        json.end()
    }

    static func policy(_ row: PolicyInfo, to json: inout JSONRow) {
        json.field("name", row.policy.name)
        json.field("pattern", row.policy.pattern)
        json.field("priority", Int(row.policy.priority))
        json.field("operator", row.policy.isOperator)
        json.field("definition", .table(row.policy.definition))
        json.field("queues", row.queues)
        json.field("apply_to", row.policy.appliesTo.rawValue)
        json.field("exchanges", row.exchanges)
        json.end()
    }

    static func user(_ row: UserInfo, to json: inout JSONRow) {
        json.field("name", row.name.rawValue)
        json.field("tags", .array(row.tags.map { .string($0) }))
        json.field("connections", row.connections)
        json.field("channels", row.sessions)
        json.field("max_connections", limit: row.limits.connectionsMax)
        json.field("max_channels", limit: row.limits.sessionsMax)
        json.end()
    }

    static func permission(_ row: UserPermission, to json: inout JSONRow) {
        json.field("user", row.user.rawValue)
        json.field("vhost", row.vhost.rawValue)
        json.field("configure", row.configure)
        json.field("write", row.write)
        json.field("read", row.read)
        json.end()
    }

    static func topicPermission(_ row: TopicPermission, to json: inout JSONRow) {
        json.field("user", row.user.rawValue)
        json.field("vhost", row.vhost.rawValue)
        json.field("exchange", row.exchange.rawValue)
        json.field("write", row.write)
        json.field("read", row.read)
        json.end()
    }

    /// A row of USER export, the only place where what stands for a password is shown.
    static func userDefinition(_ row: UserDefinition, to json: inout JSONRow) {
        json.field("name", row.name.rawValue)
        json.field("hash", row.passwordHash)
        json.field("tags", .array(row.tags.map { .string($0) }))
        json.field("max_connections", limit: row.limits.connectionsMax)
        json.field("max_channels", limit: row.limits.sessionsMax)
        json.end()
    }

    static func reason(_ row: QueueReason, to json: inout JSONRow) {
        json.field("reason", row.kind.rawValue)
        json.field("text", row.text)
        json.field("facts", .table(row.facts))
        json.end()
    }

    static func route(_ row: RouteStep, to json: inout JSONRow) {
        json.field("source", row.source.rawValue)
        json.target(row.target)
        json.field("reason", row.reason.rawValue)
        json.field("pattern", row.pattern)
        json.field("arguments", .table(row.arguments))
        json.end()
    }

    /// A row of a query: a value that is bytes and not UTF-8 is base64, its name followed by `64`.
    static func query(_ row: [FieldValue], columns: [String], to json: inout JSONRow) {
        for (column, value) in zip(columns, row) {
            if case .bytes(let bytes) = value {
                json.bytes(column, bytes)
            } else {
                json.field(column, value)
            }
        }
        json.end()
    }

    static func status(_ row: BrokerStatus, to json: inout JSONRow) {
        json.field("version", row.version)
        json.field("started", time: row.started)
        json.field("now", time: row.now)
        json.field("uptime", row.now.milliseconds - row.started.milliseconds)
        json.field("database", row.database)
        json.field("database_id", row.databaseID)
        json.field("database_bytes", row.databaseBytes)
        if let free = row.diskFreeBytes {
            json.field("disk_free_bytes", free)
        } else {
            json.null("disk_free_bytes")
        }
        json.field("resident_bytes", row.residentBytes)
        json.field("message_bytes", row.messageBytes)
        json.field("queues", row.queues)
        json.field("exchanges", row.exchanges)
        json.field("connections", row.connections)
        json.field("consumers", row.consumers)
        json.field("ready", row.ready)
        json.field("unacked", row.unacked)
        json.field("delayed", row.delayed)
        json.field("published", row.published)
        json.field("delivered", row.delivered)
        json.field("acked", row.acked)
        json.field("unroutable", row.unroutable)
        json.field("dead", Self.counts(row.deaths))
        json.field("parked", row.parked)
        json.field("in_rate", rate: row.publishRate)
        json.field("out_rate", rate: row.deliverRate)
        json.field("deduplicated", row.deduplicated)
        json.field("logins_refused", row.loginsRefused)
        json.field("limits", .table(row.limits))
        json.field("log_level", text: row.logLevel?.rawValue)
        json.field("alarms", .array(row.alarms.map { .string($0) }))
        json.end()
    }
}

extension LineRows {
    private static func counts(_ counts: [DeathReason: Int]) -> FieldValue {
        var table = FieldTable()
        for reason in DeathReason.allCases { table[reason.rawValue] = .int(Int64(counts[reason] ?? 0)) }
        return .table(table)
    }
}

extension JSONRow {
    fileprivate mutating func target(_ target: BindingTarget) {
        switch target {
        case .queue(let queue):
            field("destination", queue.rawValue)
            field("destination_type", "queue")
        case .exchange(let exchange):
            field("destination", exchange.rawValue)
            field("destination_type", "exchange")
        }
    }

    mutating func bytes(_ name: String, _ bytes: [UInt8]) {
        if let text = String(validating: bytes, as: UTF8.self) {
            field(name, text)
        } else {
            field(name + "64", JSONText.base64(bytes))
        }
    }
}

extension FieldTable {
    fileprivate func text(_ name: String) -> String? {
        guard case .string(let text) = self[name] else { return nil }
        return text
    }
}
