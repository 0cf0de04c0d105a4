// The rules of `doctor` about queues: each looks at rows and says what is wrong and what to do. Pure. The others are
// in DoctorRules+Server.swift and DoctorRules+Failures.swift. To add one: a function, and its place in `all`.

/// One thing that `doctor` found.
struct DoctorFinding: Equatable {
    /// How bad it is.
    enum Severity: String, Comparable {
        /// Worth knowing.
        case info
        /// It will cost messages or time.
        case warning
        /// It does so now.
        case critical

        static func < (a: Self, b: Self) -> Bool { a.rank < b.rank }

        private var rank: Int {
            switch self {
            case .info: 0
            case .warning: 1
            case .critical: 2
            }
        }
    }

    /// The name of the rule, stable.
    var rule: String
    var severity: Severity
    /// `queue 'jobs'`.
    var subject: String
    /// What is wrong with it.
    var text: String
    /// What to do.
    var advice: String

    /// As a row.
    var row: JSON {
        .object([
            .init(name: "severity", value: .string(severity.rawValue)),
            .init(name: "subject", value: .string(subject)), .init(name: "text", value: .string(text)),
            .init(name: "advice", value: .string(advice)), .init(name: "rule", value: .string(rule)),
        ])
    }
}

/// The rules.
enum DoctorRules {
    /// A rule: what it finds.
    typealias Rule = @Sendable (DoctorFacts) -> [DoctorFinding]

    /// The rules about the server, by their names.
    static let ofServer: [(name: String, find: Rule)] = [
        ("alarm", alarms), ("disk", disk), ("clock", clock),
    ]

    /// The rules about what is in a virtual host, by their names.
    static let ofHost: [(name: String, find: Rule)] = [
        ("no_consumer", noConsumer), ("held_long", heldLong), ("all_held", allHeld), ("failing", failing),
        ("returning", returning), ("dead_end", deadEnd), ("no_dead_letters", noDeadLetters),
        ("no_limit", noLimit), ("full", full), ("expiring", expiring), ("dead_letters", deadLetters),
        ("paused", paused), ("prefetch_0", prefetchZero), ("auto_ack", autoAck), ("unroutable", unroutable),
        ("unbound", unbound), ("parked", parked), ("unseen", unseen),
    ]

    /// What all of them find in these virtual hosts of one server, the worst first.
    static func findings(in hosts: [DoctorFacts]) -> [DoctorFinding] {
        var found = hosts.first.map { facts in ofServer.flatMap { $0.find(facts) } } ?? []
        for var facts in hosts {
            facts.deadLetterMap = DeadLetterMap(
                queues: facts.queues, bindings: facts.bindings, ways: facts.ways)
            found += ofHost.flatMap { $0.find(facts) }.map { facts.namingHost(in: $0) }
        }
        return [.critical, .warning, .info].flatMap { severity in found.filter { $0.severity == severity } }
    }

    /// So many milliseconds are long to hold a message: RabbitMQ gives a consumer as many.
    static let heldMax: Int64 = 30 * 60_000
    /// A pause longer than this was perhaps forgotten, in milliseconds.
    static let pausedMax: Int64 = 60 * 60_000

    // MARK: - Queues

    static func noConsumer(_ facts: DoctorFacts) -> [DoctorFinding] {
        guard facts.isLive else { return [] }
        let ends = facts.deadLetterMap.ends
        return facts.queues.compactMap { queue in
            guard queue.count("ready") > 0, queue.count("consumers") == 0, queue["paused_since"]?.text == nil,
                !ends.contains(queue.name)
            else { return nil }
            return facts.finding(
                "no_consumer", .warning, queue,
                "\(counted(queue.count("ready"), "message")) \(queue.count("ready") == 1 ? "is" : "are") ready and no "
                    + "consumer takes \(queue.count("ready") == 1 ? "it" : "them")",
                "start its consumer, or delete the queue if nobody needs it any more")
        }
    }

    static func heldLong(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.held.compactMap { held in
            let time = facts.now - held.since
            guard time > heldMax else { return nil }
            return DoctorFinding(
                rule: "held_long", severity: .warning, subject: "queue '\(facts.shown(held.queue))'",
                text: "'\(held.holder.printable)' holds message \(held.position) for "
                    + Quantity.duration(milliseconds: time),
                advice: "look at that consumer; \(facts.closing(held)) takes back what it holds, and "
                    + "--consumer-timeout does so by itself")
        }
    }

    static func deadEnd(_ facts: DoctorFacts) -> [DoctorFinding] {
        let exchanges = Dictionary(facts.exchanges.map { ($0.name, $0) }) { a, _ in a }
        return facts.queues.compactMap { queue in
            guard let exchange = queue.deadLetterExchange else { return nil }
            let shown = "exchange '\(exchange.printable)'"
            if !exchange.isEmpty, !exchange.hasPrefix("amq."), exchanges[exchange] == nil {
                return facts.finding(
                    "dead_end", .warning, queue, "its dead letters go to \(shown), which isn't there",
                    "declare that exchange and bind a queue to it; till then they go to "
                        + "'\(DeadLetterMap.parkingQueue)'")
            }
            if let way = DeadLetterWay(queue) {
                guard facts.ways[way]?.isEmpty == true else { return nil }
                let key = way.key
                return facts.finding(
                    "dead_end", .warning, queue,
                    "its dead letters go to \(shown) with the key '\(key.printable)' and reach no queue",
                    exchange.isEmpty
                        ? "declare a queue '\(key.printable)'" : "bind a queue to that exchange for this key")
            }
            guard let row = exchanges[exchange], !exchange.isEmpty, row.count("bindings") == 0,
                row.effective("alternate-exchange") == nil
            else { return nil }
            return facts.finding(
                "dead_end", .warning, queue, "its dead letters go to \(shown), to which nothing is bound",
                "bind a queue to that exchange")
        }
    }

    static func noDeadLetters(_ facts: DoctorFacts) -> [DoctorFinding] {
        let ends = facts.deadLetterMap.ends
        return facts.queues.compactMap { queue in
            guard queue.deadLetterExchange == nil, queue["durable"] == .bool(true),
                !ends.contains(queue.name),
                queue["exclusive"] != .bool(true)
            else { return nil }
            let dead = queue["dead"].map { $0.count("rejected").adding($0.count("delivery_limit")) } ?? 0
            guard dead > 0 || queue.effective("x-delivery-limit") != nil else { return nil }
            let text =
                dead > 0
                ? "\(counted(dead, "message")) that failed \(dead == 1 ? "was" : "were") dropped since the "
                    + "start: it has no dead-letter exchange"
                : "it has a delivery limit and no dead-letter exchange: what fails too often is dropped"
            return facts.finding(
                "no_dead_letters", dead > 0 ? .warning : .info, queue, text,
                "give it one: leveret policy set NAME PATTERN --dead-letter-exchange \"\" --dead-letter-key QUEUE"
            )
        }
    }

    static func noLimit(_ facts: DoctorFacts) -> [DoctorFinding] {
        let ends = facts.deadLetterMap.ends
        return facts.queues.compactMap { queue in
            let limits = ["x-max-length", "x-max-length-bytes", "x-message-ttl"]
            // What came in a burst is no trend: so much must wait as comes in a minute.
            guard limits.allSatisfy({ queue.effective($0) == nil }), queue["paused_since"]?.text == nil,
                !ends.contains(queue.name),
                let comes = queue["in_rate"]?.double, let goes = queue["out_rate"]?.double, comes >= 1,
                comes > goes * 1.1, Double(queue.count("ready")) >= comes * 60
            else { return nil }
            return facts.finding(
                "no_limit", .warning, queue,
                "it grows without limit: \(Quantity.rate(comes)) a second come in and \(Quantity.rate(goes)) go out",
                "add consumers, or bound it: leveret policy set NAME PATTERN --max-length N --overflow reject-publish"
            )
        }
    }

    static func full(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.queues.compactMap { queue in
            let dropped = queue["dead"]?.count("maxlen") ?? 0
            if let full = queue.refusingAt {
                return facts.finding(
                    "full", .critical, queue,
                    "it is full and refuses publishes: \(full)",
                    "add consumers or raise its limit; 'leveret why' says what holds them up")
            }
            guard dropped > 0 else { return nil }
            return facts.finding(
                "full", .warning, queue,
                "\(counted(dropped, "message")) left it since the start because it was full",
                queue.deadLetterExchange == nil
                    ? "add consumers or raise its limit; a dead-letter exchange keeps what leaves"
                    : "add consumers or raise its limit; its dead letters are what left")
        }
    }

    static func expiring(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.queues.compactMap { queue in
            let expired = queue["dead"]?.count("expired") ?? 0
            let pace = queue["out_rate"]?.double ?? 0
            if let ttl = queue.effective("x-message-ttl")?.int, pace > 0, queue.count("consumers") > 0 {
                let needed = Double(queue.count("ready")) / pace * 1000
                if needed > Double(ttl), needed < 1e15 {
                    return facts.finding(
                        "expiring", .warning, queue,
                        "its messages live for \(Quantity.duration(milliseconds: Int64(ttl))) and at this pace the "
                            + "last waits for \(Quantity.duration(milliseconds: Int64(needed)))",
                        "add consumers, or give its messages more time")
                }
            }
            guard expired > 0, queue.deadLetterExchange == nil else { return nil }
            return facts.finding(
                "expiring", .info, queue,
                "\(counted(expired, "message")) expired since the start and \(expired == 1 ? "is" : "are") gone",
                "give it a dead-letter exchange if they matter, or more consumers")
        }
    }

    static func deadLetters(_ facts: DoctorFacts) -> [DoctorFinding] {
        let ends = facts.deadLetterMap.ends.subtracting([DeadLetterMap.parkingQueue])
        return facts.queues.compactMap { queue in
            guard ends.contains(queue.name), queue.messages > 0, queue.count("consumers") == 0 else {
                return nil
            }
            return facts.finding(
                "dead_letters", .info, queue,
                "\(counted(queue.messages, "dead letter")) \(queue.messages == 1 ? "waits" : "wait") in it",
                replayAdvice(queue.name))
        }
    }

    static func paused(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.queues.compactMap { queue in
            guard let since = queue.time("paused_since") else { return nil }
            let time = facts.now - since
            return facts.finding(
                "paused", time > pausedMax ? .warning : .info, queue,
                "it is paused for \(Quantity.duration(milliseconds: max(0, time)))",
                "'leveret resume \(queue.name.shellWord)' lets it go on")
        }
    }
}

extension DoctorRules {
    /// What to do about dead letters in a queue.
    static func replayAdvice(_ queue: String) -> String {
        "'leveret dead list \(queue.shellWord)' has the reasons; mend them and send the messages back with "
            + "'leveret dead replay \(queue.shellWord)'"
    }
}

extension DoctorFacts {
    /// The name of something, as it is told apart from one of the same name in another virtual host.
    func shown(_ name: String) -> String { (prefix + name).printable }

    /// The command that closes the connection of who holds a message.
    func closing(_ held: Held) -> String {
        let consumer = consumers.first {
            $0["queue"]?.text == held.queue && "\($0["session"]?.text ?? "")/\($0.name)" == held.holder
        }
        return "'leveret connections close\(consumer?["connection"]?.int.map { " \($0)" } ?? "")'"
    }

    /// A finding about a queue.
    func finding(
        _ rule: String, _ severity: DoctorFinding.Severity, _ queue: JSON, _ text: String, _ advice: String
    ) -> DoctorFinding {
        DoctorFinding(
            rule: rule, severity: severity, subject: "queue '\(shown(queue.name))'", text: text,
            advice: advice)
    }

    /// The finding, with the option for the commands that it names.
    func namingHost(in finding: DoctorFinding) -> DoctorFinding {
        guard !prefix.isEmpty, finding.advice.contains("leveret ") else { return finding }
        var finding = finding
        finding.advice += " (with --vhost \(String(prefix.dropLast()).shellWord))"
        return finding
    }
}
