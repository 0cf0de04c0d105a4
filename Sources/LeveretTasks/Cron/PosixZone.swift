// The rule that holds after the last transition that a tz file lists, as POSIX writes it in the variable TZ:
// `CET-1CEST,M3.5.0,M10.5.0/3`. Used by TimeZoneRules for all years to come.

/// Standard time, and perhaps daylight saving between two days of each year.
struct PosixZone: Hashable, Sendable {
    /// Seconds east of UTC in standard time.
    let offset: Int
    private let saving: Saving?

    private struct Saving: Hashable, Sendable {
        let offset: Int
        let start: Change
        let end: Change
    }

    /// A day of the year, and the time on the wall clock at which the offset changes.
    private struct Change: Hashable, Sendable {
        enum Day: Hashable, Sendable {
            /// Day 1–365, the 29th of February never counted.
            case julian(Int)
            /// Day 0–365, the 29th of February counted.
            case ofYear(Int)
            /// The week-th weekday of a month; the fifth is the last.
            case weekday(month: Int, week: Int, weekday: Int)
        }

        let day: Day
        let seconds: Int

        /// Seconds since 1970 on the wall clock in `year`.
        func wall(in year: Int) -> Int64 { Int64(dayNumber(in: year) * 86_400 + seconds) }

        private func dayNumber(in year: Int) -> Int {
            switch day {
            case .julian(let day):
                let afterFebruary = day >= 60 && CivilDay.isLeap(year) ? 1 : 0
                return CivilDay(firstOf: 1, year).number + day - 1 + afterFebruary
            case .ofYear(let day):
                return CivilDay(firstOf: 1, year).number + day
            case .weekday(let month, let week, let weekday):
                let first = CivilDay(firstOf: month, year)
                let number = first.number + (weekday - first.weekday + 7) % 7 + (week - 1) * 7
                return number < first.nextMonth.number ? number : number - 7
            }
        }
    }

    /// Standard time for ever.
    init(offset: Int) {
        self.offset = offset
        saving = nil
    }

    /// Reads POSIX's notation; `nil` for what is not in it.
    init?(_ text: some Sequence<UInt8>) {
        var parser = Parser(bytes: Array(text))
        guard parser.skipName(), let west = parser.time() else { return nil }
        offset = -west
        if parser.isAtEnd {
            saving = nil
            return
        }
        guard parser.skipName() else { return nil }
        var savingOffset = offset + 3_600
        if !parser.skip(",") {
            guard let west = parser.time(), parser.skip(",") else { return nil }
            savingOffset = -west
        }
        guard let start = parser.change(), parser.skip(","), let end = parser.change(), parser.isAtEnd else {
            return nil
        }
        saving = Saving(offset: savingOffset, start: start, end: end)
    }

    /// The offset at a moment, `nil` where nothing has changed since `last`, whose offset holds.
    func offset(at moment: Int64, after last: TimeZoneRules.Transition?) -> Int? {
        guard saving != nil else { return last == nil ? offset : nil }
        let latest = transitions(around: moment).last { $0.moment <= moment }
        guard let latest, latest.moment > last?.moment ?? .min else { return nil }
        return latest.offset
    }

    /// The next change after a moment.
    func transition(after moment: Int64) -> TimeZoneRules.Transition? {
        transitions(around: moment).first { $0.moment > moment }
    }

    /// The changes of the year of `moment`, the year before and the year after, in order.
    private func transitions(around moment: Int64) -> [TimeZoneRules.Transition] {
        guard let saving else { return [] }
        let year = CivilDay(number: Int(moment.flooredQuotient(by: 86_400))).year
        return (year - 1...year + 1).flatMap { year in
            [
                TimeZoneRules.Transition(
                    moment: saving.start.wall(in: year) - Int64(offset), offset: saving.offset),
                TimeZoneRules.Transition(
                    moment: saving.end.wall(in: year) - Int64(saving.offset), offset: offset),
            ]
        }.sorted { $0.moment < $1.moment }
    }

    private struct Parser {
        let bytes: [UInt8]
        var place = 0

        var isAtEnd: Bool { place == bytes.count }

        private var peek: UInt8? { isAtEnd ? nil : bytes[place] }

        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard peek == UInt8(ascii: character) else { return false }
            place += 1
            return true
        }

        /// `CET` or `<+0330>`.
        mutating func skipName() -> Bool {
            let start = place
            if skip("<") {
                while let byte = peek, byte != UInt8(ascii: ">") { place += 1 }
                return skip(">")
            }
            while let byte = peek, UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte & 0xDF { place += 1 }
            return place - start >= 3
        }

        /// At most three digits.
        mutating func number() -> Int? {
            var number: Int?
            while let byte = peek, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte, (number ?? 0) < 100 {
                number = (number ?? 0) * 10 + Int(byte - UInt8(ascii: "0"))
                place += 1
            }
            return number
        }

        /// `3`, `-5:30` or `+2:30:15`, in seconds.
        mutating func time() -> Int? {
            let isNegative = skip("-")
            if !isNegative { _ = skip("+") }
            guard let hours = number(), hours <= 167 else { return nil }
            var seconds = hours * 3_600
            for unit in [60, 1] where skip(":") {
                guard let part = number(), part < 60 else { return nil }
                seconds += part * unit
            }
            return isNegative ? -seconds : seconds
        }

        /// `M3.5.0/2`, `J60` or `59`; without a time, two o'clock.
        mutating func change() -> Change? {
            guard let day = day() else { return nil }
            guard skip("/") else { return Change(day: day, seconds: 7_200) }
            return time().map { Change(day: day, seconds: $0) }
        }

        private mutating func day() -> Change.Day? {
            if skip("M") {
                guard let month = number(), skip("."), let week = number(), skip("."), let weekday = number(),
                    1...12 ~= month, 1...5 ~= week, 0...6 ~= weekday
                else { return nil }
                return .weekday(month: month, week: week, weekday: weekday)
            }
            if skip("J") { return number().flatMap { 1...365 ~= $0 ? .julian($0) : nil } }
            return number().flatMap { 0...365 ~= $0 ? .ofYear($0) : nil }
        }
    }
}
