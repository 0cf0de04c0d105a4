// `leveret policy list|set|delete`.

import ArgumentParser

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Change settings of all queues and exchanges whose names match, while they are in use.",
        subcommands: [List.self, Set.self, Delete.self]
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the policies, in the order in which they count.",
            discussion: """
                Which one counts, and what comes of it, `leveret queue show` and `leveret exchange show` say.

                Examples:
                  leveret policy list
                """
        )

        @Argument(help: "Only policies whose name matches; * and ? stand for any characters and any one.")
        var pattern: String?
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            var printer = try output.printer(of: Columns.policies)
            let request = LineRequest("LIST").word("policies").option("match", pattern)
            try server.connect().rows(request) { printer.print($0) }
            printer.finish(none: "there are no policies")
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set a policy, or replace the one of its name.",
            discussion: """
                What something was declared with comes before a policy; an operator policy comes before both, and of
                two numbers the lower counts.

                Examples:
                  leveret policy set short-lived '^events\\.' --ttl 60000 --max-length 10000
                  leveret policy set roof '' --operator --max-bytes 1000000000
                  leveret policy set unrouted '^orders' --apply-to exchanges --alternate unrouted
                """
        )

        @Argument(help: "The policy.", completion: .policies)
        var name: String
        @Argument(help: "A regular expression, found anywhere in a name.")
        var pattern: String
        @Flag(name: .customLong("operator"), help: "It limits what clients and other policies ask for.")
        var isOperator = false
        @Option(help: ArgumentHelp("Of several that match, the highest counts.", valueName: "n"))
        var priority: Int?
        @Option(
            help: ArgumentHelp(
                "What it is for: all (the default), queues, exchanges, classic_queues or quorum_queues.",
                valueName: "kind"
            )
        )
        var applyTo: String?
        @Option(
            help: ArgumentHelp(
                "Where messages go that an exchange has no binding for.", valueName: "exchange")
        )
        var alternate: String?
        @OptionGroup var settings: QueueOptions
        @OptionGroup var server: ServerOptions

        func run() throws {
            let request = LineRequest("POLICY").argument(name).argument(pattern).option("apply-to", applyTo)
                .option("priority", priority).word("operator", if: isOperator).option("alternate", alternate)
            try server.connect().ask(settings.add(to: request))
            announce("policy '\(name.printable)' is in force")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a policy; what it matched goes back to what it was declared with.",
            discussion: """
                Examples:
                  leveret policy delete short-lived
                """
        )

        @Argument(help: "The policy.", completion: .policies)
        var name: String
        @Flag(name: .customLong("operator"), help: "It is an operator policy.")
        var isOperator = false
        @OptionGroup var server: ServerOptions

        func run() throws {
            let request = LineRequest("DROP").word("policy").argument(name)
            try server.connect().ask(request.word("operator", if: isOperator))
            announce("policy '\(name.printable)' is deleted")
        }
    }
}
