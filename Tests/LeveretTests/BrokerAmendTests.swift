// A holder gives its message other headers: they stay with it, on all ways that it can take.

import Leveret
import LeveretTestSupport
import Testing

@Suite struct BrokerAmendTests {
    private func held(_ broker: Broker, _ queue: QueueName = "q") async throws -> ConsumedMessage {
        try #require(try await broker.get(queue))
    }

    @Test func `a message comes back with the headers that its holder gave it`() async throws {
        let broker = try Broker(.memory)
        try await broker.declareQueue("q")
        try await broker.publish("a", to: "q")
        var message = try await held(broker)
        try await message.amend(headers: ["cursor": 1, "other": "x"])
        try await message.amend(headers: ["cursor": 2])
        try await message.nack()
        let again = try await held(broker)
        #expect(again.properties?.headers == ["cursor": 2, "other": "x"])
        #expect(again.text == "a")
    }

    @Test func `they are on disk once the answer is there`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("a.db")
        var broker = try Broker(.file(path))
        try await broker.declareQueue("q")
        try await broker.publish("a", to: "q")
        var message = try await held(broker)
        try await message.amend(headers: ["cursor": 1])
        let row = try await broker.query("SELECT version, headers ->> 'cursor' AS cursor FROM message").rows
            .first
        #expect(row == [.int(2), .int(1)])
        try await broker.shutdown()
        broker = try Broker(.file(path))
        let again = try await held(broker)
        #expect(again.properties?.headers["cursor"] == 1)
        try await broker.shutdown()
    }

    @Test func `in a transaction they go with what becomes of the message`() async throws {
        let broker = try Broker(.memory)
        try await broker.declareQueue("dead")
        try await broker.declareQueue(
            "q", arguments: ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"])
        try await broker.publish("a", to: "q")
        let first = try await held(broker)
        try await broker.transaction { tx in
            try tx.amend(first, headers: ["tries": 1])
            try tx.reject(first, requeue: true)
        }
        let second = try await held(broker)
        #expect(second.properties?.headers["tries"] == 1)
        try await broker.transaction { tx in
            try tx.amend(second, headers: ["tries": 2])
            try tx.reject(second, error: "enough")
        }
        let dead = try await held(broker, "dead")
        #expect(dead.properties?.headers["tries"] == 2)
        #expect(dead.text == "a")
    }

    @Test func `what was settled can not be amended, and a transaction that tries does nothing`() async throws
    {
        let broker = try Broker(.memory)
        try await broker.declareQueue("q")
        try await broker.publish("a", to: "q")
        var message = try await held(broker)
        let held = message
        await #expect(throws: BrokerError.self) {
            try await broker.transaction { tx in
                try tx.ack(held)
                try tx.amend(held, headers: ["a": 1])
            }
        }
        try await message.ack()
        let error = await #expect(throws: BrokerError.self) { try await message.amend(headers: ["a": 1]) }
        #expect(error?.code == .preconditionFailed)
    }

    @Test func `a message whose body was let go of comes back whole`() async throws {
        var configuration = Broker.Configuration()
        configuration.limits.messageBytesMax = 1
        let folder = try TemporaryFolder()
        let broker = try Broker(.file(folder.path("a.db")), configuration: configuration)
        try await broker.declareQueue("q")
        for text in ["a", "b", "c"] { try await broker.publish(text, to: "q") }
        var message = try await held(broker)
        let others = [try await held(broker), try await held(broker)]
        try await message.amend(headers: ["cursor": 1])
        for other in others { try await other.nack() }
        try await message.nack()
        let again = try await held(broker)
        #expect(again.text == "a")
        #expect(again.properties?.headers["cursor"] == 1)
        try await broker.shutdown()
    }
}
