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
    @Option(name: .short, help: ArgumentHelp("At most so many.", valueName: "n"))
    var number = 10
    @Option(help: ArgumentHelp("Begin at this position.", valueName: "position"))
    var from = 0
    @Option(help: "Messages that wait (ready), that consumers hold (unacked), that are delayed, or all.")
    var state: PeekState = .ready
    @Option(
        name: .customLong("where"),
        help: ArgumentHelp(
            "Only messages that meet this SQL expression over their fields.", valueName: "expression")
    )
    var condition: String?
    @Option(help: "Bodies as indented json, as text, as hex, or raw: the bytes and nothing else.")
    var body: BodyFormat?
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if number < 1 { throw ValidationError("-n is 1 or more.") }
        if state == .delayed || state == .all, number > PeekRequest.countMax {
            throw ValidationError("-n is \(PeekRequest.countMax) at most with --state \(state.rawValue).")
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
            var bytes = 0
            var last: JSON?
            let request = PeekRequest(
                queue: name, count: count, from: next, state: state, condition: condition
            )
            try source.peek(request) { row in
                seen += 1
                bytes += row["size"]?.int ?? 0
                last = row
                printer.print(row)
            }
            left -= seen
            // Fewer than asked for: the rest may be too long for one answer.
            // Delayed ones come in order of due times, so that there is no position to go on from.
            if seen == 0 || state == .delayed || state == .all { break }
            if condition != nil, bytes < PeekRequest.bytesMax { break }
            if left > 0, let last { next = try source.place(behind: last, from: next) }
        }
        let what = condition == nil ? "" : " and meets the condition"
        printer.finish(
            none: state == .all
                ? "no message of queue '\(name.printable)'" + (condition == nil ? "" : " meets the condition")
                : "no message of queue '\(name.printable)' is \(state.rawValue)\(what)"
        )
    }
}

extension BodyFormat: ExpressibleByArgument {}

extension PeekState: ExpressibleByArgument {}
