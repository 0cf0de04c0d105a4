// `leveret status`: the broker as a whole.

import ArgumentParser

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the server: version, memory, disk, alarms, totals and rates.",
        discussion: """
            Examples:
              leveret status
              leveret status -o json --columns ready,unacked
              leveret status --db leveret.db
            """
    )

    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        _ = try Column.choose(output.chosen, of: Columns.status, all: true)
        try output.printFacts(try source.open().status(), of: Columns.status)
    }
}
