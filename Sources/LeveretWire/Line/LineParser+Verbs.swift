// Each verb's arguments and options as the broker's request. LineParser chooses among them.

import LeveretCore

/// What PEEK's `state` may be.
private enum PeekedState: String, CaseIterable {
    case ready, unacked, delayed, all

    var state: Peek.State? { Peek.State(rawValue: rawValue) }
}

extension LineArguments {
    private static let priorities = Int64(Int32.min)...Int64(Int32.max)
    private static let leases = 1...QueueSettings.millisecondsMax
    private static let milliseconds = 0...QueueSettings.millisecondsMax
    private static let counts = 0...Int64(Int32.max)

    /// PUB.
    func publish() throws(BrokerError) -> LinePublish {
        var properties = MessageProperties()
        properties.headers = headers
        properties.messageID = try text("id")
        properties.expiration = try number("ttl", in: Self.milliseconds).map { String($0) }
        properties.priority = try number("priority", in: 0...255).map { UInt8($0) }
        properties.type = try text("type")
        properties.replyTo = try text("reply-to")
        properties.correlationID = try text("correlation-id")
        properties.contentType = try text("content-type")
        if let delay = try number("delay", in: Self.milliseconds) {
            guard properties.headers[HeaderName.delay] == nil else {
                throw BrokerError(
                    .syntaxError, "delay= and the header x-delay are the same; give one of them")
            }
            properties.headers[HeaderName.delay] = .int(delay)
        }
        let isDocument = try flag("document")
        guard !isDocument || properties.isEmpty && !has("transient") else {
            throw BrokerError(
                .syntaxError, "with document the body says all of the message; give no other option of it")
        }
        return LinePublish(
            exchange: ExchangeName(try name(0, "exchange's name")),
            routingKey: try name(1, "routing key"),
            properties: properties.isEmpty ? nil : properties,
            isPersistent: !(try flag("transient")),
            isMandatory: try flag("mandatory"),
            isDocument: isDocument
        )
    }

    /// MOVE and REPLAY.
    func move(hasBody: Bool) throws(BrokerError) -> LineHead {
        var move = Move(from: QueueName(try name(0, "queue's name")), to: try destination())
        move.isReplay = verb == .replay
        move.countMax = try countMax()
        move.position = try number("position", in: 1...Int64.max).map { MessageNumber($0) }
        move.version = try number("if", in: 1...Int64.max).map { Int($0) }
        move.condition = try text("where", bytesMax: LineLimits.queryTextBytesMax)
        move.headers = headers
        let word = verb.rawValue.uppercased()
        guard move.position != nil || !(hasBody || has("if") || !headers.isEmpty) else {
            throw BrokerError(
                .syntaxError,
                "\(word) changes one message only: if=, h.NAME= and a body need position="
            )
        }
        guard move.position == nil || move.countMax == nil else {
            throw BrokerError(.syntaxError, "\(word) takes n= or position=, not both")
        }
        guard move.position == nil || move.condition == nil else {
            throw BrokerError(.syntaxError, "\(word) takes where= or position=, not both")
        }
        return hasBody ? .move(move) : .complete(.submit(.move(move), .plain))
    }

    /// Where MOVE and REPLAY lead.
    private func destination() throws(BrokerError) -> Move.Destination {
        if verb == .replay, positional.count == 1, !has("exchange"), !has("key") { return .origin }
        let word = verb.rawValue.uppercased()
        guard positional.count > 1, positional[1].text?.lowercased() == "to" else {
            let found = positional.count > 1 ? ", not '\(positional[1].shown)'" : " before exchange= and key="
            throw wrongSyntax("the word 'to' is wanted\(found)")
        }
        if let exchange = try text("exchange"), positional.count == 2 {
            return .exchange(ExchangeName(exchange), routingKey: try text("key"))
        }
        guard positional.count == 3, !has("exchange"), !has("key") else {
            throw wrongSyntax(
                "\(word) wants a queue or exchange= behind 'to', and key= with exchange= only")
        }
        return .queue(QueueName(try name(2, "queue's name")))
    }

    private func countMax() throws(BrokerError) -> Int? {
        try number("n", in: 1...Int64.max).map { Int($0) }
    }

    /// PURGE; of some messages only it is a move to nowhere.
    private func purge() throws(BrokerError) -> Request {
        let queue = QueueName(try name(0, "queue's name"))
        guard has("n") || has("where") else { return .purge(queue) }
        let condition = try text("where", bytesMax: LineLimits.queryTextBytesMax)
        return .move(Move(from: queue, to: .nowhere, countMax: try countMax(), where: condition))
    }

    private func wrongSyntax(_ what: String) -> BrokerError {
        BrokerError(.syntaxError, "\(what); the syntax is: \(verb.syntax)")
    }

    /// PEEK, and EXPORT; `count` is how many messages they show unless told.
    func peek(count: Int64 = 10) throws(BrokerError) -> Peek {
        Peek(
            QueueName(try name(0, "queue's name")),
            state: try word("state", as: PeekedState.self).map(\.state) ?? .ready,
            from: MessageNumber(try number("from", in: 0...Int64.max) ?? 0),
            countMax: Int(try number("n", in: 1...LineLimits.peekCountMax) ?? count),
            where: try text("where", bytesMax: LineLimits.queryTextBytesMax)
        )
    }

    /// EDIT.
    func edit(hasBody: Bool) throws(BrokerError) -> LineHead {
        var edit = MessageEdit(QueueName(try name(0, "queue's name")), try position())
        edit.version = try number("if", in: 1...Int64.max).map { Int($0) }
        edit.delayMilliseconds = try number("delay", in: Self.milliseconds)
        edit.ttlMilliseconds = try number("ttl", in: Self.milliseconds)
        edit.routingKey = try text("key")
        edit.headers = headers
        if hasBody { return .edit(edit) }
        guard has("delay") || has("ttl") || has("key") || !headers.isEmpty else {
            throw BrokerError(.syntaxError, "this changes nothing; the syntax is: \(verb.syntax)")
        }
        return .complete(.submit(.edit(edit), .plain))
    }

    /// CANCEL.
    func cancelMessage() throws(BrokerError) -> Request {
        .cancelMessage(QueueName(try name(0, "queue's name")), try position())
    }

    /// KILL.
    func kill() throws(BrokerError) -> Request {
        guard positional[0].text?.lowercased() == "connection" else {
            throw wrongSyntax("KILL knows connection, not '\(positional[0].shown)'")
        }
        let name = try name(1, "connection's number or name", bytesMax: 2 * LineLimits.nameBytesMax)
        return .closeConnection(name, reason: try text("reason") ?? "an operator closed this connection")
    }

    /// LOG.
    func logLevel() throws(BrokerError) -> Request {
        guard let level = LogLevel(rawValue: positional[0].shown.lowercased()) else {
            throw wrongSyntax("LOG knows no level '\(positional[0].shown)'")
        }
        return .setLogLevel(level)
    }

    /// VHOST, CREATE and LIMIT.
    func virtualHost() throws(BrokerError) -> Request {
        if verb == .vhost { return .enter(VirtualHostName(try name(0, "vhost's name"))) }
        guard positional[0].text?.lowercased() == "vhost" else {
            throw wrongSyntax("\(verb.rawValue.uppercased()) knows vhost, not '\(positional[0].shown)'")
        }
        let name = VirtualHostName(try name(1, "vhost's name"))
        guard verb == .limit else { return .createVirtualHost(name) }
        let limits = VirtualHostLimits(
            queuesMax: try number("max-queues", in: Self.counts).map { Int($0) },
            connectionsMax: try number("max-connections", in: Self.counts).map { Int($0) })
        return .limitVirtualHost(name, limits)
    }

    private func position() throws(BrokerError) -> MessageNumber {
        guard let position = Int64(positional[1].shown), position > 0 else {
            throw BrokerError(
                .syntaxError, "'\(positional[1].shown)' is no position; the syntax is: \(verb.syntax)")
        }
        return MessageNumber(position)
    }

    /// LIST, STAT, WHY, SQL and ROUTE.
    func listing() throws(BrokerError) -> Request {
        switch verb {
        case .stat: return .status(positional.isEmpty ? nil : QueueName(try name(0, "queue's name")))
        case .sql: return .query(try name(0, "query", bytesMax: LineLimits.queryTextBytesMax))
        case .why: return .why(QueueName(try name(0, "queue's name")))
        case .route:
            var properties = MessageProperties()
            properties.headers = headers
            let exchange = ExchangeName(try name(0, "exchange's name"))
            return .route(
                Message(
                    exchange: exchange,
                    routingKey: try name(1, "routing key"),
                    properties: headers.isEmpty ? nil : properties,
                    body: []
                )
            )
        default:
            guard let listing = Listing(rawValue: positional[0].shown.lowercased()) else {
                let known = Listing.allCases.map(\.rawValue).joined(separator: ", ")
                throw BrokerError(.syntaxError, "LIST knows \(known), not '\(positional[0].shown)'")
            }
            return .list(listing, match: try text("match"))
        }
    }

    /// Which fields a listing is asked for.
    func listingForm() throws(BrokerError) -> LineReplyForm {
        guard let fields = try text("fields", bytesMax: LineLimits.fieldNamesBytesMax) else { return .rows }
        return .fields(Set(fields.split(separator: ",").map(String.init)))
    }

    /// GET, SUB, ACK, NACK, REJECT and TOUCH.
    func consuming() throws(BrokerError) -> Request {
        switch verb {
        case .get:
            return .get(
                QueueName(try name(0, "queue's name")),
                autoAck: try flag("auto-ack"),
                waitMilliseconds: try number("wait", in: 0...LineLimits.waitMillisecondsMax) ?? 0
            )
        case .sub:
            return .consume(
                Consume(
                    queue: QueueName(try name(0, "queue's name")),
                    tag: try text("as").map { ConsumerTag($0) },
                    prefetch: Int(try number("prefetch", in: 0...LineLimits.prefetchMax) ?? 256),
                    autoAck: try flag("auto-ack"),
                    exclusive: try flag("exclusive"),
                    priority: Int32(clamping: try number("priority", in: Self.priorities) ?? 0),
                    timeoutMilliseconds: try number("consumer-timeout", in: Self.leases),
                    countsFirst: try flag("count-first")
                )
            )
        case .touch: return .touch(try deliveryTag(), forMilliseconds: try number("for", in: Self.leases))
        case .ack: return .settle(Settlement(.ack, try deliveryTag(), multiple: try flag("multiple")))
        case .nack:
            let delay = try number("delay", in: Self.milliseconds)
            let isMultiple = try flag("multiple")
            return .settle(
                Settlement(.requeue, try deliveryTag(), multiple: isMultiple, delayMilliseconds: delay))
        default:
            let delay = try number("delay", in: Self.milliseconds)
            guard delay == nil || has("requeue") else {
                throw BrokerError(
                    .syntaxError, "delay= needs requeue: without it the message leaves the queue")
            }
            let error = try text("error", bytesMax: LineLimits.errorTextBytesMax)
            let outcome: Settlement.Outcome = try flag("requeue") ? .fail : .deadLetter
            return .settle(Settlement(outcome, try deliveryTag(), errorText: error, delayMilliseconds: delay))
        }
    }

    /// EXCHANGE, QUEUE, BIND, UNBIND, BINDX, UNBINDX, POLICY, PAUSE, RESUME, PURGE and DROP.
    func topology() throws(BrokerError) -> Request {
        switch verb {
        case .exchange: return .declareExchange(try exchangeDefinition(), passive: false)
        case .queue: return .declareQueue(try queueDefinition(), passive: false)
        case .bind, .bindx: return .bind(try binding())
        case .unbind, .unbindx: return .unbind(try binding())
        case .policy: return .setPolicy(try policyDefinition())
        case .pause: return .setPaused(QueueName(try name(0, "queue's name")), true)
        case .resume: return .setPaused(QueueName(try name(0, "queue's name")), false)
        case .purge: return try purge()
        default: return try drop()
        }
    }

    private func exchangeDefinition() throws(BrokerError) -> ExchangeDefinition {
        let word = try name(1, "exchange's type").lowercased()
        guard let type = ExchangeType(rawValue: word) else {
            throw BrokerError(
                .commandInvalid,
                "unknown exchange type '\(positional[1].shown)'; known are direct, topic, fanout, headers and "
                    + "x-delayed-message"
            )
        }
        var arguments = extra
        let window = try number("deduplicate", in: Self.leases)
        try set(ExchangeArgument.deduplicate, to: window.map { .int($0) }, in: &arguments)
        try set(ExchangeArgument.alternate, to: try text("alternate").map { .string($0) }, in: &arguments)
        return ExchangeDefinition(
            ExchangeName(try name(0, "exchange's name")),
            type: type,
            durable: try flag("durable", default: true),
            autoDelete: try flag("auto-delete"),
            internal: try flag("internal"),
            arguments: arguments
        )
    }

    /// Options whose values are numbers, their arguments, and what is allowed.
    private static let queueNumbers: [(option: String, argument: String, range: ClosedRange<Int64>)] = [
        ("ttl", QueueArgument.messageTTL, milliseconds),
        ("expires", QueueArgument.expires, leases),
        ("expires-if-empty", QueueArgument.expiresIfEmpty, leases),
        ("max-length", QueueArgument.lengthMax, 0...Int64.max),
        ("max-bytes", QueueArgument.bytesMax, 0...Int64.max),
        ("delivery-limit", QueueArgument.deliveryLimit, 0...Int64.max),
        ("max-priority", QueueArgument.priorityMax, 1...255),
        ("consumer-timeout", QueueArgument.consumerTimeout, leases),
        ("delayed-retry-min", QueueArgument.retryMin, leases),
        ("delayed-retry-max", QueueArgument.retryMax, leases),
        ("delayed-retry-jitter", QueueArgument.retryJitter, 0...100),
    ]

    /// Options whose values are texts.
    private static let queueTexts = [
        (option: "dead-letter-exchange", argument: QueueArgument.deadLetterExchange),
        (option: "dead-letter-key", argument: QueueArgument.deadLetterRoutingKey),
    ]

    /// The arguments of a queue, by their short names and their full ones.
    private func queueArguments() throws(BrokerError) -> FieldTable {
        var arguments = extra
        for (option, argument, range) in Self.queueNumbers {
            try set(argument, to: try number(option, in: range).map { .int($0) }, in: &arguments)
        }
        for (option, argument) in Self.queueTexts {
            try set(argument, to: try text(option).map { .string($0) }, in: &arguments)
        }
        let overflow = try word("overflow", as: QueueOverflow.self)
        try set(QueueArgument.overflow, to: overflow.map { .string($0.rawValue) }, in: &arguments)
        let retryType = try word("delayed-retry-type", as: RetryType.self)
        try set(QueueArgument.retryType, to: retryType.map { .string($0.rawValue) }, in: &arguments)
        let backoff = try word("delayed-retry-backoff", as: RetryBackoff.self)
        try set(QueueArgument.retryBackoff, to: backoff.map { .string($0.rawValue) }, in: &arguments)
        // What is no text is a number, or refused as one.
        let isWhileQueued = try? text("deduplicate") == "while-queued"
        try set(
            QueueArgument.deduplicate,
            to: isWhileQueued == true
                ? .string("while-queued") : try number("deduplicate", in: Self.leases).map { .int($0) },
            in: &arguments
        )
        if has("single-active") {
            try set(QueueArgument.singleActive, to: .bool(try flag("single-active")), in: &arguments)
        }
        return arguments
    }

    private func policyDefinition() throws(BrokerError) -> Policy {
        var arguments = try queueArguments()
        try set(ExchangeArgument.alternate, to: try text("alternate").map { .string($0) }, in: &arguments)
        return Policy(
            try name(0, "policy's name"),
            pattern: try name(1, "policy's pattern"),
            appliesTo: try word("apply-to", as: PolicyTarget.self) ?? .all,
            priority: Int32(clamping: try number("priority", in: Self.priorities) ?? 0),
            isOperator: try flag("operator"),
            definition: arguments
        )
    }

    private func queueDefinition() throws(BrokerError) -> QueueDefinition {
        let asksForName = !positional[0].hasQuote && positional[0].bytes.elementsEqual("?".utf8)
        let queue = asksForName ? "" : try name(0, "queue's name")
        guard asksForName || !queue.isEmpty else {
            throw BrokerError(
                .syntaxError,
                "a queue's name is not empty; an unquoted ? asks for a server-made one"
            )
        }
        return QueueDefinition(
            QueueName(queue),
            durable: try flag("durable", default: true),
            exclusive: try flag("exclusive"),
            autoDelete: try flag("auto-delete"),
            arguments: try queueArguments()
        )
    }

    private func set(_ name: String, to value: FieldValue?, in table: inout FieldTable) throws(BrokerError) {
        guard let value else { return }
        guard table[name] == nil else {
            throw BrokerError(
                .syntaxError,
                "argument \(name) is given twice, by its short name and by its full one"
            )
        }
        table[name] = value
    }

    private func binding() throws(BrokerError) -> Binding {
        let isExchange = verb == .bindx || verb == .unbindx
        let first = try name(0, isExchange ? "destination exchange's name" : "queue's name")
        return Binding(
            source: ExchangeName(try name(1, "exchange's name")),
            target: isExchange ? .exchange(ExchangeName(first)) : .queue(QueueName(first)),
            routingKey: positional.count > 2 ? try name(2, "binding's pattern") : "",
            arguments: headers
        )
    }

    private func drop() throws(BrokerError) -> Request {
        let name = try name(1, "name")
        let kind = positional[0].shown.lowercased()
        let hasCondition = has("if-empty") || has("if-unused")
        guard kind == "policy" || kind == "vhost" ? !hasCondition : true, kind == "policy" || !has("operator")
        else {
            throw wrongSyntax("if-empty and if-unused are for queues and exchanges, operator is for policies")
        }
        switch kind {
        case "vhost": return .deleteVirtualHost(VirtualHostName(name))
        case "policy": return .deletePolicy(name, isOperator: try flag("operator"))
        case "queue":
            return .deleteQueue(
                QueueName(name),
                ifUnused: try flag("if-unused"),
                ifEmpty: try flag("if-empty")
            )
        case "exchange":
            guard !has("if-empty") else {
                throw BrokerError(
                    .syntaxError,
                    "an exchange holds nothing: DROP exchange takes if-unused only"
                )
            }
            return .deleteExchange(ExchangeName(name), ifUnused: try flag("if-unused"))
        default:
            throw wrongSyntax("DROP knows queue, exchange, policy and vhost, not '\(positional[0].shown)'")
        }
    }
}
