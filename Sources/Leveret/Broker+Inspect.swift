// Looking into the broker from Swift: what is there, how it does, and what happens. Whatever asks the broker
// throws a `BrokerError` with 320 once it has shut down.

public import LeveretCore

extension Broker {
    /// The queues whose names match `pattern` (`*`, `?`); `nil` is all.
    public func queues(matching pattern: String? = nil) async throws -> [QueueInfo] {
        try await pages(of: .list(.queues, match: pattern)) {
            if case .queues(let rows) = $0 { rows } else { nil }
        }
    }

    /// The exchanges whose names match `pattern`; `nil` is all, the predeclared ones included.
    public func exchanges(matching pattern: String? = nil) async throws -> [ExchangeInfo] {
        try await pages(of: .list(.exchanges, match: pattern)) {
            if case .exchanges(let rows) = $0 { rows } else { nil }
        }
    }

    /// The bindings of exchanges whose names match `pattern`; `nil` is all.
    public func bindings(matching pattern: String? = nil) async throws -> [Binding] {
        try await pages(of: .list(.bindings, match: pattern)) {
            if case .bindings(let rows) = $0 { rows } else { nil }
        }
    }

    /// The consumers of queues whose names match `pattern`; `nil` is all.
    public func consumers(matching pattern: String? = nil) async throws -> [ConsumerInfo] {
        engine.refreshNotes()
        return try await pages(of: .list(.consumers, match: pattern)) {
            if case .consumers(let rows) = $0 { rows } else { nil }
        }
    }

    /// The connections whose names match `pattern`; `nil` is all. The Swift API's own is `embedded`.
    public func connections(matching pattern: String? = nil) async throws -> [ConnectionInfo] {
        try await pages(of: .list(.connections, match: pattern)) {
            if case .connections(let rows) = $0 { rows } else { nil }
        }
    }

    /// The sessions (AMQP's channels) of connections whose names match `pattern`; `nil` is all.
    public func sessions(matching pattern: String? = nil) async throws -> [SessionInfo] {
        engine.refreshNotes()
        return try await pages(of: .list(.channels, match: pattern)) {
            if case .sessions(let rows) = $0 { rows } else { nil }
        }
    }

    /// The broker as a whole: sizes, counters, rates, alarms.
    public func status() async throws -> BrokerStatus {
        engine.refreshFacts()
        let answer = try await door.ask(.status(nil))
        guard case .status(let status) = answer else { throw BrokerError.unexpected(answer) }
        return status
    }

    /// The state of one queue.
    ///
    /// - Throws: a `BrokerError`: 404 when it isn't there.
    public func status(of queue: QueueName) async throws -> QueueInfo {
        let answer = try await door.ask(.status(queue))
        guard case .queues(let rows) = answer, let row = rows.first else {
            throw BrokerError.unexpected(answer)
        }
        return row
    }

    /// The policies whose names match `pattern`, in the order in which they count; `nil` is all.
    public func policies(matching pattern: String? = nil) async throws -> [PolicyInfo] {
        try await pages(of: .list(.policies, match: pattern)) {
            if case .policies(let rows) = $0 { rows } else { nil }
        }
    }

    /// Why messages of a queue stand still: a sentence for each reason, and the facts behind it.
    ///
    /// - Throws: a `BrokerError`: 404 when the queue isn't there.
    public func why(_ queue: QueueName) async throws -> [QueueReason] {
        let answer = try await door.ask(.why(queue))
        guard case .reasons(let reasons) = answer else { throw BrokerError.unexpected(answer) }
        return reasons
    }

    /// Shows messages of a queue without taking them.
    ///
    /// - Parameters:
    ///   - queue: where they stand.
    ///   - condition: only messages that meet this SQL expression over their fields, such as
    ///     `key LIKE 'order.%' AND json ->> 'total' > 100`; docs/line-protocol.md has the fields.
    ///   - state: ready ones, those that consumers hold, or those that wait for their time, in order of that; with
    ///     `nil` all of them, state by state.
    ///   - position: only messages at this position or behind it.
    ///   - count: at most so many, 1–1,000; fewer where 4 MiB of bodies are passed.
    /// - Throws: a `BrokerError`: 404 for an unknown queue, 405 for another connection's exclusive one, 406 for a
    ///   count out of range; for a condition 502 when it does not compile, 403 when it does more than it may, 506
    ///   when it takes longer than two seconds.
    public func peek(
        _ queue: QueueName, where condition: String? = nil, state: Peek.State? = .ready,
        from position: MessageNumber = 0, count: Int = 10
    ) async throws -> [PeekedMessage] {
        let peek = Peek(queue, state: state, from: position, countMax: count, where: condition)
        let answer = try await door.ask(.peek(peek))
        guard case .messages(let rows) = answer else { throw BrokerError.unexpected(answer) }
        return rows
    }

    /// Asks the database: one SELECT over the tables and views of docs/database.md. The answer includes everything
    /// that was answered before; what is in memory only (transient messages) is not in it.
    ///
    /// ```swift
    /// let keys = try await broker.query("SELECT routing_key, count(*) FROM message GROUP BY routing_key")
    /// ```
    ///
    /// - Throws: a `BrokerError`: 502 when the query does not compile or two of its columns have one name, 403 when it
    ///   does more than read what it may, 506 when it takes longer than two seconds, or answers with more than 10,000
    ///   rows or 4 MiB.
    public func query(_ sql: String) async throws -> QueryResult {
        let answer = try await door.ask(.query(sql))
        guard case .table(let result) = answer else { throw BrokerError.unexpected(answer) }
        return result
    }

    /// Removes one message that waits in a queue, ready or delayed. Returns once that is on disk.
    ///
    /// - Throws: a `BrokerError`: 404 when it has moved on, 406 while a consumer holds it.
    public func cancelMessage(at position: MessageNumber, in queue: QueueName) async throws {
        let answer = try await door.ask(.cancelMessage(queue, position))
        guard case .done = answer else { throw BrokerError.unexpected(answer) }
    }

    /// Makes one message that waits in a queue wait so much longer from now on, or, with zero, no longer: it
    /// is ready at once, at its old place if it has been ready before. Returns once that is on disk.
    ///
    /// - Parameter version: refuse unless the message has this version, as `peek` showed it.
    /// - Throws: a `BrokerError`: 404 when it has moved on, 406 while a consumer holds it or when it has
    ///   another version, 506 when its queue rejects publishes and is too full for what becomes ready.
    public func delayMessage(
        at position: MessageNumber, in queue: QueueName, by delay: Duration, ifVersion version: Int? = nil
    ) async throws {
        let milliseconds = min(delay.milliseconds, QueueSettings.millisecondsMax)
        var edit = MessageEdit(queue, position, delayMilliseconds: milliseconds)
        edit.version = version
        try await self.edit(edit)
    }

    /// Changes one message that waits in a queue, ready or delayed: its body, key, headers, time to live, or when
    /// it is ready. It keeps its position and its place, and is not routed again. Returns once that is on disk.
    ///
    /// ```swift
    /// var edit = MessageEdit("orders", message.number)
    /// edit.version = message.version
    /// edit.body = Array("2 chairs".utf8)
    /// try await broker.edit(edit)
    /// ```
    ///
    /// - Throws: a `BrokerError`: 404 when it has moved on, 406 while a consumer holds it or when it has
    ///   another version, 506 when its queue rejects publishes and is too full for what the edit adds.
    public func edit(_ edit: MessageEdit) async throws {
        let answer = try await door.ask(.edit(edit))
        guard case .done = answer else { throw BrokerError.unexpected(answer) }
    }

    /// Which way a message would take through the exchanges, and where it would end; nothing is published.
    ///
    /// - Throws: a `BrokerError`: 404 for an unknown exchange.
    public func route(
        to exchange: ExchangeName, routingKey: String, properties: MessageProperties? = nil
    ) async throws -> [RouteStep] {
        let message = Message(exchange: exchange, routingKey: routingKey, properties: properties, body: [])
        return try await pages(of: .route(message)) {
            if case .routes(let rows) = $0 { rows } else { nil }
        }
    }

    /// All rows of a listing, which come in pages.
    func pages<Row>(of first: Request, rows: (Answer) -> [Row]?) async throws -> [Row] {
        var found: [Row] = []
        var request = first
        while true {
            let answer = try await door.ask(request)
            guard case .page(let page, let next) = answer.asPage, let rows = rows(page) else {
                throw BrokerError.unexpected(answer)
            }
            found += rows
            guard let next, let more = request.goingOn(after: next) else { return found }
            request = more
        }
    }

    /// What happens in the broker from here on, in the order in which it happens: declarations, consumers,
    /// parked messages, alarms. No event per message. Ends with the broker, and does not keep it open.
    ///
    /// Every call makes a stream of its own. A listener that falls 1,000 events behind misses the oldest; the
    /// broker waits for no listener.
    public func events() -> AsyncStream<BrokerEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: BrokerEvent.self, bufferingPolicy: .bufferingNewest(1_000))
        let number = engine.enter { state, _ -> UInt64? in
            guard !state.isClosed else { return nil }
            state.nextListener += 1
            state.listeners[state.nextListener] = continuation
            return state.nextListener
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [engine] _ in
            engine.enter { state, _ in state.listeners[number] = nil }
        }
        return stream
    }
}

extension Answer {
    /// What comes in one piece as the only page.
    fileprivate var asPage: Answer { if case .page = self { self } else { .page(self, next: nil) } }
}
