// Enqueueing: when, in which order, together, and only once.

import Leveret
import LeveretTestSupport
import Testing

@testable import LeveretTasks

@Suite(.timeLimit(.minutes(10))) struct EnqueueTests {
    private func names(_ bench: Bench) async throws -> [String] {
        try await bench.jobs.list(.available).map { String(decoding: $0.payload, as: UTF8.self) }
    }

    @Test func `a job waits for its time, and is looked at meanwhile`() async throws {
        let bench = try Bench()
        let later = try await bench.jobs.enqueue(Greet(who: "ann"), .init(start: .after(.seconds(60))))
        let date = bench.hand.now.advanced(byMilliseconds: 30_000)
        let sooner = try await bench.jobs.enqueue(Greet(who: "bob"), .init(start: .at(date)))
        let waiting = try await bench.jobs.list(.scheduled)
        #expect(waiting.map(\.id) == [sooner.id, later.id])
        #expect(waiting.map(\.due) == [date, bench.hand.now.advanced(byMilliseconds: 60_000)])
        bench.hand.advance(30_000)
        try await until { try await bench.jobs.list(.available).map(\.id) == [sooner.id] }
        try await bench.jobs.runNow(later.id)
        #expect(try await bench.jobs.find(later.id)?.state == .available)
    }

    @Test func `those of a higher priority come first, equal ones in their order`() async throws {
        let bench = try Bench()
        var batch = JobBatch()
        batch.add(Greet(who: "1"))
        batch.add(Greet(who: "2"), .init(priority: .low))
        batch.add(Greet(who: "3"), .init(priority: .high))
        batch.add(Greet(who: "4"))
        try await bench.jobs.enqueue(batch)
        #expect(try await names(bench).map { $0.filter(\.isNumber) } == ["3", "1", "4", "2"])
    }

    @Test func `a batch is enqueued whole, or not at all`() async throws {
        let bench = try Bench()
        var batch = JobBatch()
        batch.add(Greet(who: "1"))
        batch.add(Greet(who: "2"), .init(maxAttempts: 0))
        await #expect(throws: JobError.self) { try await bench.jobs.enqueue(batch) }
        #expect(try await bench.jobs.queues() == [])
        let ids = try await bench.jobs.enqueue(all: (1...1_000).map { Greet(who: "\($0)") }).map(\.id)
        #expect(Set(ids).count == 1_000)
        #expect(try await bench.broker.status(of: JobQueue.default.waiting).ready == 1_000)
    }

    @Test func `an equal job is enqueued once while the first is pending`() async throws {
        let bench = try Bench()
        let first = try await bench.jobs.enqueue(Greet(who: "ann"), .init(unique: .whilePending))
        let second = try await bench.jobs.enqueue(Greet(who: "ann"), .init(unique: .whilePending))
        let other = try await bench.jobs.enqueue(Greet(who: "bob"), .init(unique: .whilePending))
        #expect(first.outcome == .enqueued)
        #expect(second.id == first.id)
        #expect(second.outcome == .existing)
        #expect(other.outcome == .enqueued)
        try await bench.jobs.cancel(first.id)
        #expect(
            try await bench.jobs.enqueue(Greet(who: "ann"), .init(unique: .whilePending)).outcome == .enqueued
        )
    }

    @Test func `each of many doubles hears of the job that it has met`() async throws {
        let bench = try Bench()
        let unique = EnqueueOptions(unique: .whilePending)
        let names = (0..<500).map { Greet(who: "\($0)") }
        let first = try await bench.jobs.enqueue(all: names, unique)
        let again = try await bench.jobs.enqueue(all: names.reversed(), unique)
        #expect(again.map(\.id) == first.map(\.id).reversed())
        #expect(again.allSatisfy { $0.outcome == .existing })
        let other = EnqueueOptions(queue: "other", unique: .whilePending)
        let elsewhere = try await bench.jobs.enqueue(names[0], other)
        async let here = bench.jobs.enqueue(names[0], unique)
        async let there = bench.jobs.enqueue(names[0], other)
        let ids = try await [here.id, there.id]
        #expect(ids == [first[0].id, elsewhere.id])
    }

    @Test func `within a window an equal job is enqueued once, done or not`() async throws {
        let bench = try Bench()
        let unique = Uniqueness(by: .text("ann"), .within(.seconds(60)))
        let first = try await bench.jobs.enqueue(Greet(who: "ann"), .init(unique: unique))
        try await bench.working {
            $0.add(Greet.self) { _ in }
        } while: {
            try await bench.settles()
        }
        let second = try await bench.jobs.enqueue(Greet(who: "anna"), .init(unique: unique))
        #expect(second.id == first.id)
        #expect(second.outcome == .existing)
        bench.hand.advance(60_000)
        let third = try await bench.jobs.enqueue(Greet(who: "anna"), .init(unique: unique))
        #expect(third.outcome == .enqueued)
        #expect(third.id != first.id)
        // It is still pending when its window is over.
        bench.hand.advance(60_000)
        let fourth = try await bench.jobs.enqueue(Greet(who: "anna"), .init(unique: unique))
        #expect(fourth.id == third.id)
        #expect(fourth.outcome == .existing)
    }

    @Test func `a job whose double ends before it is looked for is enqueued`() async throws {
        let bench = try Bench()
        let unique = Uniqueness(by: .text("ann"), .within(.seconds(1)))
        let first = try await bench.jobs.enqueue(Greet(who: "ann"), .init(unique: unique))
        bench.hand.advance(1_000)
        try await bench.reaches(0, in: JobQueue.default.recent(1_000))
        // The window is over, and the first is still pending: only the mark of the second is taken.
        let second = try bench.jobs.draft(Greet(who: "ann"), .init(unique: unique))
        let count = try await bench.broker.publish(second.message)
        #expect(count == 1)
        try await bench.jobs.cancel(first.id)
        let outcome = try await bench.jobs.outcome(of: second, queues: count)
        #expect(outcome == EnqueuedJob(id: second.id, outcome: .enqueued))
        #expect(try await bench.jobs.list(.available).map(\.id) == [second.id])
    }

    @Test func `where its mark was purged, an equal job is enqueued, and marked`() async throws {
        let bench = try Bench()
        let options = EnqueueOptions(unique: Uniqueness(by: .text("ann"), .within(.seconds(60))))
        let first = try await bench.jobs.enqueue(Greet(who: "ann"), options)
        try await bench.jobs.cancel(first.id)
        _ = try await bench.broker.purge(JobQueue.default.recent(60_000))
        let second = try await bench.jobs.enqueue(Greet(who: "ann"), options)
        #expect(second.outcome == .enqueued)
        #expect(try await bench.jobs.list(.available).map(\.id) == [second.id])
        try await bench.jobs.cancel(second.id)
        let third = try await bench.jobs.enqueue(Greet(who: "ann"), options)
        #expect(third == EnqueuedJob(id: second.id, outcome: .existing))
    }

    @Test func `an equal job may replace the arguments of the first, or its time`() async throws {
        let bench = try Bench()
        let first = try await bench.jobs.enqueue(
            Greet(who: "ann"), .init(start: .after(.seconds(60)), unique: .key("k")))
        let second = try await bench.jobs.enqueue(
            Greet(who: "bob"), .init(unique: .key("k", onConflict: .replace)))
        #expect(second == EnqueuedJob(id: first.id, outcome: .replaced))
        let third = try await bench.jobs.enqueue(
            Greet(who: "cid"), .init(start: .after(.seconds(5)), unique: .key("k", onConflict: .reschedule)))
        #expect(third == EnqueuedJob(id: first.id, outcome: .rescheduled))
        let job = try #require(try await bench.jobs.find(first.id))
        #expect(String(decoding: job.payload, as: UTF8.self) == #"{"who":"bob"}"#)
        #expect(job.due == bench.hand.now.advanced(byMilliseconds: 5_000))
    }

    @Test func `a queue that was deleted is declared again by whatever is enqueued`() async throws {
        let bench = try Bench()
        let jobs = bench.jobs
        let within = EnqueueOptions(unique: Uniqueness(by: .arguments, .within(.seconds(60))))
        let acts: [(String, () async throws -> Void)] = [
            ("unique", { try await jobs.enqueue(Greet(who: "unique"), within) }),
            ("one", { try await jobs.enqueue(Greet(who: "one")) }),
            ("batch", { try await jobs.enqueue(all: [Greet(who: "batch")]) }),
            (
                "flow",
                {
                    var flow = Workflow()
                    flow.add(Greet(who: "flow"))
                    try await jobs.enqueue(flow)
                }
            ),
        ]
        try await jobs.enqueue(Greet(who: "first"), within)
        for (who, act) in acts {
            try await bench.broker.deleteQueue(JobQueue.default.waiting)
            try await act()
            #expect(try await names(bench) == ["{\"who\":\"\(who)\"}"])
        }
    }

    private struct OldParcel: Job {
        static let name = "parcel"
        var number: Int
    }

    private struct Parcel: Job {
        static let name = "parcel"
        static let version = 2
        var order: Int

        static func upgrade(_ payload: inout JobPayload, from version: Int) {
            payload["order"] = payload["number"]
        }
    }

    @Test func `arguments that replace others are read as of their own version`() async throws {
        let bench = try Bench()
        func unique(_ key: String) -> EnqueueOptions { .init(unique: .key(key, onConflict: .replace)) }
        try await bench.jobs.enqueue(OldParcel(number: 1), unique("newer"))
        try await bench.jobs.enqueue(Parcel(order: 2), unique("newer"))
        try await bench.jobs.enqueue(Parcel(order: 3), unique("older"))
        try await bench.jobs.enqueue(OldParcel(number: 4), unique("older"))
        try await bench.working(on: [.default: 1]) {
            $0.add(Parcel.self) { [journal = bench.journal] in journal.note("\($0.order)") }
        } while: {
            try await bench.settles()
        }
        #expect(bench.journal.all == ["2", "4"])
    }

    @Test func `what is unique survives a restart`() async throws {
        let folder = try TemporaryFolder()
        let first: EnqueuedJob
        do {
            let bench = try Bench(.file(folder.path("jobs.db")))
            first = try await bench.jobs.enqueue(Greet(who: "ann"), .init(unique: .whilePending))
            try await bench.broker.shutdown()
        }
        let bench = try Bench(.file(folder.path("jobs.db")))
        let second = try await bench.jobs.enqueue(Greet(who: "ann"), .init(unique: .whilePending))
        #expect(second == EnqueuedJob(id: first.id, outcome: .existing))
        try await bench.broker.shutdown()
    }

    @Test func `a job that was prepared is in its queue once, however often it is published`() async throws {
        let bench = try Bench()
        let job = try bench.jobs.prepared(Greet(who: "ann"))
        try await bench.jobs.declare(job.queue)
        #expect(try await bench.broker.publish(job.message) == 1)
        #expect(try await bench.broker.publish(job.message) == 0)
    }

    @Test func `what middleware makes a job known by tells its doubles`() async throws {
        struct Once: JobMiddleware {
            func enqueue(_ job: inout JobToEnqueue) { job.headers["x-deduplication-header"] = "once" }
        }
        let bench = try Bench { $0.middleware = [Once()] }
        for who in ["ann", "bob"] { try await bench.jobs.enqueue(Greet(who: who)) }
        #expect(try await bench.broker.status(of: JobQueue.default.waiting).ready == 1)
    }

    @Test func `a queue's name is plain`() async throws {
        let bench = try Bench()
        for name in ["", "a.b", "a b", String(repeating: "a", count: 65)] {
            await #expect(throws: JobError.self) {
                try await bench.jobs.enqueue(Greet(who: ""), .init(queue: JobQueue(name)))
            }
        }
    }
}
