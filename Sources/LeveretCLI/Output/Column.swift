// The columns of every kind of row: their stable names, and how a person sees their values. The names are
// those of the server's rows, of `-o json`, and of `--columns`.

/// One column.
struct Column: Equatable, Sendable {
    /// How a table shows a value; JSON and CSV give it as it is.
    enum Style: Sendable {
        case text
        /// A count: to the right, with separators.
        case number
        /// A count of what has been since the server started, where it could be taken for what is there.
        case total
        /// A number that names something, as a position does: to the right, without separators.
        case ordinal
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
        /// Counts by name, as `expired 3, rejected 1`, and sizes, as `body_bytes 128 MiB`.
        case tally
        /// Sentences, as `a; b`.
        case sentences
        /// Words, as `a,b`.
        case words
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

    /// The column, shown only when `--columns` names it.
    var asHidden: Column { .hidden(name, style) }

    /// True where the table lines it up on the right.
    var isRight: Bool {
        switch style {
        case .number, .ordinal, .bytes, .rate: true
        case .text, .total, .age, .duration, .nested, .tally, .sentences, .words, .body: false
        }
    }

    /// The value as a cell of a table.
    func cell(_ value: JSON?, now: Int64) -> String {
        guard let value, value != .null else { return "-" }
        switch style {
        case .text, .ordinal, .body: return plain(value)
        case .number: return value.int.map(Quantity.count) ?? plain(value)
        case .total:
            return value.int.map { $0 == 0 ? "0" : "\(Quantity.count($0)) since the start" } ?? plain(value)
        case .bytes: return value.int.map(Quantity.bytes) ?? plain(value)
        case .age:
            return value.text.flatMap(Time.milliseconds).map { Quantity.age(milliseconds: now - $0) }
                ?? plain(value)
        case .duration: return value.int.map { Quantity.duration(seconds: $0 / 1000) } ?? plain(value)
        case .rate: return value.double.map(Quantity.rate) ?? plain(value)
        case .nested: return value == .object([]) || value == .array([]) ? "-" : plain(value)
        case .tally:
            guard case .object(let fields) = value else { return plain(value) }
            let counts = fields.filter { $0.value != .number("0") }.map { field in
                let bytes = field.name.contains("_bytes") ? field.value.int.map(Quantity.bytes) : nil
                return "\(field.name) \(bytes ?? field.value.compact)"
            }
            return counts.isEmpty ? "-" : counts.joined(separator: ", ").printable
        case .sentences, .words:
            guard case .array(let values) = value, !values.isEmpty else { return "-" }
            return values.map(plain).joined(separator: style == .words ? "," : "; ")
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

extension JSON {
    /// The number, where this is one.
    var double: Double? {
        if case .number(let text) = self { Double(text) } else { nil }
    }
}
