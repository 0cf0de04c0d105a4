// Which dead letters of a queue `dead replay` and `dead drop` are about: the options, the condition they make, and a
// look at what meets it before anything is done.

import ArgumentParser
import LeveretCore

/// Options that choose dead letters.
struct DeadFilter: ParsableArguments {
    @Argument(help: "The queue that holds the dead letters.", completion: .queues)
    var name: String
    @Option(
        parsing: .unconditional, help: ArgumentHelp("Only the one at this position.", valueName: "position"))
    var position: Int?
    @Option(
        help: ArgumentHelp("Only what died first in this queue.", valueName: "queue"), completion: .queues)
    var origin: String?
    @Option(
        help: ArgumentHelp(
            "Only what died last for this reason: rejected, expired, maxlen or delivery_limit.",
            valueName: "reason"))
    var reason: DeadReason?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Only what came so long ago or earlier: 90s, 5m, 2h, 1d.", valueName: "time"),
        transform: TimeArgument.init)
    var olderThan: TimeArgument?
    @OptionGroup var filter: ConditionOptions
    @Option(parsing: .unconditional, help: ArgumentHelp("At most so many, from the head.", valueName: "n"))
    var limit: Int?

    func validate() throws {
        if let position, position < 1 { throw ValidationError("A position is 1 or more.") }
        if let limit, limit < 1 { throw ValidationError("--limit is 1 or more.") }
    }

    /// The condition of the command's own; what dies again from now on does not meet it.
    func ownCondition(now: Int64) -> String {
        let before = Instant(milliseconds: now - (olderThan?.milliseconds ?? 0)).iso8601
        var terms = ["entered <= \(SQLText.literal(before))"]
        // A move by condition looks at what has a history; what is at home is no dead letter.
        terms.append("origin <> \(SQLText.literal(name))")
        if let position { terms.append("position = \(position)") }
        if let origin { terms.append("origin = \(SQLText.literal(origin))") }
        if let reason { terms.append("reason = \(SQLText.literal(reason.rawValue))") }
        return terms.joined(separator: " AND ")
    }

    /// The dead letters that meet the options, as a server of this time sees them.
    func survey(_ source: ServerSource) throws -> DeadSurvey {
        guard let now = try source.queue(name).time("now") else {
            throw Failure(.refused, "the server doesn't tell its time; is it of another version?")
        }
        let own = ownCondition(now: now)
        var survey = DeadSurvey(condition: SQLText.all([filter.condition, own]) ?? own)
        let most = min(limit ?? .max, DeadSurvey.countMax)
        var pages = try MessagePages(
            of: name, state: .ready, where: filter.condition, and: own, hasBodies: false, in: source)
        try pages.next(most) { survey.add($0) }
        return survey
    }
}

extension DeadFilter {
    /// Says that there is nothing to do; fails where the message that was named is not there.
    func announceNone(_ source: ServerSource) throws {
        if let position { _ = try MessageOptions.find(position, of: name, in: source) }
        announce("no dead letter of queue '\(name.printable)' meets the options")
    }
}

/// Why a message died, as rows say it.
enum DeadReason: String, CaseIterable, ExpressibleByArgument {
    case rejected
    case expired
    case maxlen
    case deliveryLimit = "delivery_limit"
}

/// What was found before anything is done.
struct DeadSurvey {
    /// No more are looked at beforehand.
    static let countMax = 10_000

    /// So many groups are shown one by one.
    static let groupsShown = 20

    /// What the dead letters meet.
    let condition: String
    private(set) var count = 0
    /// How many messages and bytes died first in each queue.
    private(set) var origins: [String: (count: Int, bytes: Int)] = [:]
    /// How many there are of each origin, reason and error text.
    private var exactly: [[String]: Int] = [:]

    init(condition: String) { self.condition = condition }

    /// True where there may be more.
    var isCut: Bool { count == Self.countMax }

    /// The bytes of all.
    var bytes: Int { origins.values.reduce(0) { $0.adding($1.bytes) } }

    /// `12 dead letters`, `at least 10,000 dead letters`.
    func described(limit: Int?) -> String {
        (isCut && limit != count ? "at least " : "") + counted(count, "dead letter")
    }

    /// Counts a message.
    mutating func add(_ message: JSON) {
        count += 1
        let group = ["origin", "reason", "error"].map { message[$0]?.text ?? "" }
        let origin = origins[group[0], default: (0, 0)]
        origins[group[0]] = (origin.count + 1, origin.bytes.adding(message.count("size")))
        exactly[group, default: 0] += 1
    }

    /// How many there are of each origin, reason and error, the most first; errors of one shape are one where there are
    /// many.
    var groups: [(names: [String], count: Int)] {
        let standIns = ErrorShape.standIns(for: exactly.keys.map { $0[2] })
        let merged = Dictionary(
            exactly.map { names, count in ([names[0], names[1], standIns[names[2]] ?? names[2]], count) },
            uniquingKeysWith: +)
        return merged.map { (names: $0.key, count: $0.value) }
            .sorted { ($1.count, $0.names[0], $0.names[2]) < ($0.count, $1.names[0], $1.names[2]) }
    }

    /// Prints the groups as a table.
    func show() throws {
        var printer = try RowPrinter(
            Columns.deadSurvey, format: .table, to: Output(Terminal.standardOutput),
            colour: Terminal.hasColour(Terminal.standardOutput), width: Terminal.width)
        let groups = groups
        for (group, count) in groups.prefix(Self.groupsShown) {
            printer.print(
                .object([
                    .init(name: "count", value: .int(count)),
                    .init(name: "origin", value: .string(group[0])),
                    .init(name: "reason", value: group[1].isEmpty ? .null : .string(group[1])),
                    .init(name: "error", value: group[2].isEmpty ? .null : .string(group[2])),
                ]))
        }
        printer.finish(none: "")
        let others = groups.dropFirst(Self.groupsShown)
        if !others.isEmpty {
            let count = others.reduce(0) { $0 + $1.count }
            announce("and \(Quantity.count(count)) of \(counted(others.count, "other kind"))")
        }
    }
}
