// `leveret move`: messages from one queue to another, or through an exchange.

import ArgumentParser

struct MoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Move ready messages to another queue, or publish them again through an exchange.",
        discussion: """
            Order is kept, and no message is lost or doubled if the server stops meanwhile. Without -n all that is \
            ready moves, or all of it that meets --where, after a question. It asks, too, where the queue that they go \
            to has a length limit, would drop its oldest messages, and has too little room. Ctrl-C ends it between two \
            batches.

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
        let place = try source.target(queue: to, exchange: exchange)
        let isTight = to != from && place?.hasLengthLimit == true
        let target = to.map { "queue '\($0.printable)'" } ?? "exchange '\((exchange ?? "").printable)'"
        let what = "from queue '\(from.printable)' to \(target)"
        let row = try source.queue(from)
        let ready = row.count("ready")
        if let condition = filter.condition { try source.check(condition, on: from) }
        let found = isTight || consent.dryRun ? try look(row, source) : nil
        var overflow: Overflow?
        if isTight, let place, let found {
            overflow = Overflow(place, count: found.count, bytes: found.bytes)
        }
        let warning = overflow.map { "; \($0.text)" } ?? ""
        if consent.dryRun, let found { return announce("this would move \(found.text) \(what)\(warning)") }
        if number == nil || overflow != nil {
            let which = filter.condition == nil ? "" : " that meet the condition"
            let many = number.map { "up to \(counted($0, "ready message"))" } ?? "all ready messages"
            let count = filter.condition == nil && number == nil ? ": \(counted(ready, "message")) ready" : ""
            try Terminal.confirm(
                "this moves \(many)\(which) \(what)\(count)\(warning)", yes: consent.yes,
                because: overflow?.text ?? "this moves \(many)\(which)")
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

    /// What would move of the ready messages: no more are counted than `dead replay` looks at beforehand. Without a
    /// condition their bytes are reckoned from those of all that are ready.
    private func look(_ row: JSON, _ source: ServerSource) throws -> (count: Int, bytes: Int, text: String) {
        let most = number ?? .max
        let ready = row.count("ready")
        guard let condition = filter.condition else {
            let count = min(ready, most)
            let bytes = Double(row.count("ready_bytes")) * Double(count) / Double(max(1, ready))
            return (count, Int(clamping: Int64(bytes)), counted(count, "message"))
        }
        var (count, bytes) = (0, 0)
        var pages = try MessagePages(
            of: from, state: .ready, where: condition, hasBodies: false, in: source)
        try pages.next(min(most, DeadSurvey.countMax)) {
            count += 1
            bytes = bytes.adding($0.count("size"))
        }
        let isCut = count == DeadSurvey.countMax && count < most
        return (count, bytes, (isCut ? "at least " : "") + counted(count, "message"))
    }
}
