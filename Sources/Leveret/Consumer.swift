// A consumer as a sequence of messages. Deliveries gather in the door's inbox; the iterator takes all that
// gathered at once and hands them out one by one without a lock, so that no delivery costs a task switch.

public import LeveretCore

/// A consumer of a queue: an asynchronous sequence of its messages.
///
/// ```swift
/// let consumer = try await broker.consume("orders", prefetch: 32)
/// for try await order in consumer {
///     do {
///         try await handle(order.body)
///         try await order.ack()
///     } catch {
///         try await order.reject(error: "\(error)")
///     }
/// }
/// ```
///
/// The sequence ends when the task is cancelled, after `cancel()`, and when the broker shuts down; it throws
/// when the queue is deleted. Several tasks may iterate over one consumer: each message goes to one of them.
/// A consumer ends when it is let go of.
public final class Consumer: AsyncSequence, Sendable {
    /// A message, to be settled once.
    public typealias Element = ConsumedMessage
    /// Why a sequence ended that nobody ended.
    public typealias Failure = BrokerError

    /// Its name, unique in this broker's listings together with its session.
    public let tag: ConsumerTag
    /// Its queue.
    public let queue: QueueName

    private let autoAck: Bool
    private let door: Door
    /// Keeps the broker open while somebody consumes.
    private let broker: Broker

    init(tag: ConsumerTag, of consume: Consume, door: Door, broker: Broker) {
        self.tag = tag
        queue = consume.queue
        autoAck = consume.autoAck
        self.door = door
        self.broker = broker
    }

    deinit { end() }

    /// Ends the consumer: its sequence ends, and what no iteration has seen goes back to the queue. Messages
    /// that were handed out can still be settled. Cancelling twice does nothing more.
    public func cancel() async throws {
        defer { end() }
        do {
            _ = try await door.ask(.cancel(tag, requeue: false))
        } catch let error as BrokerError where error.code == .notFound || error == .ended {
            // It had ended before: just what was asked for.
        }
    }

    /// Cancels first: what is handed back must not be delivered here again.
    private func end() {
        door.send(.cancel(tag, requeue: false))
        door.endInbox()
    }

    /// Starts an iteration, which shares the messages with others over the same consumer.
    public func makeAsyncIterator() -> Iterator { Iterator(over: self) }

    /// Hands out messages in the order of their delivery. Belongs to one task.
    public final class Iterator: AsyncIteratorProtocol {
        private let consumer: Consumer
        private let door: Door
        private let keepsChunkAtEnd: Bool
        private var chunk: [Delivery] = []  // last first

        fileprivate init(over consumer: Consumer) {
            self.consumer = consumer
            door = consumer.door
            keepsChunkAtEnd = consumer.autoAck
        }

        deinit { giveChunkBack() }

        /// The next message, once there is one; `nil` when the consumer has ended or the task is cancelled.
        ///
        /// - Throws: a `BrokerError` when the consumer was ended by the broker, as when its queue is deleted.
        public func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(BrokerError) -> ConsumedMessage? {
            while !Task.isCancelled {
                if door.isEnding, !keepsChunkAtEnd { giveChunkBack() }
                if let delivery = chunk.popLast() { return ConsumedMessage(delivery, door: door) }
                switch door.refill(&chunk) {
                case .over: return nil
                case .failed(let error): throw error
                case nil: if chunk.isEmpty { await door.waitForDelivery() }
                }
            }
            return nil
        }

        private func giveChunkBack() {
            guard !chunk.isEmpty else { return }
            door.putBack(chunk)
            chunk = []
        }
    }
}
