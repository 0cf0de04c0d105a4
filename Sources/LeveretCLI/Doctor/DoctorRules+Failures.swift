// The rules of `doctor` about consumers that get nothing done: they hold all they may, refuse what they get, or give it
// back. Pure.

extension DoctorRules {
    /// So many milliseconds with nothing taken are a standstill.
    static let standstillMin: Int64 = 60_000
    /// Fewer failures than these say nothing.
    static let failuresMin = 10
    /// After so many returns it is no chance, however many messages there are.
    static let returnsMax = 1000

    static func allHeld(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.held.compactMap { held in
            let time = facts.now - held.since
            guard standstillMin < time, time <= heldMax,
                let queue = facts.queues.first(where: { $0.name == held.queue }), queue.count("ready") > 0,
                queue["out_rate"]?.double == 0
            else { return nil }
            let consumers = facts.consumers.filter {
                $0["queue"]?.text == held.queue && $0["active"] != .bool(false)
            }
            let areFull = consumers.allSatisfy {
                $0.count("prefetch") > 0 && $0.count("unacked") >= $0.count("prefetch")
            }
            guard !consumers.isEmpty, areFull else { return nil }
            return facts.finding(
                "all_held", .warning, queue,
                "nothing goes out: its consumers hold all that their prefetch allows, "
                    + "'\(held.holder.printable)' message \(held.position) for "
                    + Quantity.duration(milliseconds: time),
                "look at that consumer; \(facts.closing(held)) gives back what it holds")
        }
    }

    static func failing(_ facts: DoctorFacts) -> [DoctorFinding] {
        let targets = facts.deadLetterMap.targets
        return facts.queues.compactMap { queue in
            let failed = queue["dead"].map { $0.count("rejected").adding($0.count("delivery_limit")) } ?? 0
            // Where they are dropped, no_dead_letters says so.
            guard failed >= failuresMin, failed > queue.count("acked"), queue.deadLetterExchange != nil else {
                return nil
            }
            return facts.finding(
                "failing", .warning, queue,
                "\(counted(failed, "message")) failed for good and \(Quantity.count(queue.count("acked"))) got acked "
                    + "since the start",
                targets[queue.name]?.min().map(replayAdvice) ?? "'leveret dead list' has the reasons")
        }
    }

    static func returning(_ facts: DoctorFacts) -> [DoctorFinding] {
        facts.queues.compactMap { queue in
            let enough = queue.messages < returnsMax / 10 ? queue.messages * 10 : returnsMax
            guard let back = queue["return_rate"]?.double, let goes = queue["out_rate"]?.double, back >= 1,
                back * 2 >= goes, queue.count("returned") > enough
            else { return nil }
            return facts.finding(
                "returning", .warning, queue,
                "of \(Quantity.rate(goes)) deliveries a second \(Quantity.rate(back)) come back, to be tried again at "
                    + "once",
                "make them wait, and end: leveret policy set NAME PATTERN --delayed-retry-type failed "
                    + "--delayed-retry-min 1000 --delivery-limit 20")
        }
    }
}
