// What the journals of all lives of the worker add up to, and which promises they break. A line goes in as it was
// written; JobLedger+Compare.swift looks at the whole once nothing is left to do. It knows nothing of how jobs are kept.

/// The promises, and what became of them.
struct JobLedger {
    /// A job as far as it is known.
    struct Job {
        /// `KIND:WHICH`, once it has started or is found.
        var label = ""
        /// What must become of it, once it was enqueued: a state, or `dropped`, which leaves nothing.
        var fate: String?
        /// The last attempt that has started, and in which life of the worker.
        var attempt = 0
        var life = 0
        var starts = 0
        /// It was there in another life, so it was on disk.
        var isDurable = false
        var hasEnded = false
        var states: [String] = []
    }

    /// An enqueue of a unique job that is under way.
    private struct Ask {
        /// The jobs of the key that were enqueued, and had not ended.
        var pending: Set<String>
        /// The jobs of the key that were known.
        var known: Set<String>
        var line: Int
    }

    var jobs: [String: Job] = [:]
    /// Where a job was known to be settled for good, by the number of the line: it must not run again.
    private var gone: [String: Int] = [:]
    /// The jobs that run, by their labels.
    private var running: [String: Set<String>] = [:]
    /// The jobs that have been enqueued and not ended, by the key that makes them unique.
    private var pending: [String: Set<String>] = [:]
    private var known: [String: Set<String>] = [:]
    private var asks: [String: Ask] = [:]
    private var steps: [String: Int] = [:]
    /// The labels of jobs that have ended.
    private(set) var ended: Set<String> = []
    /// The jobs that have started and not ended, by group.
    private(set) var openParts: [String: Set<String>] = [:]
    /// The jobs of each tick, by schedule and moment.
    var ticks: [String: [Int: Set<String>]] = [:]
    /// How many jobs each schedule says that it has enqueued.
    var scheduled: [String: Int] = [:]
    /// How much was seen, by the first word of a line; `again` is a start of a job that had started before.
    private(set) var counts: [String: Int] = [:]
    private var line = 0
    private var life = 1
    /// What was promised and broken.
    private(set) var failures: [String] = []

    mutating func fail(_ text: String) { failures.append("line \(line): \(text)") }

    /// The process has ended: nothing runs, and nobody will say more of what was under way. What has started before
    /// its enqueue returned may be gone with it.
    mutating func died() {
        life += 1
        running = [:]
        asks = [:]
        pending = pending.mapValues { $0.filter { jobs[$0]?.fate != nil } }
    }

    /// Takes a line of a journal.
    mutating func read(_ text: String) {
        line += 1
        let words = text.split(separator: " ").map(String.init)
        counts[words.first ?? "", default: 0] += 1
        switch (words.first, words.count) {
        case ("enqueued", 3): jobs[words[1], default: Job()].fate = words[2]
        case ("start", 4): started(words[1], attempt: Int(words[2]) ?? 0, label: words[3])
        case ("end", 2): left(words[1], hasEnded: true)
        case ("fail", 2): left(words[1], hasEnded: false)
        case ("from", 3):
            let (begin, written) = (Int(words[2]) ?? 0, steps[words[1]] ?? 0)
            if begin < written { fail("job \(words[1]) goes on from \(begin), and had come to \(written)") }
        case ("step", 3): steps[words[1]] = Int(words[2])
        case ("ask", 3):
            let key = "unique:\(words[2])"
            asks[words[1]] = Ask(pending: pending[key] ?? [], known: known[key] ?? [], line: line)
        case ("taken", 4): taken(words[1], key: "unique:\(words[2])", words[3])
        case ("equal", 4):
            if let ask = asks.removeValue(forKey: words[1]), let since = gone[words[3]], since < ask.line {
                fail("a job is said to be equal to \(words[3]), which had been settled")
            }
        case ("found", 4): found(words[1], state: words[2], label: words[3])
        case ("schedule", 3): scheduled[words[1]] = Int(words[2])
        case ("forgotten", 1): compare()
        default: fail(text)
        }
    }

    private mutating func started(_ id: String, attempt: Int, label: String) {
        var job = jobs[id] ?? Job()
        if job.starts > 0 { counts["again", default: 0] += 1 }
        if gone[id] != nil { fail("job \(id) (\(label)) runs again after it was settled") }
        if job.life == life, attempt <= job.attempt {
            fail("job \(id) (\(label)) had attempt \(job.attempt), and has \(attempt)")
        }
        if job.fate == "cancelled" || job.fate == "dropped" {
            fail("job \(id) (\(label)) runs, and must not")
        }
        job.isDurable = job.isDurable || job.starts > 0 && job.life != life
        (job.attempt, job.life, job.label) = (attempt, life, label)
        job.starts += 1
        jobs[id] = job
        running[label, default: []].insert(id)
        checkTogether(label)
        checkOrder(label)
        if let group = Self.group(ofPart: label), !job.hasEnded { openParts[group, default: []].insert(id) }
        if label.hasPrefix("unique:") {
            known[label, default: []].insert(id)
            pending[label, default: []].insert(id)
        }
    }

    /// The group that a part belongs to which is to complete: `part:X.1` to `X`.
    private static func group(ofPart label: String) -> String? {
        guard label.hasPrefix("part:"), !label.hasSuffix(".failing") else { return nil }
        return String(label.dropFirst(5).prefix { $0 != "." })
    }

    /// How many jobs of a label run at a time.
    private mutating func checkTogether(_ label: String) {
        let count = running[label]?.count ?? 0
        if label.hasPrefix("unique:"), count > 1 { fail("\(count) jobs of \(label) run at a time") }
        if label.hasPrefix("limited:"), count > 2 { fail("\(count) jobs of \(label) run at a time") }
    }

    private mutating func left(_ id: String, hasEnded: Bool) {
        guard var job = jobs[id] else { return fail("job \(id) ends, and has not started") }
        job.hasEnded = job.hasEnded || hasEnded
        jobs[id] = job
        running[job.label]?.remove(id)
        guard hasEnded else { return }
        pending[job.label]?.remove(id)
        ended.insert(job.label)
        if let group = Self.group(ofPart: job.label) { openParts[group]?.remove(id) }
    }

    private mutating func taken(_ tag: String, key: String, _ id: String) {
        jobs[id, default: Job()].fate = "completed"
        guard let ask = asks.removeValue(forKey: tag) else { return }
        for other in ask.pending where other != id && pending[key]?.contains(other) == true {
            fail("job \(id) of \(key) is enqueued, and \(other) is there")
        }
        for other in ask.known where other != id && gone[other] == nil { gone[other] = line }
        known[key, default: []].insert(id)
        if jobs[id]?.hasEnded != true { pending[key, default: []].insert(id) }
    }

    private mutating func found(_ id: String, state: String, label: String) {
        jobs[id, default: Job()].label = label
        jobs[id]?.states.append(state)
        gone[id] = gone[id] ?? line
        noteTick(id, label)
    }

    private mutating func noteTick(_ id: String, _ label: String) {
        let parts = label.split(separator: ":")
        guard let schedule = parts.first, schedule == "often" || schedule == "minute",
            let moment = parts.last.flatMap({ Int($0) })
        else { return }
        ticks[String(schedule), default: [:]][moment, default: []].insert(id)
    }

    /// Forgets what has been compared. That it is gone stays known.
    mutating func forget() {
        jobs = [:]
        known = [:]
        pending = [:]
        steps = [:]
        ended = []
        openParts = [:]
    }
}
