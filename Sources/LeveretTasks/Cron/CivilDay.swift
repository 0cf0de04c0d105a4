// Days of the calendar: what a cron expression is matched against. The calendar is the Gregorian one at all times.

/// A day, known by its distance from 1970-01-01 and by its name.
struct CivilDay: Hashable, Sendable {
    /// Days since 1970-01-01.
    let number: Int
    let year: Int
    /// 1–12.
    let month: Int
    /// 1–31.
    let day: Int

    /// 0 is Sunday.
    var weekday: Int { (number % 7 + 11) % 7 }

    /// The day so many days after 1970-01-01.
    init(number: Int) {
        // H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
        let shifted = number + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthShifted = (5 * dayOfYear + 2) / 153
        self.number = number
        day = dayOfYear - (153 * monthShifted + 2) / 5 + 1
        month = monthShifted < 10 ? monthShifted + 3 : monthShifted - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// The first day of a month.
    init(firstOf month: Int, _ year: Int) {
        // The same source, days_from_civil.
        let yearShifted = month <= 2 ? year - 1 : year
        let era = (yearShifted >= 0 ? yearShifted : yearShifted - 399) / 400
        let yearOfEra = yearShifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        number = era * 146_097 + dayOfEra - 719_468
        self.year = year
        self.month = month
        day = 1
    }

    /// The day after this one.
    var next: CivilDay { CivilDay(number: number + 1) }

    /// The first day of the month after this day's.
    var nextMonth: CivilDay {
        month == 12 ? CivilDay(firstOf: 1, year + 1) : CivilDay(firstOf: month + 1, year)
    }

    static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    /// How many days a month has at most.
    static func longest(month: Int) -> Int {
        switch month {
        case 2: 29
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
