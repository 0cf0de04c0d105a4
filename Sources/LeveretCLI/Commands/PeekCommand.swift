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
              leveret peek jobs.dead -o json --db leveret.db
            """
    )

    @Argument(help: "The queue.")
    var name: String
    @Option(name: .short, help: ArgumentHelp("At most so many.", valueName: "n"))
    var number = 10
    @Option(help: ArgumentHelp("Begin at this position.", valueName: "position"))
    var from = 0
    @Option(
        help:
            "Messages that wait (ready), that consumers hold (unacked), or that wait for their time (delayed)."
    )
    var state: PeekState = .ready
    @Option(help: "Bodies as indented json, as hex, or raw: the bytes and nothing else.")
    var body: BodyFormat?
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if number < 1 { throw ValidationError("-n is 1 or more.") }
        if state == .delayed, number > PeekRequest.countMax {
            throw ValidationError("-n is \(PeekRequest.countMax) at most with --state delayed.")
        }
        if from < 0 { throw ValidationError("--from is a position: 0 or more.") }
    }

    func run() throws {
        let standardOutput = Output(Terminal.standardOutput)
        var printer = try MessagePrinter(output, body: body, columns: Columns.peek, to: standardOutput)
        let source = try source.open()
        var left = number
        var next = from
        while left > 0 {
            let count = min(left, PeekRequest.countMax)
            var seen = 0
            try source.peek(PeekRequest(queue: name, count: count, from: next, state: state)) { row in
                seen += 1
                next = (row["position"]?.int ?? next) + 1
                printer.print(row)
            }
            left -= seen
            // Fewer than asked for: the rest may be too long for one answer.
            // Delayed ones come in order of due times, so that there is no position to go on from.
            if seen == 0 || state == .delayed { break }
        }
        printer.finish(none: "no message of queue '\(name.printable)' is \(state.rawValue)")
    }
}

extension BodyFormat: ExpressibleByArgument {}

extension PeekState: ExpressibleByArgument {}
