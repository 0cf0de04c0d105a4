// `leveret check`: one line and an exit status for a monitor.

import ArgumentParser
import Leveret

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Hold thresholds against the server: one line, exit status 0 or 4.",
        discussion: """
            Without thresholds it says whether the server answers and has no alarm. A queue that is paused is a \
            warning, which changes the line and not the status. With --nagios the line and the status are those of a \
            Nagios plugin: 0 OK, 1 WARNING, 2 CRITICAL (also where no server answers), 3 UNKNOWN.

            Examples:
              leveret check
              leveret check --ready-max 1000 --age-max 5m --dead-max 0
              leveret check jobs 'mails.*' --consumers-min 1
              leveret check --disk-free-min 5G --nagios
            """
    )

    @Argument(
        help: "Only these queues; in a name * and ? stand for any characters and any one.",
        completion: .queues)
    var queues: [String] = []
    @Option(help: ArgumentHelp("No queue has more messages ready.", valueName: "n"))
    var readyMax: Int?
    @Option(help: ArgumentHelp("No queue's oldest message waits longer: 90s, 5m, 2h, 1d.", valueName: "time"))
    var ageMax: TimeArgument?
    @Option(
        help: ArgumentHelp(
            "No more messages wait where dead letters end: in the queues that they lead to.", valueName: "n"))
    var deadMax: Int?
    @Option(help: ArgumentHelp("Consumers hold no more messages of a queue.", valueName: "n"))
    var unackedMax: Int?
    @Option(help: ArgumentHelp("Every queue has so many consumers.", valueName: "n"))
    var consumersMin: Int?
    @Option(help: ArgumentHelp("So much of the disk is free: 500M, 5G.", valueName: "size"))
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
            let (text, status) = LeveretCommand.report(error)
            if status == .unreachable { level = .critical }
            announce("LEVERET \(level.word) - \(text.replacing("|", with: "/"))")
        }
        // The numbers are Nagios'.
        if let status = CommandStatus(rawValue: level.rawValue), status != .done { throw Failure(status) }
    }

    private func look() throws -> HealthCheck {
        let source = try source.open()
        let status = try source.status()
        let fields = [
            "name", "ready", "unacked", "delayed", "consumers", "oldest", "paused_since", "effective",
        ]
        var all: [JSON] = []
        // One queue needs no list of all, unless its dead letters are looked for.
        let pattern = queues.count == 1 && deadMax == nil ? queues.first : nil
        try source.queues(match: pattern, fields: fields) { all.append($0) }
        let chosen = try choose(from: all)
        var deadLetters: [JSON] = []
        if deadMax != nil {
            var bindings: [BindingRow] = []
            try source.bindings { if let binding = BindingRow($0) { bindings.append(binding) } }
            let map = DeadLetterMap(queues: all, bindings: bindings)
            let names = queues.isEmpty ? nil : Set(chosen.compactMap { $0["name"]?.text })
            let ends = map.ends(of: names)
            deadLetters = all.filter { $0["name"]?.text.map(ends.contains) ?? false }
        }
        return HealthCheck(
            status: status, rows: chosen, isNamed: !queues.isEmpty, deadLetters: deadLetters,
            limits: HealthLimits(
                readyMax: readyMax, ageMax: ageMax?.milliseconds, deadMax: deadMax, unackedMax: unackedMax,
                consumersMin: consumersMin, diskFreeMin: diskFreeMin?.bytes),
            now: status.time("now") ?? Terminal.now)
    }

    /// The queues that were named, each once.
    private func choose(from all: [JSON]) throws -> [JSON] {
        if queues.isEmpty { return all }
        var taken: Set<String> = []
        var chosen: [JSON] = []
        for pattern in queues {
            let glob = Glob(pattern)
            let found = all.filter { $0["name"]?.text.map(glob.matches) ?? false }
            if found.isEmpty {
                throw Failure(
                    .notFound, "no queue matches '\(pattern.printable)'; 'leveret queues' lists them")
            }
            for row in found where taken.insert(row["name"]?.text ?? "").inserted { chosen.append(row) }
        }
        return chosen
    }
}
