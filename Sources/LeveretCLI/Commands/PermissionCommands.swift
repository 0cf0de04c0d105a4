// `leveret permission list|set|clear`.

import ArgumentParser

struct PermissionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "permission",
        abstract: "What users may do with queues and exchanges: list, set and clear permissions.",
        discussion: """
            A permission is three regular expressions, found anywhere in a name: what a user may declare and delete \
            (configure), publish to (write) and take messages from (read). '.*' is everything, '' nothing. Alone it is \
            'permission list'.
            """,
        subcommands: [List.self, Set.self, Clear.self],
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
        @Argument(help: "What it may take messages from, and bind from.")
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
}
