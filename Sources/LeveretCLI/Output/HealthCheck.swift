// What `check` finds: thresholds held against rows, and the line that a monitor reads. Pure: it asks no server and no
// clock.

/// How bad something is, with the numbers that Nagios gives it.
enum HealthLevel: Int32, Comparable {
    case ok = 0
    case warning = 1
    case critical = 2
    /// It could not be found out.
    case unknown = 3

    static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// As a monitor reads it.
    var word: String {
        switch self {
        case .ok: "OK"
        case .warning: "WARNING"
        case .critical: "CRITICAL"
        case .unknown: "UNKNOWN"
        }
    }
}

/// What must hold.
struct HealthLimits: Equatable {
    /// Ready messages of any one queue.
    var readyMax: Int?
    /// How long the message at the head of any one queue has waited, in milliseconds.
    var ageMax: Int64?
    /// Dead letters that wait, in all.
    var deadMax: Int?
    /// Messages of any one queue that consumers hold.
    var unackedMax: Int?
    /// Consumers of every queue.
    var consumersMin: Int?
    /// Bytes that are free on the disk of the database.
    var diskFreeMin: Int?
}

/// The outcome of a check.
struct HealthCheck: Equatable {
    /// One thing that is wrong.
    struct Finding: Equatable {
        var level: HealthLevel
        var text: String
    }

    private(set) var findings: [Finding] = []
    /// The totals of what was looked at.
    private(set) var queues = 0
    private(set) var ready = 0
    private(set) var unacked = 0
    private(set) var delayed = 0
    private(set) var consumers = 0
    private(set) var dead = 0
    /// Milliseconds that the oldest message at the head of a queue has waited.
    private(set) var age: Int64 = 0
    private(set) var diskFree: Int?
    private let limits: HealthLimits
    /// `name=value;;limit` of each queue that was named.
    private var perQueue: [String] = []

    /// So many queues are told of with figures of their own.
    private static let queuesDetailed = 20
    /// So many findings stand in the line.
    private static let findingsShown = 5

    /// Holds `limits` against these rows.
    ///
    /// - Parameters:
    ///   - rows: the queues to look at.
    ///   - isNamed: the queues were asked for one by one.
    ///   - deadLetters: the rows of the queues in which dead letters wait.
    ///   - unseen: the virtual hosts that could not be looked at.
    init(
        status: JSON, rows: [JSON], isNamed: Bool = false, deadLetters: [JSON] = [],
        unseen: [UnseenHost] = [], limits: HealthLimits, now: Int64
    ) {
        self.limits = limits
        if case .array(let alarms)? = status["alarms"] {
            for alarm in alarms.compactMap(\.text) { add(.critical, alarm) }
        }
        diskFree = status["disk_free_bytes"]?.int
        if let least = limits.diskFreeMin, let free = diskFree, free < least {
            add(
                .critical, "\(Quantity.bytes(free)) are free on the disk (less than \(Quantity.bytes(least)))"
            )
        }
        for row in rows { look(at: row, now: now) }
        if isNamed, rows.count <= Self.queuesDetailed { perQueue = rows.flatMap(figures) }
        look(atDeadLetters: deadLetters)
        for host in unseen { add(.warning, host.text) }
        findings.sort { $0.level > $1.level }
    }

    /// The worst of what was found.
    var level: HealthLevel { findings.first?.level ?? .ok }

    private mutating func add(_ level: HealthLevel, _ text: String) {
        findings.append(Finding(level: level, text: text))
    }

    private mutating func look(at row: JSON, now: Int64) {
        let name = "queue '\((row["name"]?.text ?? "").printable)'"
        let age = row.time("oldest").map { max(0, now - $0) } ?? 0
        queues += 1
        ready = ready.adding(row.count("ready"))
        unacked = unacked.adding(row.count("unacked"))
        delayed = delayed.adding(row.count("delayed"))
        consumers = consumers.adding(row.count("consumers"))
        self.age = max(self.age, age)
        if let most = limits.readyMax, row.count("ready") > most {
            let count = Quantity.count(row.count("ready"))
            add(.critical, "\(name) has \(count) ready (more than \(Quantity.count(most)))")
        }
        if let most = limits.unackedMax, row.count("unacked") > most {
            let count = Quantity.count(row.count("unacked"))
            add(.critical, "\(name) has \(count) unacked (more than \(Quantity.count(most)))")
        }
        if let most = limits.ageMax, age > most {
            let waited = Quantity.duration(milliseconds: age)
            let limit = Quantity.duration(milliseconds: most)
            add(
                .critical,
                "the oldest message of \(name) waits for \(waited) (longer than \(limit))"
            )
        }
        if let least = limits.consumersMin, row.count("consumers") < least {
            add(.critical, "\(name) has \(counted(row.count("consumers"), "consumer")) (fewer than \(least))")
        }
        if row["paused_since"]?.text != nil { add(.warning, "\(name) is paused") }
        if let full = row.refusingAt { add(.warning, "\(name) is full and refuses publishes: \(full)") }
    }

    private mutating func look(atDeadLetters rows: [JSON]) {
        let waiting = rows.filter { $0.messages > 0 }.sorted { $0.messages > $1.messages }
        dead = waiting.reduce(0) { $0.adding($1.messages) }
        guard let most = limits.deadMax, dead > most, let first = waiting.first?["name"]?.text else { return }
        let many = "\(counted(dead, "dead letter")) \(dead == 1 ? "waits" : "wait")"
        let place =
            waiting.count == 1
            ? "queue '\(first.printable)'"
            : "\(counted(waiting.count, "queue")), most in '\(first.printable)'"
        add(.critical, "\(many) in \(place) (more than \(Quantity.count(most)))")
    }

    // MARK: - The line

    /// `CRITICAL: queue 'jobs' has 1,204 ready (more than 1,000)`, or what was looked at.
    var line: String {
        guard !findings.isEmpty else { return "\(level.word): \(summary)" }
        return "\(level.word): \(complaint)"
    }

    /// The same as Nagios reads it: behind the bar come the figures.
    var nagiosLine: String {
        let text = (findings.isEmpty ? summary : complaint).replacing("|", with: "/")
        return "LEVERET \(level.word) - \(text)|\(figures.joined(separator: " "))"
    }

    private var complaint: String {
        let shown = findings.prefix(Self.findingsShown).map(\.text)
        let rest = findings.count - shown.count
        return (shown + (rest > 0 ? ["and \(counted(rest, "finding")) more"] : [])).joined(separator: "; ")
    }

    private var summary: String {
        var parts = [
            counted(queues, "queue"), "\(Quantity.count(ready)) ready", "\(Quantity.count(unacked)) unacked",
        ]
        if limits.deadMax != nil { parts.append(counted(dead, "dead letter")) }
        if age > 0 { parts.append("oldest \(Quantity.duration(milliseconds: age))") }
        return parts.joined(separator: ", ")
    }

    /// Nagios' performance data: `'label'=value[unit];[warning];[critical];[least]`.
    private var figures: [String] {
        var figures = ["ready=\(ready);;;0", "unacked=\(unacked);;;0", "delayed=\(delayed);;;0"]
        figures.append("consumers=\(consumers);;;0")
        figures.append("oldest=\(Quantity.seconds(age))s;;\(limits.ageMax.map(Quantity.seconds) ?? "");0")
        if let most = limits.deadMax { figures.append("dead=\(dead);;\(most);0") }
        if let free = diskFree {
            figures.append("disk_free=\(free)B;;\(limits.diskFreeMin.map { "\($0):" } ?? "");0")
        }
        return figures + perQueue
    }

    private func figures(of row: JSON) -> [String] {
        let name = (row["name"]?.text ?? "").printable.replacing("=", with: "_").replacing("'", with: "''")
        let (ready, unacked) = (row.count("ready"), row.count("unacked"))
        return [
            "'\(name) ready'=\(ready);;\(limits.readyMax.map(String.init) ?? "");0",
            "'\(name) unacked'=\(unacked);;\(limits.unackedMax.map(String.init) ?? "");0",
            "'\(name) consumers'=\(row.count("consumers"));;\(limits.consumersMin.map { "\($0):" } ?? "");0",
        ]
    }

    /// As a row.
    var row: JSON {
        .object([
            .init(name: "status", value: .string(level.word.lowercased())),
            .init(name: "text", value: .string(findings.isEmpty ? summary : complaint)),
            .init(name: "findings", value: .array(findings.map { .string($0.text) })),
            .init(name: "queues", value: .int(queues)), .init(name: "ready", value: .int(ready)),
            .init(name: "unacked", value: .int(unacked)), .init(name: "delayed", value: .int(delayed)),
            .init(name: "consumers", value: .int(consumers)), .init(name: "dead", value: .int(dead)),
            .init(name: "age", value: .int(age)),
            .init(name: "disk_free_bytes", value: diskFree.map(JSON.int) ?? .null),
        ])
    }
}
