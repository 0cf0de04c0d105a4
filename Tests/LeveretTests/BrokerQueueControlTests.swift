// Pauses, single active consumers and leases through the Swift API, also across a restart.

import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerQueueControlTests {
    @Test func `a paused queue is paused after a restart, until it is resumed`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("jobs")
        try await broker.declareQueue("mails")
        try await broker.pause("jobs")
        try await broker.pause("mails")
        try await broker.resume("mails")
        try await broker.publish("a", to: "jobs")
        #expect(try await broker.get("jobs") == nil)
        try await broker.shutdown()

        let again = try fixture.open()
        #expect(try await again.status(of: "jobs").pausedSince != nil)
        #expect(try await again.status(of: "mails").pausedSince == nil)
        #expect(try await again.get("jobs") == nil)
        try await again.resume("jobs")
        #expect(try await again.get("jobs")?.text == "a")
        try await again.shutdown()
        #expect(try DatabaseInspector(path: fixture.path).queue("jobs").pausedSince == nil)
    }

    @Test func `the next consumer takes over where the active one stopped, also after a restart`()
        async throws
    {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("jobs", arguments: ["x-single-active-consumer": .bool(true)])
        try await broker.publish(batch: (0..<4).map { OutgoingMessage("\($0)", to: "jobs") })
        let first = try await broker.consume("jobs", prefetch: 2)
        let second = try await broker.consume("jobs")
        #expect(try await broker.consumers().map(\.isActive).filter { $0 }.count == 1)
        let held = try await first.take(2)
        try await held[0].ack()
        try await first.cancel()
        try await held[1].nack()
        #expect(try await second.take(3).map(\.text) == ["1", "2", "3"])
        try await broker.shutdown()

        let again = try fixture.open()
        let third = try await again.consume("jobs")
        #expect(try await third.take(3).map(\.text) == ["1", "2", "3"])
        try await again.shutdown()
    }

    @Test func `a consumer whose lease ended hears so, and its message goes to another`() async throws {
        let clock = HandClock()
        let broker = try BrokerFixture.inMemory { $0.clock = clock.clock }
        try await broker.declareQueue("jobs")
        try await broker.publish("a", to: "jobs")
        let slow = try await broker.consume("jobs", timeout: .milliseconds(100))
        let message = try #require(try await slow.take(1).first)
        clock.advance(milliseconds: 50)
        try await message.touch()
        clock.advance(milliseconds: 99)
        #expect(try await broker.status(of: "jobs").unacked == 1)
        clock.advance(milliseconds: 1)
        try await eventually { try await broker.status(of: "jobs").ready == 1 }
        let ended = await #expect(throws: BrokerError.self) {
            for try await _ in slow {}
        }
        #expect(ended?.code == .preconditionFailed)
        let late = await #expect(throws: BrokerError.self) { try await message.ack() }
        #expect(late?.text.contains("the lease of delivery 1 expired at") == true)
        #expect(try await broker.get("jobs")?.isRedelivered == true)
        try await broker.shutdown()
    }

    @Test func `ids are remembered over a restart, exactly`() async throws {
        let fixture = try BrokerFixture()
        var broker = try fixture.open()
        try await broker.declareQueue("window", arguments: ["x-deduplicate": .int(3_600_000)])
        try await broker.declareQueue("queued", arguments: ["x-deduplicate": .string("while-queued")])
        func publish(_ id: String, to queue: QueueName) async throws -> Int {
            var message = OutgoingMessage(id, to: queue)
            message.properties = MessageProperties()
            message.properties?.messageID = id
            return try await broker.publish(message)
        }
        for queue in ["window", "queued"] as [QueueName] {
            #expect(try await publish("kept", to: queue) == 1)
            #expect(try await publish("kept", to: queue) == 0)
            #expect(try await publish("taken", to: queue) == 1)
        }
        for queue in ["window", "queued"] as [QueueName] {
            _ = try await broker.get(queue)
            try await broker.get(queue)?.ack()
        }
        try await broker.shutdown()

        broker = try fixture.open()
        #expect(try await publish("kept", to: "window") == 0)
        #expect(try await publish("taken", to: "window") == 0)
        #expect(try await publish("kept", to: "queued") == 0)
        #expect(try await publish("taken", to: "queued") == 1)
        #expect(try await broker.status(of: "window").deduplicated == 2)
        try await broker.shutdown()
    }

    @Test func `policies are in force after a restart`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("jobs")
        try await broker.setPolicy(
            Policy("short", pattern: "^jobs$", definition: ["x-max-length": .int(1)]))
        try await broker.setPolicy(
            Policy("roof", pattern: "", isOperator: true, definition: ["x-max-length": .int(3)]))
        try await broker.publish(batch: ["a", "b"].map { OutgoingMessage($0, to: "jobs") })
        #expect(try await broker.status(of: "jobs").ready == 1)
        try await broker.shutdown()

        let again = try fixture.open()
        #expect(try await again.policies().map(\.policy.name).sorted() == ["roof", "short"])
        try await again.publish("c", to: "jobs")
        #expect(try await again.get("jobs")?.text == "c")
        try await again.deletePolicy("short")
        let info = try await again.status(of: "jobs")
        #expect(info.policy == nil && info.effective["x-max-length"] == .int(3))
        try await again.shutdown()
        let file = try DatabaseInspector(path: fixture.path).queue("jobs")
        #expect(file.origins["x-max-length"] == .string("operator policy 'roof'"))
    }

    @Test func `a policy of an exchange is in force after a restart, and a reader of the file sees it`()
        async throws
    {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("unrouted")
        for exchange in ["orders", "spare"] as [ExchangeName] {
            try await broker.declareExchange(exchange, type: .fanout)
        }
        try await broker.bind(Binding(source: "spare", target: .queue("unrouted")))
        try await broker.setPolicy(
            Policy(
                "catch", pattern: "^orders$|^amq", appliesTo: .exchanges,
                definition: ["alternate-exchange": .string("spare"), "x-deduplicate": .int(60_000)]))
        var properties = MessageProperties()
        properties.messageID = "a"
        #expect(try await broker.publish("a", to: "orders", routingKey: "k", properties: properties) == 1)
        try await broker.shutdown()

        let again = try fixture.open()
        #expect(try await again.publish("a", to: "orders", routingKey: "k", properties: properties) == 0)
        properties.messageID = "b"
        #expect(try await again.publish("b", to: "orders", routingKey: "k", properties: properties) == 1)
        #expect(try await again.publish("a", to: "amq.direct", routingKey: "k") == 1)
        #expect(try await again.exchanges(matching: "orders").first?.policy == "catch")
        #expect(try await again.policies().map { [$0.queues, $0.exchanges] } == [[0, 6]])
        try await again.shutdown()
        let file = try DatabaseInspector(path: fixture.path)
        let info = try file.exchanges().first { $0.definition.name == "orders" }
        #expect(info?.effective["alternate-exchange"] == .string("spare"))
        #expect(info?.origins["x-deduplicate"] == .string("policy 'catch'"))
        #expect(try file.policies().map(\.appliesTo) == [.exchanges])
    }

    @Test func `why says in a sentence what keeps messages waiting`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("jobs")
        try await broker.publish("a", to: "jobs")
        #expect(
            try await broker.why("jobs").map(\.text) == [
                "queue 'jobs' has 1 message ready and no consumer"
            ])
        try await broker.pause("jobs")
        #expect(try await broker.why("jobs").map(\.kind) == [.paused, .noConsumer])
        await #expect(throws: BrokerError.self) { try await broker.why("nowhere") }
        try await broker.shutdown()
    }

    @Test func `a consumer of a higher priority gets messages first`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("jobs")
        let low = try await broker.consume("jobs", priority: -1)
        let high = try await broker.consume("jobs", prefetch: 1, priority: 1)
        try await broker.publish(batch: ["a", "b"].map { OutgoingMessage($0, to: "jobs") })
        #expect(try await high.take(1).map(\.text) == ["a"])
        #expect(try await low.take(1).map(\.text) == ["b"])
        try await broker.shutdown()
    }
}
