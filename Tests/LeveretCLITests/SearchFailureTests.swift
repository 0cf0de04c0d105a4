// Which refusals say that a search was too much for its bounds: `grep` and `dead list` go on with less then. Held
// against what the broker really says.

import Leveret
import LeveretCore
import Testing

@testable import LeveretCLI

@Suite struct SearchFailureTests {
    /// What is refused by a broker in memory with a few messages.
    private func refusal(
        _ change: (inout CoreLimits) -> Void, _ ask: (Broker) async throws -> Void
    ) async throws -> Failure? {
        var configuration = Broker.Configuration()
        change(&configuration.limits)
        let broker = try Broker(.memory, configuration: configuration)
        try await broker.declareQueue("jobs")
        for index in 0..<20 { try await broker.publish("\(index)", to: "jobs") }
        var failure: Failure?
        do { try await ask(broker) } catch let error as BrokerError { failure = Failure(error) }
        try await broker.shutdown()
        return failure
    }

    @Test func `a search that took too long is known by what it says`() async throws {
        let failure = try await refusal {
            $0.queryMillisecondsMax = 0
        } _: { broker in
            _ = try await broker.peek("jobs", where: "body LIKE '%x%'")
        }
        #expect(failure?.isSearchTooLong == true, "\(failure?.text ?? "it was answered")")
    }

    @Test func `a query that took too much memory, or found too much, is known, too`() async throws {
        let memory = try await refusal {
            $0.queryMemoryMax = 1 << 20
        } _: { broker in
            _ = try await broker.query(
                """
                SELECT count(*) FROM (
                    SELECT DISTINCT a.id || b.id || c.id || d.id || e.id
                    FROM message a, message b, message c, message d, message e
                )
                """)
        }
        #expect(memory?.isSearchTooLong == true, "\(memory?.text ?? "it was answered")")
        let rows = try await refusal {
            $0.queryRowsMax = 2
        } _: { broker in
            _ = try await broker.query("SELECT id FROM message")
        }
        #expect(rows?.isSearchTooLong == true, "\(rows?.text ?? "it was answered")")
    }

    @Test func `any other refusal is not taken for that`() async throws {
        let wrong = try await refusal { _ in
        } _: { broker in
            _ = try await broker.query("SELECT nothing FROM message")
        }
        #expect(wrong != nil && wrong?.isSearchTooLong == false)
    }
}
