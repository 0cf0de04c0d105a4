// `leveret dead replay`: dead letters back to where they came from, or elsewhere, edited on the way or as they are.

import ArgumentParser

struct DeadReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Send dead letters back to where each came from, or elsewhere.",
        discussion: """
            Each goes to the end of the queue where it died first, with its id, its history, and the exchange and key \
            that it was published with; the headers x-replayed-from, x-replayed-at and x-replay-count say that it was \
            replayed. None is lost or doubled, whatever fails meanwhile. What dies again stays where it falls.

            More than 100 are shown first, and it asks; also where a queue has a length limit, would drop its oldest \
            messages, and has too little room. Ctrl-C ends it between two batches. --edit opens one body \
            after the other in $VISUAL or $EDITOR; an editor that fails ends the replay.

            Examples:
              leveret dead replay jobs.dead --dry-run
              leveret dead replay jobs.dead --position 17 --edit
              leveret dead replay jobs.dead --reason rejected --older-than 5m --limit 10
              leveret dead replay jobs.dead --where "error LIKE '%timeout%'" --rate 50
              leveret dead replay jobs.dead --to jobs.slow
              leveret dead replay jobs.dead --exchange orders --key retry
            """
    )

    @OptionGroup var filter: DeadFilter
    @Option(help: ArgumentHelp("Send them to this queue instead.", valueName: "queue"), completion: .queues)
    var to: String?
    @Option(
        help: ArgumentHelp("Publish them to this exchange instead.", valueName: "exchange"),
        completion: .exchanges)
    var exchange: String?
    @Option(
        help: ArgumentHelp(
            "With --exchange: the key for all, else each has the one it was published with.", valueName: "key"
        ))
    var key: String?
    @Option(parsing: .unconditional, help: ArgumentHelp("So many a second at most.", valueName: "n"))
    var rate: Double?
    @Flag(help: "Edit each body first.")
    var edit = false
    @OptionGroup var consent: ConsentOptions
    @OptionGroup var server: TargetOptions

    /// More than these are shown before they are replayed.
    static let unaskedMax = 100
    /// More than these nobody edits one by one.
    static let editMax = 20

    func validate() throws {
        if to != nil, exchange != nil { throw ValidationError("Say --to or --exchange, not both.") }
        if key != nil, exchange == nil { throw ValidationError("--key goes with --exchange.") }
        if let rate, !(0.001...1e9).contains(rate) { throw ValidationError("--rate is above 0.") }
        if edit, consent.dryRun { throw ValidationError("Say --edit or --dry-run, not both.") }
    }

    func run() throws {
        let client = try server.connect()
        let source = ServerSource(client)
        let survey = try filter.survey(source)
        let place = "queue '\(filter.name.printable)'"
        guard survey.count > 0 else { return try filter.announceNone(source) }
        let overflows = try overflows(survey, source)
        let what = "\(survey.described(limit: filter.limit)) from \(place) to \(target)"
        let isMuch = survey.count > Self.unaskedMax && !edit
        if consent.dryRun || (isMuch && !consent.yes) { try survey.show() }
        func withOverflows(_ text: String) -> String {
            ([text] + overflows.map(\.text)).joined(separator: "; ")
        }
        if consent.dryRun { return announce(withOverflows("this would replay \(what)")) }
        if isMuch || !overflows.isEmpty {
            let reason = overflows.first?.text ?? "these are more than \(Self.unaskedMax)"
            try Terminal.confirm(withOverflows("this replays \(what)"), yes: consent.yes, because: reason)
        }
        if edit { return try editAll(survey, client) }
        var batches = Batches(of: "dead letter", limit: filter.limit, rate: rate)
        try batches.run("replayed from \(place) to \(target)") { count throws(Failure) in
            try client.ask(request.option("where", survey.condition).option("n", count))
        }
    }

    /// Where they go, for sentences.
    private var target: String {
        if let to { return "queue '\(to.printable)'" }
        return exchange.map { "exchange '\($0.printable)'" } ?? "where each came from"
    }

    private var request: LineRequest {
        let request = LineRequest("REPLAY").argument(filter.name)
        if let to { return request.word("to").argument(to) }
        guard let exchange else { return request }
        return request.word("to").option("exchange", exchange).option("key", key)
    }

    /// The queues that have too little room. Fails where it is known beforehand that it would.
    private func overflows(_ survey: DeadSurvey, _ source: ServerSource) throws -> [Overflow] {
        if to != nil || exchange != nil {
            let row = try source.target(queue: to, exchange: exchange)
            guard to != nil, let row else { return [] }
            return [Overflow(row, count: survey.count, bytes: survey.bytes)].compactMap(\.self)
        }
        return try survey.origins.sorted { $0.key < $1.key }.compactMap { origin, part in
            do {
                let row = try source.target(queue: origin, exchange: nil)
                return row.flatMap { Overflow($0, count: part.count, bytes: part.bytes) }
            } catch let failure as Failure where failure.status == .notFound {
                throw Self.gone(origin)
            }
        }
    }

    private static func gone(_ origin: String) -> Failure {
        let literal = SQLText.literal(origin).printable
        return Failure(
            .notFound,
            "some came from queue '\(origin.printable)', which is gone, so nothing was replayed; declare it again, "
                + "leave them out with --where \"origin <> \(literal)\", or send them elsewhere with "
                + "--origin \(literal) --to QUEUE"
        )
    }

    /// Edits and replays one after the other.
    private func editAll(_ survey: DeadSurvey, _ client: LineClient) throws {
        guard survey.count <= Self.editMax else {
            throw Failure(
                .usage,
                "\(survey.described(limit: filter.limit)) would be edited one after the other; "
                    + "\(Self.editMax) at most are, so choose with --position, --limit or --where"
            )
        }
        var replayed = 0
        var pages = try MessagePages(
            of: filter.name, state: .ready, where: survey.condition, in: ServerSource(client))
        do {
            try pages.next(survey.count) { message in
                try edit(message, client)
                replayed += 1
            }
        } catch let failure as Failure where replayed > 0 {
            throw Failure(
                failure.status, "\(failure.text); \(counted(replayed, "dead letter")) replayed before")
        }
        announce(
            "\(counted(replayed, "dead letter")) replayed from queue '\(filter.name.printable)' to \(target)")
    }

    private func edit(_ message: JSON, _ client: LineClient) throws {
        let editor = try Editor(message.bodyBytes)
        let body = try editor.edit()
        do {
            let request = request.option("position", message.position).option("if", message["version"]?.int)
            try client.ask(request, body: body)
        } catch {
            throw body == nil ? error : error.keeping(editor)
        }
        if body != nil { editor.discard() }
    }
}
