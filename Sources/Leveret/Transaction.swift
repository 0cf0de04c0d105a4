// Publishes and settlements together, all or nothing.

public import LeveretCore

/// What a transaction gathers: it reaches the broker as one request when the closure has returned, and is
/// carried out in the order in which it was gathered.
public struct Transaction: Sendable {
    private(set) var requests: [Request] = []
    /// The session that took the messages which are settled; `nil` until one is.
    private(set) var door: Door?
    private(set) var publishes = false
    private var settled: Set<DeliveryTag> = []

    /// Adds a publish.
    public mutating func publish(_ message: OutgoingMessage) {
        requests.append(message.request)
        publishes = true
    }

    /// Adds a publish of `text` to `queue`.
    public mutating func publish(_ text: String, to queue: QueueName) {
        publish(OutgoingMessage(text, to: queue))
    }

    /// Adds a publish of `body` to `queue`.
    public mutating func publish(_ body: [UInt8], to queue: QueueName) {
        publish(OutgoingMessage(body, to: queue))
    }

    /// Adds a publish of `text` to `exchange`.
    public mutating func publish(_ text: String, to exchange: ExchangeName, routingKey: String) {
        publish(OutgoingMessage(text, to: exchange, routingKey: routingKey))
    }

    /// Adds a publish of `body` to `exchange`.
    public mutating func publish(_ body: [UInt8], to exchange: ExchangeName, routingKey: String) {
        publish(OutgoingMessage(body, to: exchange, routingKey: routingKey))
    }

    /// Adds an ack of `message`.
    ///
    /// - Throws: a `BrokerError` (406) when another consumer's message is settled in the same transaction: all
    ///   must come from one consumer, or all from `get`. Also when it was settled in this transaction before,
    ///   or was acked automatically.
    public mutating func ack(_ message: ConsumedMessage) throws(BrokerError) {
        try settle(message, .ack)
    }

    /// Adds the return of `message` to its place, free of charge, see `ConsumedMessage.nack`. Throws as `ack` does.
    public mutating func nack(_ message: ConsumedMessage, delay: Duration? = nil) throws(BrokerError) {
        try settle(message, .requeue, delay: delay)
    }

    /// Adds the refusal of `message`, see `ConsumedMessage.reject`. Throws as `ack` does.
    public mutating func reject(
        _ message: ConsumedMessage, requeue: Bool = false, delay: Duration? = nil, error: String? = nil
    ) throws(BrokerError) {
        try settle(message, requeue ? .fail : .deadLetter, error: error, delay: delay)
    }

    /// Adds other headers for `message`, see `ConsumedMessage.amend`; it must not be settled before in this
    /// transaction. Throws as `ack` does.
    public mutating func amend(_ message: ConsumedMessage, headers: FieldTable) throws(BrokerError) {
        try lead(through: message)
        requests.append(.amend(try message.amendment(headers)))
    }

    private mutating func settle(
        _ message: ConsumedMessage, _ outcome: Settlement.Outcome, error: String? = nil,
        delay: Duration? = nil
    ) throws(BrokerError) {
        try lead(through: message)
        var settlement = try message.settlement(outcome, error: error)
        settlement.delayMilliseconds = delay.map(\.milliseconds)
        guard settled.insert(settlement.tag).inserted else {
            throw BrokerError(
                .preconditionFailed,
                "message \(message.number.rawValue) of queue '\(message.queue)' is settled in this transaction "
                    + "already; settle it once")
        }
        requests.append(.settle(settlement))
    }

    /// All messages must have come through one door.
    private mutating func lead(through message: ConsumedMessage) throws(BrokerError) {
        if let door, door !== message.door {
            throw BrokerError(
                .preconditionFailed,
                "message \(message.number.rawValue) of queue '\(message.queue)' came from another consumer than "
                    + "those already in this transaction; settle it in a transaction of its own")
        }
        door = message.door
    }
}

extension Broker {
    /// Publishes and settles together: after a crash all of it has happened, or nothing.
    ///
    /// ```swift
    /// try await broker.transaction { tx in
    ///     tx.publish("paid", to: "invoices")
    ///     try tx.ack(order)
    /// }
    /// ```
    ///
    /// Nothing is submitted before `body` returns, and nothing at all when it throws; `body` holds no lock and may
    /// take its time, or call the broker for things that are not part of the transaction. A transaction has at
    /// most 100,000 parts and 64 MiB of bodies (`CoreLimits`).
    ///
    /// - Returns: what `body` returned, once the transaction is on disk.
    /// - Throws: what `body` throws; a `BrokerError` when any part is refused, and then nothing has changed;
    ///   `PublishCancelled` when the task is cancelled, which says whether it may have happened.
    public func transaction<Result>(
        _ body: (inout Transaction) async throws -> Result
    ) async throws -> Result {
        var transaction = Transaction()
        let result = try await body(&transaction)
        guard !transaction.requests.isEmpty else { return result }
        let door = transaction.door ?? self.door
        guard door.leads(to: engine) else {
            throw BrokerError(
                .preconditionFailed,
                "a message in this transaction came from another broker; settle it in a transaction of that one"
            )
        }
        guard door.virtualHost == virtualHost else {
            throw BrokerError(
                .preconditionFailed,
                "a message in this transaction came from another vhost than '\(virtualHost)'; settle it in a "
                    + "transaction there")
        }
        let answer = try await submit(
            .transaction(transaction.requests), on: door, waitingForRoom: transaction.publishes)
        guard case .committed = answer else { throw BrokerError.unexpected(answer) }
        return result
    }
}
