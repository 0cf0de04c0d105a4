// The kinds of jobs that run under fire, and what runs them. Each says when it starts and when it ends; its label tells
// the ledger what it is part of.

import Foundation
import Leveret
import LeveretTasks

/// A job that says of itself in the journal what it is.
protocol Labelled: Job {
    /// `KIND:WHICH`, without spaces.
    var label: String { get }
}

/// Takes a moment, and returns 1.
struct Plain: Labelled {
    typealias Output = Int
    static let name = "plain"
    var label: String
}

/// Fails twice, and then does not.
struct Flaky: Labelled {
    static let name = "flaky"
    static let retry = RetryPolicy.every(.milliseconds(900))
    var label: String
}

/// Fails for good.
struct Hopeless: Labelled {
    static let name = "hopeless"
    static let options = EnqueueOptions(maxAttempts: 1)
    var label: String
}

/// Goes in steps, and remembers how far it came.
struct Steps: Labelled {
    static let name = "steps"
    var label: String
    static let count = 6
}

/// Has a child by having completed.
struct Parent: Labelled {
    static let name = "parent"
    var label: String
}

/// Runs when all of a group have completed: adds up what they returned.
struct Whole: Labelled {
    static let name = "whole"
    var label: String
    var parts: Int
}

/// Ends the process each time it runs.
struct Poison: Labelled {
    static let name = "poison"
    static let options = EnqueueOptions(maxAttempts: 3)
    static let retry = RetryPolicy.every(.milliseconds(300))
    var label: String
}

/// What runs the kinds.
struct Runners: Sendable {
    struct Failure: Error {}

    let journal: Journal

    func register(_ handlers: inout JobHandlers) {
        handlers.add(Plain.self) { job, context in
            try await noted(job, context) { 1 }
        }
        handlers.add(Flaky.self) { job, context in
            try await noted(job, context) { if context.attempt <= 2 { throw Failure() } }
        }
        handlers.add(Hopeless.self) { job, context in
            try await noted(job, context) { throw Failure() }
        }
        handlers.add(Steps.self) { job, context in
            try await noted(job, context) {
                let begin = context.cursor(as: Int.self) ?? 0
                journal.say("from", context.id.rawValue, "\(begin)")
                for step in begin..<Steps.count {
                    await passTime()
                    try await context.setCursor(step + 1)
                    journal.say("step", context.id.rawValue, "\(step + 1)")
                }
            }
        }
        handlers.add(Parent.self) { job, context in
            try await noted(job, context) {
                _ = try await context.whenCompleted(enqueue: Plain(label: "child:\(context.id)"))
            }
        }
        handlers.add(Whole.self) { job, context in
            try await noted(job, context) {
                let sum = context.outputs(as: Int.self).reduce(0, +)
                guard sum != job.parts else { return }
                journal.say("broken", "\(job.label) has \(sum) of \(job.parts) outputs")
            }
        }
        handlers.add(Poison.self) { job, context in
            try await noted(job, context) { _ = kill(getpid(), SIGKILL) }
        }
    }

    /// Runs `work` between two lines of the journal.
    private func noted<Output>(
        _ job: some Labelled, _ context: JobContext, _ work: () async throws -> Output
    ) async throws -> Output {
        let id = context.id.rawValue
        journal.say("start", id, "\(context.attempt)", job.label)
        await passTime()
        do {
            let output = try await work()
            journal.say("end", id)
            return output
        } catch {
            journal.say("fail", id)
            throw error
        }
    }

    /// As long as some work takes: most kills come in the middle of it.
    private func passTime() async {
        for _ in 0..<Int.random(in: 0..<400) { await Task.yield() }
    }
}
