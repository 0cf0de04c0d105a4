// A clock that somebody moves by hand, as a broker takes it.

import Leveret
import Synchronization

/// Stands still until it is moved.
final class HandClock: Sendable {
    private let milliseconds: Atomic<Int64>

    /// A clock that shows noon UTC of Friday, 27 March 2026.
    init() { milliseconds = Atomic(1_774_612_800_000) }

    /// What it shows.
    var now: Instant { Instant(milliseconds: milliseconds.load(ordering: .relaxed)) }

    /// Moves it on to a moment.
    func advance(to moment: Instant) { milliseconds.store(moment.milliseconds, ordering: .relaxed) }

    /// Moves it on.
    func advance(hours: Int64) { milliseconds.add(hours * 3_600_000, ordering: .relaxed) }
}
