// Taking messages from Swift: consumers, and single messages.

public import LeveretCore

extension Broker {
    /// Starts a consumer of `queue`.
    ///
    /// - Parameters:
    ///   - queue: where its messages come from.
    ///   - prefetch: how many messages it holds unsettled at most (AMQP 0-9-1 §1.7.2.1, per consumer); 0 is
    ///     without limit. With automatic acks it bounds nothing: what is not asked for waits in the queue.
    ///   - autoAck: messages are done as soon as they are handed over; they may be lost in a crash.
    ///   - exclusive: nobody else may consume the queue meanwhile.
    ///   - priority: consumers of a higher one get messages first, for as long as they take any.
    ///   - timeout: how long it may hold a message unsettled: then the message goes back, counted as failed, and
    ///     the consumer ends (`ConsumedMessage.touch` gives more time); `nil` is as long as the queue's
    ///     `x-consumer-timeout` says, else for ever.
    ///   - countsFirst: each delivery is written down before it is made, so that a crash counts it as failed for
    ///     certain, however soon it comes; a delivery then waits for the disk.
    /// - Throws: a `BrokerError`: 404 for an unknown queue, 403 or 405 when it is somebody else's alone, 406
    ///   for a negative prefetch or timeout, 320 once the broker shuts down.
    public func consume(
        _ queue: QueueName, prefetch: Int = 256, autoAck: Bool = false, exclusive: Bool = false,
        priority: Int32 = 0, timeout: Duration? = nil, countsFirst: Bool = false
    ) async throws -> Consumer {
        let request = Consume(
            queue: queue, prefetch: prefetch, autoAck: autoAck, exclusive: exclusive, priority: priority,
            timeoutMilliseconds: timeout?.milliseconds, countsFirst: countsFirst)
        // Automatic acks make room for more at once: the inbox is what bounds them.
        let door = try await Door(
            connection: connection, in: virtualHost, inboxMax: autoAck ? max(prefetch, 1_024) : 0)
        let answer = try await door.ask(.consume(request))
        guard case .consuming(let tag) = answer else { throw BrokerError.unexpected(answer) }
        return Consumer(tag: tag, of: request, door: door)
    }

    /// Takes one message from `queue`, or `nil` when none comes within `wait`, or before a shutdown.
    ///
    /// - Parameters:
    ///   - queue: where it waits.
    ///   - wait: for how long to wait for a message, in whole milliseconds; by default not at all.
    ///   - autoAck: the message is done at once; it may be lost in a crash.
    /// - Throws: a `BrokerError`: 404 for an unknown queue, 405 for somebody else's exclusive one, 506 when too
    ///   much is held unsettled, 320 once the broker shuts down. A task that is cancelled while it waits throws
    ///   `CancellationError` and takes no message.
    public func get(
        _ queue: QueueName, wait: Duration = .zero, autoAck: Bool = false
    ) async throws -> ConsumedMessage? {
        // Never acked by the core: a message that meets a cancelled wait can then be handed back.
        let answer = try await door.ask(.get(queue, autoAck: false, waitMilliseconds: wait.milliseconds))
        switch answer {
        case .delivered(var delivery, _):
            if autoAck {
                door.send(.settle(Settlement(.ack, delivery.tag)))
                delivery.source = DeliverySource(queue: queue, consumer: nil, autoAck: true)
            }
            return ConsumedMessage(delivery, door: door)
        case .empty: return nil
        default: throw BrokerError.unexpected(answer)
        }
    }
}

extension Duration {
    /// Whole milliseconds, rounded up; 0 for what is negative.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let part = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        return overflow ? .max : whole.addingReportingOverflow(part).overflow ? .max : whole + part
    }
}
