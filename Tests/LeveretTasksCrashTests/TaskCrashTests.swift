// Kills a worker amid all kinds of jobs with `kill -9`, starts it again on its file, and holds it to what it had
// promised. `LEVERET_CRASH_ROUNDS` says how often (10), `LEVERET_CRASH_SEED` with which chance (1).

import Foundation
import LeveretTestSupport
import Testing

@Suite struct TaskCrashTests {
    @Test func `kill -9 loses no job, and doubles none that must not be`() async throws {
        let environment = ProcessInfo.processInfo.environment
        let rounds = environment["LEVERET_CRASH_ROUNDS"].flatMap { Int($0) } ?? 10
        let seed = environment["LEVERET_CRASH_SEED"].flatMap { UInt64($0) } ?? 1
        let harness = try await onOwnThread {
            let folder = try TemporaryFolder()
            var harness = TaskCrashHarness(database: folder.path("jobs.db"), seed: seed)
            for round in 1...max(rounds, 1) where harness.ledger.failures.isEmpty {
                try harness.run(isLast: round == rounds)
            }
            return harness
        }
        let ledger = harness.ledger
        for failure in ledger.failures.prefix(20) { Issue.record("seed \(seed): \(failure)") }
        func count(_ word: String) -> Int { ledger.counts[word] ?? 0 }
        print(
            """
            \(harness.kills) times kill -9, and \(harness.poisonings) times a job did it: \
            \(count("enqueued") + count("taken")) jobs enqueued, \(count("start")) started, \
            \(count("again")) of them again, \(count("equal")) dropped as doubles, \
            \(ledger.ticks.values.map(\.count).reduce(0, +)) ticks; \
            \(count("found")) records found; \(ledger.failures.count) broken promises
            """
        )
        // A few rounds may be over before all of it has come.
        guard rounds >= 10 else { return }
        for word in ["enqueued", "taken", "equal", "start", "end", "again", "step", "found"] {
            #expect(count(word) > 0, "no '\(word)'")
        }
    }
}

/// One database file, and the workers that live and die on it.
struct TaskCrashHarness {
    private let database: String
    private let seed: UInt64
    private var chance: SplitMix64
    /// When the first of them began, in milliseconds since 1970.
    private let begin = Int(Date().timeIntervalSince1970 * 1_000)
    private var lives = 0
    /// What all of them have said.
    private(set) var ledger = JobLedger()
    /// How often a worker was killed, and how often a job has ended one.
    private(set) var (kills, poisonings) = (0, 0)

    /// Rounds on the file at `database`, with the chance of `seed`.
    init(database: String, seed: UInt64) {
        self.database = database
        self.seed = seed
        chance = SplitMix64(seed: seed)
    }

    /// Starts a worker and kills it at a moment of chance; some rounds, and the last, are followed by the end of all
    /// jobs, so that others meet several crashes.
    mutating func run(isLast: Bool) throws {
        // Now and then at once, mostly anywhere within the first thousand lines.
        let lines =
            Int.random(in: 0..<8, using: &chance) == 0
            ? 0 : Int.random(in: 0..<(1 << Int.random(in: 4...11, using: &chance)), using: &chance)
        try live("load", until: { count, _ in count >= lines })
        guard isLast || Int.random(in: 0..<4, using: &chance) == 0 else { return }
        // Jobs that end the process may be left, and each does so three times.
        for _ in 0..<1_000 where ledger.failures.isEmpty {
            if try live("drain", until: { _, line in line == "forgotten" }) { return }
        }
    }

    /// One life of a worker. Returns false where it ended before it was `done`.
    @discardableResult
    private mutating func live(_ what: String, until done: (Int, String) -> Bool) throws -> Bool {
        lives += 1
        let life = seed &* 100_000 &+ UInt64(lives)
        let worker = try Program("crash-worker", [database, "\(begin)", "\(life)", what])
        var count = 0
        var isDone = done(count, "")
        while !isDone, let line = worker.readLine() {
            ledger.read(line)
            count += 1
            isDone = done(count, line)
        }
        worker.kill(SIGKILL)
        let result = worker.finish()
        for line in result.output.split(separator: "\n") { ledger.read(String(line)) }
        ledger.died()
        if isDone { kills += 1 } else { poisonings += 1 }
        if result.status != SIGKILL || !result.errors.isEmpty {
            ledger.fail("a worker ended with \(result.status) and said: \(result.errors.prefix(2_000))")
        }
        return isDone
    }
}
