// `leveret move`: messages from one queue to another, or through an exchange.

import ArgumentParser

struct MoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Move ready messages to another queue, or publish them again through an exchange.",
        discussion: """
            Order is kept, and no message is lost or doubled if the server stops meanwhile. Without -n all that is \
            ready moves, or all of it that meets --where, after a question. Ctrl-C ends it between two batches.

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
    @Option(
        help: ArgumentHelp("Publish them to this exchange instead.", valueName: "exchange"),
        completion: .exchanges)
    var exchange: String?
    @Option(
        help: ArgumentHelp("With --exchange: the key for all, else each keeps its own.", valueName: "key")
    )
    var key: String?
    @Option(name: .short, help: ArgumentHelp("At most so many, from the head.", valueName: "n"))
    var number: Int?
    @OptionGroup var filter: ConditionOptions
    @OptionGroup var consent: ConsentOptions
    @OptionGroup var server: TargetOptions

    func validate() throws {
        if (to == nil) == (exchange == nil) {
            throw ValidationError("Say where to: either a queue, or --exchange.")
        }
        if key != nil, exchange == nil { throw ValidationError("--key goes with --exchange.") }
        if let number, number < 1 { throw ValidationError("-n is 1 or more.") }
    }

    func run() throws {
        let client = try server.connect()
        let source = ServerSource(client)
        if let to { _ = try source.queue(to) } else { _ = try source.exchange(exchange ?? "") }
        let target = to.map { "queue '\($0.printable)'" } ?? "exchange '\((exchange ?? "").printable)'"
        let what = "from queue '\(from.printable)' to \(target)"
        let ready = try source.ready(in: from)
        let matching = try filter.condition.map { try count($0, source) } ?? ready
        if consent.dryRun {
            // No more is looked for than one answer holds.
            let some = filter.condition != nil && matching == PeekRequest.countMax ? "at least " : ""
            let many = counted(min(matching, number ?? matching), "message")
            return announce("this would move \(some)\(many) \(what)")
        }
        if number == nil {
            let question =
                filter.condition == nil
                ? "this moves all ready messages \(what): \(counted(ready, "message")) ready"
                : "this moves all ready messages that meet the condition \(what)"
            try Terminal.confirm(question, yes: consent.yes)
        }
        let condition = try filter.condition.map { try Self.sofar($0, source) }
        var request = LineRequest("MOVE").argument(from).word("to")
        if let to { request = request.argument(to) }
        request = request.option("exchange", exchange).option("key", key).option("where", condition)
        // What comes back to the queue is not moved again.
        var batches = Batches(of: "message", limit: min(ready, number ?? ready))
        try batches.run("moved \(what)") { count throws(Failure) in
            try client.ask(request.option("n", count))
        }
    }

    /// The condition, met only by what came before now by the server's clock.
    private static func sofar(_ condition: String, _ source: ServerSource) throws -> String {
        guard let now = try source.status()["now"]?.text else { return condition }
        return SQLText.all([condition, "entered < \(SQLText.literal(now))"]) ?? condition
    }

    /// How many ready messages meet the condition: up to as many as one PEEK shows. It fails where the condition is
    /// wrong; of one that takes long it is not known.
    private func count(_ condition: String, _ source: ServerSource) throws -> Int {
        var count = 0
        let request = PeekRequest(
            queue: from, count: min(number ?? PeekRequest.countMax, PeekRequest.countMax), from: 0,
            state: .ready, condition: condition, hasBodies: false
        )
        do {
            try source.peek(request) { _ in count += 1 }
        } catch let failure as Failure where failure.isSearchTooLong && !consent.dryRun {
            // Moving looks at a stretch at a time.
        }
        return count
    }
}
