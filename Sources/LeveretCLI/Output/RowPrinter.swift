// Rows to standard output in the form that was asked for: a table, JSON (an object a line) or CSV. A table
// looks at its first rows to find the widths; nothing else is held back.

/// How rows are written.
enum OutputFormat: String, CaseIterable, Sendable {
    case table
    case json
    case csv
}

/// Writes the rows of one listing.
struct RowPrinter {
    /// How many rows of a table settle the widths.
    private static let rowsMeasured = 100

    private let output: Output
    private let format: OutputFormat
    private let columns: [Column]
    /// True where `--columns` chose them, so that JSON gives these only.
    private let isChosen: Bool
    private let colour: Bool
    private let isForTerminal: Bool
    private let width: Int?
    private let now: Int64
    /// What is done to a line of a table at last, such as to mark something in it; it takes no room.
    var decorate: (String) -> String = { $0 }
    private var waiting: [[String]] = []
    private var widths: [Int] = []
    private var rows = 0

    /// A printer of rows with these columns.
    ///
    /// - Parameters:
    ///   - columns: All that the rows may have, in order.
    ///   - chosen: The names that `--columns` gave, or none.
    ///   - colour: The header is bold.
    ///   - isForTerminal: What could steer a terminal is spelled out in CSV, too.
    ///   - width: Lines of a table end here; `nil` is without limit.
    /// - Throws: `Failure` with `.usage` for a name that is no column.
    init(
        _ columns: [Column],
        chosen: [String]? = nil,
        format: OutputFormat,
        to output: Output,
        colour: Bool = false,
        isForTerminal: Bool = false,
        width: Int? = nil,
        now: Int64 = Terminal.now
    ) throws(Failure) {
        self.output = output
        self.format = format
        self.colour = colour
        self.isForTerminal = isForTerminal
        self.width = width
        self.now = now
        isChosen = chosen != nil
        self.columns = try Column.choose(chosen, of: columns, all: format != .table)
    }

    /// Writes a row, an object.
    mutating func print(_ row: JSON) {
        rows += 1
        switch format {
        case .json:
            guard isChosen else { return output.write(row.compact + "\n") }
            let fields = zip(columns, values(of: row)).compactMap { column, value in
                value.map { JSON.Field(name: column.name, value: $0) }
            }
            output.write(JSON.object(fields).compact + "\n")
        case .csv:
            if rows == 1 { output.write(CSV.line(columns.map(\.name))) }
            let fields = values(of: row).map(CSV.field)
            output.write(CSV.line(isForTerminal ? fields.map(\.printable) : fields))
        case .table:
            waiting.append(zip(columns, values(of: row)).map { $0.cell($1, now: now) })
            if rows >= Self.rowsMeasured || !widths.isEmpty { writeWaiting() }
        }
    }

    /// What a row has for each column. Rows mostly have their fields in the order of the columns.
    private func values(of row: JSON) -> [JSON?] {
        guard case .object(let fields) = row else { return columns.map { _ in nil } }
        var next = 0
        return columns.map { column in
            let index =
                fields[next...].firstIndex { $0.name == column.name }
                ?? fields[..<next].firstIndex { $0.name == column.name }
            guard let index else { return nil }
            next = index + 1
            return fields[index].value
        }
    }

    /// Hands over the rows so far; false when nobody reads any more.
    mutating func settle() -> Bool {
        if !waiting.isEmpty { writeWaiting() }
        return output.flush()
    }

    /// Writes what a table still holds; a listing without rows says so in `none`, on a table only.
    mutating func finish(none: String) {
        if format == .csv, rows == 0 { output.write(CSV.line(columns.map(\.name))) }
        if format == .table {
            if rows == 0 { output.write(none + "\n") } else { writeWaiting() }
        }
        output.flush()
    }

    private mutating func writeWaiting() {
        if widths.isEmpty {
            widths = columns.indices.map { index in
                waiting.reduce(columns[index].name.columns) { max($0, $1[index].columns) }
            }
            let header = line(columns.map(\.name))
            output.write((colour ? "\u{1B}[1m\(header)\u{1B}[0m" : header) + "\n")
        }
        for cells in waiting { output.write(decorate(line(cells)) + "\n") }
        waiting.removeAll(keepingCapacity: true)
    }

    private func line(_ cells: [String]) -> String {
        var text = ""
        for (index, cell) in cells.enumerated() {
            let isLast = index == cells.count - 1
            if isLast, !columns[index].isRight {
                text += cell
            } else {
                text += cell.padded(to: widths[index], right: columns[index].isRight) + (isLast ? "" : "  ")
            }
        }
        return width.map { text.clipped(to: $0) } ?? text
    }
}

extension Column {
    /// The columns to show.
    static func choose(_ names: [String]?, of columns: [Column], all: Bool) throws(Failure) -> [Column] {
        guard let names else { return all ? columns : columns.filter(\.isShown) }
        var chosen: [Column] = []
        for name in names {
            guard let column = columns.first(where: { $0.name == name }) else {
                let known = columns.map(\.name).joined(separator: ", ")
                throw Failure(.usage, "there is no column '\(name)'; the columns are \(known)")
            }
            chosen.append(column)
        }
        return chosen
    }
}
