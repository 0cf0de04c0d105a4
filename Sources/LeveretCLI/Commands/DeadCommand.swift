// `leveret dead list|show`: what died, where and why. `dead replay` and `dead drop` are in files of their own.

import ArgumentParser

struct DeadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead",
        abstract: "Dead letters: look at them, send them back, or drop them.",
        discussion: """
            A dead letter is a message that stands in another queue than the one it died in first. Alone it is \
            'dead list'.

            Examples:
              leveret dead list
              leveret dead show jobs.dead 17
              leveret dead replay jobs.dead --reason rejected --dry-run
              leveret dead drop jobs.dead --older-than 7d
            """,
        subcommands: [List.self, Show.self, DeadReplayCommand.self, DeadDropCommand.self],
        defaultSubcommand: List.self
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Count dead letters by queue, origin, reason and error text.",
            discussion: """
                The largest group comes first. `first` and `last` say when messages of it died first and last. Many \
                errors that differ only in words with digits count as one, % standing for these words as in --where \
                "error LIKE '…'". Transient messages are not counted: `leveret peek` shows them. For a user who is no \
                administrator each dead letter is looked at, in the queues that it may read.

                Examples:
                  leveret dead list
                  leveret dead list jobs.dead -o json
                  leveret dead list --db leveret.db
                """
        )

        @Argument(help: "The queue that holds them; without it, all queues.", completion: .queues)
        var name: String?
        @OptionGroup var source: SourceOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            var printer = try output.printer(of: Columns.deadLetters)
            var counts = try DeadLetterCounts(of: name, in: source.open())
            var progress = Progress(bytesTotal: nil)
            Interrupt.listen()
            try counts.countAll { counts in
                progress.update(messages: counts.seen, bytes: 0)
                return !Interrupt.hasCome
            }
            progress.clear()
            for row in counts.rows { printer.print(row) }
            let place = name.map { "queue '\($0.printable)' holds" } ?? "there are"
            printer.finish(none: "\(place) no dead letters")
            if Interrupt.hasCome {
                Terminal.complain(
                    "leveret: interrupted; only \(counted(counts.seen, "message")) were looked at")
                Interrupt.end()
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a dead letter and its whole history.",
            discussion: """
                Where, why and how often it died, what was said of it, and what it is. `leveret peek` and \
                `leveret grep` show positions.

                Examples:
                  leveret dead show jobs.dead 17
                  leveret dead show jobs.dead 17 --body hex
                  leveret dead show jobs.dead 17 -o json --columns origin,reason,error,deaths
                """
        )

        @OptionGroup var message: MessageOptions

        func run() throws {
            let found = try message.find()
            if found["origin"] == nil || found["origin"] == .null {
                let (name, position) = (message.place.name.printable, message.place.position)
                throw Failure(
                    .notFound,
                    "message \(position) of queue '\(name)' has never died; 'leveret msg show \(name) \(position)' "
                        + "shows it")
            }
            try message.show(found)
        }
    }
}
