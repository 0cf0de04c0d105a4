// The broker's only source of time. The core never reads a clock: the broker asks this one inside its lock
// and hands the answer on with every input.

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Tells the broker what time it is.
public struct BrokerClock: Sendable {
    /// The time. Never goes back; called under the broker's lock, so it must be quick and must not call the
    /// broker.
    public var now: @Sendable () -> Instant
    /// How many milliseconds the broker sleeps at most before it looks at the clock again. `nil`, the
    /// default, is for a clock that moves as fast as real time.
    public var pollMilliseconds: Int?

    /// A clock that asks `now`; one that is moved by hand (in a test) needs `pollMilliseconds`.
    public init(pollMilliseconds: Int? = nil, now: @escaping @Sendable () -> Instant) {
        self.now = now
        self.pollMilliseconds = pollMilliseconds
    }

    /// The wall clock as it stands now, going on monotonically from here: later jumps of the wall clock do
    /// not show.
    public static func system() -> BrokerClock {
        anchored(
            wall: { milliseconds(of: CLOCK_REALTIME) }, monotonic: { milliseconds(of: CLOCK_MONOTONIC) })
    }

    /// A clock that reads `wall` once, and goes on by `monotonic`; both in milliseconds.
    static func anchored(
        wall: () -> Int64, monotonic: @escaping @Sendable () -> Int64
    ) -> BrokerClock {
        let offset = wall() - monotonic()
        return BrokerClock { Instant(milliseconds: monotonic() + offset) }
    }

    private static func milliseconds(of clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
