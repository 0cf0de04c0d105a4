// `leveret grep`: search the messages of a queue where they are.

import ArgumentParser

struct GrepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grep",
        abstract: "Search the messages of a queue for a text.",
        discussion: """
            Looks into bodies, headers, properties, keys and error texts, whatever state a message is in, and takes \
            nothing. PATTERN is plain text. Bodies of more than 1 MiB are not searched. It ends with status 1 when \
            nothing is found.

            Examples:
              leveret grep jobs cat.png
              leveret grep jobs.dead -i timeout --where "entered > '2026-11-26'"
              leveret grep orders tenant-7 --headers -n 1
              leveret grep orders 4711 -o json --columns position,body
              leveret grep orders 4711 --db leveret.db
            """
    )

    @Argument(help: "The queue.", completion: .queues)
    var name: String
    @Argument(help: "The text, taken literally.")
    var pattern: String
    @Flag(name: .shortAndLong, help: "Take A to Z for a to z.")
    var ignoreCase = false
    @Flag(help: "Look into headers and properties only.")
    var headers = false
    @Option(help: "Messages that wait (ready), that consumers hold (unacked), that are delayed, or all.")
    var state: PeekState = .all
    @Option(
        name: .short, parsing: .unconditional,
        help: ArgumentHelp("End after so many messages.", valueName: "n"))
    var number: Int?
    @OptionGroup var filter: ConditionOptions
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let number, number < 1 { throw ValidationError("-n is 1 or more.") }
        if !(1...TextPattern.bytesMax).contains(pattern.utf8.count) {
            throw ValidationError("PATTERN has 1 to \(TextPattern.bytesMax) bytes.")
        }
    }

    func run() throws {
        let pattern = TextPattern(pattern, ignoringCase: ignoreCase)
        let fields: [TextPattern.Field] = headers ? [.headers, .properties] : TextPattern.Field.allCases
        var printer = try output.printer(of: Columns.grep)
        if Terminal.hasColour(Terminal.standardOutput) { printer.decorate = pattern.marked }
        let source = try source.open()
        var found = 0
        let began = ContinuousClock.now
        search: for state in state.parts {
            var pages = try MessagePages(
                of: name, state: state, where: filter.condition, and: pattern.condition(in: fields),
                in: source)
            while let messages = try pages.next() {
                for message in messages {
                    let place = pattern.find(in: message, fields)
                    printer.print(
                        message.with("field", place.map { .string($0.field.rawValue) } ?? .null)
                            .with("match", place.map { .string($0.excerpt) } ?? .null))
                    found += 1
                    if found == number { break search }
                }
                // A long search shows what it has; a short one lines up all of it.
                if began.duration(to: .now) >= .seconds(1), !printer.settle() { return }
            }
        }
        if found == 0 {
            let what = filter.condition == nil ? "" : " among the messages that meet the condition"
            throw Failure(
                .refused, "'\(self.pattern.printable)' stands nowhere in queue '\(name.printable)'\(what)")
        }
        printer.finish(none: "")
    }
}
