// Jobs that wait for others: in which order they run, what becomes of them when one fails, and that a crash in
// between changes nothing.

import Leveret
import LeveretTestSupport
import Testing

@testable import LeveretTasks

@Suite(.timeLimit(.minutes(10))) struct WorkflowTests {
    private struct Failure: Error {}

    private struct Step: Job {
        typealias Output = Int
        static let name = "step"
        static let options = EnqueueOptions(maxAttempts: 1)
        var name: String
        var fails = false
    }

    private func register(_ handlers: inout JobHandlers, _ journal: Journal) {
        handlers.add(Step.self) { step, context in
            let inputs = context.outputs(as: Int.self)
            journal.note(inputs.isEmpty ? step.name : "\(step.name) of \(inputs.count)")
            if step.fails { throw Failure() }
            return 1
        }
    }

    @Test func `a chain runs in its order`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        let a = flow.add(Step(name: "a"))
        let b = flow.add(Step(name: "b"), after: a)
        flow.add(Step(name: "c"), after: b)
        let ids = try await bench.jobs.enqueue(flow)
        #expect(try await bench.jobs.list(.dependent).map(\.id) == [ids.all[1], ids.all[2]])
        #expect(try await bench.jobs.find(ids[b])?.state == .dependent)
        try await bench.working {
            register(&$0, bench.journal)
        } while: {
            try await until { bench.journal.all.count == 3 }
            try await bench.reaches(0, in: .dependentJobs)
        }
        #expect(bench.journal.all == ["a", "b of 1", "c of 1"])
    }

    @Test func `what follows a group runs once, with what the group returned`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        let parts = (0..<50).map { flow.add(Step(name: "part \($0)")) }
        flow.add(Step(name: "sum"), after: parts)
        flow.add(Step(name: "alert"), after: parts, when: .anyFailed)
        try await bench.jobs.enqueue(flow)
        try await bench.working {
            register(&$0, bench.journal)
        } while: {
            try await until { bench.journal.all.count == 51 }
            try await bench.reaches(0, in: .dependentJobs)
        }
        #expect(bench.journal.all.last == "sum of 50")
    }

    @Test func `when one fails, what waits for success is cancelled, and the rest goes on`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        let parts = [
            flow.add(Step(name: "a", fails: true)), flow.add(Step(name: "b", fails: true)),
            flow.add(Step(name: "c")),
        ]
        let sum = flow.add(Step(name: "sum"), after: parts)
        let after = flow.add(Step(name: "after sum"), after: sum)
        flow.add(Step(name: "clean up"), after: parts, when: .allEnded)
        flow.add(Step(name: "alert"), after: parts, when: .anyFailed)
        let ids = try await bench.jobs.enqueue(flow)
        try await bench.working(on: [.default: 1]) {
            register(&$0, bench.journal)
        } while: {
            try await until { bench.journal.all.count == 5 }
            try await bench.reaches(0, in: .dependentJobs)
            try await bench.settles()
        }
        #expect(bench.journal.all.sorted() == ["a", "alert", "b", "c", "clean up of 1"])
        for id in [ids[sum], ids[after]] { #expect(try await bench.jobs.find(id)?.state == .cancelled) }
    }

    @Test func `a job that others wait for is enqueued also where an equal unique one is pending`()
        async throws
    {
        let bench = try Bench()
        let later = EnqueueOptions(start: .after(.seconds(60)), unique: .whilePending)
        try await bench.jobs.enqueue(Step(name: "a"), later)
        var flow = Workflow()
        let a = flow.add(Step(name: "a"), .init(unique: .whilePending))
        let b = flow.add(
            Step(name: "b"), .init(unique: Uniqueness(by: .arguments, .within(.seconds(60)))))
        flow.add(Step(name: "c"), after: [a, b])
        try await bench.jobs.enqueue(flow)
        try await bench.working(on: [.default: 1]) {
            register(&$0, bench.journal)
        } while: {
            try await until { bench.journal.all.count == 3 }
            try await bench.reaches(0, in: .dependentJobs)
        }
        #expect(bench.journal.all == ["a", "b", "c of 2"])
    }

    @Test func `a parked job that others wait for is taken back also where an equal one is pending`()
        async throws
    {
        let bench = try Bench()
        let unique = EnqueueOptions(unique: .whilePending)
        var parked = try bench.jobs.draft(Step(name: "a"), unique)
        try await bench.jobs.prepare(parked)
        parked.setHeaders { $0[JobHeader.dependents] = .array([.string("other")]) }
        try await bench.broker.publish(parked.message.sent(to: JobQueue.default.unclaimed))
        let equal = try await bench.jobs.enqueue(Step(name: "a"), unique)
        try await bench.working(on: [.default: 1]) {
            register(&$0, bench.journal)
        } while: {
            try await bench.settles()
            try await until { bench.journal.all == ["a", "a"] }
        }
        #expect(try await bench.jobs.list(.completed).map(\.id).sorted() == [parked.id, equal.id].sorted())
    }

    @Test(arguments: [false, true])
    func `what waits for many holds few of their reports, and forgets none`(fails: Bool) async throws {
        struct Large: Job {
            typealias Output = String
            static let name = "large"
        }
        let folder = try TemporaryFolder()
        let path = folder.path("jobs.db")
        do {
            let bench = try Bench(.file(path))
            var flow = Workflow()
            var parts = (0..<40).map { _ in flow.add(Large()) }
            let later = EnqueueOptions(start: .after(.seconds(60)))
            parts.append(flow.add(Step(name: "last", fails: fails), later))
            parts.append(flow.add(Step(name: "end"), after: parts.suffix(1), when: .allEnded))
            flow.add(Step(name: "sum"), after: parts)
            flow.add(Step(name: "alert"), after: parts, when: .anyFailed)
            try await bench.jobs.enqueue(flow)
            try await bench.working {
                $0.add(Large.self) { _ in String(repeating: "x", count: 20_000) }
                register(&$0, bench.journal)
            } while: {
                try await bench.settles(waiting: 1)
                // Three that wait, and at most three reports to each of two.
                try await until { try await bench.broker.status(of: .dependentJobs).unacked <= 9 }
            }
            try await bench.broker.shutdown()
        }
        let bench = try Bench(.file(path))
        bench.hand.advance(60_000)
        try await bench.working(on: [.default: 1]) {
            register(&$0, bench.journal)
        } while: {
            try await until { bench.journal.all.count == 3 }
            try await bench.reaches(0, in: .dependentJobs)
            try await bench.settles()
        }
        let (first, rest) = (bench.journal.all.first, bench.journal.all.dropFirst())
        #expect(first == "last")
        #expect(rest.map { $0.prefix(3) }.sorted() == (fails ? ["ale", "end"] : ["end", "sum"]))
        #expect(fails || rest.last?.hasPrefix("sum of ") == true)
        try await bench.broker.shutdown()
    }

    @Test func `a job is released also where its queue was deleted meanwhile`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        let later = flow.add(Step(name: "b"), after: flow.add(Step(name: "a")), .init(queue: "other"))
        let ids = try await bench.jobs.enqueue(flow)
        try await bench.broker.deleteQueue(JobQueue("other").waiting)
        try await bench.working {
            register(&$0, bench.journal)
        } while: {
            try await until { try await bench.jobs.find(ids[later])?.state == .available }
        }
    }

    @Test func `a job that was replayed after it was discarded reports no second time`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        flow.add(Step(name: "end"), after: flow.add(Step(name: "bad", fails: true)), when: .allEnded)
        try await bench.jobs.enqueue(flow)
        try await bench.working {
            register(&$0, bench.journal)
        } while: {
            try await until { bench.journal.all == ["bad", "end"] }
            try await bench.reaches(0, in: .dependentJobs)
            #expect(try await bench.broker.replay(from: JobQueue.default.discarded) == 1)
            try await until { bench.journal.all == ["bad", "end", "bad"] }
            try await bench.reaches(1, in: JobQueue.default.discarded)
        }
        #expect(try await bench.broker.status(of: .dependentJobs).ready == 0)
    }

    @Test func `of reports that are counted in a header, no more are believed than there can be`() {
        func count(_ told: Int64) -> Int {
            FoldedReports([JobHeader.reported: .table(["count": .int(told)])]).count
        }
        #expect([.max, 7, -1].map(count) == [Workflow.countMax, 7, 0])
    }

    @Test func `a job of a workflow comes at its time, however long the others take to make`() async throws {
        struct Slow: JobMiddleware {
            let hand: Hand
            func enqueue(_ job: inout JobToEnqueue) { hand.advance(1_000) }
        }
        let hand = Hand()
        let bench = try Bench(hand: hand) { $0.middleware = [Slow(hand: hand)] }
        let due = hand.now.advanced(byMilliseconds: 60_000)
        var flow = Workflow()
        flow.add(Step(name: "a"), .init(start: .at(due)))
        for name in ["b", "c"] { flow.add(Step(name: name)) }
        try await bench.jobs.enqueue(flow)
        #expect(try await bench.jobs.list(.scheduled).map(\.due) == [due])
    }

    @Test func `a workflow goes on where it was when the process starts again`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("jobs.db")
        do {
            let bench = try Bench(.file(path))
            var flow = Workflow()
            let parts = [
                flow.add(Step(name: "a")), flow.add(Step(name: "b"), .init(start: .after(.seconds(60)))),
            ]
            flow.add(Step(name: "sum"), after: parts)
            flow.add(Step(name: "alert"), after: parts, when: .anyFailed)
            try await bench.jobs.enqueue(flow)
            try await bench.working {
                register(&$0, bench.journal)
            } while: {
                try await bench.settles(waiting: 1)
            }
            #expect(bench.journal.all == ["a"])
            try await bench.broker.shutdown()
        }
        let bench = try Bench(.file(path))
        bench.hand.advance(60_000)
        try await bench.working {
            register(&$0, bench.journal)
        } while: {
            try await until { bench.journal.all.count == 2 }
            try await bench.reaches(0, in: .dependentJobs)
        }
        #expect(bench.journal.all == ["b", "sum of 2"])
        try await bench.broker.shutdown()
    }
}
