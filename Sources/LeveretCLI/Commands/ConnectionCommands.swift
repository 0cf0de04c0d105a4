// `leveret consumers`, `channels`, `connections list` and `connections close`: who is at the server, and sending
// them away.

import ArgumentParser

struct ConsumersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consumers",
        abstract: "List consumers: of which queue, how much they hold and may hold.",
        discussion: """
            Examples:
              leveret consumers
              leveret consumers jobs
              leveret consumers 'flights.*' -o json --columns queue,name,unacked
            """
    )

    @Argument(
        help: "Only those of queues whose names match; * and ? stand for any characters and any one.",
        completion: .queues)
    var queue: String?

    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var printer = try output.printer(of: Columns.allConsumers)
        let source = ServerSource(try server.connect())
        var isEmpty = true
        try source.consumers(match: queue) {
            printer.print($0)
            isEmpty = false
        }
        // A queue that was named and isn't there is not the same as one without consumers.
        if isEmpty, let queue, !queue.contains("*"), !queue.contains("?") { _ = try source.queue(queue) }
        printer.finish(none: queue.map { "'\($0.printable)' has no consumer" } ?? "there are no consumers")
    }
}

struct ChannelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "channels",
        abstract:
            "List channels: whether they confirm, how much is not confirmed or acked yet, and how much may be.",
        discussion: """
            A client of the line protocol has one, without a number. 'held_up' says that requests wait for an answer, \
            or publishes for the end of an alarm.

            Examples:
              leveret channels
              leveret channels 'worker*'
              leveret channels -o json --columns connection,channel,unconfirmed
            """
    )

    @OptionGroup var listing: ListingOptions

    func run() throws {
        try listing.list("channels", one: "channel", Columns.channels, isOfServer: true)
    }
}

struct ConnectionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections",
        abstract: "List connections, or close one.",
        discussion: "Alone it is 'connections list'.",
        subcommands: [List.self, Close.self],
        defaultSubcommand: List.self
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List connections: who they are, since when, and what they hold.",
            discussion: """
                The one named 'embedded' is the server's own.

                Examples:
                  leveret connections
                  leveret connections list 'worker*'
                """
        )

        @OptionGroup var listing: ListingOptions

        func run() throws {
            try listing.list(
                "connections", one: "connection", Columns.connections, isOfServer: true)
        }
    }

    struct Close: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Close a connection; what it holds goes back to its queues.",
            discussion: """
                It is told the reason, and what it asked and was not answered may be done or not. Nothing keeps it \
                from coming back: pause a queue to stop its consumers. Where several have this name, it asks.

                Examples:
                  leveret connections close 7 --reason "stuck since noon"
                  leveret connections close 'worker 127.0.0.1:40122'
                """
        )

        @Argument(help: ArgumentHelp("Its number or its name, as listed.", valueName: "id"))
        var connection: String
        @Option(help: ArgumentHelp("What it is told.", valueName: "text"))
        var reason: String?
        @OptionGroup var consent: ConsentOptions
        @OptionGroup var server: ServerOptions

        func run() throws {
            let client = try server.connectAnywhere()
            let numbers = try numbers(client)
            let list = numbers.map(String.init).joined(separator: ", ")
            let what = "\(counted(numbers.count, "connection")): \(list)"
            if consent.dryRun { return announce("this would close \(what)") }
            if numbers.count > 1 {
                try Terminal.confirm("this closes \(what)", yes: consent.yes, because: "this closes \(what),")
            }
            let request = LineRequest("KILL").word("connection").argument(connection)
            let count = try client.ask(request.option("reason", reason))
            announce("\(counted(Int(count) ?? 0, "connection")) closed")
        }

        /// The numbers of those that are meant, as the server takes it: a number, or a name without its address.
        private func numbers(_ client: LineClient) throws -> [Int] {
            var numbers: [Int] = []
            try client.rows(LineRequest("LIST").word("connections")) { row in
                let id = row.count("id")
                if String(id) == connection { numbers = [id] }
                if Int(connection) == nil, row.name == connection || row.name.hasPrefix(connection + " ") {
                    numbers.append(id)
                }
            }
            return numbers
        }
    }
}
