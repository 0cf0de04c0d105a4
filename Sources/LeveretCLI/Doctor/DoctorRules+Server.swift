// The rules of `doctor` about the server as a whole, exchanges and consumers. Pure.

extension DoctorRules {
    /// So many bytes are little to have left on a disk.
    static let diskFreeMin = 1 << 30
    /// Two clocks that differ by so many milliseconds make times hard to compare.
    static let clockMax: Int64 = 5_000

    // MARK: - The server

    static func alarms(_ facts: DoctorFacts) -> [DoctorFinding] {
        guard case .array(let alarms)? = facts.status["alarms"] else { return [] }
        return alarms.compactMap(\.text).map {
            DoctorFinding(
                rule: "alarm", severity: .critical, subject: "server", text: $0,
                advice: "docs/operations.md has what to do about each alarm")
        }
    }

    static func disk(_ facts: DoctorFacts) -> [DoctorFinding] {
        guard let free = facts.status["disk_free_bytes"]?.int, free < diskFreeMin else { return [] }
        return [
            DoctorFinding(
                rule: "disk", severity: .warning, subject: "server",
                text: "\(Quantity.bytes(free)) are free on the disk of the database",
                advice: "make room before it is full: then publishes are refused")
        ]
    }

    static func clock(_ facts: DoctorFacts) -> [DoctorFinding] {
        guard facts.isLive, let theirs = facts.status.time("now"),
            (theirs - facts.localNow).magnitude > UInt64(clockMax)
        else { return [] }
        let difference = Quantity.duration(milliseconds: Int64((theirs - facts.localNow).magnitude))
        let side = theirs > facts.localNow ? "ahead of" : "behind"
        return [
            DoctorFinding(
                rule: "clock", severity: .info, subject: "server",
                text: "its clock is \(difference) \(side) this machine's",
                advice:
                    "set both by NTP; the server goes by the time it had when it started, so restart it after that"
            )
        ]
    }

    static func parked(_ facts: DoctorFacts) -> [DoctorFinding] {
        let waiting = facts.queues.first { $0.name == DeadLetterMap.parkingQueue }?.messages ?? 0
        guard waiting > 0 else { return [] }
        return [
            DoctorFinding(
                rule: "parked", severity: .warning,
                subject: "queue '\(facts.shown(DeadLetterMap.parkingQueue))'",
                text: "\(counted(waiting, "dead letter")) could go nowhere else",
                advice: replayAdvice(DeadLetterMap.parkingQueue))
        ]
    }

    static func unseen(_ facts: DoctorFacts) -> [DoctorFinding] {
        guard let host = facts.unseen else { return [] }
        return [
            DoctorFinding(
                rule: "unseen", severity: .info, subject: "vhost '\(host.name.printable)'",
                text: "it can't be looked at: \(host.why)",
                advice: "a user with permissions there, be they empty, or an administrator can: "
                    + "leveret permission set USER '' '' '' --vhost \(host.name.shellWord)")
        ]
    }

    // MARK: - Exchanges

    static func unroutable(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.exchanges.compactMap { exchange in
            let (lost, all) = (exchange.count("unroutable"), exchange.count("published"))
            guard lost > 0 else { return nil }
            let place = facts.prefix.isEmpty ? "" : " of '\(facts.prefix.dropLast())'".printable
            return DoctorFinding(
                rule: "unroutable", severity: .warning,
                subject: exchange.name.isEmpty
                    ? "the default exchange\(place)" : "exchange '\(facts.shown(exchange.name))'",
                text:
                    "\(Quantity.count(lost)) of \(counted(all, "message")) that came to it since the start "
                    + "reached no queue",
                advice: exchange.name.isEmpty
                    ? "publish to queues that are there; --mandatory has such publishes refused"
                    : "'leveret tail \(exchange.name.shellWord)' shows what passes; bind a queue for it, or catch it: "
                        + "leveret policy set NAME PATTERN --apply-to exchanges --alternate EXCHANGE")
        }
    }

    static func unbound(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.exchanges.compactMap { exchange in
            let name = exchange.name
            guard !name.isEmpty, !name.hasPrefix("amq."), exchange.count("bindings") == 0,
                exchange.effective("alternate-exchange") == nil
            else { return nil }
            return DoctorFinding(
                rule: "unbound", severity: .info, subject: "exchange '\(facts.shown(name))'",
                text: "nothing is bound to it: what is published to it is dropped",
                advice: "bind a queue, or delete it")
        }
    }

    // MARK: - Consumers

    static func prefetchZero(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.consumers.filter { $0.count("prefetch") == 0 && $0["auto_ack"] != .bool(true) }.map {
            DoctorFinding(
                rule: "prefetch_0", severity: .warning, subject: consumer($0, facts),
                text:
                    "it takes any number of messages at once (prefetch 0) and holds "
                    + Quantity.count($0.count("unacked")),
                advice: "give it a prefetch: it leaves nothing for other consumers and may run out of memory")
        }
    }

    static func autoAck(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.consumers.filter { $0["auto_ack"] == .bool(true) }.map {
            DoctorFinding(
                rule: "auto_ack", severity: .info, subject: consumer($0, facts),
                text:
                    "its messages count as done when they are sent: what it has not worked off is lost with it",
                advice: "have it ack each message if that matters")
        }
    }

    private static func consumer(_ row: JSON, _ facts: DoctorFacts) -> String {
        let (queue, session) = (facts.shown(row["queue"]?.text ?? ""), row["session"]?.text ?? "")
        return "consumer '\(row.name.printable)' of '\(session.printable)' at queue '\(queue)'"
    }
}
