// Publishing from Swift: one message, a batch, or a message whose confirm is awaited later.

public import LeveretCore

/// A message on its way into the broker.
public struct OutgoingMessage: Sendable {
    /// The bytes; at most 128 MiB (`CoreLimits.bodyBytesMax`).
    public var body: [UInt8]
    /// Where it goes; the default exchange routes by the queue's name.
    public var exchange: ExchangeName
    /// What it is routed by; at most 255 bytes of UTF-8.
    public var routingKey: String
    /// Properties and headers, if any.
    public var properties: MessageProperties?
    /// Survives a restart in a durable queue (AMQP's delivery mode 2).
    public var isPersistent: Bool
    /// Must reach a queue: else the publish is refused with 312 NO_ROUTE.
    public var isMandatory: Bool
    /// Its id was made for it and is published once: nobody need be asked whether it was seen. A false claim lets a
    /// double through.
    package var hasNewID = false

    /// A message for `exchange`.
    public init(
        _ body: [UInt8], to exchange: ExchangeName, routingKey: String, properties: MessageProperties? = nil,
        persistent: Bool = true, mandatory: Bool = false
    ) {
        self.body = body
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        isPersistent = persistent
        isMandatory = mandatory
    }

    /// A text for `exchange`.
    public init(
        _ text: String, to exchange: ExchangeName, routingKey: String, properties: MessageProperties? = nil,
        persistent: Bool = true, mandatory: Bool = false
    ) {
        self.init(
            Array(text.utf8), to: exchange, routingKey: routingKey, properties: properties,
            persistent: persistent, mandatory: mandatory)
    }

    /// A message for `queue`, which must exist.
    public init(
        _ body: [UInt8], to queue: QueueName, properties: MessageProperties? = nil, persistent: Bool = true
    ) {
        self.init(
            body, to: .default, routingKey: queue.rawValue, properties: properties, persistent: persistent,
            mandatory: true)
    }

    /// A text for `queue`, which must exist.
    public init(
        _ text: String, to queue: QueueName, properties: MessageProperties? = nil, persistent: Bool = true
    ) {
        self.init(Array(text.utf8), to: queue, properties: properties, persistent: persistent)
    }

    /// The same message, to be ready in its queues so much later: it is stored and shown as delayed until then.
    ///
    /// ```swift
    /// try await broker.publish(OutgoingMessage("remind me", to: "mails").delayed(by: .seconds(3_600)))
    /// ```
    ///
    /// It sets the header `x-delay`. At most 4,294,967,295 ms, nearly 50 days; more is refused with 406.
    public func delayed(by delay: Duration) -> OutgoingMessage {
        var message = self
        var properties = properties ?? MessageProperties()
        properties.headers[HeaderName.delay] = .int(delay.milliseconds)
        message.properties = properties
        return message
    }

    var request: Request {
        let message = Message(
            exchange: exchange, routingKey: routingKey, shared: properties.map { SharedProperties($0) },
            isPersistent: isPersistent, body: body, hasNewID: hasNewID)
        return .publish(message, mandatory: isMandatory)
    }
}

extension Broker {
    /// Publishes a message and returns once it is safe: committed in every durable queue that it was routed
    /// to, or at once if it need not survive.
    ///
    /// Many tasks that publish at the same time share a commit. While too much waits for the disk, a publish
    /// waits before it enters.
    ///
    /// - Returns: how many queues took it; 0 if none did and it is not mandatory.
    /// - Throws: a `BrokerError` when it is refused: 404 for an unknown exchange, 312 for a mandatory message
    ///   without a queue, 506 while an alarm lasts or a queue is full. `PublishCancelled` when the task is
    ///   cancelled; it says whether the message may be stored all the same.
    @discardableResult
    public func publish(_ message: OutgoingMessage) async throws -> Int {
        try await submit(message.request, on: door).routedCount()
    }

    /// Publishes `body` to `exchange`; see `publish(_:)`.
    @discardableResult
    public func publish(
        _ body: [UInt8], to exchange: ExchangeName, routingKey: String, properties: MessageProperties? = nil,
        persistent: Bool = true, mandatory: Bool = false
    ) async throws -> Int {
        try await publish(
            OutgoingMessage(
                body, to: exchange, routingKey: routingKey, properties: properties, persistent: persistent,
                mandatory: mandatory))
    }

    /// Publishes `text` to `exchange`; see `publish(_:)`.
    @discardableResult
    public func publish(
        _ text: String, to exchange: ExchangeName, routingKey: String, properties: MessageProperties? = nil,
        persistent: Bool = true, mandatory: Bool = false
    ) async throws -> Int {
        try await publish(
            OutgoingMessage(
                text, to: exchange, routingKey: routingKey, properties: properties, persistent: persistent,
                mandatory: mandatory))
    }

    /// Publishes `body` to `queue`, which must exist (312 if not); see `publish(_:)`.
    public func publish(
        _ body: [UInt8], to queue: QueueName, properties: MessageProperties? = nil, persistent: Bool = true
    ) async throws {
        try await publish(OutgoingMessage(body, to: queue, properties: properties, persistent: persistent))
    }

    /// Publishes `text` to `queue`, which must exist (312 if not); see `publish(_:)`.
    ///
    /// ```swift
    /// try await broker.publish("one lamp", to: "orders")
    /// ```
    public func publish(
        _ text: String, to queue: QueueName, properties: MessageProperties? = nil, persistent: Bool = true
    ) async throws {
        try await publish(OutgoingMessage(text, to: queue, properties: properties, persistent: persistent))
    }

    /// Publishes all of `batch` or none of it: in one transaction, with one confirm, in this order. The
    /// fastest way to publish many.
    ///
    /// - Returns: for each message, how many queues took it.
    /// - Throws: as `publish(_:)` does; a message that is refused refuses the batch.
    @discardableResult
    public func publish(batch: [OutgoingMessage]) async throws -> [Int] {
        guard !batch.isEmpty else { return [] }
        let answer = try await submit(.transaction(batch.map(\.request)), on: door)
        guard case .committed(let counts) = answer else { throw BrokerError.unexpected(answer) }
        return counts
    }

    /// Publishes a message and returns as soon as it is on its way, with a handle to await its confirm by.
    ///
    /// ```swift
    /// var handles: [PublishHandle] = []
    /// for order in orders { handles.append(try await broker.publishing(OutgoingMessage(order, to: "orders"))) }
    /// for handle in handles { try await handle.confirmed() }
    /// ```
    ///
    /// Messages published by one task stand in a queue in that order.
    ///
    /// - Throws: `PublishCancelled` when the task is cancelled while it waits for room.
    public func publishing(_ message: OutgoingMessage) async throws -> PublishHandle {
        try await waitForRoom(at: door)
        let handle = PublishHandle(through: door)
        door.submit(message.request, for: handle)
        return handle
    }

    /// Submits what publishes, once there is room, and says what a cancellation means.
    func submit(_ request: Request, on door: Door, waitingForRoom: Bool = true) async throws -> Answer {
        if waitingForRoom { try await waitForRoom(at: door) }
        do {
            return try await door.ask(request)
        } catch is CancellationError {
            throw PublishCancelled(mayBeStored: true)
        }
    }

    private func waitForRoom(at door: Door) async throws {
        do {
            try await door.waitForRoom()
            try Task.checkCancellation()
        } catch is CancellationError {
            throw PublishCancelled(mayBeStored: false)
        }
    }
}
