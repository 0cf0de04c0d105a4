// How many jobs start in a while: each takes the next free moment (the generic cell rate algorithm, with a burst of
// one).

import Leveret
import Synchronization

/// Spaces the starts of jobs.
final class RateGate: Sendable {
    private let spacingMicroseconds: Int64
    /// Guards the next free moment, in microseconds of the broker's time.
    private let next = Mutex<Int64>(.min)

    /// At most `count` starts in `duration`.
    init(count: Int, per duration: Duration) {
        let all = Int64(clamping: Double(milliseconds: duration) * 1_000)
        spacingMicroseconds = max(all / Int64(max(count, 1)), 1)
    }

    /// How long the job that asks has to wait; the moment is its own.
    func wait(now: Instant) -> Duration {
        let now = now.milliseconds.multipliedReportingOverflow(by: 1_000).partialValue
        return next.withLock { next in
            let start = max(next, now)
            next = start.addingReportingOverflow(spacingMicroseconds).partialValue
            return .microseconds(start - now)
        }
    }
}
