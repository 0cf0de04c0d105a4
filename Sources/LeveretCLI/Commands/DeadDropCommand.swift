// `leveret dead drop`: remove dead letters for good.

import ArgumentParser

struct DeadDropCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop",
        abstract: "Remove dead letters for good.",
        discussion: """
            All of a queue's, or those that meet the options. It asks first. Ctrl-C ends it between two batches.

            Examples:
              leveret dead drop jobs.dead --older-than 7d --dry-run
              leveret dead drop jobs.dead --reason expired --yes
              leveret dead drop jobs.dead --position 17
              leveret dead drop jobs.dead --where "error LIKE '%no such tenant%'"
            """
    )

    @OptionGroup var filter: DeadFilter
    @OptionGroup var consent: ConsentOptions
    @OptionGroup var server: ServerOptions

    func run() throws {
        let client = try server.connect()
        let survey = try filter.survey(ServerSource(client))
        let place = "queue '\(filter.name.printable)'"
        guard survey.count > 0 else { return announce("no dead letter of \(place) meets the options") }
        let what = "\(survey.described(limit: filter.limit)) of \(place)"
        if consent.dryRun || !consent.yes { try survey.show() }
        if consent.dryRun { return announce("this would remove \(what)") }
        try Terminal.confirm("this removes \(what) for good", yes: consent.yes)
        var batches = DeadBatches(limit: filter.limit, rate: nil)
        let request = LineRequest("PURGE").argument(filter.name).option("where", survey.condition)
        try batches.run("removed from \(place)") { count throws(Failure) in
            try client.ask(request.option("n", count))
        }
    }
}

/// Dead letters in batches of which each is a request: with progress, at a rate, and ended in good order by Ctrl-C.
struct DeadBatches {
    private static let batchMax = 1000

    private var left: Int
    private let rate: Double?
    private var done = 0

    /// Batches of `limit` dead letters, `rate` of them a second; `nil` is without bounds.
    init(limit: Int?, rate: Double?) {
        left = limit ?? .max
        self.rate = rate
    }

    /// Makes requests until there is nothing more to do, and says how many dead letters were `what`. Each request is
    /// told for how many it is, and returns for how many it was.
    mutating func run(_ what: String, _ request: (Int) throws(Failure) -> String) throws(Failure) {
        Interrupt.listen()
        var progress = Progress(bytesTotal: nil)
        do {
            while left > 0, !Interrupt.hasCome {
                // A quarter of a second of it at a time.
                let count = min(left, rate.map { max(1, min(Self.batchMax, Int($0 / 4))) } ?? Self.batchMax)
                let got = max(0, Int(try request(count)) ?? 0)
                done = done.adding(got)
                left -= got
                progress.update(messages: done, bytes: 0)
                if got < count { break }
                if let rate { Interrupt.wait(seconds: Double(done) / rate - progress.seconds) }
            }
        } catch {
            progress.clear()
            let before = done == 0 ? "" : "; \(counted(done, "dead letter")) \(what) in the batches before"
            throw Failure(error.status, error.text + before)
        }
        progress.clear()
        if Interrupt.hasCome {
            Terminal.complain(
                "leveret: interrupted; \(counted(done, "dead letter")) \(what), the others are where they were"
            )
            Interrupt.end()
        }
        announce("\(counted(done, "dead letter")) \(what)")
    }
}
