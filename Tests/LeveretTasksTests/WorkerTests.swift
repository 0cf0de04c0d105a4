// A job's way through a worker: done, tried again, given up, parked.

import Leveret
import LeveretTasks
import Testing

@Suite(.timeLimit(.minutes(10))) struct WorkerTests {
    private struct Failure: Error {}

    @Test func `a job that was enqueued is run, and kept as completed`() async throws {
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] greet in journal.note(greet.who) }
        } while: {
            try await bench.reaches(1, in: JobQueue.default.completed)
        }
        #expect(bench.journal.all == ["ann"])
        let record = try #require(try await bench.broker.peek(JobQueue.default.completed).first)
        #expect(record.message.properties?.messageID == job.id.rawValue)
        #expect(record.message.properties?.headers[JobHeader.state] == "completed")
        #expect(try await bench.broker.status(of: JobQueue.default.waiting).ready == 0)
    }

    @Test func `a failure is tried again after its wait, and given up after the last attempt`() async throws {
        struct Flaky: Job {
            static let name = "flaky"
            static let options = EnqueueOptions(maxAttempts: 3)
            static let retry = RetryPolicy.schedule([.seconds(1), .seconds(5)])
        }
        let bench = try Bench()
        try await bench.jobs.enqueue(Flaky())
        try await bench.working {
            $0.add(Flaky.self) { [journal = bench.journal] _, context in
                journal.note("attempt \(context.attempt) of \(context.maxAttempts)")
                throw Failure()
            }
        } while: {
            try await bench.settles(waiting: 1)
            bench.hand.advance(999)
            try await bench.settles(waiting: 1)
            #expect(bench.journal.all.count == 1)
            bench.hand.advance(1)
            try await until { bench.journal.all.count == 2 }
            try await bench.settles(waiting: 1)
            bench.hand.advance(5_000)
            try await bench.reaches(1, in: JobQueue.default.discarded)
        }
        #expect(bench.journal.all == ["attempt 1 of 3", "attempt 2 of 3", "attempt 3 of 3"])
    }

    @Test func `a job whose name nobody knows is parked, and taken back by who knows it`() async throws {
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.working { _ in
        } while: {
            try await bench.reaches(1, in: JobQueue.default.unclaimed)
        }
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] in journal.note($0.who) }
        } while: {
            try await until { bench.journal.all == ["ann"] }
            try await bench.settles()
        }
        #expect(try await bench.jobs.find(job.id)?.state == .completed)
    }

    @Test func `where parked jobs can't be taken back, they stay parked, and others with them`() async throws
    {
        struct Other: Job { static let name = "other" }
        let bench = try Bench()
        try await bench.jobs.enqueue(Other())
        try await bench.jobs.enqueue(all: (0..<1_100).map { Greet(who: "\($0)") })
        try await bench.working { _ in
        } while: {
            try await bench.reaches(1_101, in: JobQueue.default.unclaimed)
        }
        func register(_ handlers: inout JobHandlers) {
            handlers.add(Greet.self) { [journal = bench.journal] in journal.note($0.who) }
        }
        try await bench.broker.setPolicy(
            Policy(
                "full", pattern: #"^jobs\.default$"#, appliesTo: .queues, priority: 9,
                definition: ["x-max-length": 0, "x-overflow": "reject-publish"]))
        let worker = try JobWorker(bench.jobs, register: register)
        await #expect(throws: BrokerError.self) { try await worker.run() }
        #expect(try await bench.broker.status(of: JobQueue.default.unclaimed).ready == 1_101)
        try await bench.broker.deletePolicy("full")
        try await bench.working(register) {
            try await until { bench.journal.all.count == 1_100 }
            try await bench.settles()
        }
        #expect(try await bench.broker.status(of: JobQueue.default.unclaimed).ready == 1)
    }

    @Test func `parked jobs are taken back from among more others than can be held`() async throws {
        struct Other: Job { static let name = "other" }
        var limits = CoreLimits()
        limits.unackedCountMax = 10
        let bench = try Bench(limits: limits)
        try await bench.jobs.enqueue(all: (0..<20).map { _ in Other() })
        let job = try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.working { _ in
        } while: {
            try await bench.reaches(21, in: JobQueue.default.unclaimed)
        }
        try await bench.working {
            $0.add(Greet.self) { _ in }
        } while: {
            try await until { try await bench.jobs.find(job.id)?.state == .completed }
        }
        #expect(try await bench.broker.status(of: JobQueue.default.unclaimed).ready == 20)
    }

    @Test func `queues that are deleted while a worker runs are declared again`() async throws {
        let bench = try Bench()
        try await bench.jobs.enqueue(all: [Greet(who: "ann"), Greet(who: "bob")])
        try await bench.working(on: [.default: 1]) {
            $0.add(Greet.self) { greet, context in
                if greet.who == "ann" {
                    try await context.jobs.broker.deleteQueue(JobQueue.default.completed)
                }
            }
        } while: {
            try await bench.settles()
        }
        #expect(try await bench.jobs.list(.completed).count == 2)
    }

    @Test func `a job that can't be settled goes back, to run again`() async throws {
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Greet(who: "ann"))
        let host = bench.broker.virtualHost
        try await bench.working(on: [.default: 1]) {
            $0.add(Greet.self) { [journal = bench.journal] _, context in
                journal.note("attempt \(context.attempt)")
                guard journal.all.count == 1 else { return }
                try await context.jobs.broker.deleteQueue(JobQueue.default.completed)
                try await context.jobs.broker.limitVirtualHost(host, to: VirtualHostLimits(queuesMax: 1))
            }
        } while: {
            try await bench.settles(waiting: 1)
            try await bench.broker.limitVirtualHost(host, to: VirtualHostLimits())
            bench.hand.advance(5_000)
            try await bench.settles()
        }
        #expect(bench.journal.all == ["attempt 1", "attempt 1"])
        #expect(try await bench.jobs.find(job.id)?.state == .completed)
    }

    @Test func `two handlers of one name are an error at the start`() throws {
        struct Other: Job { static let name = "greet" }
        let bench = try Bench()
        #expect(throws: JobError.self) {
            try JobWorker(bench.jobs) {
                $0.add(Greet.self) { _ in }
                $0.add(Other.self) { _ in }
            }
        }
    }
}
