// The next time an expression matches. Searching is by fields, not minute by minute: month, day, hour and minute are
// each skipped to what matches, so that a rare expression costs a step a month.

public import Leveret

extension CronExpression {
    /// The last year that is searched.
    private static let yearMax = 9_999
    /// The years 1 to 9999, in seconds since 1970: within them nothing overflows.
    private static let searched: Range<Int64> = -62_135_596_800..<253_402_300_800

    /// The first moment after `moment` at which this happens in `zone`; see the type about daylight saving.
    ///
    /// The same question is always answered the same. `nil` where `moment` or the answer lies
    /// outside of the years 1 to 9999.
    public func next(after moment: Instant, in zone: TimeZoneRules) -> Instant? {
        let seconds = moment.milliseconds.flooredQuotient(by: 1_000)
        guard Self.searched.contains(seconds) else { return nil }
        let next =
            meansWallTimes ? nextOfWallTimes(after: seconds, zone) : nextInRealTime(after: seconds, zone)
        return next.map { Instant(milliseconds: $0 * 1_000) }
    }

    /// Each time on the wall clock once: a skipped one at the end of its gap, a repeated one the first time.
    private func nextOfWallTimes(after seconds: Int64, _ zone: TimeZoneRules) -> Int64? {
        var wall = seconds + Int64(zone.offset(at: seconds))
        // In the second pass of an hour that comes twice, its times lie in the past: at most a few are passed over.
        while let match = nextMatch(from: wall + 1) {
            let moment = zone.firstMoment(showing: match)
            if moment > seconds { return moment }
            wall = match
        }
        return nil
    }

    /// Whenever the wall clock shows a time that matches.
    private func nextInRealTime(after seconds: Int64, _ zone: TimeZoneRules) -> Int64? {
        var start = seconds + 1
        while true {
            let offset = Int64(zone.offset(at: start))
            let end = zone.transition(after: start)
            let match = nextMatch(from: start + offset)
            if let match, end.map({ match - offset < $0 }) ?? true { return match - offset }
            guard let end, match != nil else { return nil }
            start = end
        }
    }

    /// The first full minute from `wall` on that matches; both are seconds since 1970 on the wall clock.
    private func nextMatch(from wall: Int64) -> Int64? {
        let minute = Int((wall + 59).flooredQuotient(by: 60))
        var day = CivilDay(number: minute.flooredQuotient(by: 1_440))
        var inDay = minute - day.number * 1_440
        while day.year <= Self.yearMax {
            if !months.contains(day.month) {
                day = day.nextMonth
            } else if matches(day), let match = nextInDay(from: inDay) {
                return Int64(day.number * 1_440 + match) * 60
            } else {
                day = day.next
            }
            inDay = 0
        }
        return nil
    }

    /// The first minute of a day that matches, from one on.
    private func nextInDay(from minute: Int) -> Int? {
        let hour = minute / 60
        if hours.contains(hour), let match = minutes.next(from: minute % 60) { return hour * 60 + match }
        guard let hour = hours.next(from: hour + 1), let match = minutes.next(from: 0) else { return nil }
        return hour * 60 + match
    }
}

extension BinaryInteger {
    /// The quotient rounded down, also below zero.
    func flooredQuotient(by divisor: Self) -> Self {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
