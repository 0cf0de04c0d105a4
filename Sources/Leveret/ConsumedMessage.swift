// A message in the hands of a Swift consumer, and the ways to settle it.

public import LeveretCore

/// A message that a consumer or a `get` took, to be settled exactly once.
///
/// `ack`, `nack` and `reject` return once what they did is on disk: an ack that has returned never comes
/// back. A message that is let go of without being settled goes back to its queue when its consumer and all
/// its other messages are let go of, or when the broker ends.
public struct ConsumedMessage: Sendable {
    /// The delivery as the broker made it: message, counters, death history.
    public internal(set) var delivery: Delivery
    let door: Door

    init(_ delivery: Delivery, door: Door) {
        self.delivery = delivery
        self.door = door
    }

    /// The bytes that were published.
    public var body: [UInt8] { delivery.message.body }
    /// The body as text; `nil` when it is not UTF-8.
    public var text: String? { String(validating: body, as: UTF8.self) }
    /// Where it was published to.
    public var exchange: ExchangeName { delivery.message.exchange }
    /// What it was published with.
    public var routingKey: String { delivery.message.routingKey }
    /// Properties and headers; `nil` when it has none.
    public var properties: MessageProperties? { delivery.message.properties }
    /// The queue that it comes from.
    public var queue: QueueName { delivery.source.queue }
    /// Its position: grows over the whole broker, and stays the same when it is delivered again.
    public var number: MessageNumber { delivery.number }
    /// True from the second delivery on.
    public var isRedelivered: Bool { delivery.isRedelivered }

    /// Says that the message is done: it is removed for good. Returns once the removal is on disk.
    ///
    /// - Throws: a `BrokerError` (406) when it was settled before, or was acked automatically. A cancelled
    ///   task throws `CancellationError`, and the ack may have been carried out.
    public func ack() async throws { try await settle(.ack) }

    /// Says that the message is done, without waiting: the removal rides with the next commit. After a crash
    /// before that the message may be delivered again. Settling it twice has no effect.
    public func ackWithoutWaiting() {
        guard !delivery.source.autoAck else { return }
        door.send(.settle(Settlement(.ack, delivery.tag)))
    }

    /// Gives the message back, free of charge: it goes to its old place and is delivered again, maybe to
    /// somebody else. Throws as `ack` does.
    ///
    /// - Parameter delay: how long it waits before that; `nil` is what the queue's `x-delayed-retry-…` say, and
    ///   without those not at all.
    public func nack(delay: Duration? = nil) async throws { try await settle(.requeue, delay: delay) }

    /// Refuses the message.
    ///
    /// - Parameters:
    ///   - requeue: whether it goes back to its place, counted as failed (past the queue's delivery limit it
    ///     is dead-lettered). If not, it goes to the queue's dead-letter exchange, or is dropped when there
    ///     is none.
    ///   - delay: with `requeue`, how long it waits before it is tried again, as for `nack`.
    ///   - error: why, in the consumer's words; kept with a dead letter, at most 1,024 bytes.
    /// - Throws: as `ack` does.
    public func reject(requeue: Bool = false, delay: Duration? = nil, error: String? = nil) async throws {
        try await settle(requeue ? .fail : .deadLetter, error: error, delay: delay)
    }

    /// Gives the message more time to be settled: `duration` from now, or as much as it had at first. Without a
    /// timeout of the consumer or its queue there is nothing to extend, and nothing happens.
    ///
    /// - Throws: a `BrokerError` (406) when it was settled before, or went back because its time was over.
    public func touch(for duration: Duration? = nil) async throws {
        let answer = try await door.ask(.touch(delivery.tag, forMilliseconds: duration?.milliseconds))
        guard case .done = answer else { throw BrokerError.unexpected(answer) }
    }

    /// Gives the message other headers while it is held: they stay with it, wherever it goes from here, and count up
    /// its version. Returns once that is on disk. It is for its holder what `Broker.edit` is for messages that wait.
    ///
    /// - Parameter headers: they replace those of the same name.
    /// - Throws: a `BrokerError` (406) when it was settled before, or was acked automatically.
    public mutating func amend(headers: FieldTable) async throws {
        let amendment = try amendment(headers)
        let answer = try await door.ask(.amend(amendment))
        guard case .done = answer else { throw BrokerError.unexpected(answer) }
        delivery.message = amendment.amended
    }

    /// The change of headers, if there is a message to change.
    func amendment(_ headers: FieldTable) throws(BrokerError) -> Amendment {
        Amendment(try settlement(.ack).tag, delivery.message, headers: headers)
    }

    private func settle(
        _ outcome: Settlement.Outcome, error: String? = nil, delay: Duration? = nil
    ) async throws {
        var settlement = try settlement(outcome, error: error)
        settlement.delayMilliseconds = delay.map(\.milliseconds)
        let answer = try await door.ask(.settle(settlement))
        guard case .done = answer else { throw BrokerError.unexpected(answer) }
    }

    /// The settlement, if there is one to make.
    func settlement(
        _ outcome: Settlement.Outcome, error: String? = nil
    ) throws(BrokerError) -> Settlement {
        guard !delivery.source.autoAck else {
            throw BrokerError(
                .preconditionFailed,
                "message \(number.rawValue) of queue '\(queue)' was acked automatically; consume without autoAck"
            )
        }
        return Settlement(outcome, delivery.tag, errorText: error)
    }
}
