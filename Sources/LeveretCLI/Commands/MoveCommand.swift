// `leveret move`: messages from one queue to another, or through an exchange.

import ArgumentParser

struct MoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Move ready messages to another queue, or publish them again through an exchange.",
        discussion: """
            Order is kept, and no message is lost or doubled if the server stops meanwhile. Without -n all that is \
            ready moves, or all of it that meets --where, after a question.

            Examples:
              leveret move jobs.dead jobs -n 10
              leveret move jobs.dead --exchange orders --dry-run
              leveret move jobs.dead jobs --where "error LIKE '%timeout%'" --yes
              leveret move jobs.dead --exchange orders --key retry --yes
            """
    )

    @Argument(help: "The queue they leave.", completion: .queues)
    var from: String
    @Argument(help: "The queue they go to.", completion: .queues)
    var to: String?
    @Option(help: ArgumentHelp("Publish them to this exchange instead.", valueName: "exchange"))
    var exchange: String?
    @Option(
        help: ArgumentHelp("With --exchange: the key for all, else each keeps its own.", valueName: "key")
    )
    var key: String?
    @Option(name: .short, help: ArgumentHelp("At most so many, from the head.", valueName: "n"))
    var number: Int?
    @OptionGroup var filter: ConditionOptions
    @OptionGroup var consent: ConsentOptions
    @OptionGroup var server: ServerOptions

    func validate() throws {
        if (to == nil) == (exchange == nil) {
            throw ValidationError("Say where to: either a queue, or --exchange.")
        }
        if key != nil, exchange == nil { throw ValidationError("--key goes with --exchange.") }
        if let number, number < 1 { throw ValidationError("-n is 1 or more.") }
    }

    func run() throws {
        let client = try server.connect()
        let target = to.map { "queue '\($0.printable)'" } ?? "exchange '\((exchange ?? "").printable)'"
        if consent.dryRun || number == nil {
            let source = ServerSource(client)
            let ready = try filter.condition.map { try matching($0, source) } ?? source.ready(in: from)
            let what = "from queue '\(from.printable)' to \(target)"
            if consent.dryRun {
                if let to { _ = try source.queue(to) } else { _ = try source.exchange(exchange ?? "") }
                let count = min(ready, number ?? ready)
                // No more is looked for than one answer holds.
                let some = filter.condition != nil && count == PeekRequest.countMax ? "at least " : ""
                return announce("this would move \(some)\(counted(count, "message")) \(what)")
            }
            let question =
                filter.condition == nil
                ? "this moves all ready messages \(what): \(counted(ready, "message")) ready"
                : "this moves all ready messages that meet the condition \(what)"
            try Terminal.confirm(question, yes: consent.yes)
        }
        var request = LineRequest("MOVE").argument(from).word("to")
        if let to { request = request.argument(to) }
        let count = try client.ask(
            request.option("exchange", exchange).option("key", key).option("n", number)
                .option("where", filter.condition)
        )
        announce("\(counted(Int(count) ?? 0, "message")) moved from queue '\(from.printable)' to \(target)")
    }

    /// How many ready messages meet the condition: up to as many as one PEEK shows.
    private func matching(_ condition: String, _ source: ServerSource) throws -> Int {
        var count = 0
        let request = PeekRequest(
            queue: from, count: min(number ?? PeekRequest.countMax, PeekRequest.countMax), from: 0,
            state: .ready, condition: condition, hasBodies: false
        )
        try source.peek(request) { _ in count += 1 }
        return count
    }
}
