// `leveret peek`: messages where they are.

import ArgumentParser

struct PeekCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peek",
        abstract: "Show messages of a queue without taking them.",
        discussion: """
            Examples:
              leveret peek jobs
              leveret peek jobs -n 100 --from 5000 --columns position,key,body
              leveret peek jobs --body json
              leveret peek jobs --state unacked --columns position,held_by,held_since
              leveret peek mails --state delayed --columns position,due,key
              leveret peek jobs --where "key LIKE 'order.%' AND json ->> 'total' > 100"
              leveret peek jobs.dead -o json --db leveret.db
            """
    )

    @Argument(help: "The queue.", completion: .queues)
    var name: String
    @Option(name: .short, parsing: .unconditional, help: ArgumentHelp("At most so many.", valueName: "n"))
    var number = 10
    @Option(parsing: .unconditional, help: ArgumentHelp("Begin at this position.", valueName: "position"))
    var from = 0
    @Option(help: "Messages that wait (ready), that consumers hold (unacked), that are delayed, or all.")
    var state: PeekState = .ready
    @OptionGroup var filter: ConditionOptions
    @Option(help: "Bodies as indented json, as text, as hex, or raw: the bytes and nothing else.")
    var body: BodyFormat?
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    /// What a row may have; of what is delayed a table shows until when.
    private var columns: [Column] {
        state == .delayed
            ? Columns.peek.map { $0.name == "due" ? .shown("due", $0.style) : $0 } : Columns.peek
    }

    func validate() throws {
        if number < 1 { throw ValidationError("-n is 1 or more.") }
        if from < 0 { throw ValidationError("--from is a position: 0 or more.") }
    }

    func run() throws {
        let standardOutput = Output(Terminal.standardOutput)
        var printer = try MessagePrinter(output, body: body, columns: columns, to: standardOutput)
        let source = try source.open()
        let request = PeekRequest(
            queue: name, count: number, from: from, state: state, condition: filter.condition)
        try source.messages(request) { printer.print($0) }
        let what = filter.condition == nil ? "" : " and meets the condition"
        printer.finish(
            none: state == .all
                ? "no message of queue '\(name.printable)'"
                    + (filter.condition == nil ? "" : " meets the condition")
                : "no message of queue '\(name.printable)' is \(state.rawValue)\(what)"
        )
    }
}

extension BodyFormat: ExpressibleByArgument {}

extension PeekState: ExpressibleByArgument {}
