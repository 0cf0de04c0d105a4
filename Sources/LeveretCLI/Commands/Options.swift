// The options that commands share: where the server is and which virtual host there, what form the output has, and
// saying yes beforehand.

import ArgumentParser

/// `--url` and `--vhost`.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The server: leveret://user@host:port/vhost, leverets:// with TLS, or unix:path; amqp:// and amqps:// mean "
                + "the same. Else LEVERET_URL, else 127.0.0.1:5672. The password is LEVERET_PASSWORD, or asked for.",
            valueName: "url"
        )
    )
    var url: String?

    @Option(
        help: ArgumentHelp(
            "The virtual host. Else what the path of the URL says, else '/'.", valueName: "name"),
        completion: .virtualHosts
    )
    var vhost: String?

    func validate() throws {
        if let vhost, !(1...255).contains(vhost.utf8.count) {
            throw ValidationError("The name of a virtual host has 1 to 255 bytes.")
        }
    }

    /// Connects to the server, logs in and enters the virtual host.
    func connect() throws(Failure) -> LineClient {
        let client = try connectAnywhere()
        try client.enter(try target.virtualHost)
        return client
    }

    /// Connects to the server and logs in, for what is about no virtual host, or about several.
    func connectAnywhere() throws(Failure) -> LineClient {
        try LineClient(try target.address, as: try login())
    }

    /// What the options, the environment or the default say.
    var target: ServerTarget {
        get throws(Failure) {
            guard let place = try place else { return ServerTarget(address: .standard, named: vhost) }
            return try ServerTarget(place.address, vhost: vhost)
        }
    }

    /// Who logs in there; `nil` where nobody does. May ask for the password.
    func login() throws(Failure) -> Login? {
        guard let place = try place else { return nil }
        return try Login(place)
    }

    private var place: ServerURL? {
        get throws(Failure) {
            guard let url else {
                guard let url = Terminal.environment("LEVERET_URL") else { return nil }
                return try ServerURL(url)
            }
            let place = try ServerURL(url)
            guard place.password == nil else {
                throw Failure(
                    .usage,
                    "a password in --url can be seen by everybody on this machine; set LEVERET_PASSWORD or LEVERET_URL"
                )
            }
            return place
        }
    }
}

/// A pattern, a server and a form of output, of commands that list what a server knows by name.
struct ListingOptions: ParsableArguments {
    @Argument(help: "Only those whose name matches; * and ? stand for any characters and any one.")
    var pattern: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    /// Prints what LIST calls `kind`; `one` is what one of these is called. `isOfServer` says that they are the same
    /// in every virtual host, so that none need be entered.
    func list(
        _ kind: StaticString, one: String, _ columns: [Column], isOfServer: Bool = false
    ) throws {
        var printer = try output.printer(of: columns)
        let request = LineRequest("LIST").word(kind).option("match", pattern)
        let client = isOfServer ? try server.connectAnywhere() : try server.connect()
        try client.rows(request) { printer.print($0) }
        printer.finish(
            none: pattern.map { "no \(one) matches '\($0.printable)'" } ?? "there are no \(kind)")
    }
}

/// `--where`, of commands that look for messages.
struct ConditionOptions: ParsableArguments {
    @Option(
        name: .customLong("where"),
        help: ArgumentHelp(
            "Only messages that meet this SQL expression over their fields: position, key, headers, json (the body) "
                + "and so on; a wrong name has them all listed.", valueName: "expression"))
    var condition: String?
}

/// A queue and a position in it, of commands about one message.
struct PlaceOptions: ParsableArguments {
    @Argument(help: "The queue.", completion: .queues)
    var name: String
    @Argument(help: "The message's position.")
    var position: Int

    func validate() throws {
        if position < 1 { throw ValidationError("A position is 1 or more.") }
    }
}

/// `--yes` and `--dry-run`, of commands that remove or move much.
struct ConsentOptions: ParsableArguments {
    @Flag(help: "Don't ask. Needed where there is no terminal to ask on.")
    var yes = false
    @Flag(help: "Say what would be done, and do nothing.")
    var dryRun = false
}

/// `-o` and `--columns`.
struct OutputOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "The form: table, json (an object a line) or csv.")
    var output: OutputFormat = .table

    @Option(help: ArgumentHelp("Only these columns, in this order.", valueName: "a,b,c"))
    var columns: String?

    /// The names that `--columns` gives.
    var chosen: [String]? { columns?.split(separator: ",").map { $0.filter { $0 != " " } } }

    /// A printer for a listing.
    func printer(
        of columns: [Column],
        to output: Output = Output(Terminal.standardOutput)
    ) throws(Failure) -> RowPrinter {
        try RowPrinter(
            columns,
            chosen: chosen,
            format: self.output,
            to: output,
            colour: Terminal.hasColour(Terminal.standardOutput),
            isForTerminal: Terminal.isTerminal(Terminal.standardOutput),
            width: Terminal.width
        )
    }

    /// True where rows are to be printed as they come.
    var isWhole: Bool { output == .json && chosen == nil }

    /// The fields that are needed to print these columns; `nil` is all, also those of later versions.
    func fields(of columns: [Column]) throws(Failure) -> [String]? {
        if isWhole { return nil }
        return try Column.choose(chosen, of: columns, all: output != .table).map(\.name)
    }

    /// Prints below one thing what belongs to it, with a title; nothing where there is none.
    static func printBelow(_ title: String, _ rows: [JSON], _ columns: [Column]) throws(Failure) {
        if rows.isEmpty { return }
        announce("\n\(title)")
        var printer = try RowPrinter(
            columns, format: .table, to: Output(Terminal.standardOutput), width: Terminal.width)
        for row in rows { printer.print(row) }
        printer.finish(none: "")
    }

    /// Prints one thing: its facts below each other on a table, else a row.
    func printFacts(_ row: JSON, of columns: [Column]) throws(Failure) {
        guard output == .table else {
            var printer = try printer(of: columns)
            printer.print(row)
            printer.finish(none: "")
            return
        }
        let shown = try Column.choose(chosen, of: columns, all: false)
        let colour = Terminal.hasColour(Terminal.standardOutput)
        Output(Terminal.standardOutput).write(FactSheet.text(row, columns: shown, colour: colour))
    }
}

extension OutputFormat: ExpressibleByArgument {}

extension HeaderArgument: ExpressibleByArgument {
    init?(argument: String) { self.init(argument) }
}

/// `-H`.
struct HeaderOptions: ParsableArguments {
    @Option(
        name: [.customShort("H"), .customLong("header")],
        help: ArgumentHelp(
            "A header; repeat for more. 5, 2.5, true and null are themselves, '\"5\"' is text, json:[1,2] a list.",
            valueName: "name=value"
        )
    )
    var headers: [HeaderArgument] = []
}

/// Prints what was done, for a person and for a log.
func announce(_ text: String) { Terminal.write((text + "\n").utf8, to: Terminal.standardOutput) }

/// `1 message`, `1,234 messages`.
func counted(_ number: Int, _ noun: String) -> String {
    "\(Quantity.count(number)) \(noun)\(number == 1 ? "" : "s")"
}
