// `leveret route`: where a message would go.

import ArgumentParser

struct RouteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route",
        abstract: "Show which queues a message would reach, and through which bindings.",
        discussion: """
            Nothing is published.

            Examples:
              leveret route flights delayed.UA.EWR.IAH
              leveret route orders "" -H country=DE
              leveret route flights cancelled.AA.JFK.LAX --db leveret.db
            """
    )

    @Argument(help: "The exchange; \"\" is the default exchange.", completion: .exchanges)
    var exchange: String
    @Argument(help: "The routing key.")
    var key: String
    @OptionGroup var headers: HeaderOptions
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var printer = try output.printer(of: Columns.routes)
        try source.open().route(exchange: exchange, key: key, headers: headers.headers) { printer.print($0) }
        printer.finish(none: "it would reach no queue")
    }
}
