// `leveret queues`, `queue show|declare|delete` and `purge`.

import ArgumentParser

struct QueuesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queues",
        abstract: "List queues: how much waits, who takes it, how fast.",
        discussion: """
            Examples:
              leveret queues
              leveret queues 'flights.*' --sort ready
              leveret queues --sort in_rate --watch
              leveret queues -o json --columns name,ready
              leveret queues --all-vhosts
              leveret queues --db leveret.db
            """
    )

    @Argument(
        help: "Only queues whose name matches; * and ? stand for any characters and any one.",
        completion: .queues)
    var pattern: String?

    @Option(
        help: ArgumentHelp("Order by a column: numbers from the largest, text from A.", valueName: "column"),
        completion: .list(Columns.queues.map(\.name)))
    var sort: String?

    @Option(
        defaultAsFlag: 2, parsing: .next,
        help: ArgumentHelp("List them again after so many seconds, until Ctrl-C.", valueName: "seconds")
    )
    var watch: Double?

    @Flag(help: "Those of all virtual hosts: the field vhost says of which each is.")
    var allVhosts = false

    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    /// What a row may have.
    private var columns: [Column] { allVhosts ? Columns.allQueues : Columns.queues }

    func validate() throws {
        if allVhosts, source.server.vhost != nil {
            throw ValidationError("Say --vhost or --all-vhosts, not both.")
        }
        if let watch, !(0.1...3600).contains(watch) {
            throw ValidationError("--watch takes 0.1 to 3600 seconds.")
        }
    }

    func run() throws {
        if let sort { _ = try Column.choose([sort], of: columns, all: true) }
        _ = try output.printer(of: columns, to: Output(nil))
        let source = allVhosts ? try source.openAnywhere() : try source.open()
        guard let watch else { return try list(from: source, to: Output(Terminal.standardOutput)) }
        while true {
            if output.output == .table, let size = Terminal.size {
                let drawn = Output(nil)
                try list(from: source, to: drawn)
                Terminal.write(Self.frame(drawn.gathered, rows: size.rows).utf8, to: Terminal.standardOutput)
            } else {
                try list(from: source, to: Output(Terminal.standardOutput))
            }
            Terminal.wait(milliseconds: Int(watch * 1000))
        }
    }

    private func list(from source: any Source, to output: Output) throws {
        if self.output.isWhole, sort == nil, !allVhosts, let server = source as? ServerSource {
            try server.copyQueues(match: pattern, to: output)
            output.flush()
            return
        }
        var printer = try self.output.printer(of: columns, to: output)
        var fields = try self.output.fields(of: columns)
        if let sort { fields?.append(sort) }
        if marksPaused { fields?.append("paused_since") }
        var sorted: [JSON] = []
        var isEmpty = true
        func take(_ row: JSON) {
            isEmpty = false
            if sort == nil { printer.print(shown(row)) } else { sorted.append(row) }
        }
        if allVhosts {
            let unseen = try source.visit(nil) { host, _ in
                try host.queues(match: pattern, fields: fields) { take($0.inHost(host.virtualHost)) }
            }
            for host in unseen { Terminal.complain("leveret: \(host.text)") }
        } else {
            try source.queues(match: pattern, fields: fields, each: take)
        }
        if let sort { for row in Self.order(sorted, by: sort) { printer.print(shown(row)) } }
        printer.finish(none: isEmpty && self.output.output == .table ? try nothing(in: source) : "")
    }

    /// True of a table whose columns nobody chose: it says at the name that a queue is paused.
    private var marksPaused: Bool { output.output == .table && output.columns == nil }

    private func shown(_ row: JSON) -> JSON {
        guard marksPaused, row["paused_since"]?.text != nil else { return row }
        return row.with("name", .string("\(row.name) (paused)"))
    }

    /// What is said where there is no queue; not that there is none anywhere, where others have some.
    private func nothing(in source: any Source) throws -> String {
        if let pattern { return "no queue matches '\(pattern.printable)'" }
        var others = 0
        if !allVhosts {
            try source.virtualHosts(match: nil) { host in
                if host.name != source.virtualHost { others = others.adding(host.count("queues")) }
            }
        }
        guard others > 0 else { return "there are no queues" }
        return
            "there are no queues in vhost '\(source.virtualHost.printable)', but \(Quantity.count(others)) in others: "
            + "'leveret queues --all-vhosts' lists them"
    }

    /// A listing over what stands on the screen, line by line, so that nothing flickers; as many lines as fit.
    static func frame(_ listing: [UInt8], rows: Int) -> String {
        let lines = String(decoding: listing, as: UTF8.self).split(separator: "\n").prefix(max(1, rows - 1))
        return "\u{1B}[H" + lines.map { "\($0)\u{1B}[K\n" }.joined() + "\u{1B}[J"
    }

    /// Numbers from the largest, text from A, what is missing last.
    static func order(_ rows: [JSON], by column: String) -> [JSON] {
        rows.map { (key: $0[column] ?? .null, row: $0) }.sorted { a, b in
            if let a = a.key.double, let b = b.key.double { return a > b }
            if let a = a.key.text, let b = b.key.text { return a < b }
            return a.key != .null && b.key == .null
        }.map(\.row)
    }
}

struct QueueCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue",
        abstract: "Show, declare or delete one queue.",
        subcommands: [Show.self, Declare.self, Delete.self]
    )

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show everything about one queue, its bindings and consumers.",
            discussion: """
                Examples:
                  leveret queue show jobs
                  leveret queue show jobs -o json
                """
        )

        @Argument(help: "The queue.", completion: .queues)
        var name: String

        @OptionGroup var source: SourceOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            _ = try Column.choose(output.chosen, of: Columns.queue, all: true)
            let source = try source.open()
            guard case .object(var fields) = try source.queue(name) else {
                throw Failure(
                    .unreachable,
                    "what is known of queue '\(name)' came as something else than an object"
                )
            }
            let bindings = try source.bindings(of: name)
            let consumers = try source.consumers(of: name)
            fields.append(JSON.Field(name: "bindings", value: .array(bindings)))
            fields.append(JSON.Field(name: "consumer_list", value: .array(consumers)))
            try output.printFacts(.object(fields), of: Columns.queue)
            guard output.output == .table, output.columns == nil else { return }
            try OutputOptions.printBelow("bindings", bindings, Columns.bindings)
            try OutputOptions.printBelow("consumers", consumers, Columns.consumers)
        }
    }

    struct Declare: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make sure that a queue exists, with these settings.",
            discussion: """
                Declaring it again changes nothing; with other settings it is refused (exit status 6).

                Examples:
                  leveret queue declare jobs
                  leveret queue declare jobs --ttl 60000 --delivery-limit 5 \\
                      --dead-letter-exchange "" --dead-letter-key jobs.dead
                  leveret queue declare mails --delayed-retry-type failed \\
                      --delayed-retry-min 5000
                """
        )

        @Argument(help: "The queue.")
        var name: String
        @Flag(help: "It is gone after a restart.")
        var transient = false
        @Flag(help: "It is deleted when its last consumer goes.")
        var autoDelete = false
        @Option(
            parsing: .unconditional,
            help: ArgumentHelp("So many priorities above 0 are told apart, 1 to 255.", valueName: "n"))
        var maxPriority: Int?
        @Flag(help: "One consumer at a time gets the messages; the others stand by.")
        var singleActive = false
        @OptionGroup var settings: QueueOptions
        @OptionGroup var server: TargetOptions

        func run() throws {
            let request = LineRequest("QUEUE").argument(name)
                .word("durable=no", if: transient).word("auto-delete", if: autoDelete)
                .option("max-priority", maxPriority).word("single-active", if: singleActive)
            try server.connect().ask(settings.add(to: request))
            announce("queue '\(name.printable)' is there")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a queue and its messages.",
            discussion: """
                Examples:
                  leveret queue delete jobs --if-empty --if-unused --yes
                """
        )

        @Argument(help: "The queue.", completion: .queues)
        var name: String
        @Flag(help: "Only when no message is in it.")
        var ifEmpty = false
        @Flag(help: "Only when it has no consumer.")
        var ifUnused = false
        @OptionGroup var consent: ConsentOptions
        @OptionGroup var server: TargetOptions

        func run() throws {
            let client = try server.connect()
            let ready = try ServerSource(client).ready(in: name)
            let what = "queue '\(name.printable)' and what is in it: \(counted(ready, "message")) ready"
            if consent.dryRun { return announce("this would delete \(what)") }
            try Terminal.confirm("this deletes \(what)", yes: consent.yes)
            let count = try client.ask(
                LineRequest("DROP").word("queue").argument(name)
                    .word("if-empty", if: ifEmpty).word("if-unused", if: ifUnused)
            )
            let messages = Int(count) ?? 0
            let rest = messages > 0 ? ", and \(counted(messages, "message")) with it" : ""
            announce("queue '\(name.printable)' is deleted\(rest)")
        }
    }
}

struct PurgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge",
        abstract: "Remove all messages of a queue that are ready.",
        discussion: """
            What consumers hold stays with them.

            Examples:
              leveret purge jobs --dry-run
              leveret purge jobs --yes
            """
    )

    @Argument(help: "The queue.", completion: .queues)
    var name: String
    @OptionGroup var consent: ConsentOptions
    @OptionGroup var server: TargetOptions

    func run() throws {
        let client = try server.connect()
        let ready = try ServerSource(client).ready(in: name)
        let what = "all ready messages of queue '\(name.printable)': \(counted(ready, "message")) ready"
        if consent.dryRun { return announce("this would remove \(what)") }
        try Terminal.confirm("this removes \(what)", yes: consent.yes)
        let count = try client.ask(LineRequest("PURGE").argument(name))
        announce("\(counted(Int(count) ?? 0, "message")) removed from queue '\(name.printable)'")
    }
}
