// `leveret vhost list|show|add|delete|limit`. None of them enters a virtual host, so that they go also where one is
// full.

import ArgumentParser

struct VirtualHostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vhost",
        abstract: "Keep things apart on one server: names in one virtual host mean nothing in another.",
        discussion: """
            Every command works in the virtual host that --vhost or the path of the URL names, else in '/'. Alone it \
            is 'vhost list'.
            """,
        subcommands: [List.self, Show.self, Add.self, Delete.self, Limit.self],
        defaultSubcommand: List.self
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the virtual hosts: what is in them, and what they may have at most.",
            discussion: """
                Examples:
                  leveret vhost list
                  leveret vhost list 'team-*' -o json
                  leveret vhost list --db leveret.db
                """
        )

        @Argument(help: "Only those whose name matches; * and ? stand for any characters and any one.")
        var pattern: String?
        @OptionGroup var source: SourceOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            var printer = try output.printer(of: Columns.virtualHosts)
            try source.openAnywhere().virtualHosts(match: pattern) { printer.print($0) }
            printer.finish(none: pattern.map { "no virtual host matches '\($0.printable)'" } ?? "")
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one virtual host: what is in it, and what it may have at most.",
            discussion: """
                Who may do what there, 'leveret permission list --vhost NAME' says.

                Examples:
                  leveret vhost show shop
                  leveret vhost show shop -o json
                """
        )

        @Argument(help: "The virtual host.", completion: .virtualHosts)
        var name: String
        @OptionGroup var source: SourceOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            _ = try Column.choose(output.chosen, of: Columns.virtualHosts, all: true)
            let row = try source.openAnywhere().virtualHost(named: name)
            try output.printFacts(row, of: Columns.virtualHosts)
        }
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a virtual host, unless it is there.",
            discussion: """
                Examples:
                  leveret vhost add shop
                  leveret queue declare orders --vhost shop
                """
        )

        @Argument(help: "The virtual host.")
        var name: String
        @OptionGroup var server: TargetOptions

        func run() throws {
            try server.connectAnywhere().ask(LineRequest("CREATE").word("vhost").argument(name))
            announce("virtual host '\(name.printable)' is there")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Delete a virtual host with all its queues, messages, exchanges, bindings and policies.",
            discussion: """
                Connections that are in it are closed.

                Examples:
                  leveret vhost delete shop --dry-run
                  leveret vhost delete shop --yes
                """
        )

        @Argument(help: "The virtual host.", completion: .virtualHosts)
        var name: String
        @OptionGroup var consent: ConsentOptions
        @OptionGroup var server: TargetOptions

        func run() throws {
            let client = try server.connectAnywhere()
            let row = try ServerSource(client).virtualHost(named: name)
            let queues = counted(row["queues"]?.int ?? 0, "queue")
            let ready = counted(row["ready"]?.int ?? 0, "message")
            let what = "virtual host '\(name.printable)' and what is in it: \(queues), \(ready) ready"
            if consent.dryRun { return announce("this would delete \(what)") }
            try Terminal.confirm("this deletes \(what)", yes: consent.yes)
            let count = Int(try client.ask(LineRequest("DROP").word("vhost").argument(name))) ?? 0
            let rest = count > 0 ? ", and \(counted(count, "message")) with it" : ""
            announce("virtual host '\(name.printable)' is deleted\(rest)")
        }
    }

    struct Limit: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what a virtual host may have at most.",
            discussion: """
                What isn't named has no limit from then on. What is there already stays.

                Examples:
                  leveret vhost limit shop --max-queues 100 --max-connections 20
                  leveret vhost limit shop
                """
        )

        @Argument(help: "The virtual host.", completion: .virtualHosts)
        var name: String
        @Option(parsing: .unconditional, help: ArgumentHelp("Queues.", valueName: "n"))
        var maxQueues: Int?
        @Option(parsing: .unconditional, help: ArgumentHelp("Connections.", valueName: "n"))
        var maxConnections: Int?
        @OptionGroup var server: TargetOptions

        func validate() throws {
            for most in [maxQueues, maxConnections].compactMap({ $0 })
            where !(0...Int(Int32.max)).contains(most) {
                throw ValidationError("A limit is from 0 to \(Int32.max).")
            }
        }

        func run() throws {
            let request = LineRequest("LIMIT").word("vhost").argument(name).option("max-queues", maxQueues)
                .option("max-connections", maxConnections)
            try server.connectAnywhere().ask(request)
            func said(_ most: Int?, _ noun: String) -> String {
                most.map { counted($0, noun) } ?? "any number of \(noun)s"
            }
            announce(
                "virtual host '\(name.printable)' may have \(said(maxQueues, "queue")) and "
                    + "\(said(maxConnections, "connection"))")
        }
    }
}
