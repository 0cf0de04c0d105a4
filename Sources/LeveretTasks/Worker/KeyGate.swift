// How many jobs of one key run at a time. A job that must wait goes back to its queue, delayed, and is woken from there
// when one of its key has ended: so it takes no place from jobs of other keys meanwhile.

import DequeModule
import Leveret
import Synchronization

/// Counts the jobs that run, by key.
final class KeyGate: Sendable {
    /// A job that is to be woken.
    struct Waiting: Equatable {
        let key: String
        let number: MessageNumber
    }

    private struct Key {
        var running = 0
        /// Those that went back, in the order in which they did; some have come again since.
        var order: Deque<MessageNumber> = []
        /// Those of them that have not.
        var waiting: Set<MessageNumber> = []

        /// The next to wake, taken out.
        mutating func next() -> MessageNumber? {
            while let number = order.popFirst() { if waiting.remove(number) != nil { return number } }
            return nil
        }
    }

    private let most: Int
    /// Guards the counts.
    private let keys = Mutex<[String: Key]>([:])

    /// Lets `most` jobs of a key run at a time.
    init(most: Int) { self.most = max(most, 1) }

    /// True where a job of this key may run now; `left` must follow.
    func enters(_ key: String, _ number: MessageNumber) -> Bool {
        change(key) { entry in
            guard entry.running < most else { return false }
            entry.running += 1
            entry.waiting.remove(number)
            return true
        }
    }

    /// A job of this key has ended. Returns the one to wake.
    func left(_ key: String) -> Waiting? {
        change(key) { entry in
            entry.running -= 1
            return entry.next().map { Waiting(key: key, number: $0) }
        }
    }

    /// One that was to be woken has gone. Returns the one to wake in its place.
    func missed(_ gone: Waiting) -> Waiting? {
        change(gone.key) { entry in entry.next().map { Waiting(key: gone.key, number: $0) } }
    }

    /// A job of this key is back in its queue, delayed. Returns it where it is to be woken at once.
    func wentBack(_ key: String, _ number: MessageNumber) -> Waiting? {
        change(key) { entry in
            guard entry.running >= most else { return Waiting(key: key, number: number) }
            // Beyond the bound a job comes back by itself; what has come back so keeps its place.
            if entry.order.count < Self.waitingMax, entry.waiting.insert(number).inserted {
                entry.order.append(number)
            }
            return nil
        }
    }

    /// Changes what is known of a key, and forgets one of which no job runs or waits.
    private func change<Result>(_ key: String, _ body: (inout Key) -> Result) -> Result {
        keys.withLock { keys in
            var entry = keys.removeValue(forKey: key) ?? Key()
            let result = body(&entry)
            if entry.running > 0 || !entry.waiting.isEmpty { keys[key] = entry }
            return result
        }
    }

    /// How many jobs of a key are remembered to be woken.
    static let waitingMax = 10_000
    /// After how long a job comes back that nobody has woken.
    static let waitMax = Duration.seconds(60)
}
