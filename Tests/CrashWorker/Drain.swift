// The end of some rounds: everything is done that is there, and what became of it is said and then forgotten.

import Foundation
import Leveret
import LeveretTasks

/// Waits for the end of all jobs, and says what is recorded of them.
struct Drain {
    let jobs: Jobs
    let journal: Journal
    private let queues: [JobQueue] = [.default, .limited]

    func run() async throws {
        while try await waiting() > 0 { await Task.yield() }
        for queue in queues {
            try await report(queue.completed)
            try await report(queue.discarded)
            let lost = try await jobs.broker.status(of: queue.unclaimed).ready
            if lost > 0 { journal.say("broken", "\(lost) jobs in \(queue.unclaimed)") }
        }
        for schedule in try await jobs.schedules() {
            journal.say("schedule", schedule.name, "\(schedule.count)")
        }
        for queue in queues {
            try await jobs.broker.purge(queue.completed)
            try await jobs.broker.purge(queue.discarded)
        }
        journal.say("forgotten")
    }

    /// How many jobs wait, run, or depend on others.
    private func waiting() async throws -> Int {
        var count = 0
        for queue in queues.map(\.waiting) + [.dependentJobs] {
            guard let status = try await jobs.broker.queues(matching: queue.rawValue).first else { continue }
            count += status.ready + status.unacked + status.delayed
        }
        return count
    }

    private func report(_ queue: QueueName) async throws {
        var position: MessageNumber = 0
        while true {
            let rows = try await jobs.broker.peek(queue, from: position, count: 1_000)
            guard let last = rows.last else { return }
            for row in rows { report(row.message, in: queue) }
            position = MessageNumber(last.number.rawValue + 1)
        }
    }

    private func report(_ message: Message, in queue: QueueName) {
        let id = message.properties?.messageID ?? "?"
        var state = "discarded"
        if case .string(let recorded) = message.properties?.headers[JobHeader.state] { state = recorded }
        // What is no job of ours is found under a name that the ledger does not know.
        let job = try? JSONDecoder().decode(Label.self, from: Data(message.body))
        journal.say("found", id, state, job?.label ?? "?")
    }

    private struct Label: Decodable {
        var label: String
    }
}
