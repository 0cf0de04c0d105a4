// The columns of every kind of row: their stable names, and how a person sees their values. The names are
// those of the server's rows, of `-o json`, and of `--columns`.

/// One column.
struct Column: Equatable, Sendable {
    /// How a table shows a value; JSON and CSV give it as it is.
    enum Style: Sendable {
        case text
        /// A count: to the right, with separators.
        case number
        /// Bytes, as `1.5 MiB`.
        case bytes
        /// A time in ISO 8601, as `12s ago`.
        case age
        /// Milliseconds, as `3h 5m`.
        case duration
        /// Per second.
        case rate
        /// Whatever nests, as one line of JSON.
        case nested
        /// Counts by name, as `expired 3, rejected 1`.
        case tally
        /// Sentences, as `a; b`.
        case sentences
        /// A message's body.
        case body
    }

    /// Its stable name.
    var name: String
    var style: Style
    /// False where a table leaves it out unless it is asked for.
    var isShown: Bool

    /// A column that tables show.
    static func shown(_ name: String, _ style: Style = .text) -> Column {
        Column(name: name, style: style, isShown: true)
    }

    /// A column that tables show only when `--columns` names it.
    static func hidden(_ name: String, _ style: Style = .text) -> Column {
        Column(name: name, style: style, isShown: false)
    }

    /// True where the table lines it up on the right.
    var isRight: Bool {
        switch style {
        case .number, .bytes, .rate: true
        case .text, .age, .duration, .nested, .tally, .sentences, .body: false
        }
    }

    /// The value as a cell of a table.
    func cell(_ value: JSON?, now: Int64) -> String {
        guard let value, value != .null else { return "-" }
        switch style {
        case .text, .body: return plain(value)
        case .number: return value.int.map(Quantity.count) ?? plain(value)
        case .bytes: return value.int.map(Quantity.bytes) ?? plain(value)
        case .age:
            return value.text.flatMap(Time.milliseconds).map { Quantity.age(milliseconds: now - $0) }
                ?? plain(value)
        case .duration: return value.int.map { Quantity.duration(seconds: $0 / 1000) } ?? plain(value)
        case .rate: return value.double.map(Quantity.rate) ?? plain(value)
        case .nested: return value == .object([]) || value == .array([]) ? "-" : plain(value)
        case .tally:
            guard case .object(let fields) = value else { return plain(value) }
            let counts = fields.filter { $0.value != .number("0") }.map { "\($0.name) \($0.value.compact)" }
            return counts.isEmpty ? "-" : counts.joined(separator: ", ").printable
        case .sentences:
            guard case .array(let values) = value, !values.isEmpty else { return "-" }
            return values.map(plain).joined(separator: "; ")
        }
    }

    /// The value as CSV and a plain cell write it.
    func plain(_ value: JSON?) -> String {
        switch value {
        case nil, .null: ""
        case .string(let text): text.isEmpty ? "\"\"" : text.printable
        case .bool(let bool): bool ? "yes" : "no"
        case .number, .array, .object: (value ?? .null).compact.printable
        }
    }
}

/// Numbers as a person reads them.
enum Quantity {
    /// `1,234,567`.
    static func count(_ number: Int) -> String {
        let digits = Array(String(number.magnitude))
        var text = number < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }

    /// `512 B`, `1.5 KiB`, `20 MiB`.
    static func bytes(_ number: Int) -> String {
        var value = Double(number)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 { return (unit == "B" ? String(number) : decimal(value)) + " " + unit }
            value /= 1024
        }
        return decimal(value) + " TiB"
    }

    /// `0`, `0.4`, `1,250`; `-` for what no rate can be.
    static func rate(_ number: Double) -> String {
        guard (0..<1e15).contains(number) else { return "-" }
        return number < 10 ? decimal(number) : count(Int(number.rounded()))
    }

    /// `now`, `12s ago`, `3h 5m ago`, `in 20s`.
    static func age(milliseconds: Int64) -> String {
        if milliseconds.magnitude < 1000 { return "now" }
        let text = duration(seconds: Int(milliseconds.magnitude / 1000))
        return milliseconds < 0 ? "in \(text)" : "\(text) ago"
    }

    /// The two largest units: `12s`, `3h 5m`, `2d 1h`.
    static func duration(seconds: Int) -> String {
        let parts = [
            (seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ]
        guard let first = parts.firstIndex(where: { $0.0 > 0 }) else { return "0s" }
        return parts[first...].prefix(2).filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined(separator: " ")
    }

    /// One digit behind the point, where that isn't 0 and the number is below 10.
    private static func decimal(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return value >= 10 || tenths % 10 == 0 ? count(Int(value.rounded())) : "\(tenths / 10).\(tenths % 10)"
    }
}

/// Times as rows give them.
enum Time {
    /// Milliseconds since 1970 of `2026-01-31T09:05:00.250Z`; `nil` for anything else.
    static func milliseconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 24, bytes[10] == UInt8(ascii: "T"), bytes[23] == UInt8(ascii: "Z") else {
            return nil
        }
        func number(_ range: Range<Int>) -> Int64? { Int64(String(decoding: bytes[range], as: UTF8.self)) }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            let millisecond = number(20..<23)
        else { return nil }
        // Days from a civil date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let shiftedYear = month <= 2 ? year - 1 : year
        let yearOfEra = shiftedYear % 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = shiftedYear / 400 * 146_097 + dayOfEra - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millisecond
    }
}

extension JSON {
    /// The number, where this is one.
    var double: Double? {
        if case .number(let text) = self { Double(text) } else { nil }
    }
}
