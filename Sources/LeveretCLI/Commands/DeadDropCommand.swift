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
    @OptionGroup var server: TargetOptions

    func run() throws {
        let client = try server.connect()
        let source = ServerSource(client)
        let survey = try filter.survey(source)
        let place = "queue '\(filter.name.printable)'"
        guard survey.count > 0 else { return try filter.announceNone(source) }
        let what = "\(survey.described(limit: filter.limit)) of \(place)"
        if consent.dryRun || !consent.yes { try survey.show() }
        if consent.dryRun { return announce("this would remove \(what)") }
        try Terminal.confirm("this removes \(what) for good", yes: consent.yes)
        var batches = Batches(of: "dead letter", limit: filter.limit)
        let request = LineRequest("PURGE").argument(filter.name).option("where", survey.condition)
        try batches.run("removed from \(place)") { count throws(Failure) in
            try client.ask(request.option("n", count))
        }
    }
}
