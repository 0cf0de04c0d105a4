// The load: enqueues jobs of all kinds by chance, and says of each what it was promised, once it was. Ends with the
// process.

import Leveret
import LeveretTasks
import LeveretTestSupport

/// One of those who enqueue.
struct Load {
    private let jobs: Jobs
    private let journal: Journal
    private var chance: SplitMix64
    /// What it numbers its things by; nobody else has these.
    private let name: String
    private var count = 0

    init(_ jobs: Jobs, _ journal: Journal, seed: UInt64, number: Int) {
        self.jobs = jobs
        self.journal = journal
        chance = SplitMix64(seed: seed &* 1_000 &+ UInt64(number))
        name = "\(seed)-\(number)"
    }

    /// Enqueues for ever; whoever reads the journal sets the pace.
    mutating func run() async throws {
        while true {
            count += 1
            try await enqueue("\(name)-\(count)")
        }
    }

    private mutating func enqueue(_ tag: String) async throws {
        // Seldom: each ends the process three times.
        if Int.random(in: 0..<600, using: &chance) == 0 {
            return try await enqueue(Poison(label: "poison:\(tag)"), "discarded")
        }
        switch Int.random(in: 0..<200, using: &chance) {
        case ..<50: try await enqueue(Plain(label: "plain:\(tag)"), "completed")
        case 50..<65: try await enqueueBatch(tag)
        case 65..<105: try await enqueueUnique(tag)
        case 105..<115: try await enqueue(Flaky(label: "flaky:\(tag)"), "completed")
        case 115..<125: try await enqueue(Hopeless(label: "hopeless:\(tag)"), "discarded")
        case 125..<135: try await enqueue(Steps(label: "steps:\(tag)"), "completed")
        case 135..<145: try await enqueue(Parent(label: "parent:\(tag)"), "completed")
        case 145..<155: try await enqueueChain(tag)
        case 155..<175: try await enqueueGroup(tag)
        case 175..<185:
            let later = EnqueueOptions(start: .after(.seconds(2)))
            try await enqueue(Plain(label: "later:\(tag)"), "completed", later)
        default:
            let key = "k\(Int.random(in: 0..<3, using: &chance))"
            let options = EnqueueOptions(queue: .limited, limitKey: key)
            try await enqueue(Plain(label: "limited:\(key)"), "completed", options)
        }
    }

    private func enqueue(
        _ job: some Job, _ fate: String, _ options: EnqueueOptions = EnqueueOptions()
    ) async throws {
        let id = try await jobs.enqueue(job, options).id
        journal.say("enqueued", id.rawValue, fate)
    }

    private mutating func enqueueBatch(_ tag: String) async throws {
        let size = Int.random(in: 2...20, using: &chance)
        let batch = (0..<size).map { _ in Plain(label: "batch:\(tag)/\(size)") }
        for job in try await jobs.enqueue(all: batch) {
            journal.say("enqueued", job.id.rawValue, "completed")
        }
    }

    private mutating func enqueueUnique(_ tag: String) async throws {
        let key = "u\(Int.random(in: 0..<5, using: &chance))"
        journal.say("ask", tag, key)
        let job = try await jobs.enqueue(Plain(label: "unique:\(key)"), .init(unique: .key(key)))
        journal.say(job.outcome == .enqueued ? "taken" : "equal", tag, key, job.id.rawValue)
    }

    private func enqueueChain(_ tag: String) async throws {
        var flow = Workflow()
        let first = flow.add(Plain(label: "chain:\(tag).1"))
        let second = flow.add(Flaky(label: "chain:\(tag).2"), after: first)
        flow.add(Plain(label: "chain:\(tag).3"), after: second)
        for id in try await jobs.enqueue(flow).all { journal.say("enqueued", id.rawValue, "completed") }
    }

    /// A group of which, now and then, one part fails, and all that can be said to follow it.
    private mutating func enqueueGroup(_ tag: String) async throws {
        let size = Int.random(in: 1...6, using: &chance)
        let fails = Int.random(in: 0..<3, using: &chance) == 0
        var flow = Workflow()
        var parts = (0..<size).map { flow.add(Plain(label: "part:\(tag).\($0)")) }
        if fails { parts.append(flow.add(Hopeless(label: "part:\(tag).failing"))) }
        flow.add(Whole(label: "whole:\(tag)", parts: parts.count), after: parts)
        flow.add(Plain(label: "ended:\(tag)"), after: parts, when: .allEnded)
        flow.add(Plain(label: "failed:\(tag)"), after: parts, when: .anyFailed)
        let ids = try await jobs.enqueue(flow).all.map(\.rawValue)
        for id in ids[..<size] { journal.say("enqueued", id, "completed") }
        if fails { journal.say("enqueued", ids[size], "discarded") }
        for (id, fate) in zip(ids.suffix(3), [fails ? "cancelled" : "completed", "completed"]) {
            journal.say("enqueued", id, fate)
        }
        journal.say("enqueued", ids[ids.count - 1], fails ? "completed" : "dropped")
    }
}

extension JobQueue {
    /// Where jobs are limited by their keys.
    static let limited: JobQueue = "limited"
}
