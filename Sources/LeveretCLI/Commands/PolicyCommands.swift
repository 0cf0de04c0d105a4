// `leveret policy list|set|delete`.

import ArgumentParser

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Change settings of all queues whose names match, while they are in use.",
        subcommands: [List.self, Set.self, Delete.self]
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the policies, in the order in which they count.",
            discussion: """
                Which one counts for a queue, and what comes of it, `leveret queue show` says.

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
                What a queue was declared with comes before a policy; an operator policy comes before both, and of
                two numbers the lower counts.

                Examples:
                  leveret policy set short-lived '^events\\.' --ttl 60000 --max-length 10000
                  leveret policy set roof '' --operator --max-bytes 1000000000
                """
        )

        @Argument(help: "The policy.")
        var name: String
        @Argument(help: "A regular expression, found anywhere in a queue's name.")
        var pattern: String
        @Flag(name: .customLong("operator"), help: "It limits what clients and other policies ask for.")
        var isOperator = false
        @Option(help: ArgumentHelp("Of several that match, the highest counts.", valueName: "n"))
        var priority: Int?
        @Option(help: ArgumentHelp("Messages expire after so long.", valueName: "ms"))
        var ttl: Int?
        @Option(help: ArgumentHelp("Queues are deleted after so long without use.", valueName: "ms"))
        var expires: Int?
        @Option(help: ArgumentHelp("The same, when they are empty.", valueName: "ms"))
        var expiresIfEmpty: Int?
        @Option(help: ArgumentHelp("At most so many messages are ready.", valueName: "n"))
        var maxLength: Int?
        @Option(help: ArgumentHelp("At most so many bytes are ready.", valueName: "n"))
        var maxBytes: Int?
        @Option(
            help: ArgumentHelp(
                "What a full queue does: drop-head, reject-publish or reject-publish-dlx.",
                valueName: "policy"
            )
        )
        var overflow: String?
        @Option(help: ArgumentHelp("Where dead letters go.", valueName: "exchange"))
        var deadLetterExchange: String?
        @Option(help: ArgumentHelp("The key they go with, else their own.", valueName: "key"))
        var deadLetterKey: String?
        @Option(help: ArgumentHelp("A message that failed more often is a dead letter.", valueName: "n"))
        var deliveryLimit: Int?
        @Option(help: ArgumentHelp("So long a consumer may hold a message unsettled.", valueName: "ms"))
        var consumerTimeout: Int?
        @Option(help: ArgumentHelp("Drop messages whose id was seen.", valueName: "ms|while-queued"))
        var deduplicate: String?
        @OptionGroup var server: ServerOptions

        func run() throws {
            let request = LineRequest("POLICY").argument(name).argument(pattern)
                .option("priority", priority).word("operator", if: isOperator)
                .option("ttl", ttl).option("expires", expires).option("expires-if-empty", expiresIfEmpty)
                .option("max-length", maxLength).option("max-bytes", maxBytes).option("overflow", overflow)
                .option("dead-letter-exchange", deadLetterExchange).option("dead-letter-key", deadLetterKey)
                .option("delivery-limit", deliveryLimit).option("consumer-timeout", consumerTimeout)
                .option("deduplicate", deduplicate)
            try server.connect().ask(request)
            announce("policy '\(name.printable)' is in force")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a policy; its queues go back to what they were declared with.",
            discussion: """
                Examples:
                  leveret policy delete short-lived
                """
        )

        @Argument(help: "The policy.")
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
