// `leveret msg show`: everything about one message. `dead show` is the same for a dead letter.

import ArgumentParser

extension MessageCommand {
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show everything about one message, whatever state it is in.",
            discussion: """
                Where it is, who holds it and since when, when it is due, its headers and properties, how it died, and \
                its body.

                Examples:
                  leveret msg show jobs 17
                  leveret msg show jobs.dead 4 --body hex
                  leveret msg show jobs.dead 4 --body raw >body
                  leveret msg show jobs 17 -o json --columns state,held_by,held_since
                """
        )

        @OptionGroup var message: MessageOptions

        func run() throws { try message.show(message.find()) }
    }
}

/// One message, and how it is shown.
struct MessageOptions: ParsableArguments {
    @OptionGroup var place: PlaceOptions
    @Option(help: "The body as indented json, as text, as hex, or raw: the bytes and nothing else.")
    var body: BodyFormat?
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    /// The message as PEEK shows it.
    func find() throws -> JSON { try Self.find(place.position, of: place.name, in: source.open()) }

    /// The message at a position of a queue, in any state.
    static func find(_ position: Int, of name: String, in source: any Source) throws -> JSON {
        var found: JSON?
        for state in [PeekState.ready, .unacked, .delayed] where found == nil {
            let request = PeekRequest(
                queue: name, count: 1, from: position, state: state, condition: "position = \(position)")
            try source.peek(request) { found = $0 }
        }
        if let found { return found }
        let command = "leveret peek \(name.printable) --state all"
        throw Failure(
            .notFound,
            "no message at position \(position) of queue '\(name.printable)': it may have been taken, or moved to a "
                + "new position; '\(command)' shows what is there"
        )
    }

    /// Prints a message.
    func show(_ message: JSON) throws {
        var printer = try MessagePrinter(
            output, body: body, columns: Columns.message, to: Output(Terminal.standardOutput))
        if output.output == .table, body != .raw {
            let columns = try Column.choose(output.chosen, of: Columns.message, all: true)
            let colour = Terminal.hasColour(Terminal.standardOutput)
            let text = MessageSheet.text(message, columns: columns, body: body, colour: colour)
            Output(Terminal.standardOutput).write(text)
        } else {
            printer.print(message)
            printer.finish(none: "")
        }
    }
}
