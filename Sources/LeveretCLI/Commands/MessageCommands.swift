// `leveret msg edit|cancel`: one message that waits.

import ArgumentParser

struct MessageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "msg",
        abstract: "Change or remove one message that waits.",
        subcommands: [Edit.self, Cancel.self]
    )

    struct Edit: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change a message that waits, ready or delayed, in its place.",
            discussion: """
                It keeps its position; its version counts up. A message that a consumer holds can't be changed. \
                `leveret peek` shows positions and versions.

                Examples:
                  leveret msg edit mails 17 --delay 0
                  leveret msg edit jobs.dead 4 --file fixed.json -H tries=0 --if 1
                """
        )

        @Argument(help: "The queue.")
        var name: String
        @Argument(help: "The message's position.")
        var position: Int
        @Option(help: ArgumentHelp("Its new body.", valueName: "text"))
        var body: String?
        @Option(help: ArgumentHelp("Take the body from a file; - is standard input.", valueName: "path"))
        var file: String?
        @Option(help: ArgumentHelp("Its new key; it isn't routed again.", valueName: "key"))
        var key: String?
        @Option(help: ArgumentHelp("It expires so long from now.", valueName: "ms"))
        var ttl: Int?
        @Option(help: ArgumentHelp("It waits so long from now; 0 makes it ready.", valueName: "ms"))
        var delay: Int?
        @Option(
            name: .customLong("if"),
            help: ArgumentHelp(
                "Only if it has this version: nobody has changed it since.", valueName: "version")
        )
        var version: Int?
        @OptionGroup var headers: HeaderOptions
        @OptionGroup var server: ServerOptions

        func validate() throws {
            if position < 1 { throw ValidationError("A position is 1 or more.") }
            if body != nil, file != nil { throw ValidationError("Say --body or --file, not both.") }
            if body == nil, file == nil, key == nil, ttl == nil, delay == nil, headers.headers.isEmpty {
                throw ValidationError("Say what to change: --body, --file, --key, --ttl, --delay or -H.")
            }
        }

        func run() throws {
            let content =
                try file.map { path throws(Failure) in try Input.contents(of: path) }
                ?? body.map { Array($0.utf8) }
            let request = LineRequest("EDIT").argument(name).argument(position).option("if", version)
                .option("key", key).option("ttl", ttl).option("delay", delay).headers(headers.headers)
            try server.connect().ask(request, body: content)
            announce("message \(position) of queue '\(name.printable)' is changed")
        }
    }

    struct Cancel: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a message that waits, ready or delayed.",
            discussion: """
                Examples:
                  leveret msg cancel mails 17
                """
        )

        @Argument(help: "The queue.")
        var name: String
        @Argument(help: "The message's position.")
        var position: Int
        @OptionGroup var server: ServerOptions

        func validate() throws {
            if position < 1 { throw ValidationError("A position is 1 or more.") }
        }

        func run() throws {
            try server.connect().ask(LineRequest("CANCEL").argument(name).argument(position))
            announce("message \(position) of queue '\(name.printable)' is removed")
        }
    }
}
