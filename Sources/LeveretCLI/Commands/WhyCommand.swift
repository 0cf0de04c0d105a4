// `leveret why`.

import ArgumentParser

struct WhyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Say why messages of a queue stand still, fail, or come back.",
        discussion: """
            A sentence for each reason: no consumer, a pause, a prefetch that is used up and by whom, and so on.

            Examples:
              leveret why jobs
              leveret why jobs -o json
            """
    )

    @Argument(help: "The queue.", completion: .queues)
    var name: String
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var printer = try output.printer(of: Columns.why)
        let reasons = try ServerSource(try server.connect()).why(name)
        if output.output == .table, output.columns == nil {
            // A table would end at the terminal's edge, in the middle of a sentence.
            return announce(reasons.compactMap { $0["text"]?.text?.printable }.joined(separator: "\n"))
        }
        for reason in reasons { printer.print(reason) }
        printer.finish(none: "")
    }
}
