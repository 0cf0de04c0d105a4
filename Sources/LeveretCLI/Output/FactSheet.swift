// One thing for a person, a fact a line: what `status` and `queue show` print without `-o`. Listings are RowPrinter's.
// It writes nothing itself.

/// One thing with its facts below each other, as `status` and `queue show` give it to a person.
enum FactSheet {
    /// `name: value` lines, the values lined up; facts that aren't there are left out.
    static func text(
        _ row: JSON,
        columns: [Column],
        colour: Bool = false,
        now: Int64 = Terminal.now
    ) -> String {
        let facts = columns.filter { row[$0.name] != nil && row[$0.name] != .null }
        let width = facts.reduce(0) { max($0, $1.name.columns) }
        var text = ""
        for column in facts {
            let name = column.name.padded(to: width, right: false)
            text +=
                (colour ? "\u{1B}[1m\(name)\u{1B}[0m" : name) + "  " + column.cell(row[column.name], now: now)
                + "\n"
        }
        return text
    }
}

extension JSON {
    /// A row whose times are given to the millisecond, beside how long ago they are.
    func withMoments(of columns: [Column], now: Int64) -> JSON {
        var row = self
        for column in columns where column.style == .age {
            guard let text = row[column.name]?.text else { continue }
            row = row.with(column.name, .string("\(text) (\(column.cell(.string(text), now: now)))"))
        }
        return row
    }
}
