// `leveret exchanges`, `exchange show|declare|delete`, `bind` and `unbind`.

import ArgumentParser

struct ExchangesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exchanges",
        abstract: "List exchanges: how they route, and how much.",
        discussion: """
            Examples:
              leveret exchanges
              leveret exchanges 'orders*' --columns name,policy,effective
              leveret exchanges --db leveret.db
            """
    )

    @Argument(
        help: "Only exchanges whose name matches; * and ? stand for any characters and any one.",
        completion: .exchanges)
    var pattern: String?
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var printer = try output.printer(of: Columns.exchanges)
        try source.open().exchanges(match: pattern) { printer.print($0) }
        printer.finish(
            none: pattern.map { "no exchange matches '\($0.printable)'" } ?? "there are no exchanges")
    }
}

struct ExchangeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exchange",
        abstract: "Show, declare or delete one exchange.",
        subcommands: [Show.self, Declare.self, Delete.self]
    )

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show everything about one exchange: what counts for it, and where that comes from.",
            discussion: """
                Examples:
                  leveret exchange show orders
                  leveret exchange show orders -o json
                """
        )

        @Argument(help: "The exchange.", completion: .exchanges)
        var name: String
        @OptionGroup var source: SourceOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            _ = try Column.choose(output.chosen, of: Columns.exchange, all: true)
            try output.printFacts(try source.open().exchange(name), of: Columns.exchange)
        }
    }

    struct Declare: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make sure that an exchange exists, with these settings.",
            discussion: """
                Declaring it again changes nothing; with other settings it is refused (exit status 6).

                Examples:
                  leveret exchange declare flights topic
                  leveret exchange declare orders direct --alternate unrouted
                """
        )

        @Argument(help: "The exchange.")
        var name: String
        @Argument(
            help: "How it routes: direct, topic, fanout, headers, or x-delayed-message.",
            completion: .list(["direct", "topic", "fanout", "headers", "x-delayed-message"]))
        var type: String
        @Flag(help: "It is gone after a restart.")
        var transient = false
        @Flag(help: "It is deleted when its last binding goes.")
        var autoDelete = false
        @Flag(help: "It takes messages from other exchanges only.")
        var `internal` = false
        @Option(
            help: ArgumentHelp("Where messages go that match no binding.", valueName: "exchange"),
            completion: .exchanges)
        var alternate: String?
        @Option(
            parsing: .unconditional,
            help: ArgumentHelp("Drop messages whose id was seen in so long.", valueName: "ms"))
        var deduplicate: Int?
        @Option(
            help: ArgumentHelp("How an x-delayed-message exchange routes.", valueName: "type"),
            completion: .list(["direct", "topic", "fanout", "headers"]))
        var delayedType: String?
        @OptionGroup var server: TargetOptions

        func run() throws {
            try server.connect().ask(
                LineRequest("EXCHANGE").argument(name).argument(type)
                    .word("durable=no", if: transient).word("auto-delete", if: autoDelete)
                    .word("internal", if: `internal`).option("alternate", alternate)
                    .option("deduplicate", deduplicate).option("x-delayed-type", delayedType)
            )
            announce("exchange '\(name.printable)' is there")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete an exchange and its bindings.",
            discussion: """
                Examples:
                  leveret exchange delete flights --if-unused --yes
                """
        )

        @Argument(help: "The exchange.", completion: .exchanges)
        var name: String
        @Flag(help: "Only when nothing is bound to it.")
        var ifUnused = false
        @OptionGroup var consent: ConsentOptions
        @OptionGroup var server: TargetOptions

        func run() throws {
            let client = try server.connect()
            if !name.isEmpty { _ = try ServerSource(client).exchange(name) }
            let what = "exchange '\(name.printable)' and its bindings"
            if consent.dryRun { return announce("this would delete \(what)") }
            try Terminal.confirm("this deletes \(what)", yes: consent.yes)
            try client.ask(
                LineRequest("DROP").word("exchange").argument(name).word("if-unused", if: ifUnused)
            )
            announce("exchange '\(name.printable)' is deleted")
        }
    }
}

/// The rule that `bind` adds and `unbind` removes.
struct BindingOptions: ParsableArguments {
    @Argument(
        help: "The queue that gets the messages; with --to-exchange, the exchange that does.",
        completion: .queues)
    var target: String
    @Argument(help: "The exchange that hands them on.", completion: .exchanges)
    var exchange: String
    @Argument(help: "The routing key, or a topic exchange's pattern.")
    var pattern: String = ""
    @Flag(help: "The target is an exchange.")
    var toExchange = false
    @OptionGroup var headers: HeaderOptions
    @OptionGroup var server: TargetOptions

    /// Sends it.
    func ask(toQueue verb: StaticString, toExchange exchangeVerb: StaticString, on client: LineClient) throws
    {
        let request = LineRequest(toExchange ? exchangeVerb : verb).argument(target).argument(exchange)
        try client.ask(request.argument(pattern).headers(headers.headers))
    }

    /// True where there is such a rule.
    func isThere(on client: LineClient) throws -> Bool {
        try ServerSource(client).isBound(
            target, kind: toExchange ? "exchange" : "queue", to: exchange, pattern: pattern,
            headers: Set(headers.headers.map(\.name))
        )
    }

    /// The rule as a sentence names it.
    var sentence: String {
        let kind = toExchange ? "exchange" : "queue"
        let key = pattern.isEmpty ? "" : " with '\(pattern.printable)'"
        return "exchange '\(exchange.printable)' to \(kind) '\(target.printable)'\(key)"
    }
}

struct BindCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bind",
        abstract: "Have an exchange hand messages to a queue, or to another exchange.",
        discussion: """
            Examples:
              leveret bind delays flights 'delayed.#'
              leveret bind invoices orders -H x-match=all -H country=DE
              leveret bind archive flights '#' --to-exchange
            """
    )

    @OptionGroup var binding: BindingOptions

    func run() throws {
        try binding.ask(toQueue: "BIND", toExchange: "BINDX", on: binding.server.connect())
        announce("bound \(binding.sentence)")
    }
}

struct UnbindCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unbind",
        abstract: "Remove a binding; name it as it was made.",
        discussion: """
            Examples:
              leveret unbind delays flights 'delayed.#'
            """
    )

    @OptionGroup var binding: BindingOptions

    func run() throws {
        let client = try binding.server.connect()
        let isThere = try binding.isThere(on: client)
        try binding.ask(toQueue: "UNBIND", toExchange: "UNBINDX", on: client)
        guard isThere else {
            let headers = binding.headers.headers.isEmpty ? "" : " with these headers"
            let what = "nothing binds \(binding.sentence)\(headers)"
            throw Failure(.notFound, "\(what); 'leveret queue show' and 'leveret route' show what is bound")
        }
        announce("unbound \(binding.sentence)")
    }
}
