// A consumer as a sequence of messages. Deliveries gather in the door's inbox. An iteration that finds the
// shelf empty moves all that gathered onto it, and from there they go out one by one to whoever asks next: so
// no delivery costs a task switch, and none waits behind a task that is busy.

public import LeveretCore
import Synchronization

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
/// when the queue is deleted. Messages come in the order of the queue, save what is delivered again. Several
/// tasks may iterate over one consumer: each message goes to one of them, and none waits behind a task that
/// is busy with another. An iteration that is left by `break` loses nothing: the next one goes on from there.
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

    private enum Step {
        case message(Delivery)
        case nothing
        case ended(Inbox.Ending)
    }

    private let autoAck: Bool
    private let door: Door
    /// Taken from the inbox and not handed out yet, last first. Its lock is taken before the door's.
    private let shelf = Mutex<[Delivery]>([])

    init(tag: ConsumerTag, of consume: Consume, door: Door) {
        self.tag = tag
        queue = consume.queue
        autoAck = consume.autoAck
        self.door = door
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
        clearShelf()
    }

    /// Hands back what nobody has seen of a consumer that ended; what was acked automatically stays.
    private func clearShelf() {
        guard !autoAck else { return }
        door.handBack(
            shelf.withLock { shelf in
                defer { shelf = [] }
                return shelf.reversed()
            })
    }

    private func nextStep() -> Step {
        if door.isEnding { clearShelf() }
        var isStalled = false
        let step = shelf.withLock { shelf -> Step in
            if let delivery = shelf.popLast() { return .message(delivery) }
            let ending: Inbox.Ending?
            (ending, isStalled) = door.take(onto: &shelf)
            if let delivery = shelf.popLast() { return .message(delivery) }
            return ending.map(Step.ended) ?? .nothing
        }
        if isStalled { door.pump() }
        return step
    }

    /// Starts an iteration, which shares the messages with others over the same consumer.
    public func makeAsyncIterator() -> Iterator { Iterator(over: self) }

    /// Hands out messages in the order of their delivery. Belongs to one task.
    public struct Iterator: AsyncIteratorProtocol {
        private let consumer: Consumer

        fileprivate init(over consumer: Consumer) { self.consumer = consumer }

        /// The next message, once there is one; `nil` when the consumer has ended or the task is cancelled.
        ///
        /// - Throws: a `BrokerError` when the consumer was ended by the broker, as when its queue is deleted.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(BrokerError) -> ConsumedMessage? {
            while !Task.isCancelled {
                switch consumer.nextStep() {
                case .message(let delivery): return ConsumedMessage(delivery, door: consumer.door)
                case .nothing: await consumer.door.waitForDelivery()
                case .ended(.over): return nil
                case .ended(.failed(let error)): throw error
                }
            }
            return nil
        }
    }
}
