// `leveret sql`: a read-only query over the database of a running server, or over a file.

import ArgumentParser

struct SQLCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sql",
        abstract: "Ask the database: one SELECT, read-only.",
        discussion: """
            The tables and views are those of docs/database.md. A query runs for two seconds at most and answers with \
            10,000 rows at most.

            Examples:
              leveret sql "SELECT * FROM queue_depth"
              leveret sql "SELECT routing_key, count(*) FROM message GROUP BY routing_key"
              leveret sql "SELECT * FROM dead_letters" -o json --db leveret.db
            """
    )

    @Argument(help: "The query.")
    var query: String
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var printer: RowPrinter?
        try source.open().query(query) { row in
            if printer == nil { printer = try output.printer(of: Self.columns(of: row)) }
            printer?.print(row)
        }
        if printer == nil, output.output == .table { announce("no rows") }
        printer?.finish(none: "")
    }

    /// Columns as the first row has them.
    private static func columns(of row: JSON) -> [Column] {
        guard case .object(let fields) = row else { return [] }
        return fields.map { .shown($0.name) }
    }
}
