// What runs around jobs: middleware, traces and metrics.

import InMemoryTracing
import Instrumentation
import Leveret
import LeveretTasks
import MetricsTestKit
import Testing
import Tracing

@Suite(.timeLimit(.minutes(10))) struct MiddlewareTests {
    private struct Failure: Error {}

    private struct Named: JobMiddleware {
        let name: String
        let journal: Journal

        func enqueue(_ job: inout JobToEnqueue) {
            job.headers["path"] = .string(text(job.headers["path"]) + name)
        }

        func run(_ context: JobContext, _ next: () async throws -> Void) async throws {
            journal.note("\(name) \(text(context.message.properties?.headers["path"]))")
            try await next()
            journal.note("\(name) ends")
        }

        private func text(_ value: FieldValue?) -> String {
            if case .string(let text)? = value { text } else { "" }
        }
    }

    @Test func `middleware runs around every enqueue and attempt, the first outermost`() async throws {
        let journal = Journal()
        var configuration = Jobs.Configuration()
        configuration.middleware = ["a", "b"].map { Named(name: $0, journal: journal) }
        let test = try JobTest(configuration: configuration) { handlers in
            handlers.add(Greet.self) { journal.note($0.who) }
        }
        try await test.jobs.enqueue(Greet(who: "ann"))
        try await test.runUntilEmpty()
        #expect(journal.all == ["a ab", "b ab", "ann", "b ends", "a ends"])
    }

    @Test func `a moment that no clock has shown is counted from`() async throws {
        var configuration = Jobs.Configuration()
        configuration.metrics = TestMetrics()
        let journal = Journal()
        let test = try JobTest(configuration: configuration) { handlers in
            handlers.add(Greet.self) { journal.note($0.who) }
        }
        var properties = MessageProperties()
        properties.type = Greet.name
        properties.headers[JobHeader.enqueued] = .int(.min)
        try await test.jobs.declare(.default)
        try await test.jobs.broker.publish(
            OutgoingMessage("{\"who\":\"ann\"}", to: JobQueue.default.waiting, properties: properties))
        try await test.runUntilEmpty()
        #expect(journal.all == ["ann"])
    }

    @Test func `jobs are counted by how they end, and timed`() async throws {
        let metrics = TestMetrics()
        var configuration = Jobs.Configuration()
        configuration.metrics = metrics
        let test = try JobTest(configuration: configuration) { handlers in
            handlers.add(Greet.self) { _, context in if context.attempt == 1 { throw Failure() } }
        }
        try await test.jobs.enqueue(Greet(who: "ann"))
        try await test.advance(by: .seconds(60))
        let kind = [("job", "greet"), ("queue", "default")]
        #expect(try metrics.expectCounter("leveret_jobs_enqueued_total", kind).totalValue == 1)
        for outcome in ["failed", "completed"] {
            let counter = try metrics.expectCounter(
                "leveret_jobs_finished_total", kind + [("outcome", outcome)])
            #expect(counter.totalValue == 1)
        }
        #expect(try metrics.expectTimer("leveret_job_run_seconds", kind).values.count == 2)
        #expect(try metrics.expectTimer("leveret_job_wait_seconds", kind).values == [0])
    }

    @Test func `an attempt is a span of the trace that enqueued the job`() async throws {
        let tracer = InMemoryTracer()
        var configuration = Jobs.Configuration()
        configuration.middleware = [JobTracing(tracer)]
        let test = try JobTest(configuration: configuration) { handlers in
            handlers.add(Greet.self) { _ in }
        }
        try await tracer.withSpan("request") { _ in
            _ = try await test.jobs.enqueue(Greet(who: "ann"))
        }
        try await test.runUntilEmpty()
        let spans = tracer.finishedSpans
        #expect(spans.map(\.operationName) == ["request", "job greet"])
        #expect(spans.last?.traceID == spans.first?.traceID)
        #expect(spans.last?.parentSpanID == spans.first?.spanID)
    }
}
