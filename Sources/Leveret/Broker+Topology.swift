// Declaring and deleting exchanges, queues and bindings from Swift. Each call returns once its change is on
// disk, if it is a durable one.

public import LeveretCore

/// What a declaration found.
public struct DeclaredQueue: Hashable, Sendable {
    /// The queue's name; made by the broker when the declaration's was empty.
    public let name: QueueName
    /// Messages that wait in it.
    public let ready: Int
    /// Its consumers.
    public let consumers: Int
}

extension Broker {
    /// Makes sure that a queue is there, just so; returns once it is on disk, if it is durable.
    ///
    /// ```swift
    /// try await broker.declareQueue(
    ///     "jobs", arguments: ["x-message-ttl": 60_000, "x-dead-letter-exchange": "dead"])
    /// ```
    ///
    /// - Parameters:
    ///   - name: its name, at most 255 bytes of UTF-8; empty asks for one made by the broker.
    ///   - durable: it survives a restart, with its persistent messages.
    ///   - exclusive: only this broker's Swift API may use it, and it goes when the broker ends.
    ///   - autoDelete: it goes with its last consumer.
    ///   - arguments: `x-message-ttl`, `x-dead-letter-exchange`, `x-max-length` and so on, as RabbitMQ has them.
    /// - Returns: its name, and what is in it.
    /// - Throws: a `BrokerError`: 406 when there is one of that name with other arguments, naming which, or when
    ///   an argument is out of its range; 403 for a reserved name (`amq.`, `leveret.`); 405 when it is exclusive
    ///   to another connection.
    @discardableResult
    public func declareQueue(
        _ name: QueueName, durable: Bool = true, exclusive: Bool = false, autoDelete: Bool = false,
        arguments: FieldTable = [:]
    ) async throws -> DeclaredQueue {
        let definition = QueueDefinition(
            name, durable: durable, exclusive: exclusive, autoDelete: autoDelete, arguments: arguments)
        let answer = try await door.ask(.declareQueue(definition, passive: false))
        guard case .declared(let name, let ready, let consumers) = answer else {
            throw BrokerError.unexpected(answer)
        }
        return DeclaredQueue(name: name, ready: ready, consumers: consumers)
    }

    /// Makes sure that an exchange is there, just so; returns once it is on disk, if it is durable.
    ///
    /// - Parameters:
    ///   - name: its name, at most 255 bytes of UTF-8.
    ///   - type: how it routes.
    ///   - durable: it survives a restart.
    ///   - autoDelete: it goes with its last binding.
    ///   - internal: it takes messages from other exchanges only.
    ///   - arguments: `alternate-exchange` and so on.
    /// - Throws: a `BrokerError`: 406 when there is one of that name that differs, naming in what; 403 for a
    ///   reserved name (`amq.`, `leveret.`).
    public func declareExchange(
        _ name: ExchangeName, type: ExchangeType = .direct, durable: Bool = true, autoDelete: Bool = false,
        internal isInternal: Bool = false, arguments: FieldTable = [:]
    ) async throws {
        let definition = ExchangeDefinition(
            name, type: type, durable: durable, autoDelete: autoDelete, internal: isInternal,
            arguments: arguments)
        try await change(.declareExchange(definition, passive: false))
    }

    /// Binds `queue` to `exchange`. Doing it again changes nothing. Returns once it is on disk, if both are
    /// durable.
    ///
    /// - Parameters:
    ///   - queue: where matching messages go.
    ///   - exchange: where they are published.
    ///   - routingKey: what they match, as the exchange's type has it; at most 255 bytes.
    ///   - arguments: what a headers exchange matches: headers, and `x-match`.
    /// - Throws: a `BrokerError`: 404 when one of the two isn't there.
    public func bind(
        _ queue: QueueName, to exchange: ExchangeName, routingKey: String = "", arguments: FieldTable = [:]
    ) async throws {
        try await bind(
            Binding(source: exchange, target: .queue(queue), routingKey: routingKey, arguments: arguments))
    }

    /// Adds `binding`, which may lead from exchange to exchange. Doing it again changes nothing.
    public func bind(_ binding: Binding) async throws { try await change(.bind(binding)) }

    /// Removes the binding of `queue` to `exchange` with this key and these arguments, if it is there.
    public func unbind(
        _ queue: QueueName, from exchange: ExchangeName, routingKey: String = "", arguments: FieldTable = [:]
    ) async throws {
        try await unbind(
            Binding(source: exchange, target: .queue(queue), routingKey: routingKey, arguments: arguments))
    }

    /// Removes `binding`, if it is there.
    public func unbind(_ binding: Binding) async throws { try await change(.unbind(binding)) }

    /// Deletes a queue and its messages; its consumers end. Returns once that is on disk.
    ///
    /// - Parameters:
    ///   - name: the queue.
    ///   - ifUnused: only if it has no consumers (406 if it has).
    ///   - ifEmpty: only if it has no messages (406 if it has).
    /// - Returns: how many messages went with it; 0 for a queue that is not there.
    @discardableResult
    public func deleteQueue(
        _ name: QueueName, ifUnused: Bool = false, ifEmpty: Bool = false
    ) async throws -> Int {
        try await count(.deleteQueue(name, ifUnused: ifUnused, ifEmpty: ifEmpty))
    }

    /// Deletes an exchange and its bindings; with `ifUnused` only if it has none (406 if it has).
    public func deleteExchange(_ name: ExchangeName, ifUnused: Bool = false) async throws {
        try await change(.deleteExchange(name, ifUnused: ifUnused))
    }

    /// Removes the ready messages of a queue, for good; those that consumers hold stay. Returns once that is on
    /// disk.
    ///
    /// - Returns: how many there were.
    @discardableResult
    public func purge(_ queue: QueueName) async throws -> Int { try await count(.purge(queue)) }

    /// Sets `policy`, or replaces the one of its name. Returns once it is on disk, and every queue
    /// and exchange that it matches obeys it.
    ///
    /// - Throws: a `BrokerError` (406) when its pattern can't be understood, or it sets what can't be set.
    public func setPolicy(_ policy: Policy) async throws { try await change(.setPolicy(policy)) }

    /// Removes a policy, if it is there; what it matched goes back to what it was declared with.
    public func deletePolicy(_ name: String, isOperator: Bool = false) async throws {
        try await change(.deletePolicy(name, isOperator: isOperator))
    }

    /// Stops the dispatch of a queue: its messages wait, also for `get`, until `resume`, while publishing, expiry
    /// and moves go on. Survives a restart where the queue does. Pausing it again changes nothing.
    public func pause(_ queue: QueueName) async throws { try await change(.setPaused(queue, true)) }

    /// Lets the dispatch of a queue go on.
    public func resume(_ queue: QueueName) async throws { try await change(.setPaused(queue, false)) }

    /// Moves messages from the head of a queue to the end of another, in order, each with its content and
    /// history: after a crash each is in one of the two. A move of many is done in slices, a transaction each.
    /// Returns once all of it is on disk.
    ///
    /// - Parameters:
    ///   - source: where they wait.
    ///   - target: where they go.
    ///   - condition: only messages that meet this SQL expression over their fields, as in `peek`.
    ///   - count: how many at most; `nil` is all that are ready as the move begins.
    /// - Returns: how many were moved.
    @discardableResult
    public func move(
        from source: QueueName, to target: QueueName, where condition: String? = nil, count: Int? = nil
    ) async throws -> Int {
        try await move(Move(from: source, to: .queue(target), countMax: count, where: condition))
    }

    /// Sends dead letters back to where each of them died first, in order, as they were published at first: with that
    /// exchange and key, marked by the headers `x-replayed-from`, `x-replayed-at` and `x-replay-count`, and with
    /// their history. After a crash each is in one of the two queues. Returns once all of it is on disk.
    ///
    /// ```swift
    /// try await broker.replay(from: "jobs.dead", where: "reason = 'rejected'")
    /// ```
    ///
    /// `move(.replay(from:to:))` sends them elsewhere, or one of them alone, and with another body.
    ///
    /// - Parameters:
    ///   - source: where they wait. What never died, or died here first, stays.
    ///   - condition: only messages that meet this SQL expression over their fields, as in `peek`.
    ///   - count: how many at most; `nil` is all that are ready as it begins.
    /// - Returns: how many were sent back.
    /// - Throws: a `BrokerError`: 404 when the queue that one died in first is gone, 506 when it is full; the text says
    ///   how many were sent back before.
    @discardableResult
    public func replay(
        from source: QueueName, where condition: String? = nil, count: Int? = nil
    ) async throws -> Int {
        try await move(.replay(from: source, countMax: count, where: condition))
    }

    /// Moves messages as `move` says: to a queue, through an exchange, to where they died first, or to nowhere.
    ///
    /// - Returns: how many were moved.
    @discardableResult
    public func move(_ move: Move) async throws -> Int { try await count(.move(move)) }

    func change(_ request: Request) async throws {
        let answer = try await door.ask(request)
        guard case .done = answer else { throw BrokerError.unexpected(answer) }
    }

    func count(_ request: Request) async throws -> Int {
        let answer = try await door.ask(request)
        guard case .count(let count) = answer else { throw BrokerError.unexpected(answer) }
        return count
    }
}
