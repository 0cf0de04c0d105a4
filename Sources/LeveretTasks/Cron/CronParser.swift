// Reads the text of a cron expression. Positions are counted in characters, so that a caret can be set below them.

struct CronParser {
    /// What a field of the five may hold.
    private struct Kind {
        let name: String
        let range: ClosedRange<Int>
        var names: [String] = []
        /// What the first of `names` stands for.
        var firstNamed = 0
    }

    private static let kinds = [
        Kind(name: "minute", range: 0...59),
        Kind(name: "hour", range: 0...23),
        Kind(name: "day of the month", range: 1...31),
        Kind(
            name: "month", range: 1...12,
            names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
            firstNamed: 1),
        Kind(
            name: "day of the week", range: 0...7, names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]),
    ]

    private static let macros = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]

    /// The longest text that is read.
    private static let charactersMax = 1_000

    private let text: String
    private var characters: [Character]
    private var place = 0

    init(_ text: String) {
        self.text = text
        characters = Array(text)
    }

    /// The five fields, in the order in which they are written.
    mutating func fields() throws(CronError) -> [CronField] {
        guard characters.count <= Self.charactersMax else {
            throw mistake(at: Self.charactersMax, "too long; an expression has at most 1,000 characters")
        }
        skipSpace()
        if peek == "@" { try expandMacro() }
        var fields: [CronField] = []
        var starts: [Int] = []
        for kind in Self.kinds {
            skipSpace()
            guard place < characters.count else {
                throw mistake(
                    at: place,
                    "the field for the \(kind.name) is missing; there are five: minute, hour, day of the month, "
                        + "month, day of the week")
            }
            starts.append(place)
            fields.append(try field(kind))
        }
        skipSpace()
        guard place == characters.count else {
            throw mistake(at: place, "a sixth field; there are five, and the first is the minute")
        }
        try checkDays(fields[2], months: fields[3], weekdays: fields[4], at: starts[2])
        return fields
    }

    private mutating func expandMacro() throws(CronError) {
        let start = place
        let word = String(characters[start...]).lowercased().trimmingSpace
        guard let expansion = Self.macros[word] else {
            throw mistake(
                at: start,
                "'\(word)' is not one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly")
        }
        characters = Array(expansion)
        place = 0
    }

    private mutating func field(_ kind: Kind) throws(CronError) -> CronField {
        var field = CronField(beginsWithStar: peek == "*")
        try term(kind, into: &field)
        while peek == "," {
            place += 1
            try term(kind, into: &field)
        }
        guard atEndOfField else {
            throw mistake(
                at: place,
                "'\(characters[place])' can't stand here; a \(kind.name) is made of numbers and of * , - /")
        }
        return field
    }

    /// `*`, a number or a range, with or without a step.
    private mutating func term(_ kind: Kind, into field: inout CronField) throws(CronError) {
        let start = place
        // 7 is Sunday, as 0 is: `*` must not meet it twice.
        let isWeek = kind.range.upperBound == 7
        var range = isWeek ? 0...6 : kind.range
        var isSingle = false
        if peek == "*" {
            place += 1
        } else {
            let first = try number(kind, isEnd: false)
            isSingle = peek != "-"
            if isSingle {
                range = first...first
            } else {
                place += 1
                let last = try number(kind, isEnd: true)
                guard first <= last else {
                    let range = String(characters[start..<place])
                    throw mistake(at: start, "\(range) runs backwards; write two ranges with a comma")
                }
                range = first...last
            }
        }
        var step = 1
        if peek == "/" {
            place += 1
            step = try self.step()
            if isSingle { range = range.lowerBound...kind.range.upperBound }
        }
        for number in stride(from: range.lowerBound, through: range.upperBound, by: step) {
            field.insert(isWeek ? number % 7 : number)
        }
    }

    private mutating func step() throws(CronError) -> Int {
        let start = place
        guard let step = digits(), step > 0 else {
            throw mistake(at: start, "a step is a whole number from 1 on")
        }
        return step
    }

    /// A number or a name. At the end of a range SUN is 7.
    private mutating func number(_ kind: Kind, isEnd: Bool) throws(CronError) -> Int {
        let start = place
        if let number = digits() {
            guard kind.range.contains(number) else {
                throw mistake(
                    at: start,
                    "\(kind.name) \(String(characters[start..<place])) is not one of "
                        + "\(kind.range.lowerBound)–\(kind.range.upperBound)")
            }
            return number
        }
        while let character = peek, character.isLetter { place += 1 }
        let word = String(characters[start..<place]).uppercased()
        if let index = kind.names.firstIndex(of: word) {
            return isEnd && word == "SUN" ? 7 : index + kind.firstNamed
        }
        if word.isEmpty {
            throw mistake(at: start, "a \(kind.name) is missing here")
        }
        let names = kind.names.isEmpty ? "" : " or a name such as \(kind.names[1])"
        throw mistake(
            at: start,
            "'\(String(characters[start..<place]))' is no \(kind.name); allowed is "
                + "\(kind.range.lowerBound)–\(kind.range.upperBound)\(names)")
    }

    /// The number of the digits here, `nil` without any; what is too large is only known to be large.
    private mutating func digits() -> Int? {
        let start = place
        var number = 0
        while let digit = peek?.wholeNumberValue, peek?.isASCII == true {
            number = min(number * 10 + digit, 1_000_000)
            place += 1
        }
        return place > start ? number : nil
    }

    /// Refuses days that no month of `months` has, where nothing else can match.
    private func checkDays(
        _ days: CronField, months: CronField, weekdays: CronField, at position: Int
    ) throws(CronError) {
        guard days.beginsWithStar || weekdays.beginsWithStar else { return }
        let longest = (1...12).filter(months.contains).map { CivilDay.longest(month: $0) }.max() ?? 31
        guard let first = days.next(from: 1), first > longest else { return }
        throw mistake(at: position, "never happens: no month that is asked for has a day \(first)")
    }

    private var peek: Character? { place < characters.count ? characters[place] : nil }

    private var atEndOfField: Bool { peek.map(\.isWhitespace) ?? true }

    private mutating func skipSpace() {
        while place < characters.count, characters[place].isWhitespace { place += 1 }
    }

    private func mistake(at position: Int, _ reason: String) -> CronError {
        CronError(text: text, position: position, reason: reason)
    }
}

extension String {
    /// Without white space at its end.
    fileprivate var trimmingSpace: String {
        var rest = self[...]
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
