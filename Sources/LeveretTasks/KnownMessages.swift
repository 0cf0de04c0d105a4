// Which jobs the doubles of unique ones have met. Each look into the file has a price of its own, whatever it looks
// for: so who looks, looks for all that others want by then, and the next of those that come meanwhile looks for the
// rest. Asked by Jobs+Enqueue and Unique.

import Leveret
import Synchronization

/// Finds messages by what their queues know them by.
final class KnownMessages: Sendable {
    private enum Turn {
        case found(KnownMessage?)
        /// To look for itself and for others.
        case look
    }

    private struct Wanted {
        var id: String
        var queue: QueueName
        var asker: CheckedContinuation<Turn, any Error>
    }

    private struct State {
        var wanted: [Wanted] = []
        var isLooking = false
    }

    private let broker: Broker
    /// Guards what is wanted.
    private let state = Mutex(State())

    init(_ broker: Broker) { self.broker = broker }

    /// The message that `queue` knows by `id`, at some moment since this was asked.
    func message(knownAs id: String, in queue: QueueName) async throws -> KnownMessage? {
        let turn: Turn = try await withCheckedThrowingContinuation { asker in
            let isFirst = state.withLock { state in
                defer { state.isLooking = true }
                if state.isLooking { state.wanted.append(Wanted(id: id, queue: queue, asker: asker)) }
                return !state.isLooking
            }
            if isFirst { asker.resume(returning: .look) }
        }
        return switch turn {
        case .found(let message): message
        case .look: try await look(for: id, in: queue)
        }
    }

    private func look(for id: String, in queue: QueueName) async throws -> KnownMessage? {
        defer { passOn() }
        let others = takeWanted(in: queue)
        // Not cancelled with this task: others wait for it, too.
        let looking = Task { [broker] in
            try await broker.messages(knownAs: [id] + others.map(\.id), in: queue)
        }
        do {
            let found = try await looking.value
            for other in others { other.asker.resume(returning: .found(found[other.id])) }
            return found[id]
        } catch {
            for other in others { other.asker.resume(throwing: error) }
            throw error
        }
    }

    /// Takes out what can be looked for together.
    private func takeWanted(in queue: QueueName) -> [Wanted] {
        state.withLock { state in
            var (taken, left): ([Wanted], [Wanted]) = ([], [])
            for one in state.wanted {
                if one.queue == queue, taken.count < Self.countMax {
                    taken.append(one)
                } else {
                    left.append(one)
                }
            }
            state.wanted = left
            return taken
        }
    }

    /// The first that is left looks next.
    private func passOn() {
        let next = state.withLock { state in
            state.isLooking = !state.wanted.isEmpty
            return state.wanted.isEmpty ? nil : state.wanted.removeFirst()
        }
        next?.asker.resume(returning: .look)
    }

    /// How many others are looked for at once; a query has at most 8 KiB.
    private static let countMax = 200
}
