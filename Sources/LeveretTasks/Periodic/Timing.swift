// When a periodic job is due: by a cron expression in a time zone, or every so often.

import Leveret

/// When something happens again and again.
public struct Timing: Hashable, Sendable, CustomStringConvertible {
    private enum Kind: Hashable, Sendable {
        case cron(CronExpression, TimeZoneRules)
        case every(milliseconds: Int64)
    }

    private let kind: Kind
    /// Ten thousand years.
    private static let intervalMax: Int64 = 315_576_000_000_000

    /// When `expression` says, on the clocks of `zone`; see `CronExpression` about daylight saving.
    ///
    /// ```swift
    /// let timing = try Timing.cron("30 9 * * MON-FRI", in: "Europe/Berlin")
    /// ```
    ///
    /// - Throws: a `CronError` that shows where the text is wrong; a `TimeZoneError` for a zone that this system does
    ///   not know.
    public static func cron(_ expression: String, in zone: String = "UTC") throws -> Timing {
        Timing(kind: .cron(try CronExpression(expression), try TimeZoneRules(named: zone)))
    }

    /// Every so often, a second at least, first when the interval has passed once since the schedule was first seen.
    /// What happened late does not shift what follows.
    public static func every(_ interval: Duration) -> Timing {
        let milliseconds = Int64(clamping: Double(milliseconds: interval).rounded())
        return Timing(kind: .every(milliseconds: min(max(milliseconds, 1_000), intervalMax)))
    }

    /// `30 9 * * MON-FRI in Europe/Berlin`, or `every 90 s`.
    public var description: String {
        switch kind {
        case .cron(let expression, let zone): "\(expression) in \(zone)"
        case .every(let milliseconds):
            milliseconds % 1_000 == 0 ? "every \(milliseconds / 1_000) s" : "every \(milliseconds) ms"
        }
    }

    /// The first tick after `moment`, given one tick `anchor`, or where it begins. `nil` is never. Moments are near
    /// enough to 1970, here and in `ticks`, that nothing overflows.
    func next(after moment: Instant, anchor: Instant) -> Instant? {
        switch kind {
        case .cron(let expression, let zone): return expression.next(after: moment, in: zone)
        case .every(let interval):
            let passed = moment.milliseconds - anchor.milliseconds
            return anchor.advanced(byMilliseconds: (passed.flooredQuotient(by: interval) + 1) * interval)
        }
    }

    /// The latest ticks from the tick `first` through `now`, at most `countMax` of them, in order.
    func ticks(from first: Instant, through now: Instant, countMax: Int) -> [Instant] {
        let before = first.advanced(byMilliseconds: -1)
        // What is far back is not counted through: the look back widens until it shows enough.
        var window: Int64 = 60_000
        while true {
            let start = max(before, now.advanced(byMilliseconds: -window))
            var found: [Instant] = []
            var tick = next(after: start, anchor: first)
            while let next = tick, next <= now {
                found.append(next)
                tick = self.next(after: next, anchor: first)
            }
            if found.count >= countMax || start == before { return found.suffix(countMax) }
            window *= 4
        }
    }
}

extension Instant {
    /// This moment, or the nearest in the years 1 to 9999.
    var reckonable: Instant {
        Instant(milliseconds: min(max(milliseconds, -62_135_596_800_000), 253_402_300_799_999))
    }
}
