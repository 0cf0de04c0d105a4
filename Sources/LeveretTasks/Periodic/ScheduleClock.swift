// The clock on the wall, by which schedules go. The broker's own goes on monotonically from when it was opened; a
// schedule must notice when the wall clock is set, and what a machine has slept.

import Dispatch
public import Leveret

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What time it is for schedules.
public struct ScheduleClock: Sendable {
    /// The time. It may jump, both ways.
    public var now: @Sendable () -> Instant
    /// Returns once the clock shows a moment or a later one, however it got there; throws when the task is cancelled.
    public var sleep: @Sendable (_ until: Instant) async throws -> Void

    /// A clock that tells `now`, and waits by `sleep`.
    public init(
        now: @escaping @Sendable () -> Instant,
        sleep: @escaping @Sendable (_ until: Instant) async throws -> Void
    ) {
        self.now = now
        self.sleep = sleep
    }

    /// The system's wall clock.
    public static let system = ScheduleClock(
        now: {
            Instant(milliseconds: Int64(clamping: (Date().timeIntervalSince1970 * 1_000).rounded(.down)))
        },
        sleep: { try await sleepOnWallClock(until: $0) })

    /// The clock of `broker`: for one whose clock is moved by hand, in a test.
    public static func of(_ broker: Broker) -> ScheduleClock {
        // What is delayed comes when the broker's clock shows its time; nothing else need be waited for.
        ScheduleClock(now: { broker.now }, sleep: { _ in try await sleepUntilCancelled() })
    }

    private static func sleepUntilCancelled() async throws {
        let (ended, continuation) = AsyncStream.makeStream(of: Never.self)
        defer { continuation.finish() }
        for await _ in ended {}
        throw CancellationError()
    }

    /// A timer of the system's that goes by the wall clock: it ends at its time also when the clock is set, or when
    /// the machine wakes up.
    private static func sleepOnWallClock(until moment: Instant) async throws {
        let left = moment.milliseconds.subtractingReportingOverflow(system.now().milliseconds)
        let milliseconds = left.overflow ? sleepMax : min(max(left.partialValue, 0), sleepMax)
        let (ended, continuation) = AsyncStream.makeStream(of: Never.self)
        let timer = DispatchSource.makeTimerSource()
        timer.setEventHandler { continuation.finish() }
        timer.schedule(wallDeadline: .now() + .milliseconds(Int(milliseconds)))
        timer.activate()
        for await _ in ended {}
        timer.cancel()
        try Task.checkCancellation()
    }

    /// A hundred years.
    private static let sleepMax: Int64 = 3_155_760_000_000
}
