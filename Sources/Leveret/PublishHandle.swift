// A publish that is under way: what `publishing` returns, for those who publish on and look later.

import LeveretCore
import Synchronization

/// A publish whose confirm can be awaited later, by any number of tasks, or never.
public final class PublishHandle: Sendable {
    private struct Open {
        /// Held until the answer comes: it is the door that the answer comes through.
        let door: Door
        var waiting: [UInt64: CheckedContinuation<Answer, any Error>] = [:]
        var count: UInt64 = 0
    }

    private enum State {
        case open(Open)
        case answered(Answer)
    }

    private let state: Mutex<State>  // guards who waits, or what came

    init(through door: Door) { state = Mutex(.open(Open(door: door))) }

    /// Returns once the message is safe: committed in every durable queue that it was routed to. At once, and
    /// with the same result, if it is known already.
    ///
    /// - Returns: how many queues took it.
    /// - Throws: a `BrokerError` when it was refused; `PublishCancelled` when the task is cancelled while it
    ///   waits, which changes nothing about the message.
    @discardableResult
    public func confirmed() async throws -> Int {
        let number = state.withLock { state -> UInt64 in
            guard case .open(var open) = state else { return 0 }
            open.count += 1
            state = .open(open)
            return open.count
        }
        let answer = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let due: Result<Answer, any Error>? = state.withLock { state in
                    switch state {
                    case .answered(let answer): return .success(answer)
                    case .open where Task.isCancelled: return .failure(PublishCancelled(mayBeStored: true))
                    case .open(var open):
                        open.waiting[number] = continuation
                        state = .open(open)
                        return nil
                    }
                }
                if let due { continuation.resume(with: due) }
            }
        } onCancel: {
            cancel(number)?.resume(throwing: PublishCancelled(mayBeStored: true))
        }
        return try answer.routedCount()
    }

    private func cancel(_ number: UInt64) -> CheckedContinuation<Answer, any Error>? {
        state.withLock { state in
            guard case .open(var open) = state else { return nil }
            defer { state = .open(open) }
            return open.waiting.removeValue(forKey: number)
        }
    }

    func resolve(_ answer: Answer) {
        // The door is let go of outside the lock: with it may go the broker.
        let open = state.withLock { state -> Open? in
            guard case .open(let open) = state else { return nil }
            state = .answered(answer)
            return open
        }
        for continuation in open?.waiting.values.map({ $0 }) ?? [] { continuation.resume(returning: answer) }
    }
}

/// The task was cancelled while it published.
public struct PublishCancelled: Error, Hashable, CustomStringConvertible {
    /// Whether the message may be stored and delivered all the same: true once it was on its way, false when
    /// it had not been handed in yet.
    public let mayBeStored: Bool

    /// Says which of the two it is.
    public var description: String {
        mayBeStored
            ? "the publish was cancelled while it waited for its confirm; the message may be stored and delivered"
            : "the publish was cancelled before it began; the message is not stored"
    }
}

extension Answer {
    /// How many queues took a message.
    func routedCount() throws(BrokerError) -> Int {
        switch self {
        case .routed(let count): return count
        case .refused(let error): throw error
        case .unroutable(let message):
            throw BrokerError(
                .noRoute,
                "no queue is bound to exchange '\(message.exchange)' for routing key '\(message.routingKey)'; "
                    + "bind one, or publish without mandatory")
        default: throw .unexpected(self)
        }
    }
}

extension BrokerError {
    /// The core answered a request with what belongs to another.
    static func unexpected(_ answer: Answer) -> BrokerError {
        BrokerError(.internalError, "the broker answered with \(answer), which is no answer to this request")
    }
}
