// Which jobs the doubles of unique ones have met. Each look into the file has a price of its own, whatever it looks
// for: so one looks at a time, for all that is wanted by then. Asked by Jobs+Enqueue and Unique.

import Leveret
import Synchronization

/// Finds messages by what their queues know them by.
final class KnownMessages: Sendable {
    /// Who waits for an answer.
    private struct Asker {
        var id: String
        var queue: QueueName
        var answer: CheckedContinuation<KnownMessage?, any Error>
    }

    private struct State {
        /// Those whom nobody looks for yet, by when they came.
        var waiting: [Int: Asker] = [:]
        /// Those whom somebody looks for.
        var asked: [Int: Asker] = [:]
        var askerCount = 0
        var isLooking = false
    }

    /// The messages that a queue knows by some ids.
    typealias Find = @Sendable ([String], QueueName) async throws -> [String: KnownMessage]

    private let find: Find
    /// Guards who waits.
    private let state = Mutex(State())

    init(_ find: @escaping Find) { self.find = find }

    /// The message that `queue` knows by `id`, at some moment since this was asked.
    ///
    /// - Throws: what looking throws; `CancellationError` when the task is cancelled, and others go on waiting.
    func message(knownAs id: String, in queue: QueueName) async throws -> KnownMessage? {
        let number = state.withLock { state in
            state.askerCount += 1
            return state.askerCount
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { answer in
                let isFirst = state.withLock { state in
                    defer { state.isLooking = true }
                    state.waiting[number] = Asker(id: id, queue: queue, answer: answer)
                    return !state.isLooking
                }
                // Not cancelled with this task: others wait for it, too.
                if isFirst { Task { await look() } }
                // Where that was before the asker was there to be taken out.
                if Task.isCancelled { cancel(number) }
            }
        } onCancel: {
            cancel(number)
        }
    }

    private func cancel(_ number: Int) {
        let asker = state.withLock { state in
            state.waiting.removeValue(forKey: number) ?? state.asked.removeValue(forKey: number)
        }
        asker?.answer.resume(throwing: CancellationError())
    }

    /// Looks for what is wanted, until nothing is.
    private func look() async {
        while let wanted = takeWanted() {
            let found: Result<[String: KnownMessage], any Error>
            do {
                found = .success(try await find(wanted.ids, wanted.queue))
            } catch {
                found = .failure(error)
            }
            let asked = state.withLock { state in
                defer { state.asked = [:] }
                return state.asked
            }
            for asker in asked.values { asker.answer.resume(with: found.map { $0[asker.id] }) }
        }
    }

    /// Takes what can be looked for together; `nil` where nothing is wanted, and nobody looks any more.
    private func takeWanted() -> (ids: [String], queue: QueueName)? {
        state.withLock { state in
            guard let queue = state.waiting.min(by: { $0.key < $1.key })?.value.queue else {
                state.isLooking = false
                return nil
            }
            let wanted = state.waiting.filter { $0.value.queue == queue }.sorted { $0.key < $1.key }
            for (number, asker) in wanted.prefix(Self.countMax) {
                state.waiting[number] = nil
                state.asked[number] = asker
            }
            return (state.asked.values.map(\.id), queue)
        }
    }

    /// How many are looked for at once; a query has at most 8 KiB.
    private static let countMax = 200
}
