// `leveret verify`: looks a database file through. What is looked for stands in Leveret/Store/Verify.

import ArgumentParser
import Leveret

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check the integrity of the database, also beside a running server.",
        discussion: """
            SQLite's own check of every page and index, and then what a broker relies on: every message has a queue, a \
            place and a body, everything decodes, nothing points to what isn't there. Nothing is changed. Exit status \
            0 says that the database is sound, 1 that it is not; a line says for each fault what to do.

            Examples:
              leveret verify
              leveret verify --db copy.db && echo sound
              leveret verify --db leveret.db -o json
            """
    )

    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var printer = try output.printer(of: Columns.faults)
        let inspector = try DatabaseInspector(path: try source.databasePath())
        defer { inspector.close() }
        let progress = Progress(bytesTotal: nil)
        let name = inspector.path.printable
        let found = try inspector.verify()
        for fault in found.faults { printer.print(fault.row) }
        let counts = "\(counted(found.messages, "message")) in \(counted(found.queues, "queue"))"
        let size = "\(Quantity.bytes(found.bytes)) in \(Quantity.seconds(progress.seconds))"
        printer.finish(none: "'\(name)' is sound: \(counts), \(size)")
        guard !found.faults.isEmpty else { return }
        let kinds = counted(found.faults.count, "kind")
        throw Failure(
            .refused,
            "\(kinds) of fault in '\(name)'; take a copy before you change anything ('leveret backup')")
    }
}

extension DatabaseFault {
    /// As listings show it.
    fileprivate var row: JSON {
        .object([
            JSON.Field(name: "fault", value: .string(kind.rawValue)),
            JSON.Field(name: "count", value: .int(count)),
            JSON.Field(name: "text", value: .string("\(text); \(advice)")),
        ])
    }
}
