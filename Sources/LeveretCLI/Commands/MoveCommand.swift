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
    @Option(
        name: .short, parsing: .unconditional,
        help: ArgumentHelp("At most so many, from the head.", valueName: "n"))
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
        try source.checkTarget(queue: to, exchange: exchange)
        let target = to.map { "queue '\($0.printable)'" } ?? "exchange '\((exchange ?? "").printable)'"
        let what = "from queue '\(from.printable)' to \(target)"
        let row = try source.queue(from)
        let ready = row.count("ready")
        if consent.dryRun { return announce("this would move \(try estimate(ready, source)) \(what)") }
        if let condition = filter.condition { try source.check(condition, on: from) }
        if number == nil {
            let question =
                filter.condition == nil
                ? "this moves all ready messages \(what): \(counted(ready, "message")) ready"
                : "this moves all ready messages that meet the condition \(what)"
            try Terminal.confirm(question, yes: consent.yes)
        }
        // What comes from here on by the server's clock does not meet it.
        let sofar = row["now"]?.text.map { "entered < \(SQLText.literal($0))" }
        let condition = filter.condition.flatMap { SQLText.all([$0, sofar]) }
        var request = LineRequest("MOVE").argument(from).word("to")
        if let to { request = request.argument(to) }
        request = request.option("exchange", exchange).option("key", key).option("where", condition)
        // What comes back to the queue is not moved again.
        var batches = Batches(of: "message", limit: min(ready, number ?? ready))
        try batches.run("moved \(what)") { count throws(Failure) in
            try client.ask(request.option("n", count))
        }
    }

    /// How many of the ready messages would move: no more are counted than `dead replay` looks at beforehand.
    private func estimate(_ ready: Int, _ source: ServerSource) throws -> String {
        let most = number ?? .max
        guard let condition = filter.condition else { return counted(min(ready, most), "message") }
        var count = 0
        var pages = try MessagePages(
            of: from, state: .ready, where: condition, hasBodies: false, in: source)
        try pages.next(min(most, DeadSurvey.countMax)) { _ in count += 1 }
        let isCut = count == DeadSurvey.countMax && count < most
        return (isCut ? "at least " : "") + counted(count, "message")
    }
}
