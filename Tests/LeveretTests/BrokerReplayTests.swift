// Replays of many dead letters: each to its own origin, by condition, in order, from memory and from the file.

import Testing

@testable import Leveret

@Suite struct BrokerReplayTests {
    /// A broker whose queue `dead` holds 40 dead letters each of `a` and `b` in turn, and a message that never died
    /// behind every eighth of them.
    private func broker(_ fixture: borrowing BrokerFixture, window: Int) async throws -> Broker {
        var configuration = fixture.configuration
        configuration.limits.windowCountMax = window
        configuration.limits.windowCountMin = min(window, 16)
        configuration.limits.sliceCount = 7
        configuration.limits.moveSearchMax = 11
        let broker = try Broker(.file(fixture.path), configuration: configuration)
        try await broker.declareQueue("dead")
        for queue in ["a", "b"] as [QueueName] {
            try await broker.declareQueue(
                queue,
                arguments: [
                    "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead"),
                ])
        }
        for index in 0..<80 {
            let queue: QueueName = index % 2 == 0 ? "a" : "b"
            try await broker.publish("\(index)", to: queue)
            let message = try #require(try await broker.get(queue))
            try await message.reject(error: index % 10 == 0 ? "poison" : "timeout")
            if index % 8 == 7 { try await broker.publish("plain", to: "dead") }
        }
        return broker
    }

    private func texts(_ broker: Broker, _ queue: QueueName) async throws -> [String] {
        try await broker.peek(queue, count: 1000).map { String(decoding: $0.message.body, as: UTF8.self) }
    }

    @Test(arguments: [4096, 4]) func `each dead letter goes back to where it came from, in order`(
        window: Int
    ) async throws {
        let fixture = try BrokerFixture()
        let broker = try await broker(fixture, window: window)
        #expect(try await broker.replay(from: "dead", count: 3) == 3)
        #expect(try await broker.replay(from: "dead", where: "error = 'timeout'") == 70)
        #expect(try await broker.replay(from: "dead", where: "error = 'timeout'") == 0)
        let others = (0..<80).filter { $0 % 10 != 0 || $0 == 0 }
        #expect(try await texts(broker, "a") == others.filter { $0 % 2 == 0 }.map { "\($0)" })
        #expect(try await texts(broker, "b") == others.filter { $0 % 2 == 1 }.map { "\($0)" })
        #expect(try await broker.status(of: "dead").ready == 17)
        #expect(try await broker.replay(from: "dead") == 7)
        #expect(try await texts(broker, "dead") == [String](repeating: "plain", count: 10))
        let marked = try await broker.peek("b", where: "headers ->> 'x-replayed-from' = 'dead'", count: 1000)
        #expect(marked.count == 40)
        #expect(marked.allSatisfy { $0.message.routingKey == "b" && $0.deaths?.originQueue == "b" })
        try await broker.shutdown()

        let again = try Broker(.file(fixture.path), configuration: fixture.configuration)
        #expect(try await again.status(of: "a").ready == 40)
        #expect(try await again.status(of: "b").ready == 40)
        #expect(try await again.status(of: "dead").ready == 10)
        try await again.shutdown()
    }

    @Test(arguments: [4096, 4]) func `a replay ends at the first whose queue is gone, and says how many went`(
        window: Int
    ) async throws {
        let fixture = try BrokerFixture()
        let broker = try await broker(fixture, window: window)
        try await broker.deleteQueue("b")
        do {
            try await broker.replay(from: "dead")
            Issue.record("was done")
        } catch let error as BrokerError {
            #expect(error.code == .notFound)
            #expect(error.text.hasSuffix("1 message was replayed before"), "\(error.text)")
        }
        #expect(try await texts(broker, "a") == ["0"])
        #expect(try await broker.replay(from: "dead", where: "origin = 'a'") == 39)
        #expect(try await broker.move(.replay(from: "dead", to: .queue("a"))) == 50)
        #expect(try await broker.status(of: "dead").ready == 0)
        try await broker.shutdown()
    }

    @Test(arguments: [4096, 4]) func `what meets a condition is removed for good, and nothing else`(
        window: Int
    ) async throws {
        let fixture = try BrokerFixture()
        let broker = try await broker(fixture, window: window)
        let poison = "error = 'poison'"
        #expect(try await broker.move(Move(from: "dead", to: .nowhere, countMax: 3, where: poison)) == 3)
        #expect(try await broker.move(Move(from: "dead", to: .nowhere, where: poison)) == 5)
        #expect(try await broker.status(of: "dead").ready == 82)
        #expect(try await broker.peek("dead", where: poison).isEmpty)
        try await broker.shutdown()
        let again = try Broker(.file(fixture.path), configuration: fixture.configuration)
        #expect(try await again.status(of: "dead").ready == 82)
        try await again.shutdown()
    }

    @Test func `what is at home already stays there`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue(
            "jobs",
            arguments: [
                "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead"),
            ])
        try await broker.declareQueue("dead")
        try await broker.publish("x", to: "jobs")
        try await #require(try await broker.get("jobs")).reject()
        #expect(try await broker.replay(from: "dead") == 1)
        #expect(try await broker.replay(from: "jobs") == 0)
        #expect(try await broker.status(of: "jobs").ready == 1)
        try await broker.shutdown()
    }
}
