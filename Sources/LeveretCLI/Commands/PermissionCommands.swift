// `leveret permission list|set|clear|list-topics|set-topics|clear-topics`.

import ArgumentParser

struct PermissionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "permission",
        abstract: "What users may do with queues and exchanges: list, set and clear permissions.",
        discussion: """
            A permission is three regular expressions, found anywhere in a name: what a user may declare and delete \
            (configure), publish to (write) and take messages from or purge (read). '.*' is everything, '' nothing. \
            Alone it is 'permission list'.
            """,
        subcommands: [
            List.self, Set.self, Clear.self, ListTopics.self, SetTopics.self, ClearTopics.self,
        ],
        defaultSubcommand: List.self
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List permissions.",
            discussion: """
                Those in all virtual hosts, unless --vhost or the URL names one.

                Examples:
                  leveret permission list
                  leveret permission list app
                  leveret permission list --vhost shop
                """
        )

        @Argument(
            help: "Only those of users whose name matches; * and ? stand for any characters and any one.",
            completion: .users)
        var pattern: String?
        @OptionGroup var server: TargetOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            var printer = try output.printer(of: Columns.permissions)
            let request = LineRequest("LIST").word("permissions").option("match", pattern)
            let host = try server.virtualHost
            try server.connectAnywhere().rows(request) { row in
                if host == nil || row["vhost"]?.text == host { printer.print(row) }
            }
            let place = host.map { " in vhost '\($0.printable)'" } ?? ""
            printer.finish(none: "there are no permissions\(place)")
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set what a user may do in a virtual host; what it was allowed there before is gone.",
            discussion: """
                It counts at once, on open connections too: consumers of queues that the user may no longer read end.

                Examples:
                  leveret permission set app '^app\\.' '^(app\\.|amq\\.default$)' '^app\\.'
                  leveret permission set reader '' '' '.*' --vhost shop
                """
        )

        @Argument(help: "The user.", completion: .users)
        var user: String
        @Argument(help: "What it may declare and delete.")
        var configure: String
        @Argument(help: "What it may publish to and bind; the default exchange is called amq.default here.")
        var write: String
        @Argument(help: "What it may take messages from, purge, and bind from.")
        var read: String
        @OptionGroup var server: TargetOptions

        func run() throws {
            let host = try server.virtualHost ?? "/"
            let request = LineRequest("PERMISSION").word("set").argument(user).argument(host)
                .argument(configure).argument(write).argument(read)
            try server.connectAnywhere().ask(request)
            announce("the permissions of user '\(user.printable)' in '\(host.printable)' are set")
        }
    }

    struct Clear: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Allow a user nothing more in a virtual host.",
            discussion: """
                Examples:
                  leveret permission clear app
                  leveret permission clear app --vhost shop
                """
        )

        @Argument(help: "The user.", completion: .users)
        var user: String
        @OptionGroup var server: TargetOptions

        func run() throws {
            let host = try server.virtualHost ?? "/"
            let client = try server.connectAnywhere()
            var isThere = false
            try client.rows(LineRequest("LIST").word("permissions").option("match", user)) {
                if $0["user"]?.text == user, $0["vhost"]?.text == host { isThere = true }
            }
            guard isThere else {
                throw Failure(
                    .notFound,
                    "user '\(user.printable)' has no permissions in '\(host.printable)'; 'leveret permission list' "
                        + "lists them")
            }
            try client.ask(LineRequest("PERMISSION").word("clear").argument(user).argument(host))
            announce("user '\(user.printable)' has no permissions in '\(host.printable)'")
        }
    }

    struct ListTopics: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list-topics",
            abstract: "List topic permissions: which keys of topic exchanges users may use.",
            discussion: """
                Examples:
                  leveret permission list-topics
                  leveret permission list-topics app
                """
        )

        @Argument(
            help: "Only those of users whose name matches; * and ? stand for any characters and any one.",
            completion: .users)
        var pattern: String?
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            var printer = try output.printer(of: Columns.topicPermissions)
            let request = LineRequest("LIST").word("topic-permissions").option("match", pattern)
            try server.connectAnywhere().rows(request) { printer.print($0) }
            printer.finish(none: "there are no topic permissions: the keys of all topic exchanges are free")
        }
    }

    struct SetTopics: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set-topics",
            abstract: "Set which keys of a topic exchange a user may publish and bind with.",
            discussion: """
                On top of 'permission set', which says whether the user may use the exchange at all. Two regular \
                expressions, found anywhere in a key; '' is the empty key only. {username} and {vhost} in them stand \
                for these names. It counts at once; bindings that are there stay.

                Examples:
                  leveret permission set-topics app events '^app\\.' '.*'
                  leveret permission set-topics app events '^{username}\\.' '^all\\.'
                """
        )

        @Argument(help: "The user.", completion: .users)
        var user: String
        @Argument(
            help: "The exchange; of another type than topic it is not affected.", completion: .exchanges)
        var exchange: String
        @Argument(help: "The keys that it may publish with.")
        var write: String
        @Argument(help: "The keys that it may bind with.")
        var read: String
        @OptionGroup var server: ServerOptions

        func run() throws {
            let host = try server.target.virtualHost
            let request = LineRequest("PERMISSION").word("set-topics").argument(user).argument(host)
                .argument(exchange).argument(write).argument(read)
            try server.connectAnywhere().ask(request)
            announce(
                "the keys of exchange '\(exchange.printable)' in '\(host.printable)' that user "
                    + "'\(user.printable)' may use are set")
        }
    }

    struct ClearTopics: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "clear-topics",
            abstract: "Leave the keys of an exchange, or of all in a virtual host, free to a user.",
            discussion: """
                Examples:
                  leveret permission clear-topics app events
                  leveret permission clear-topics app --vhost shop
                """
        )

        @Argument(help: "The user.", completion: .users)
        var user: String
        @Argument(help: "The exchange; without it all.", completion: .exchanges)
        var exchange: String?
        @OptionGroup var server: ServerOptions

        func run() throws {
            let host = try server.target.virtualHost
            let request = LineRequest("PERMISSION").word("clear-topics").argument(user).argument(host)
            try server.connectAnywhere().ask(exchange.map { request.argument($0) } ?? request)
            let what = exchange.map { "exchange '\($0.printable)'" } ?? "all exchanges"
            announce("the keys of \(what) in '\(host.printable)' are free to user '\(user.printable)'")
        }
    }
}
