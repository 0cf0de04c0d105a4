// How an attempt can end: by exits, timeouts, cancellation and shutdown; and what a job remembers of it.

import Leveret
import LeveretTasks
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(10))) struct AttemptTests {
    private struct Failure: Error {}

    @Test func `a snoozed job comes again without having failed`() async throws {
        let bench = try Bench()
        try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] _, context in
                journal.note("attempt \(context.attempt)")
                if journal.all.count == 1 { throw JobExit.snooze(for: .seconds(10)) }
            }
        } while: {
            try await bench.settles(waiting: 1)
            #expect(try await bench.jobs.list(.scheduled).count == 1)
            bench.hand.advance(10_000)
            try await bench.settles()
        }
        #expect(bench.journal.all == ["attempt 1", "attempt 1"])
    }

    @Test func `a job may discard or cancel itself`() async throws {
        let bench = try Bench()
        let ann = try await bench.jobs.enqueue(Greet(who: "ann"))
        let bob = try await bench.jobs.enqueue(Greet(who: "bob"))
        try await bench.working {
            $0.add(Greet.self) { greet in
                throw greet.who == "ann" ? JobExit.discard("no such ann") : JobExit.cancel("moved")
            }
        } while: {
            try await bench.settles()
        }
        let discarded = try #require(try await bench.jobs.find(ann.id))
        #expect(discarded.state == .discarded)
        #expect(discarded.errors.map(\.error) == ["no such ann"])
        let cancelled = try #require(try await bench.jobs.find(bob.id))
        #expect(cancelled.state == .cancelled)
        #expect(cancelled.reason == "moved")
    }

    @Test func `an attempt that takes too long is cancelled, and has failed`() async throws {
        struct Slow: Job {
            static let name = "slow"
            static let timeout: Duration? = .milliseconds(1)
            static let options = EnqueueOptions(maxAttempts: 1)
        }
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Slow())
        try await bench.working {
            $0.add(Slow.self) { _ in try await forever() }
        } while: {
            try await bench.settles()
        }
        let found = try #require(try await bench.jobs.find(job.id))
        #expect(found.state == .discarded)
        #expect(found.errors.map(\.error) == ["it took longer than 0.001 seconds"])
    }

    @Test func `a job is cancelled from outside, waiting or running`() async throws {
        let bench = try Bench()
        let waiting = try await bench.jobs.enqueue(Greet(who: "ann"), .init(start: .after(.seconds(9))))
        let running = try await bench.jobs.enqueue(Greet(who: "bob"))
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] greet in
                journal.note(greet.who)
                try await forever()
            }
        } while: {
            try await until { bench.journal.all == ["bob"] }
            #expect(try await bench.jobs.find(running.id)?.state == .running)
            try await bench.jobs.cancel(waiting.id)
            try await bench.jobs.cancel(running.id)
            try await bench.settles()
        }
        for id in [waiting.id, running.id] { #expect(try await bench.jobs.find(id)?.state == .cancelled) }
        await #expect(throws: JobError.self) { try await bench.jobs.cancel(running.id) }
    }

    @Test func `who runs after a job that was told to stop is not told so`() async throws {
        let bench = try Bench()
        let ann = try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.jobs.enqueue(Greet(who: "bob"))
        try await bench.working(on: [.default: 1]) {
            $0.add(Greet.self) { [journal = bench.journal] greet in
                journal.note("\(greet.who): \(Task.isCancelled)")
                if greet.who == "ann" { try await forever() }
            }
        } while: {
            try await until { bench.journal.all.count == 1 }
            try await bench.jobs.cancel(ann.id)
            try await bench.settles()
        }
        #expect(bench.journal.all == ["ann: false", "bob: false"])
    }

    @Test func `a handler that cancels its own task has failed, and the next job runs`() async throws {
        let bench = try Bench()
        let ann = try await bench.jobs.enqueue(Greet(who: "ann"), .init(maxAttempts: 1))
        let bob = try await bench.jobs.enqueue(Greet(who: "bob"))
        try await bench.working(on: [.default: 1]) {
            $0.add(Greet.self) { greet in
                if greet.who == "ann" { withUnsafeCurrentTask { $0?.cancel() } }
                try Task.checkCancellation()
            }
        } while: {
            try await bench.settles()
        }
        #expect(try await bench.jobs.find(ann.id)?.state == .discarded)
        #expect(try await bench.jobs.find(bob.id)?.state == .completed)
    }

    @Test func `a shutdown hands back what does not end in time, without counting a failure`() async throws {
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.working(shutdownLimit: .milliseconds(1)) {
            $0.add(Greet.self) { [journal = bench.journal] greet in
                journal.note(greet.who)
                try await forever()
            }
        } while: {
            try await until { bench.journal.all == ["ann"] }
        }
        let found = try #require(try await bench.jobs.find(job.id))
        #expect(found.state == .available)
        #expect(found.attempts == 0)
        #expect(found.errors == [])
    }

    @Test func `when the worker's task is cancelled, what handlers still do is written`() async throws {
        let bench = try Bench()
        let once = EnqueueOptions(maxAttempts: 1)
        let saves = try await bench.jobs.enqueue(Greet(who: "saves"), once)
        let fails = try await bench.jobs.enqueue(Greet(who: "fails"), once)
        let worker = try JobWorker(bench.jobs) {
            $0.add(Greet.self) { [journal = bench.journal] greet, context in
                journal.note(greet.who)
                try? await forever()
                // All else that is cancelled with the worker's task has ended by then.
                for _ in 0..<10_000 { await Task.yield() }
                if greet.who == "fails" { throw CancellationError() }
                try await context.setCursor("saved")
            }
        }
        let run = Task { try await worker.run() }
        try await until { bench.journal.all.count == 2 }
        run.cancel()
        _ = await run.result
        let saved = try #require(try await bench.jobs.find(saves.id))
        #expect(saved.state == .completed)
        #expect(saved.message.message.properties?.headers[JobHeader.cursor] == "\"saved\"")
        #expect(try await bench.jobs.find(fails.id)?.state == .available)
        #expect(try await bench.jobs.find(fails.id)?.attempts == 0)
    }

    @Test func `a shutdown waits for what runs`() async throws {
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Greet(who: "ann"))
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] greet in
                journal.note(greet.who)
                for await _ in gate {}
            }
        } while: {
            try await until { bench.journal.all == ["ann"] }
            open.finish()
        }
        #expect(try await bench.jobs.find(job.id)?.state == .completed)
    }

    @Test func `every error stays with the job, up to a bound`() async throws {
        struct Stubborn: Job {
            static let name = "stubborn"
            static let options = EnqueueOptions(maxAttempts: 60)
            static let retry = RetryPolicy.every(.zero)
        }
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Stubborn())
        try await bench.working {
            $0.add(Stubborn.self) { _, context in throw JobExitText(text: "failure \(context.attempt)") }
        } while: {
            try await bench.reaches(1, in: JobQueue.default.discarded)
        }
        let found = try #require(try await bench.jobs.find(job.id))
        #expect(found.errors.count == 50)
        #expect(found.errors.map(\.attempt) == [1] + Array(12...60))
        #expect(found.attempts == 60)
        try await bench.jobs.retry(job.id)
        #expect(try await bench.jobs.find(job.id)?.state == .available)
    }

    private struct JobExitText: Error { let text: String }

    @Test func `what a job says of itself is kept with it, and its cursor is there at the next attempt`()
        async throws
    {
        struct Export: Job {
            static let name = "export"
            static let retry = RetryPolicy.every(.zero)
        }
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Export())
        try await bench.working {
            $0.add(Export.self) { [journal = bench.journal] _, context in
                let page = context.cursor(as: Int.self) ?? 0
                journal.note("from \(page)")
                context.log("page \(page)")
                context.progress(Double(page) / 2, "page \(page) of 2")
                guard page < 2 else { return }
                try await context.setCursor(page + 1)
                throw Failure()
            }
        } while: {
            try await bench.settles()
        }
        #expect(bench.journal.all == ["from 0", "from 1", "from 2"])
        let found = try #require(try await bench.jobs.find(job.id))
        #expect(found.log == ["page 0", "page 1", "page 2"])
        #expect(found.progress == 1)
        #expect(found.progressText == "page 2 of 2")
        #expect(found.errors.count == 2)
    }

    @Test func `what a handler returns is kept as its output`() async throws {
        struct Add: Job {
            typealias Output = Int
            static let name = "add"
            var a: Int
            var b: Int
        }
        let bench = try Bench()
        let job = try await bench.jobs.enqueue(Add(a: 1, b: 2))
        try await bench.working {
            $0.add(Add.self) { $0.a + $0.b }
        } while: {
            try await bench.settles()
        }
        #expect(try await bench.jobs.find(job.id)?.output == "3")
    }

    @Test func `what follows a job is enqueued exactly if it completes`() async throws {
        let bench = try Bench()
        struct Parent: Job {
            static let name = "parent"
            static let retry = RetryPolicy.every(.zero)
        }
        try await bench.jobs.enqueue(Parent())
        try await bench.working {
            $0.add(Parent.self) { _, context in
                try await context.whenCompleted(enqueue: Greet(who: "\(context.attempt)"))
                if context.attempt < 3 { throw Failure() }
            }
            $0.add(Greet.self) { [journal = bench.journal] in journal.note($0.who) }
        } while: {
            try await until { !bench.journal.all.isEmpty }
            try await bench.settles()
        }
        #expect(bench.journal.all == ["3"])
    }

    @Test func `what follows a job comes at its time, however long the job goes on`() async throws {
        let bench = try Bench()
        struct Parent: Job { static let name = "parent" }
        let due = bench.hand.now.advanced(byMilliseconds: 60_000)
        try await bench.jobs.enqueue(Parent())
        try await bench.working {
            $0.add(Parent.self) { _, context in
                try await context.whenCompleted(enqueue: Greet(who: "ann"), .init(start: .at(due)))
                bench.hand.advance(30_000)
            }
        } while: {
            try await bench.reaches(1, in: JobQueue.default.completed)
        }
        #expect(try await bench.jobs.list(.scheduled).map(\.due) == [due])
    }

    @Test func `a cancellation counts, whatever else stopped the job and whatever it throws`() async throws {
        struct Slow: Job {
            static let name = "slow"
            static let timeout: Duration? = .milliseconds(1)
        }
        let bench = try Bench()
        let slow = try await bench.jobs.enqueue(Slow())
        let snoozes = try await bench.jobs.enqueue(Greet(who: "ann"))
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        try await bench.working {
            $0.add(Slow.self) { [journal = bench.journal] _ in
                try? await forever()
                journal.note("timeout")
                // Heeds no cancellation any more.
                await Task { for await _ in gate {} }.value
                throw Failure()
            }
            $0.add(Greet.self) { [journal = bench.journal] _ in
                journal.note("begun")
                try? await forever()
                throw JobExit.snooze(for: .seconds(1))
            }
        } while: {
            try await until { bench.journal.all.sorted() == ["begun", "timeout"] }
            for id in [slow.id, snoozes.id] { try await bench.jobs.cancel(id) }
            open.finish()
            try await bench.settles()
        }
        for id in [slow.id, snoozes.id] { #expect(try await bench.jobs.find(id)?.state == .cancelled) }
    }

    @Test func `a paused queue starts nothing until it is resumed`() async throws {
        let bench = try Bench()
        try await bench.jobs.pause(.default)
        try await bench.jobs.enqueue(Greet(who: "ann"))
        try await bench.working {
            $0.add(Greet.self) { [journal = bench.journal] in journal.note($0.who) }
        } while: {
            #expect(try await bench.broker.status(of: JobQueue.default.waiting).ready == 1)
            #expect(bench.journal.all == [])
            try await bench.jobs.resume(.default)
            try await bench.settles()
        }
        #expect(bench.journal.all == ["ann"])
    }
}
