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
        // What waits for jobs that have gone never ends.
        var looks = 0
        while try await waiting(in: queues.map(\.waiting) + [.dependentJobs]) > 0, looks < Self.looksMax {
            looks = try await waiting(in: queues.map(\.waiting)) > 0 ? 0 : looks + 1
            await Task.yield()
        }
        if looks == Self.looksMax { journal.say("broken: jobs wait for others, and those have ended") }
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

    /// How often it looks when nothing is left but jobs that depend on others.
    private static let looksMax = 50_000

    /// How many jobs these queues hold, all at one moment: jobs go from one to the other.
    private func waiting(in queues: [QueueName]) async throws -> Int {
        let there = try await jobs.broker.queues().filter { queues.contains($0.definition.name) }
        return there.reduce(0) { $0 + $1.ready + $1.unacked + $1.delayed }
    }

    private func report(_ queue: QueueName) async throws {
        var position: MessageNumber = 0
        while true {
            let rows = try await jobs.broker.peek(queue, from: position, count: 1_000)
            guard let last = rows.last else { return }
            for row in rows { report(row.message, in: queue) }
            position = MessageNumber((last.place ?? last.number).rawValue + 1)
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
