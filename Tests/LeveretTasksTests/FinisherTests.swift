// What becomes of the others where one of those that ended can't be settled.

import Leveret
import Logging
import ServiceLifecycle
import Synchronization
import Testing

@testable import LeveretTasks

@Suite(.timeLimit(.minutes(10))) struct FinisherTests {
    /// The next job, held as a worker holds it.
    private func take(from bench: Bench) async throws -> RunningJob {
        let message = try #require(try await bench.broker.get(JobQueue.default.waiting))
        return RunningJob(
            message, JobEnvelope(message, failed: 0, now: bench.hand.now), in: .default, Runner())
    }

    @MainActor @Test func `a job that can't be settled keeps no other's cursor from the disk`() async throws {
        let bench = try Bench()
        try await bench.jobs.enqueue(all: [Greet(who: "ann"), Greet(who: "bob")])
        let (ended, running) = (try await take(from: bench), try await take(from: bench))
        try await ended.message.ack()
        let finisher = Finisher(bench.jobs, queue: .default)
        _ = running.note([JobHeader.cursor: "1"])
        // On this test's actor: it waits for the commit when the test goes on.
        let writing = Task { try await finisher.write(running) }
        await Task.yield()
        finisher.add(
            FinishedJob(
                message: ended.message, envelope: ended.envelope, verdict: .completed(output: nil)))
        let settling = Task { await finisher.run() }
        try await writing.value
        finisher.finish()
        await settling.value
        let found = try #require(try await bench.jobs.find(running.envelope.id))
        #expect(found.message.message.properties?.headers[JobHeader.cursor] == "1")
    }

    /// What a handler was told.
    private final class Told: Sendable {
        let context = Mutex<JobContext?>(nil)
    }

    @Test func `a worker that waits for room after a graceful end can be cancelled`() async throws {
        let (slept, told) = (Journal(), Told())
        let bench = try Bench { tasks in
            tasks.clock = ScriptedClock { duration in
                if duration == .seconds(1) { slept.note("a second") }
                try await forever()
            }
        }
        try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.broker.setPolicy(
            Policy(
                "full", pattern: #"^jobs\.default\.completed$"#, appliesTo: .queues, priority: 9,
                definition: ["x-max-length": 0, "x-overflow": "reject-publish"]))
        let worker = try JobWorker(bench.jobs) {
            $0.add(Greet.self) { _, context in told.context.withLock { $0 = context } }
        }
        let group = ServiceGroup(services: [worker], logger: Logger(label: "test"))
        let running = Task { try await group.run() }
        try await until { !slept.all.isEmpty }
        await group.triggerGracefulShutdown()
        let context = try #require(told.context.withLock { $0 })
        // Until its handlers have ended, and nothing more is taken.
        try await until { (try? await context.finisher.write(context.running)) == nil }
        running.cancel()
        _ = await running.result
        #expect(slept.all == ["a second"])
    }

    @Test func `a full queue keeps back what goes to it, and nothing else`() async throws {
        struct Parent: Job { static let name = "parent" }
        let (slept, room) = (Journal(), Journal())
        let bench = try Bench { tasks in
            tasks.clock = ScriptedClock { duration in
                guard duration == .seconds(1) else { return try await forever() }
                slept.note("a second")
                try await until { !room.all.isEmpty }
            }
        }
        try await bench.jobs.declare("other")
        try await bench.broker.setPolicy(
            Policy(
                "full", pattern: #"^jobs\.other$"#, appliesTo: .queues, priority: 9,
                definition: ["x-max-length": 0, "x-overflow": "reject-publish"]))
        let parent = try await bench.jobs.enqueue(Parent())
        try await bench.working(on: [.default: 2]) {
            $0.add(Greet.self) { _ in }
            $0.add(Parent.self) { _, context in
                try await context.whenCompleted(enqueue: Greet(who: "bob"), .init(queue: "other"))
            }
        } while: {
            try await until { !slept.all.isEmpty }
            let other = try await bench.jobs.enqueue(Greet(who: "ann"))
            try await until { try await bench.jobs.find(other.id)?.state == .completed }
            #expect(try await bench.jobs.find(parent.id)?.state == .running)
            try await bench.broker.deletePolicy("full")
            room.note("there is room")
            try await until { try await bench.jobs.find(parent.id)?.state == .completed }
        }
        #expect(try await bench.jobs.list(.available, in: "other").count == 1)
    }
}
