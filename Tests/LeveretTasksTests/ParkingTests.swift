// Jobs whose name a worker does not know: parked, taken back by one that knows it, and never lost in between.

import Leveret
import Testing

@testable import LeveretTasks

@Suite(.timeLimit(.minutes(10))) struct ParkingTests {
    private let unclaimed = JobQueue.default.unclaimed

    /// Parks what waits.
    private func park(_ count: Int, in bench: Bench) async throws {
        try await bench.working { _ in
        } while: {
            try await bench.reaches(count, in: unclaimed)
        }
    }

    /// Takes back what is parked, as a worker does that begins.
    private func takeBack(in bench: Bench) async throws {
        let handlers = try JobHandlers { $0.add(Greet.self) { _ in } }
        let run = QueueRun(
            jobs: bench.jobs, queue: .default, options: 1, shutdownLimit: .seconds(25),
            handlers: handlers.byName)
        try await run.prepare()
    }

    @Test func `a job is not lost that is parked again while it is taken back`() async throws {
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Greet(who: "ann"))
        try await park(1, in: bench)
        let parked = try #require(try await bench.broker.peek(unclaimed).first)
        let queue = JobQueue.default.waiting
        try await bench.broker.publish(OutgoingMessage(unparking: parked.message, to: queue))
        // It is handed to a worker that does not know it before it is removed where it was parked.
        let held = try #require(try await bench.broker.get(queue))
        let again = FinishedJob(
            message: held, envelope: JobEnvelope(held, failed: 0, now: bench.hand.now), verdict: .unclaimed)
        try await bench.broker.transaction { tx in try again.add(to: &tx, in: .default, of: bench.jobs) }
        try await bench.broker.cancelMessage(at: parked.number, in: unclaimed)
        #expect(try await bench.jobs.find(job.id)?.state == .unclaimed)
        try await takeBack(in: bench)
        #expect(try await bench.jobs.find(job.id)?.state == .available)
    }

    @Test func `a worker begins though another parks again what it takes back`() async throws {
        let bench = try Bench()
        let all = try await bench.jobs.enqueue(all: (0..<600).map { Greet(who: "\($0)") }).map(\.id)
        try await bench.working { _ in
        } while: {
            try await bench.reaches(all.count, in: unclaimed)
            try await takeBack(in: bench)
            try await bench.settles()
        }
        let last = try await bench.jobs.list(.unclaimed, count: 1_000)
        #expect(Set(last.map(\.id)) == Set(all))
        #expect(last.count == all.count)
    }

    @Test func `a unique job that is taken back is unique as before`() async throws {
        let bench = try Bench()
        let unique = EnqueueOptions(unique: .whilePending)
        let job = try await bench.jobs.enqueue(Greet(who: "ann"), unique)
        try await park(1, in: bench)
        try await takeBack(in: bench)
        #expect(
            try await bench.jobs.enqueue(Greet(who: "ann"), unique)
                == EnqueuedJob(id: job.id, outcome: .existing))
        let row = try #require(try await bench.jobs.find(job.id)).message.message
        #expect(row.properties?.headers[JobHeader.knownAs] == nil)
        #expect(try await bench.jobs.list(.available).map(\.id) == [job.id])
    }

    @Test func `what waited for its time before it was parked is looked at once`() async throws {
        let bench = try Bench()
        try await bench.jobs.declare(.default)
        var properties = MessageProperties()
        properties.type = "other"
        properties.headers[HeaderName.delay] = 1_000
        try await bench.broker.publish(
            batch: (0..<500).map { _ in OutgoingMessage([], to: unclaimed, properties: properties) })
        bench.hand.advance(1_000)
        try await until { try await bench.broker.status(of: unclaimed).ready == 500 }
        let job = try await bench.jobs.enqueue(Greet(who: "ann"))
        try await park(501, in: bench)
        try await takeBack(in: bench)
        #expect(try await bench.jobs.find(job.id)?.state == .available)
        #expect(try await bench.broker.status(of: unclaimed).ready == 500)
    }
}
