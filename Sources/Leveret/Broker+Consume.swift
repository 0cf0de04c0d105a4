// Taking messages from Swift: consumers, and single messages.

public import LeveretCore

extension Broker {
    /// Starts a consumer of `queue`.
    ///
    /// - Parameters:
    ///   - prefetch: how many messages it holds unsettled at most; 0 is without limit.
    ///   - autoAck: messages are done as soon as they are handed over; they may be lost in a crash.
    ///   - exclusive: nobody else may consume the queue meanwhile.
    /// - Throws: a `BrokerError`: 404 for an unknown queue, 403 or 405 when somebody has it to himself.
    public func consume(
        _ queue: QueueName, prefetch: Int = 256, autoAck: Bool = false, exclusive: Bool = false
    ) async throws -> Consumer {
        let request = Consume(queue: queue, prefetch: prefetch, autoAck: autoAck, exclusive: exclusive)
        // Automatic acks make room for more at once: the inbox is what bounds them.
        let door = Door(connection: connection, inboxMax: autoAck ? max(prefetch, 1_024) : 0)
        let answer = try await door.ask(.consume(request))
        guard case .consuming(let tag) = answer else { throw BrokerError.unexpected(answer) }
        return Consumer(tag: tag, of: request, door: door, broker: self)
    }

    /// Takes one message from `queue`, or `nil` when none comes within `wait`.
    ///
    /// - Throws: a `BrokerError`: 404 for an unknown queue. A task cancelled while it waits throws
    ///   `CancellationError`; a message that comes to it all the same goes back when the broker ends.
    public func get(
        _ queue: QueueName, wait: Duration = .zero, autoAck: Bool = false
    ) async throws -> ConsumedMessage? {
        let answer = try await door.ask(.get(queue, autoAck: autoAck, waitMilliseconds: wait.milliseconds))
        switch answer {
        case .delivered(let delivery, _): return ConsumedMessage(delivery, door: door)
        case .empty: return nil
        default: throw BrokerError.unexpected(answer)
        }
    }
}

extension Duration {
    /// Whole milliseconds, rounded up; 0 for what is negative.
    fileprivate var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let part = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        return overflow ? .max : whole.addingReportingOverflow(part).overflow ? .max : whole + part
    }
}
