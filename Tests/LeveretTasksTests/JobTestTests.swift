// The testing mode, in tests as an application's would be.

import Leveret
import LeveretTasks
import Testing

@Suite(.timeLimit(.minutes(10))) struct JobTestTests {
    private struct Failure: Error {}

    private struct Greeting: Job, Equatable {
        static let name = "greeting"
        var who: String
    }

    private struct Again: Job {
        static let name = "again"
    }

    @Test func `what was enqueued is seen, run, and followed in its own time`() async throws {
        let journal = Journal()
        let test = try JobTest { handlers in
            handlers.add(Greeting.self) { greeting, context in
                journal.note("\(greeting.who) at attempt \(context.attempt)")
                if greeting.who == "ann", context.attempt == 1 { throw Failure() }
                if greeting.who == "ann" {
                    try await context.whenCompleted(
                        enqueue: Greeting(who: "bob"), .init(start: .after(.seconds(86_400))))
                }
            }
        }
        let start = test.now
        try await test.jobs.enqueue(Greeting(who: "ann"))
        #expect(try await test.enqueued(Greeting.self) == [Greeting(who: "ann")])
        #expect(try await test.runUntilEmpty() == 1)
        #expect(try await test.list(.retryable).count == 1)
        #expect(try await test.advance(by: .seconds(100_000)) == 2)
        #expect(journal.all == ["ann at attempt 1", "ann at attempt 2", "bob at attempt 1"])
        #expect(test.now == start.advanced(byMilliseconds: 100_000_000))
        // The first was done more than a day ago, and is no longer kept.
        #expect(try await test.list(.completed).count == 1)
    }

    @Test func `a job that enqueues itself for ever is stopped`() async throws {
        let test = try JobTest { handlers in
            handlers.add(Again.self) { job, context in try await context.jobs.enqueue(job) }
        }
        try await test.jobs.enqueue(Again())
        let error = await #expect(throws: JobError.self) { try await test.runUntilEmpty(attemptsMax: 10) }
        #expect(error?.code == .endless)
    }

    @Test func `a workflow runs to its end, and a cursor is written`() async throws {
        let journal = Journal()
        let test = try JobTest { handlers in
            handlers.add(Greeting.self) { greeting, context in
                try await context.setCursor(greeting.who)
                journal.note(greeting.who)
            }
        }
        var flow = Workflow()
        let parts = ["a", "b", "c"].map { flow.add(Greeting(who: $0)) }
        flow.add(Greeting(who: "all"), after: parts)
        try await test.jobs.enqueue(flow)
        #expect(try await test.runUntilEmpty() == 4)
        #expect(journal.all == ["a", "b", "c", "all"])
    }
}
