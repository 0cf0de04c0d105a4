// A clock that somebody moves by hand, as a broker takes it.

import Leveret
import Synchronization

/// Stands still until it is moved.
final class HandClock: Sendable {
    private let start: Int64
    private let now: Atomic<Int64>

    /// A clock that shows this hour of 22 July 2013.
    init(hour: Int64) {
        start = 1_374_451_200_000 + hour * 3_600_000
        now = Atomic(start)
    }

    /// The clock as a broker takes it.
    var brokerClock: BrokerClock {
        BrokerClock(pollMilliseconds: 1) { [self] in Instant(milliseconds: now.load(ordering: .relaxed)) }
    }

    /// Minutes since the start.
    var minutes: Int64 { (now.load(ordering: .relaxed) - start) / 60_000 }
    /// What it shows, as `18:05`.
    var time: String { Self.time(of: Instant(milliseconds: now.load(ordering: .relaxed))) }

    /// The time of a moment, as `18:05`.
    static func time(of moment: Instant) -> String { String(moment.iso8601.dropFirst(11).prefix(5)) }

    /// Moves it on to a moment.
    func advance(to moment: Instant) { now.store(moment.milliseconds, ordering: .relaxed) }
}
