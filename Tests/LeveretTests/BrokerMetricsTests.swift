// What a metrics backend hears of a broker, and that nothing is done where there is none.

import LeveretTestSupport
import MetricsTestKit
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerMetricsTests {
    @Test func `a backend hears the totals, what waits and how long commits take`() async throws {
        let metrics = TestMetrics()
        let clock = HandClock()
        var fixture = try BrokerFixture()
        fixture.configuration.metrics = metrics
        fixture.configuration.clock = clock.clock
        let broker = try fixture.open()
        try await broker.declareQueue("jobs")
        for _ in 0..<3 { try await broker.publish("x", to: "jobs") }
        try await broker.publish("nowhere", to: "amq.direct", routingKey: "nobody")
        let job = try #require(try await broker.get("jobs"))
        try await job.ack()

        clock.advance(milliseconds: BrokerMetrics.intervalMilliseconds)
        try await eventually { metrics.counterTotal(label: "leveret_acked_total") == 1 }
        #expect(metrics.counterTotal(label: "leveret_published_total") == 4)
        #expect(metrics.counterTotal(label: "leveret_unroutable_total") == 1)
        #expect(try metrics.expectGauge("leveret_ready").lastValue == 2)
        #expect(try metrics.expectGauge("leveret_queues").lastValue == 1)
        #expect(try metrics.expectGauge("leveret_database_bytes").lastValue ?? 0 > 0)
        #expect(try metrics.expectTimer("leveret_commit_seconds").values.allSatisfy { $0 > 0 })

        // Counted once, and of the dead by reason; the end is told, too.
        let other = try #require(try await broker.get("jobs"))
        try await other.reject()
        try await broker.shutdown()
        try await eventually {
            metrics.counterTotal(label: "leveret_dead_total", dimensions: [("reason", "rejected")]) == 1
        }
        #expect(metrics.counterTotal(label: "leveret_published_total") == 4)
        #expect(try metrics.expectGauge("leveret_ready").lastValue == 1)
    }

    @Test func `without a backend there is nothing to tell`() async throws {
        let broker = try BrokerFixture.inMemory()
        #expect(broker.engine.metrics == nil)
        try await broker.shutdown()
    }
}
