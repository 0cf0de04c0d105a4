// `leveret check`: one line and an exit status for a monitor.

import ArgumentParser
import Leveret

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Hold thresholds against the server: one line, exit status 0 or 4.",
        discussion: """
            Without thresholds it says whether the server answers and has no alarm. It looks at all virtual hosts, \
            unless --vhost or the URL names one: queue 'x' in 'shop' is called 'shop/x', here and in the line. A queue \
            that is paused, one that is full and refuses publishes, and a virtual host that this user may not enter \
            are warnings, which change the line and not the status. With --nagios the line and the status are those \
            of a Nagios plugin: 0 OK, 1 WARNING, 2 CRITICAL (also where no server answers), 3 UNKNOWN.

            Examples:
              leveret check
              leveret check --ready-max 1000 --age-max 5m --dead-max 0
              leveret check jobs 'mails.*' 'shop/*' --consumers-min 1
              leveret check --disk-free-min 5G --nagios
            """
    )

    @Argument(
        help: "Only these queues; in a name * and ? stand for any characters and any one.",
        completion: .queues)
    var queues: [String] = []
    @Option(parsing: .unconditional, help: ArgumentHelp("No queue has more messages ready.", valueName: "n"))
    var readyMax: Int?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("No queue's oldest message waits longer: 90s, 5m, 2h, 1d.", valueName: "time"),
        transform: TimeArgument.init)
    var ageMax: TimeArgument?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "No more messages wait where dead letters end: in the queues that they lead to.", valueName: "n"))
    var deadMax: Int?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Consumers hold no more messages of a queue.", valueName: "n"))
    var unackedMax: Int?
    @Option(parsing: .unconditional, help: ArgumentHelp("Every queue has so many consumers.", valueName: "n"))
    var consumersMin: Int?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("So much of the disk is free: 500M, 5G.", valueName: "size"))
    var diskFreeMin: SizeArgument?
    @Flag(help: "As a Nagios plugin: its line, with figures, and its statuses.")
    var nagios = false

    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        for limit in [readyMax, deadMax, unackedMax, consumersMin] {
            if let limit, limit < 0 { throw ValidationError("A threshold is 0 or more.") }
        }
        if nagios, output.output != .table || output.columns != nil {
            throw ValidationError("--nagios is a form of its own: leave out -o and --columns.")
        }
        if source.db != nil, consumersMin != nil {
            throw ValidationError("A file knows no consumers: --consumers-min needs a server.")
        }
    }

    func run() throws {
        _ = try Column.choose(output.chosen, of: Columns.check, all: true)
        guard nagios else {
            let check = try look()
            if output.output == .table, output.columns == nil {
                announce(check.line)
            } else {
                try output.printFacts(check.row, of: Columns.check)
            }
            if check.level >= .critical { throw Failure(.crossed) }
            return
        }
        var level = HealthLevel.unknown
        do {
            let check = try look()
            level = check.level
            announce(check.nagiosLine)
        } catch {
            let failure = LeveretCommand.failure(error)
            if failure.status == .unreachable { level = .critical }
            announce("LEVERET \(level.word) - \(failure.text.replacing("|", with: "/"))")
        }
        // The numbers are Nagios'.
        if let status = CommandStatus(rawValue: level.rawValue), status != .done { throw Failure(status) }
    }

    private func look() throws -> HealthCheck {
        let place = try source.openAnywhere()
        let status = try place.status()
        let globs = queues.map { Glob($0) }
        var rows: [JSON] = []
        var deadLetters: [JSON] = []
        let unseen = try place.visit(try source.virtualHost, where: mayHold) { host, prefix in
            func named(_ row: JSON) -> JSON { row.with("name", .string(prefix + row.name)) }
            let all = try list(host, prefix)
            let chosen = all.filter { row in
                globs.isEmpty || globs.contains { $0.matches(prefix + row.name) }
            }
            if deadMax != nil { deadLetters += try ends(of: chosen, among: all, in: host).map(named) }
            rows += chosen.map(named)
        }
        for (pattern, glob) in zip(queues, globs) where !rows.contains(where: { glob.matches($0.name) }) {
            throw Failure(
                .notFound,
                "no queue matches '\(pattern.printable)'; 'leveret queues --all-vhosts' lists them")
        }
        return HealthCheck(
            status: status, rows: rows, isNamed: !queues.isEmpty, deadLetters: deadLetters, unseen: unseen,
            limits: HealthLimits(
                readyMax: readyMax, ageMax: ageMax?.milliseconds, deadMax: deadMax, unackedMax: unackedMax,
                consumersMin: consumersMin, diskFreeMin: diskFreeMin?.bytes),
            now: status.time("now") ?? Terminal.now)
    }

    /// False where no name that begins so can be one of those that were named.
    private func mayHold(_ prefix: String) -> Bool {
        queues.isEmpty
            || queues.contains { pattern in
                let literal = pattern.prefix { $0 != "*" && $0 != "?" }
                return prefix.hasPrefix(literal) || literal.hasPrefix(prefix)
            }
    }

    /// The queues of a virtual host; of one that was named it alone, unless its dead letters are looked for.
    private func list(_ host: any Source, _ prefix: String) throws -> [JSON] {
        let fields = [
            "name", "ready", "ready_bytes", "unacked", "delayed", "consumers", "oldest", "paused_since",
            "effective",
        ]
        let isOne = queues.count == 1 && deadMax == nil && prefix.isEmpty
        var rows: [JSON] = []
        try host.queues(match: isOne ? queues.first : nil, fields: fields) { rows.append($0) }
        return rows
    }

    /// The queues in which dead letters of the chosen ones wait.
    private func ends(of chosen: [JSON], among all: [JSON], in host: any Source) throws -> [JSON] {
        var bindings: [BindingRow] = []
        try host.bindings { if let binding = BindingRow($0) { bindings.append(binding) } }
        let ways = try host.deadLetterWays(
            of: all.filter { $0.deadLetterExchange != "" }, bindings: bindings)
        let map = DeadLetterMap(queues: all, bindings: bindings, ways: ways)
        let ends = map.ends(of: queues.isEmpty ? nil : Set(chosen.map(\.name)))
        return all.filter { ends.contains($0.name) }
    }
}
