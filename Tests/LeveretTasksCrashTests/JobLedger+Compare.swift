// The order in which jobs of a workflow start, and what must be recorded of all jobs once nothing is left to do.

extension JobLedger {
    // MARK: - Order

    /// A job that waits for others starts when they have ended. Labels say who waits for whom: `chain:X.2` for
    /// `chain:X.1`; `whole:X`, `ended:X` and `failed:X` for what is called `part:X.…`.
    mutating func checkOrder(_ label: String) {
        let parts = label.split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return }
        if parts[0] == "chain", let place = label.last?.wholeNumberValue, place > 1,
            !ended.contains("\(label.dropLast())\(place - 1)")
        {
            fail("\(label) starts, and the one before it has not ended")
        }
        if parts[0] == "whole" || parts[0] == "ended", openParts[parts[1]]?.isEmpty == false {
            fail("\(label) starts, and a part of its group has not ended")
        }
    }

    // MARK: - The end

    /// Compares what was promised with what is recorded; called when nothing waits, runs or depends on others.
    mutating func compare() {
        for (id, job) in jobs.sorted(by: { $0.key < $1.key }) { compare(id, job) }
        let found = jobs.filter { !$0.value.states.isEmpty }
        let kinds = Dictionary(grouping: found.values.map(\.label)) { label in label.prefix { $0 != ":" } }
        compareBatches(kinds["batch"] ?? [])
        compareChains(kinds["chain"] ?? [])
        compareGroups(Set(found.values.map { "\($0.label) \($0.states[0])" }))
        for kind in ["whole", "ended", "failed", "part", "chain", "child"] {
            for (label, all) in Dictionary(grouping: kinds[kind[...]] ?? [], by: { $0 }) where all.count > 1 {
                fail("there are \(all.count) jobs \(label)")
            }
        }
        let children = Dictionary(grouping: kinds["child"] ?? []) { $0 }.mapValues(\.count)
        for (id, job) in found where job.label.hasPrefix("parent:") && children["child:\(id)"] != 1 {
            fail("job \(id) has completed, and has \(children["child:\(id)"] ?? 0) children")
        }
        compareTicks()
        forget()
    }

    private mutating func compare(_ id: String, _ job: Job) {
        let name = "job \(id) (\(job.label))"
        if let fate = job.fate, fate != "dropped", job.states != [fate] {
            fail("\(name) was enqueued and is to be \(fate), and is recorded as \(job.states)")
        }
        if job.fate == "dropped", !job.states.isEmpty { fail("\(name) is recorded as \(job.states)") }
        if job.states.count > 1 { fail("\(name) is recorded \(job.states.count) times") }
        if job.isDurable, job.states.isEmpty { fail("\(name) has started, and there is no record of it") }
        if job.states.contains("completed"), !job.hasEnded { fail("\(name) is completed, and has not ended") }
        // A crash right at the first start may not be counted.
        if job.label.hasPrefix("poison:"), job.starts > 4 {
            fail("\(name) of 3 attempts ran \(job.starts) times")
        }
    }

    /// `batch:X/COUNT`: all of a batch, or none.
    private mutating func compareBatches(_ labels: [String]) {
        for (label, all) in Dictionary(grouping: labels, by: { $0 }) where !label.hasSuffix("/\(all.count)") {
            fail("\(all.count) jobs of \(label) are there")
        }
    }

    /// `chain:X.1`, `.2` and `.3`: each once, or none.
    private mutating func compareChains(_ labels: [String]) {
        let chains = Dictionary(grouping: labels) { $0.dropLast(2) }
        for (chain, links) in chains where links.sorted() != (1...3).map({ "\(chain).\($0)" }) {
            fail("of \(chain) there are \(links.sorted())")
        }
    }

    /// Of a group that is there, each callback is recorded as it must be.
    private mutating func compareGroups(_ found: Set<String>) {
        var groups: Set<Substring> = []
        for label in found where ["part", "whole", "ended", "failed"].contains(label.prefix { $0 != ":" }) {
            groups.insert(label.drop { $0 != ":" }.dropFirst().prefix { $0 != "." && $0 != " " })
        }
        for group in groups {
            let fails = found.contains("part:\(group).failing discarded")
            for (callback, runs) in [("whole", !fails), ("ended", true), ("failed", fails)]
            where found.contains("\(callback):\(group) completed") != runs {
                fail("\(callback):\(group) is \(runs ? "not " : "")completed")
            }
        }
    }

    /// One job for each tick, and of the schedule that catches up with all of them, one each five seconds.
    private mutating func compareTicks() {
        for (schedule, jobs) in ticks {
            for (moment, ids) in jobs where ids.count != 1 {
                fail("schedule \(schedule) has \(ids.count) jobs for \(moment)")
            }
            if let count = scheduled[schedule], count != jobs.count {
                fail("schedule \(schedule) counts \(count) ticks, and has \(jobs.count)")
            }
        }
        let moments = (ticks["often"] ?? [:]).keys.sorted()
        for (one, next) in zip(moments, moments.dropFirst()) where next - one != 5_000 {
            fail("schedule often has no job between \(one) and \(next)")
        }
    }
}
