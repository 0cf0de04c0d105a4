// `leveret bindings`: which exchange hands what to which queue, as a table, a tree or a picture.

import ArgumentParser

struct BindingsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bindings",
        abstract: "List what is bound to what, as a table, a tree or a picture.",
        discussion: """
            Examples:
              leveret bindings
              leveret bindings --queue delays
              leveret bindings --exchange flights --tree
              leveret bindings --dot | dot -Tsvg >topology.svg
            """
    )

    @Option(
        help: ArgumentHelp("Only what comes from this exchange, over others too.", valueName: "exchange"),
        completion: .exchanges)
    var exchange: String?
    @Option(
        help: ArgumentHelp("Only what leads to this queue, over exchanges too.", valueName: "queue"),
        completion: .queues)
    var queue: String?
    @Flag(help: "As a tree, exchanges first.")
    var tree = false
    @Flag(help: "As a picture for Graphviz.")
    var dot = false

    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if tree, dot { throw ValidationError("Say --tree or --dot, not both.") }
        if tree || dot, output.output != .table || output.columns != nil {
            throw ValidationError("--tree and --dot are forms of their own: leave out -o and --columns.")
        }
    }

    func run() throws {
        let source = try source.open()
        var printer = try output.printer(of: Columns.allBindings)
        var bindings: [BindingRow] = []
        try source.bindings { if let binding = BindingRow($0) { bindings.append(binding) } }
        let chosen = BindingRow.choose(bindings, from: exchange, to: queue)
        if chosen.isEmpty {
            if let exchange { _ = try source.exchange(exchange) }
            if let queue { _ = try source.queue(queue) }
        }
        if dot { return announce(BindingPicture.dot(chosen)) }
        if tree {
            let lines = BindingTree.lines(chosen)
            return announce(lines.isEmpty ? Self.none : lines.joined(separator: "\n"))
        }
        for binding in chosen { printer.print(binding.row) }
        printer.finish(none: Self.none)
    }

    private static let none =
        "nothing is bound; every queue gets what is published to \"\" with its name as the key"
}
