// Looking at jobs by state, and acting on one from outside: what stands where, what is refused, and what a worker does
// when it is asked.

import Leveret
import LeveretTasks
import Testing

@Suite(.timeLimit(.minutes(10))) struct InspectTests {
    private struct Failure: Error {}

    private struct Once: Job {
        static let name = "once"
        static let options = EnqueueOptions(maxAttempts: 1, unique: .whilePending)
        var who: String
    }

    /// Another client of the same broker, as another part of a program may have one.
    private func others(_ bench: Bench) -> Jobs { Jobs(bench.broker) }

    @Test func `those that ended come the newest first, by name, a page or several`() async throws {
        let bench = try Bench()
        try await bench.jobs.enqueue(all: (0..<2_100).map { Greet(who: "\($0)") })
        try await bench.jobs.enqueue(Once(who: "last"))
        try await bench.working(on: [.default: 1]) {
            $0.add(Greet.self) { _ in }
            $0.add(Once.self) { _ in }
        } while: {
            try await bench.settles()
        }
        let latest = try await bench.jobs.latest(.completed, name: "greet", count: 3)
        #expect(
            latest.map { String(decoding: $0.payload, as: UTF8.self) }
                == [2_099, 2_098, 2_097].map { "{\"who\":\"\($0)\"}" })
        #expect(try await bench.jobs.latest(.completed, count: 1).map(\.name) == ["once"])
        #expect(try await bench.jobs.latest(.discarded).isEmpty)
    }

    @Test func `those that failed for good are listed once, also one that waits or that somebody holds`()
        async throws
    {
        let bench = try Bench()
        let jobs = try await bench.jobs.enqueue(all: (0..<4).map { Once(who: "\($0)") })
        let discarded = JobQueue.default.discarded
        try await bench.working(on: [.default: 1]) {
            $0.add(Once.self) { _ in throw Failure() }
        } while: {
            try await bench.reaches(4, in: discarded)
        }
        let numbers = try await bench.broker.peek(discarded).map(\.number)
        try await bench.broker.delayMessage(at: numbers[0], in: discarded, by: .seconds(60))
        let held = try await bench.broker.get(discarded)
        #expect(held?.number == numbers[1])
        #expect(try await bench.jobs.latest(.discarded).map(\.id) == jobs.reversed().map(\.id))
        #expect(try await bench.jobs.latest(.discarded, count: 1).map(\.id) == [jobs[3].id])
    }

    @Test func `the latest are those that ended, also what waited for its time there`() async throws {
        let bench = try Bench()
        try await bench.jobs.declare(.default)
        let queue = JobQueue.default.discarded
        var properties = MessageProperties()
        properties.headers[HeaderName.delay] = 1_000
        try await bench.broker.publish(OutgoingMessage([], to: queue, properties: properties))
        try await bench.broker.publish(OutgoingMessage([], to: queue))
        bench.hand.advance(1_000)
        try await until { try await bench.broker.status(of: queue).ready == 2 }
        let looks = Journal()
        let store = StubStore(
            broker: bench.broker,
            looking: { peek in
                looks.note("\(peek.from)")
                if looks.all.count == 10 { throw Failure() }
            })
        let latest = try await JobDesk(store).latest(.discarded, in: .default, count: 10)
        #expect(latest.map(\.message.number) == [2, 1])
        for state in JobState.allCases where ![.completed, .cancelled, .discarded].contains(state) {
            let error = await #expect(throws: JobError.self) { try await bench.jobs.latest(state) }
            #expect(error?.code == .invalid)
        }
    }

    @Test func `what a job can't have said of its progress is not shown`() async throws {
        let bench = try Bench()
        try await bench.jobs.declare(.default)
        var properties = MessageProperties()
        for progress in [Double.nan, -1, 2, 0.5] {
            properties.headers[JobHeader.progress] = .double(progress)
            try await bench.broker.publish(
                OutgoingMessage([], to: JobQueue.default.waiting, properties: properties))
        }
        #expect(try await bench.jobs.list(.available).map(\.progress) == [nil, nil, nil, 0.5])
    }

    /// A unique job that has failed for good.
    private func discarded(by bench: Bench) async throws -> EnqueuedJob {
        let job = try await bench.jobs.enqueue(Once(who: "ann"))
        try await bench.working {
            $0.add(Once.self) { _ in throw Failure() }
        } while: {
            try await bench.reaches(1, in: JobQueue.default.discarded)
        }
        return job
    }

    @Test func `a retry tries as often as at first, also what was parked meanwhile`() async throws {
        struct Twice: Job {
            static let name = "twice"
            static let options = EnqueueOptions(maxAttempts: 2)
            static let retry = RetryPolicy.schedule([.seconds(1)])
        }
        let bench = try Bench()
        func failing(while body: () async throws -> Void) async throws {
            try await bench.working(
                {
                    $0.add(Twice.self) { [journal = bench.journal] _, context in
                        journal.note("attempt \(context.attempt)")
                        throw Failure()
                    }
                }, while: body)
        }
        let job = try await bench.jobs.enqueue(Twice())
        try await failing { try await bench.settles(waiting: 1) }
        bench.hand.advance(1_000)
        try await bench.working { _ in
        } while: {
            try await bench.reaches(1, in: JobQueue.default.unclaimed)
        }
        try await failing { try await bench.reaches(1, in: JobQueue.default.discarded) }
        try await bench.jobs.retry(job.id)
        #expect(try await bench.jobs.find(job.id)?.attempts == 0)
        try await failing { try await bench.settles(waiting: 1) }
        #expect(bench.journal.all == ["attempt 1", "attempt 2", "attempt 1"])
    }

    @Test func `a retry of a unique job does not take the place of an equal one`() async throws {
        let bench = try Bench()
        let first = try await discarded(by: bench)
        let second = try await bench.jobs.enqueue(Once(who: "ann"))
        #expect(second.outcome == .enqueued)
        let error = await #expect(throws: JobError.self) { try await bench.jobs.retry(first.id) }
        #expect(error?.code == .duplicate)
        #expect(error?.text.contains(second.id.rawValue) == true)
        #expect(try await bench.jobs.find(first.id)?.state == .discarded)
        try await bench.jobs.cancel(second.id)
        try await bench.jobs.retry(first.id)
        #expect(try await bench.jobs.find(first.id)?.state == .available)
        #expect(try await bench.jobs.list(.discarded).isEmpty)
    }

    @Test func `many are retried or cancelled by queue, kind and count, the first ones first`() async throws {
        let bench = try Bench()
        let jobs = bench.jobs
        let all = try await jobs.enqueue(all: (0..<5).map { Once(who: "\($0)") }).map(\.id)
        try await bench.working(on: [.default: 1]) {
            $0.add(Once.self) { _ in throw Failure() }
        } while: {
            try await bench.reaches(5, in: JobQueue.default.discarded)
        }
        #expect(try await jobs.retryAll(name: "greet") == 0)
        #expect(try await jobs.retryAll(name: "once", count: 2) == 2)
        #expect(try await jobs.list(.available).map(\.id) == Array(all[..<2]))
        // One that equals the next is pending.
        try await jobs.enqueue(Once(who: "2"))
        #expect(try await jobs.retryAll() == 2)
        #expect(try await jobs.list(.discarded).map(\.id) == [all[2]])
        #expect(try await jobs.cancelAll(.available, name: "once", count: 1) == 1)
        #expect(try await jobs.find(all[0])?.state == .cancelled)
        #expect(try await jobs.cancelAll(.available) == 4)
        #expect(try await jobs.list(.available).isEmpty)
    }

    @Test func `one of many that has been retried and has run meanwhile does not run again`() async throws {
        let bench = try Bench()
        let all = try await bench.jobs.enqueue(all: ["ann", "bob"].map { Once(who: $0) }).map(\.id)
        try await bench.working(on: [.default: 1]) {
            $0.add(Once.self) { _ in throw Failure() }
        } while: {
            try await bench.reaches(2, in: JobQueue.default.discarded)
        }
        let others = Journal()
        let store = StubStore(
            broker: bench.broker,
            first: {
                guard others.all.isEmpty else { return }
                others.note("retry")
                try await bench.jobs.retry(all[1])
                for _ in all { try await bench.broker.get(JobQueue.default.waiting)?.ack() }
            })
        #expect(try await JobDesk(store).retryAll(in: .default, name: nil, count: .max) == 1)
        #expect(try await bench.jobs.list(.available).isEmpty)
        #expect(try await bench.jobs.list(.discarded).isEmpty)
    }

    @Test func `a job that somebody holds where it was discarded is not retried`() async throws {
        let bench = try Bench()
        let job = try await discarded(by: bench)
        let held = try #require(try await bench.broker.get(JobQueue.default.discarded))
        let error = await #expect(throws: JobError.self) { try await bench.jobs.retry(job.id) }
        #expect(error?.code == .notFound)
        #expect(try await bench.jobs.retryAll() == 0)
        #expect(try await bench.jobs.list(.available).isEmpty)
        try await held.nack()
        #expect(try await bench.jobs.retryAll() == 1)
    }

    @Test func `a retry keeps what its queue did not take, also where nobody says why`() async throws {
        let bench = try Bench()
        let first = try await discarded(by: bench)
        try await bench.jobs.enqueue(Once(who: "ann"))
        let desk = JobDesk(StubStore(broker: bench.broker, knows: false))
        let error = await #expect(throws: JobError.self) { try await desk.retry(first.id) }
        #expect(error?.code == .duplicate)
        #expect(try await bench.jobs.find(first.id)?.state == .discarded)
    }

    @Test func `a retry that was cut short is done again`() async throws {
        let bench = try Bench()
        let job = try await discarded(by: bench)
        let row = try #require(try await bench.jobs.list(.discarded).first).message.message
        try await bench.broker.publish(
            OutgoingMessage(row.body, to: JobQueue.default.waiting, properties: row.properties))
        try await bench.jobs.retry(job.id)
        #expect(try await bench.jobs.list(.available).map(\.id) == [job.id])
        #expect(try await bench.jobs.list(.discarded).isEmpty)
    }

    @Test func `a job that runs elsewhere is cancelled by the worker that has it`() async throws {
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] greet in
                journal.note(greet.who)
                let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
                for await _ in stream {}
                withExtendedLifetime(continuation) {}
                throw CancellationError()
            }
        } while: {
            try await until { bench.journal.all == ["ann"] }
            try await others(bench).cancel(job.id)
            try await bench.settles()
            try await bench.reaches(0, in: .dependentJobs)
        }
        let found = try #require(try await bench.jobs.find(job.id))
        #expect(found.state == .cancelled)
        #expect(found.reason == "cancelled while it ran")
    }

    @Test func `a job that is taken while it is looked for is found`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        let second = flow.add(Greet(who: "second"), after: flow.add(Greet(who: "first")))
        let id = try await bench.jobs.enqueue(flow)[second]
        let taken = Journal()
        let store = StubStore(
            broker: bench.broker,
            looking: { peek in
                guard peek.queue == .dependentJobs, peek.state == .ready, taken.all.isEmpty else { return }
                taken.note("\(try await bench.broker.get(.dependentJobs) != nil)")
            })
        #expect(try await JobDesk(store).find(id)?.state == .dependent)
        #expect(taken.all == ["true"])
    }

    @Test func `a job that waits for others is cancelled, and those that wait for it`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        let first = flow.add(Greet(who: "first"))
        let second = flow.add(Greet(who: "second"), after: first)
        let third = flow.add(Greet(who: "third"), after: second)
        let ids = try await bench.jobs.enqueue(flow)
        try await bench.jobs.pause(.default)
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] in journal.note($0.who) }
        } while: {
            try await bench.jobs.cancel(ids[second])
            try await until { try await bench.jobs.find(ids[third])?.state == .cancelled }
            try await bench.jobs.resume(.default)
            try await until { bench.journal.all == ["first"] }
            // The mark that was left for it is gone once what it waited for has reported.
            try await bench.reaches(0, in: .dependentJobs)
        }
        #expect(bench.journal.all == ["first"])
        let found = try #require(try await bench.jobs.find(ids[second]))
        #expect(found.state == .cancelled)
        #expect(found.reason == "cancelled while it waited for others")
    }

    @Test func `a cancellation that can't be written yet waits for room`() async throws {
        let slept = Journal()
        let bench = try Bench { tasks in
            tasks.clock = ScriptedClock { duration in
                guard duration == .seconds(1) else { return try await forever() }
                slept.note("a second")
                await Task.yield()
            }
        }
        var flow = Workflow()
        let first = flow.add(Greet(who: "first"), .init(start: .after(.seconds(60))))
        let second = flow.add(Greet(who: "second"), after: first)
        let ids = try await bench.jobs.enqueue(flow)
        try await bench.broker.setPolicy(
            Policy(
                "full", pattern: #"^jobs\.default\.completed$"#, appliesTo: .queues, priority: 9,
                definition: ["x-max-length": 0, "x-overflow": "reject-publish"]))
        try await bench.working {
            $0.add(Greet.self) { _ in }
        } while: {
            try await bench.jobs.cancel(ids[second])
            try await until { !slept.all.isEmpty }
            try await bench.broker.deletePolicy("full")
            try await until { try await bench.jobs.find(ids[second])?.state == .cancelled }
        }
    }

    @Test func `when a job is cancelled that others wait for, they hear of it with its end`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        let first = flow.add(Greet(who: "first"), .init(start: .after(.seconds(60))))
        let second = flow.add(Greet(who: "second"), after: first)
        let ids = try await bench.jobs.enqueue(flow)
        try await bench.jobs.cancel(ids[first])
        #expect(try await bench.jobs.find(ids[first])?.state == .available)
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] in journal.note($0.who) }
        } while: {
            try await until { try await bench.jobs.find(ids[second])?.state == .cancelled }
            try await bench.reaches(0, in: .dependentJobs)
        }
        #expect(bench.journal.all == [])
        #expect(try await bench.jobs.find(ids[first])?.reason == "cancelled while it waited")
    }

    @Test func `a job that a worker takes first is not reported as cancelled`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        let first = flow.add(Greet(who: "first"))
        flow.add(Greet(who: "second"), after: first)
        let ids = try await bench.jobs.enqueue(flow)
        let taken = Journal()
        let store = StubStore(
            broker: bench.broker,
            first: {
                taken.note("\(try await bench.broker.get(JobQueue.default.waiting) != nil)")
            })
        guard case .asked = try await JobDesk(store).cancel(ids[first]) else {
            Issue.record("nobody was asked")
            return
        }
        #expect(taken.all == ["true"])
        let messages = try await bench.broker.peek(.dependentJobs)
        #expect(messages.count == 2)
        #expect(messages.allSatisfy { $0.message.properties?.headers[JobHeader.reportTo] == nil })
    }

    @Test func `a retry of a job that others have waited for leaves nothing behind`() async throws {
        let bench = try Bench()
        var flow = Workflow()
        let first = flow.add(Once(who: "ann"))
        let second = flow.add(Greet(who: "second"), after: first)
        let ids = try await bench.jobs.enqueue(flow)
        try await bench.working {
            $0.add(Once.self) { [journal = bench.journal] once in
                journal.note(once.who)
                if journal.all.count == 1 { throw Failure() }
            }
            $0.add(Greet.self) { _ in }
        } while: {
            try await until { try await bench.jobs.find(ids[second])?.state == .cancelled }
            try await bench.jobs.retry(ids[first])
            try await until { try await bench.jobs.find(ids[first])?.state == .completed }
            try await bench.reaches(0, in: .dependentJobs)
        }
        #expect(bench.journal.all == ["ann", "ann"])
    }

    @Test func `a parked job can be cancelled, and one that has ended can't`() async throws {
        let bench = try Bench()
        let parked = try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.working {
            $0.add(Once.self) { _ in }
        } while: {
            try await bench.reaches(1, in: JobQueue.default.unclaimed)
        }
        #expect(try await bench.jobs.find(parked.id)?.state == .unclaimed)
        try await bench.jobs.cancel(parked.id)
        #expect(try await bench.jobs.find(parked.id)?.state == .cancelled)
        for act in [Jobs.cancel, Jobs.runNow, Jobs.retry] {
            let error = await #expect(throws: JobError.self) { try await act(bench.jobs)(parked.id) }
            #expect(error?.code == .notFound)
        }
    }

    @Test func `what waits for its time runs at once when it is told to`() async throws {
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Greet(who: "ann"), .init(start: .after(.seconds(3_600))))
        #expect(try await bench.jobs.find(job.id)?.state == .scheduled)
        try await bench.jobs.runNow(job.id)
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] in journal.note($0.who) }
        } while: {
            try await bench.settles()
        }
        #expect(bench.journal.all == ["ann"])
    }
}

/// The jobs of a broker for somebody who may not ask which message an id belongs to, or who is overtaken.
private struct StubStore: JobStore {
    let broker: Broker
    var knows = true
    /// What happens before a queue's messages of one state are looked at.
    var looking: @Sendable (Peek) async throws -> Void = { _ in }
    /// What happens before a message is changed or removed.
    var first: @Sendable () async throws -> Void = {}

    var now: Instant { broker.now }
    func queues(named pattern: String) async throws -> [QueueName] {
        try await broker.queues(named: pattern)
    }
    func messages(_ peek: Peek) async throws -> [PeekedMessage] {
        try await looking(peek)
        return try await broker.messages(peek)
    }
    func message(knownAs id: String, in queue: QueueName) async throws -> KnownMessage? {
        knows ? try await broker.message(knownAs: id, in: queue) : nil
    }
    func publish(all messages: [OutgoingMessage]) async throws -> [Int] {
        try await broker.publish(all: messages)
    }
    func change(_ edit: MessageEdit) async throws -> Bool {
        try await first()
        return try await broker.change(edit)
    }
    func remove(_ number: MessageNumber, from queue: QueueName) async throws -> Bool {
        try await first()
        return try await broker.remove(number, from: queue)
    }
}
