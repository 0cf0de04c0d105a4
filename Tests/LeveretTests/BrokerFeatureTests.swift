// Features of queues through the Swift API, each over a restart, where no other test of the broker has them.

import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerFeatureTests {
    private static let farOff = Duration.seconds(3_600)

    @Test func `failures before a restart count towards the delivery limit`() async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareQueue("dead")
        let arguments: FieldTable = [
            "x-delivery-limit": .int(1), "x-dead-letter-exchange": .string(""),
            "x-dead-letter-routing-key": .string("dead"),
        ]
        try await first.declareQueue("jobs", arguments: arguments)
        try await first.publish("a", to: "jobs")
        try await first.get("jobs")?.reject(requeue: true)
        try await first.shutdown()

        let second = try fixture.open()
        try await second.get("jobs")?.reject(requeue: true)
        #expect(try await second.get("jobs") == nil)
        #expect(try await second.peek("dead").first?.deaths?.firstReason == .deliveryLimit)
        try await second.shutdown()
    }

    @Test func `an exchange for delayed messages routes as its type says, and delays`() async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareExchange(
            "later", type: .delayed, arguments: ["x-delayed-type": .string("topic")])
        try await first.declareQueue("jobs")
        try await first.bind("jobs", to: "later", routingKey: "a.#")
        try await first.shutdown()

        let second = try fixture.open()
        let message = OutgoingMessage("x", to: "later", routingKey: "a.b").delayed(by: Self.farOff)
        #expect(try await second.publish(message) == 1)
        #expect(try await second.publish("x", to: "later", routingKey: "b") == 0)
        #expect(try await second.status(of: "jobs").delayed == 1)
        try await second.shutdown()
    }

    @Test func `an exchange drops what it has handed on before`() async throws {
        var message = OutgoingMessage("x", to: "events", routingKey: "")
        message.properties = MessageProperties()
        message.properties?.messageID = "a"
        let double = message
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareExchange(
            "events", type: .fanout, arguments: ["x-deduplicate": .int(3_600_000)])
        try await first.declareQueue("jobs")
        try await first.bind("jobs", to: "events")
        #expect(try await first.publish(double) == 1)
        try await first.shutdown()

        let second = try fixture.open()
        #expect(try await second.publish(double) == 0)
        #expect(try await second.status(of: "jobs").ready == 1)
        try await second.shutdown()
    }

    @Test func `a queue's own lease ends what is held for too long`() async throws {
        let clock = HandClock()
        var fixture = try BrokerFixture()
        fixture.configuration.clock = clock.clock
        let first = try fixture.open()
        try await first.declareQueue("jobs", arguments: ["x-consumer-timeout": .int(1_000)])
        try await first.publish("a", to: "jobs")
        try await first.shutdown()

        let second = try fixture.open()
        let late = try await second.get("jobs")
        clock.advance(milliseconds: 1_000)
        #expect(try await second.get("jobs", wait: .seconds(60))?.number == late?.number)
        await #expect(throws: BrokerError.self) { try await late?.ack() }
        try await second.shutdown()
    }

    @Test func `a queue that expires if empty outlives its idle time while something is in it`() async throws
    {
        let clock = HandClock()
        var fixture = try BrokerFixture()
        fixture.configuration.clock = clock.clock
        let first = try fixture.open()
        try await first.declareQueue("jobs", arguments: ["x-expires-if-empty": .int(1_000)])
        try await first.publish("a", to: "jobs")
        try await first.shutdown()

        clock.advance(milliseconds: 5_000)
        let second = try fixture.open()
        try await second.get("jobs")?.ack()
        clock.advance(milliseconds: 1_000)
        try await eventually { try await second.queues(matching: "jobs").isEmpty }
        try await second.shutdown()
    }

    @Test func `a headers binding may ask that nothing matches`() async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareExchange("events", type: .headers)
        try await first.declareQueue("jobs")
        let arguments: FieldTable = ["x-match": .string("none"), "kind": .string("test")]
        try await first.bind("jobs", to: "events", arguments: arguments)
        try await first.shutdown()

        let second = try fixture.open()
        for (kind, count) in [("test", 0), ("real", 1)] {
            var message = OutgoingMessage("x", to: "events", routingKey: "")
            message.properties = MessageProperties()
            message.properties?.headers["kind"] = .string(kind)
            #expect(try await second.publish(message) == count)
        }
        try await second.shutdown()
    }
}
