// How many jobs of one key run at a time. A job that must wait goes back to its queue, delayed, and is woken from there
// when one of its key has ended: so it takes no place from jobs of other keys meanwhile.

import DequeModule
import Leveret
import Synchronization

/// Counts the jobs that run, by key.
final class KeyGate: Sendable {
    private struct Key {
        var running = 0
        /// Those that went back, in the order in which they did.
        var waiting: Deque<MessageNumber> = []
    }

    private let most: Int
    /// Guards the counts.
    private let keys = Mutex<[String: Key]>([:])

    /// Lets `most` jobs of a key run at a time.
    init(most: Int) { self.most = max(most, 1) }

    /// True where a job of this key may run now; `left` must follow.
    func enters(_ key: String) -> Bool {
        keys.withLock { keys in
            guard keys[key, default: Key()].running < most else { return false }
            keys[key, default: Key()].running += 1
            return true
        }
    }

    /// A job of this key has ended. Returns the one to wake.
    func left(_ key: String) -> MessageNumber? {
        keys.withLock { keys in
            guard var entry = keys[key] else { return nil }
            entry.running -= 1
            defer { keys[key] = entry.running == 0 && entry.waiting.isEmpty ? nil : entry }
            return entry.waiting.popFirst()
        }
    }

    /// A job of this key is back in its queue, delayed. Returns it where it is to be woken at once.
    func wentBack(_ key: String, _ number: MessageNumber) -> MessageNumber? {
        keys.withLock { keys in
            guard keys[key, default: Key()].running >= most else { return number }
            // Beyond the bound a job comes back by itself.
            if keys[key, default: Key()].waiting.count < Self.waitingMax {
                keys[key, default: Key()].waiting.append(number)
            }
            return nil
        }
    }

    /// How many jobs of a key are remembered to be woken.
    static let waitingMax = 10_000
    /// After how long a job comes back that nobody has woken.
    static let waitMax = Duration.seconds(60)
}
