// `leveret delayed`: what is due when.

import ArgumentParser

struct DelayedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delayed",
        abstract: "Show what waits for its time, soonest first.",
        discussion: """
            Messages that were published with a delay, and those that came back and are to be tried again. To cancel \
            one: leveret msg cancel QUEUE POSITION. To reschedule it: leveret msg edit QUEUE POSITION --delay MS, \
            where 0 makes it ready at once.

            Examples:
              leveret delayed
              leveret delayed mails -n 100
              leveret delayed --where "due < '2026-12-01' AND key LIKE 'order.%'"
              leveret delayed mails -o json --columns position,due,body
            """
    )

    @Argument(help: "The queue; without it, all of them.", completion: .queues)
    var name: String?
    @Option(name: .short, parsing: .unconditional, help: ArgumentHelp("At most so many.", valueName: "n"))
    var number = 20
    @OptionGroup var filter: ConditionOptions
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if !(1...PeekRequest.countMax).contains(number) {
            throw ValidationError("-n is 1 to \(PeekRequest.countMax).")
        }
    }

    func run() throws {
        let standardOutput = Output(Terminal.standardOutput)
        var printer = try MessagePrinter(output, body: nil, columns: Columns.delayed, to: standardOutput)
        let source = try source.open()
        var queues = name.map { [$0] } ?? []
        if name == nil {
            try source.queues(match: nil, fields: ["name", "delayed"]) { row in
                if row["delayed"]?.int ?? 0 > 0, let name = row["name"]?.text { queues.append(name) }
            }
        }
        var soonest: [JSON] = []
        for queue in queues {
            let request = PeekRequest(
                queue: queue, count: number, from: 0, state: .delayed, condition: filter.condition)
            let look = { try source.messages(request) { soonest.append($0.with("queue", .string(queue))) } }
            // Of all queues, one may be gone meanwhile, or another connection's own.
            if name == nil { try source.unlessGone(look) } else { try look() }
            soonest.sort { ($0["due"]?.text ?? "", $0.position) < ($1["due"]?.text ?? "", $1.position) }
            soonest.removeSubrange(min(number, soonest.count)...)
        }
        for message in soonest { printer.print(message) }
        let place = name.map { " in queue '\($0.printable)'" } ?? ""
        let what = filter.condition == nil ? "" : " and meets the condition"
        printer.finish(none: "nothing is delayed\(place)\(what)")
    }
}
