// `leveret msg edit|cancel`: one message that waits. `msg show` is in MessageShowCommand.swift.

import ArgumentParser

struct MessageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "msg",
        abstract: "Show, change or remove one message.",
        subcommands: [Show.self, Edit.self, Cancel.self]
    )

    struct Edit: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change a message that waits, ready or delayed, in its place.",
            discussion: """
                It keeps its position; its version counts up. A message that a consumer holds can't be changed. \
                `leveret peek` shows positions and versions.

                Without an option that says what to change, the body is opened in $VISUAL or $EDITOR. Whoever \
                changed the message meanwhile wins; your text is kept in a file then.

                Examples:
                  leveret msg edit jobs.dead 4
                  leveret msg edit mails 17 --delay 0
                  leveret msg edit jobs.dead 4 --file fixed.json -H tries=0 --if 1
                """
        )

        @OptionGroup var place: PlaceOptions
        @Option(help: ArgumentHelp("Its new body.", valueName: "text"))
        var body: String?
        @Option(help: ArgumentHelp("Take the body from a file; - is standard input.", valueName: "path"))
        var file: String?
        @Option(help: ArgumentHelp("Its new key; it isn't routed again.", valueName: "key"))
        var key: String?
        @Option(parsing: .unconditional, help: ArgumentHelp("It expires so long from now.", valueName: "ms"))
        var ttl: Int?
        @Option(
            parsing: .unconditional,
            help: ArgumentHelp("It waits so long from now; 0 makes it ready.", valueName: "ms"))
        var delay: Int?
        @Option(
            name: .customLong("if"), parsing: .unconditional,
            help: ArgumentHelp(
                "Only if it has this version: nobody has changed it since.", valueName: "version")
        )
        var version: Int?
        @OptionGroup var headers: HeaderOptions
        @OptionGroup var server: TargetOptions

        func validate() throws {
            if body != nil, file != nil { throw ValidationError("Say --body or --file, not both.") }
        }

        func run() throws {
            if body == nil, file == nil, key == nil, ttl == nil, delay == nil, headers.headers.isEmpty {
                return try editByHand()
            }
            let content =
                try file.map { path throws(Failure) in try Input.contents(of: path) }
                ?? body.map { Array($0.utf8) }
            let request = LineRequest("EDIT").argument(place.name).argument(place.position).option(
                "if", version
            )
            .option("key", key).option("ttl", ttl).option("delay", delay).headers(headers.headers)
            try server.connect().ask(request, body: content)
            announce("message \(place.position) of queue '\(place.name.printable)' is changed")
        }

        /// Opens the body in the user's editor.
        private func editByHand() throws {
            let client = try server.connect()
            let message = try MessageOptions.find(place.position, of: place.name, in: ServerSource(client))
            let current = message["version"]?.int
            if let version, version != current {
                throw Failure(
                    .conflict,
                    "message \(place.position) of queue '\(place.name.printable)' has version \(current ?? 0), not "
                        + "\(version); look at it again"
                )
            }
            let editor = try Editor(message.bodyBytes)
            guard let body = try editor.edit() else {
                return announce("nothing was changed")
            }
            do {
                let request = LineRequest("EDIT").argument(place.name).argument(place.position).option(
                    "if", current)
                try client.ask(request, body: body)
            } catch {
                throw error.keeping(editor)
            }
            editor.discard()
            announce("message \(place.position) of queue '\(place.name.printable)' is changed")
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

        @OptionGroup var place: PlaceOptions
        @OptionGroup var server: TargetOptions

        func run() throws {
            try server.connect().ask(LineRequest("CANCEL").argument(place.name).argument(place.position))
            announce("message \(place.position) of queue '\(place.name.printable)' is removed")
        }
    }
}
