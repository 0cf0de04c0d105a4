// What an expression may say, and what is said about one that is wrong. The instants themselves are CronTableTests'.

import Leveret
import Testing

@testable import LeveretTasks

@Suite struct CronExpressionTests {
    private struct Mistake: Sendable, CustomTestStringConvertible {
        let text: String
        let position: Int
        let words: String

        init(_ text: String, _ position: Int, _ words: String) {
            self.text = text
            self.position = position
            self.words = words
        }

        var testDescription: String { "'\(text)'" }
    }

    private static let mistakes = [
        Mistake("61 * * * *", 0, "minute 61 is not one of 0–59"),
        Mistake("* 25 * * *", 2, "hour 25 is not one of 0–23"),
        Mistake("* * 0 * *", 4, "day of the month 0 is not one of 1–31"),
        Mistake("0 0 * 13 *", 6, "month 13"),
        Mistake("0 0 * * 8", 8, "day of the week 8 is not one of 0–7"),
        Mistake("0,a * * * *", 2, "'a' is no minute"),
        Mistake("* * * JANUARY *", 6, "'JANUARY' is no month; allowed is 1–12 or a name such as FEB"),
        Mistake("* * * *", 7, "the field for the day of the week is missing"),
        Mistake("", 0, "the field for the minute is missing"),
        Mistake("   ", 3, "the field for the minute is missing"),
        Mistake("* * * * * *", 10, "a sixth field"),
        Mistake("*/0 * * * *", 2, "a step is a whole number from 1 on"),
        Mistake("*/-5 * * * *", 2, "a step"),
        Mistake("*/ * * * *", 2, "a step"),
        Mistake("5-3 * * * *", 0, "5-3 runs backwards; write two ranges with a comma"),
        Mistake("0 0 * * FRI-MON", 8, "FRI-MON runs backwards"),
        Mistake("1,,2 * * * *", 2, "a minute is missing here"),
        Mistake("1, * * * *", 2, "a minute is missing here"),
        Mistake("*-5 * * * *", 1, "'-' can't stand here"),
        Mistake("1-5-7 * * * *", 3, "'-' can't stand here"),
        Mistake("0 0 ? * *", 4, "a day of the month is missing here"),
        Mistake("0 0 L * *", 4, "'L' is no day of the month"),
        Mistake("0 0 * * 5L", 9, "'L' can't stand here"),
        Mistake("٣ * * * *", 0, "a minute is missing"),
        Mistake("99999999999999999999999 * * * *", 0, "is not one of 0–59"),
        Mistake("@reboot", 0, "'@reboot' is not one of @yearly"),
        Mistake("  @daily 5", 2, "'@daily 5' is not one of"),
        Mistake("0 0 31 2 *", 4, "never happens: no month that is asked for has a day 31"),
        Mistake("0 0 30 FEB */2", 4, "never happens"),
        Mistake("0 0 31 4,6,9,11 *", 4, "never happens"),
        Mistake(String(repeating: "1,", count: 501), 1_000, "at most 1,000 characters"),
    ]

    @Test(arguments: mistakes)
    private func `a mistake is named with its place`(mistake: Mistake) {
        let error = #expect(throws: CronError.self) { try CronExpression(mistake.text) }
        #expect(error?.position == mistake.position)
        #expect(error?.reason.contains(mistake.words) == true, "\(error?.reason ?? "")")
    }

    @Test func `an error shows the text with a caret below the mistake`() {
        let error = #expect(throws: CronError.self) { try CronExpression("0 25 * * *") }
        #expect(error?.description == "cron expression '0 25 * * *', character 3: hour 25 is not one of 0–23")
        #expect(error?.marked == "0 25 * * *\n  ^")
    }

    /// Two ways to write the same.
    private static let pairs = [
        ("@hourly", "0 * * * *"), ("@DAILY", "0 0 * * *"), ("@midnight", "0 0 * * *"),
        (" @weekly ", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"), ("@annually", "0 0 1 JAN *"),
        ("0 0 * * 7", "0 0 * * 0"), ("0 0 * * 5-7", "0 0 * * sun,fri,Sat"),
        ("0 0 * * FRI-SUN", "0 0 * * 0,5,6"),
        ("5/20 1 * * *", "5,25,45 1 * * *"), ("0-59/30 1 * * *", "0,30 1 * * *"),
        ("0\t9  1 * *", "0 9 1 * *"),
        ("0 0 * * 0-7/7", "0 0 * * 0"), ("0 0 1 1-12/3 *", "0 0 1 1,4,7,10 *"),
    ]

    @Test(arguments: pairs)
    func `what is written in two ways happens at the same times`(one: String, other: String) throws {
        let (one, other) = (try CronExpression(one), try CronExpression(other))
        var moment = Instant(milliseconds: 1_700_000_000_000)
        for _ in 0..<20 {
            let next = try #require(one.next(after: moment, in: .utc))
            #expect(next == other.next(after: moment, in: .utc))
            moment = next
        }
    }

    private func times(_ text: String, _ zone: String, after start: Int64, count: Int) throws -> [String] {
        let expression = try CronExpression(text)
        let zone = try TimeZoneRules(named: zone)
        var moment = Instant(milliseconds: start)
        return try (0..<count).map { _ in
            moment = try #require(expression.next(after: moment, in: zone))
            return moment.iso8601
        }
    }

    /// 2026-03-29T00:30Z: half an hour before Berlin goes from 2:00 to 3:00.
    private static let spring: Int64 = 1_774_744_200_000
    /// 2026-10-24T23:50Z: ten minutes before two o'clock, an hour before Berlin goes from 3:00 back to 2:00.
    private static let autumn: Int64 = 1_792_885_800_000

    @Test func `a time that spring skips happens when the gap ends, once`() throws {
        #expect(
            try times("0,30 2 * * *", "Europe/Berlin", after: Self.spring, count: 2)
                == ["2026-03-29T01:00:00.000Z", "2026-03-30T00:00:00.000Z"])
    }

    @Test func `a time that autumn repeats happens the first time only`() throws {
        #expect(
            try times("30 2 * * *", "Europe/Berlin", after: Self.autumn, count: 2)
                == ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"])
    }

    @Test func `what repeats within the hour follows real time, in spring and in autumn`() throws {
        #expect(
            try times("*/20 2 * * *", "Europe/Berlin", after: Self.spring, count: 1)
                == ["2026-03-30T00:00:00.000Z"])
        #expect(
            try times("*/30 2 * * *", "Europe/Berlin", after: Self.autumn, count: 5) == [
                "2026-10-25T00:00:00.000Z", "2026-10-25T00:30:00.000Z", "2026-10-25T01:00:00.000Z",
                "2026-10-25T01:30:00.000Z", "2026-10-26T01:00:00.000Z",
            ])
    }

    @Test func `the rarest of days are found over centuries, and the search ends`() throws {
        // Only leap days that are Sundays or, by the step, Saturdays: up to 40 years apart.
        let expression = try CronExpression("0 0 29 2 */6")
        var moment = Instant(milliseconds: 0)
        var count = 0
        while let next = expression.next(after: moment, in: .utc) {
            moment = next
            count += 1
        }
        #expect(moment.iso8601.hasPrefix("99"))
        #expect((500...600).contains(count))
    }

    @Test(arguments: [Int64.min, -62_135_596_800_001, 253_402_300_800_000, .max])
    func `beyond the years that are searched nothing happens`(milliseconds: Int64) throws {
        let expression = try CronExpression("@hourly")
        #expect(expression.next(after: Instant(milliseconds: milliseconds), in: .utc) == nil)
    }

    @Test func `before 1970 the full minute is found, too`() throws {
        #expect(
            try times("* * * * *", "UTC", after: -90_001, count: 2) == [
                "1969-12-31T23:59:00.000Z", "1970-01-01T00:00:00.000Z",
            ])
    }
}
