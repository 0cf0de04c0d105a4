// A cron expression as five sets of numbers. Parsing is in CronParser, the search for the next match in
// CronExpression+Next; time zones are TimeZoneRules' business.

/// When something is to happen, as crontab(5) writes it: minute, hour, day of the month, month, day of the week.
///
/// ```swift
/// let expression = try CronExpression("30 9 * * MON-FRI")
/// let berlin = try TimeZoneRules(named: "Europe/Berlin")
/// let next = expression.next(after: now, in: berlin)
/// ```
///
/// A field is `*`, a number, a range `1-5`, a step `*/15`, `10-40/10` or `5/15` (from 5 on), or a list of these. Months
/// have names (`JAN`), days of the week too (`MON`; 0 and 7 are both Sunday), in any case of letters. `@yearly`
/// (`@annually`), `@monthly`, `@weekly`, `@daily` (`@midnight`) and `@hourly` stand for the usual five.
///
/// Where both days are restricted, one of them is enough, as in Vixie's cron: `0 0 13 * FRI` is every 13th and every
/// Friday. A field that begins with `*`, also `*/2`, does not restrict in this sense: then both must match.
///
/// Daylight saving is kept as Debian's cron does. An expression with a fixed hour and minute (neither field begins with
/// `*`) happens once for each of its times on the wall clock: one that is skipped in spring happens when the gap
/// ends, and one that comes twice in autumn happens the first time. Any other follows real time: every
/// quarter of an hour stays every quarter of an hour.
public struct CronExpression: Hashable, Sendable, CustomStringConvertible {
    /// The text as it was given.
    public let description: String
    let minutes: CronField
    let hours: CronField
    let days: CronField
    let months: CronField
    let weekdays: CronField

    /// Reads an expression.
    ///
    /// - Throws: a `CronError` that says what is wrong and where, also for what can never happen (`0 0 31 2 *`).
    public init(_ text: String) throws(CronError) {
        var parser = CronParser(text)
        let fields = try parser.fields()
        description = text
        minutes = fields[0]
        hours = fields[1]
        days = fields[2]
        months = fields[3]
        weekdays = fields[4]
    }

    /// One of both days is enough, see above.
    private var anyDay: Bool { !days.beginsWithStar && !weekdays.beginsWithStar }

    /// Times of the wall clock are meant, each to happen once.
    var meansWallTimes: Bool { !minutes.beginsWithStar && !hours.beginsWithStar }

    func matches(_ day: CivilDay) -> Bool {
        let day = (ofMonth: days.contains(day.day), ofWeek: weekdays.contains(day.weekday))
        return anyDay ? day.ofMonth || day.ofWeek : day.ofMonth && day.ofWeek
    }
}

/// The numbers that a field of an expression stands for.
struct CronField: Hashable, Sendable {
    /// Bit n is set where n matches.
    private var bits: UInt64 = 0
    /// Was written `*` or `*/n`.
    let beginsWithStar: Bool

    init(beginsWithStar: Bool) { self.beginsWithStar = beginsWithStar }

    mutating func insert(_ number: Int) { bits |= 1 << UInt64(number) }

    func contains(_ number: Int) -> Bool { bits >> UInt64(number) & 1 == 1 }

    /// The least number from `number` (0–63) on.
    func next(from number: Int) -> Int? {
        let rest = bits >> UInt64(number)
        return rest == 0 ? nil : number + rest.trailingZeroBitCount
    }
}
