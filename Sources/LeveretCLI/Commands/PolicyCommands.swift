// `leveret policy list|set|delete`.

import ArgumentParser

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Change settings of all queues and exchanges whose names match, while they are in use.",
        discussion: "Alone it is 'policy list'.",
        subcommands: [List.self, Set.self, Delete.self],
        defaultSubcommand: List.self
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

        @OptionGroup var listing: ListingOptions

        func run() throws { try listing.list("policies", one: "policy", Columns.policies) }
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
                  leveret policy set stray '^orders' --apply-to exchanges --alternate stray
                """
        )

        @Argument(help: "The policy.", completion: .policies)
        var name: String
        @Argument(help: "A regular expression, found anywhere in a name.")
        var pattern: String
        @Flag(name: .customLong("operator"), help: "It limits what clients and other policies ask for.")
        var isOperator = false
        @Option(
            parsing: .unconditional,
            help: ArgumentHelp("Of several that match, the highest counts.", valueName: "n"))
        var priority: Int?
        @Option(
            help: ArgumentHelp(
                "What it is for: all (the default), queues, exchanges, classic_queues or quorum_queues.",
                valueName: "kind"
            ),
            completion: .list(["all", "queues", "exchanges", "classic_queues", "quorum_queues"])
        )
        var applyTo: String?
        @Option(
            help: ArgumentHelp(
                "Where messages go that an exchange has no binding for.", valueName: "exchange"),
            completion: .exchanges
        )
        var alternate: String?
        @OptionGroup var settings: QueueOptions
        @OptionGroup var server: TargetOptions

        func run() throws {
            let request = LineRequest("POLICY").argument(name).argument(pattern).option("apply-to", applyTo)
                .option("priority", priority).word("operator", if: isOperator).option("alternate", alternate)
            let client = try server.connect()
            try client.ask(settings.add(to: request))
            let report = try PolicyReport(name, isOperator: isOperator, from: ServerSource(client))
            announce(report.text)
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
        @OptionGroup var server: TargetOptions

        func run() throws {
            let client = try server.connect()
            try check(ServerSource(client))
            let request = LineRequest("DROP").word("policy").argument(name)
            try client.ask(request.word("operator", if: isOperator))
            announce("policy '\(name.printable)' is deleted")
        }

        /// Fails where there is no such policy: the server answers as if it had deleted one.
        private func check(_ source: ServerSource) throws {
            var kinds: [JSON] = []
            try source.policies { if $0.name == name { kinds.append($0["operator"] ?? .null) } }
            if kinds.contains(.bool(isOperator)) { return }
            let advice =
                switch (kinds.isEmpty, isOperator) {
                case (true, _): "'leveret policy list' lists them"
                case (false, true):
                    "there is a policy of this name that is no operator policy; leave out --operator"
                case (false, false): "there is an operator policy of this name; say --operator"
                }
            throw Failure(
                .notFound, "no \(isOperator ? "operator " : "")policy '\(name.printable)'; \(advice)")
        }
    }
}
