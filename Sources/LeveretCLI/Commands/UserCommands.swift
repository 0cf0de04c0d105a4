// `leveret user list|show|add|passwd|authenticate|tags|limit|delete`. Passwords are never arguments: others can see
// those.

import ArgumentParser
import Leveret
import LeveretServer
import Logging

struct UserCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user",
        abstract: "Who may log in: list, add and delete users, change passwords, tags and limits.",
        discussion: """
            A user may do nothing until it has a tag or, with 'leveret permission set', permissions. The tag \
            administrator allows everything but messages; monitoring, policymaker and management mean what they mean \
            in RabbitMQ. Alone it is 'user list'.
            """,
        subcommands: [
            List.self, Show.self, Add.self, Passwd.self, Authenticate.self, Tags.self, Limit.self,
            Delete.self,
        ],
        defaultSubcommand: List.self
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List users: their tags, what they have open, and how much they may have.",
            discussion: """
                Examples:
                  leveret user list
                  leveret user list 'app*' -o json
                """
        )

        @Argument(help: "Only those whose name matches; * and ? stand for any characters and any one.")
        var pattern: String?
        @OptionGroup var server: TargetOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            var printer = try output.printer(of: Columns.users)
            let request = LineRequest("LIST").word("users").option("match", pattern)
            try server.connectAnywhere().rows(request) { printer.print($0) }
            printer.finish(
                none: pattern.map { "no user matches '\($0.printable)'" } ?? "there are no users")
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one user: its tags, what it has open and may have, and what it may do where.",
            discussion: """
                Examples:
                  leveret user show app
                  leveret user show app -o json
                """
        )

        @Argument(help: "The user.", completion: .users)
        var name: String
        @OptionGroup var server: TargetOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            _ = try Column.choose(output.chosen, of: Columns.user, all: true)
            let client = try server.connectAnywhere()
            let user = try ServerSource(client).user(name)
            var permissions: [JSON] = []
            try client.rows(LineRequest("LIST").word("permissions").option("match", name)) {
                if $0["user"]?.text == name { permissions.append($0) }
            }
            try output.printFacts(user.with("permissions", .array(permissions)), of: Columns.user)
            guard output.output == .table, output.columns == nil else { return }
            try OutputOptions.printBelow("permissions", permissions, Columns.userPermissions)
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a user.",
            discussion: """
                The password is asked for twice; without a terminal it is the first line of standard input, or \
                LEVERET_NEW_PASSWORD. With --db the user is added to a file that no server has open: so the first \
                administrator comes to a server that lets nobody else in.

                Examples:
                  leveret user add app
                  leveret user add ops --tags administrator --db leveret.db
                  leveret user add app < password.txt
                """
        )

        @Argument(help: "Its name.")
        var name: String
        @Option(
            help: ArgumentHelp("What it is to everything but messages.", valueName: "a,b"),
            completion: .list(UserTag.allCases.map(\.rawValue)))
        var tags: String?
        @OptionGroup var target: UserTarget

        func run() async throws {
            let request = LineRequest("USER").word("add").argument(name)
            try await target.send(request.option("tags", tags), name) { hash in
                .add(
                    UserDefinition(
                        UserName(name), passwordHash: hash,
                        tags: (tags ?? "").split(separator: ",").map(String.init)))
            }
            announce("user '\(name.printable)' is added")
        }
    }

    struct Passwd: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a user another password.",
            discussion: """
                It is read as 'leveret user add' reads it. Open connections stay; 'leveret connections close' ends them.

                Examples:
                  leveret user passwd app
                  leveret user passwd ops --db leveret.db
                """
        )

        @Argument(help: "The user.", completion: .users)
        var name: String
        @OptionGroup var target: UserTarget

        func run() async throws {
            try await target.send(LineRequest("USER").word("passwd").argument(name), name) { hash in
                .setPassword(UserName(name), hash: hash)
            }
            announce("user '\(name.printable)' has another password")
        }
    }

    struct Authenticate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Try a user's password: exit status 0 where it is right, 1 where it is not.",
            discussion: """
                It is asked for once; without a terminal it is the first line of standard input. The server is logged \
                in to as this user and nothing else is asked of it; a user in the URL has no part in it.

                Examples:
                  leveret user authenticate app
                  leveret user authenticate app < password.txt
                """
        )

        @Argument(help: "The user.", completion: .users)
        var name: String
        @OptionGroup var server: ServerOptions

        func run() throws {
            let address = try server.target.address
            let login = Login(user: name, password: try SecretPrompt.password(of: name))
            _ = try LineClient(address, as: login)
            announce("the password of user '\(name.printable)' is right")
        }
    }

    struct Tags: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a user other tags.",
            discussion: """
                They count at once, on open connections too. Without any the user keeps none.

                Examples:
                  leveret user tags ops administrator
                  leveret user tags dashboards monitoring
                  leveret user tags ops
                """
        )

        @Argument(help: "The user.", completion: .users)
        var name: String
        @Argument(
            help: "Its tags: administrator, monitoring, policymaker, management, or words of your own.",
            completion: .list(UserTag.allCases.map(\.rawValue)))
        var tags: [String] = []
        @OptionGroup var server: TargetOptions

        func run() throws {
            let request = LineRequest("USER").word("tags").argument(name)
            try server.connectAnywhere().ask(request.argument(tags.joined(separator: ",")))
            let what = tags.isEmpty ? "no tags" : "the tags \(tags.joined(separator: ", "))"
            announce("user '\(name.printable)' has \(what.printable)")
        }
    }

    struct Limit: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Limit what a user may have open.",
            discussion: """
                What is open stays. A limit that isn't named is lifted.

                Examples:
                  leveret user limit app --max-connections 20 --max-channels 100
                  leveret user limit app
                """
        )

        @Argument(help: "The user.", completion: .users)
        var name: String
        @Option(parsing: .unconditional, help: ArgumentHelp("Connections at one time.", valueName: "n"))
        var maxConnections: Int?
        @Option(
            parsing: .unconditional,
            help: ArgumentHelp("Sessions over all its connections; a line connection is one.", valueName: "n")
        )
        var maxChannels: Int?
        @OptionGroup var server: TargetOptions

        func run() throws {
            let request = LineRequest("USER").word("limit").argument(name)
                .option("max-connections", maxConnections).option("max-channels", maxChannels)
            try server.connectAnywhere().ask(request)
            announce("the limits of user '\(name.printable)' are set")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a user and its permissions, and close its connections.",
            discussion: """
                Examples:
                  leveret user delete app
                """
        )

        @Argument(help: "The user.", completion: .users)
        var name: String
        @OptionGroup var server: TargetOptions

        func run() throws {
            let client = try server.connectAnywhere()
            _ = try ServerSource(client).user(name)
            try client.ask(LineRequest("USER").word("delete").argument(name))
            announce("user '\(name.printable)' is deleted")
        }
    }
}

/// Where a password goes: to a server, or into a file that no server has open.
struct UserTarget: ParsableArguments {
    @OptionGroup var server: ServerOptions
    @Option(help: ArgumentHelp("Change this database file, which no server has open.", valueName: "file"))
    var db: String?

    func validate() throws {
        if db != nil, server.url != nil { throw ValidationError("Say --url or --db, not both.") }
    }

    /// Asks for the password of `user`, then has it set.
    func send(_ request: LineRequest, _ user: String, _ make: (_ hash: String) -> UserRequest) async throws {
        guard let db else {
            let client = try server.connectAnywhere()
            try client.ask(request, body: try SecretPrompt.newPassword(of: user))
            return
        }
        var configuration = Broker.Configuration()
        configuration.logger.logLevel = .warning
        let broker = try Broker(.file(db), configuration: configuration)
        let result: Result<Void, any Error>
        do {
            let hash = try PasswordHash(of: try SecretPrompt.newPassword(of: user)).text
            result = .success(try await broker.administer(make(hash)))
        } catch {
            result = .failure(error)
        }
        try await broker.shutdown()
        try result.get()
    }
}
