// Consumers as sequences: order, prefetch, ending, and what becomes of messages that nobody settled.

import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerConsumerTests {
    @Test func `a consumer gets every message in order`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        try await broker.publish(batch: (0..<3_000).map { OutgoingMessage("\($0)", to: "q") })
        let consumer = try await broker.consume("q")
        var expected = 0
        for try await message in consumer {
            #expect(message.text == "\(expected)")
            message.ackWithoutWaiting()
            expected += 1
            if expected == 3_000 { break }
        }
        try await eventually { try await broker.status(of: "q").unacked == 0 }
        try await broker.shutdown()
        let again = try fixture.open()
        #expect(try await again.status(of: "q").ready == 0)
        try await again.shutdown()
    }

    @Test func `a consumer whose deliveries are counted first gets every message in order, too`() async throws
    {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q", arguments: ["x-delivery-limit": .int(1)])
        try await broker.publish(batch: (0..<1_000).map { OutgoingMessage("\($0)", to: "q") })
        try await broker.shutdown()
        let again = try fixture.open()
        // The first thousand waits because the broker found it, the second because the consumer asks.
        for countsFirst in [false, true] {
            let consumer = try await again.consume("q", prefetch: 64, countsFirst: countsFirst)
            let texts = try await consumer.take(500) { $0.ackWithoutWaiting() }
            #expect(texts == (0..<500).map { "\($0 + (countsFirst ? 500 : 0))" })
            try await consumer.cancel()
        }
        let both = try await again.consume("q", countsFirst: true)
        async let published: Void = {
            for batch in 0..<10 {
                let numbers = (batch * 100)..<(batch * 100 + 100)
                try await again.publish(batch: numbers.map { OutgoingMessage("\($0)", to: "q") })
            }
        }()
        #expect(try await both.take(1_000) { $0.ackWithoutWaiting() } == (0..<1_000).map { "\($0)" })
        try await published
        try await eventually { try await again.status(of: "q").unacked == 0 }
        #expect(try await again.status(of: "q").ready == 0)
        try await again.shutdown()
    }

    @Test func `an automatic consumer gets every message in order`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let consumer = try await broker.consume("q", autoAck: true)
        async let published: Void = {
            for batch in 0..<50 {
                try await broker.publish(
                    batch: (0..<1_000).map {
                        OutgoingMessage("\(batch * 1_000 + $0)", to: "q", persistent: false)
                    })
            }
        }()
        var expected = 0
        for try await message in consumer {
            if message.text != "\(expected)" { Issue.record("\(message.text ?? "") instead of \(expected)") }
            expected += 1
            if expected == 50_000 { break }
        }
        try await published
        try await broker.shutdown()
    }

    @Test func `a consumer holds no more than its prefetch`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish(batch: (0..<10).map { OutgoingMessage("\($0)", to: "q") })
        let consumer = try await broker.consume("q", prefetch: 3)
        let held = try await consumer.take(3)
        let state = try await broker.status(of: "q")
        #expect(state.unacked == 3)
        #expect(state.ready == 7)
        try await held[0].ack()
        #expect(try await consumer.take(1).map(\.text) == ["3"])
        try await broker.shutdown()
    }

    @Test func `what a loop did not see goes to the next consumer uncounted`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish(batch: (0..<10).map { OutgoingMessage("\($0)", to: "q") })
        let first = try await broker.consume("q")
        let seen = try await first.take(1)
        try await first.cancel()
        let state = try await broker.status(of: "q")
        #expect(state.ready == 9)
        #expect(state.unacked == 1)
        let second = try await broker.consume("q")
        let rest = try await second.take(9)
        #expect(rest.map(\.text) == (1..<10).map { "\($0)" })
        #expect(rest.allSatisfy { $0.delivery.failed == 0 })
        try await seen[0].ack()
        try await broker.shutdown()
    }

    @Test func `a second iteration goes on where the first stopped`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish(batch: (0..<10).map { OutgoingMessage("\($0)", to: "q") })
        let consumer = try await broker.consume("q", autoAck: true)
        #expect(try await consumer.take(4).map(\.text) == ["0", "1", "2", "3"])
        #expect(try await consumer.take(6).map(\.text) == ["4", "5", "6", "7", "8", "9"])
        try await broker.shutdown()
    }

    @Test func `messages of a consumer that is let go of return`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("x", to: "q")
        func takeAndForget() async throws {
            let consumer = try await broker.consume("q")
            #expect(try await consumer.take(1).count == 1)
        }
        try await takeAndForget()
        let again = try #require(try await broker.get("q", wait: .seconds(60)))
        #expect(again.isRedelivered)
        #expect(again.delivery.failed == 1)
        #expect(try await broker.consumers().isEmpty)
        try await broker.shutdown()
    }

    @Test func `a cancelled task ends its loop`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let consumer = try await broker.consume("q")
        let loop = Task {
            var count = 0
            for try await _ in consumer { count += 1 }
            return count
        }
        loop.cancel()
        #expect(try await loop.value == 0)
        try await broker.shutdown()
    }

    @Test func `cancelling a consumer ends its loop`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let consumer = try await broker.consume("q")
        let loop = Task { for try await message in consumer { try await message.ack() } }
        try await broker.publish("x", to: "q")
        try await eventually { try await broker.status(of: "q").acked == 1 }
        try await consumer.cancel()
        try await loop.value
        try await consumer.cancel()
        try await broker.shutdown()
    }

    @Test func `a consumer whose inbox is full can be cancelled, also where that has to be committed`()
        async throws
    {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q", autoDelete: true)
        try await broker.publish(
            batch: (0..<5_000).map { OutgoingMessage("\($0)", to: "q", persistent: false) })
        let consumer = try await broker.consume("q", autoAck: true)
        try await eventually { try await broker.status(of: "q").acked >= 1_024 }
        try await consumer.cancel()
        #expect(try await broker.queues().isEmpty)
        #expect(try await consumer.take(1_024).map(\.text) == (0..<1_024).map { "\($0)" })
        try await broker.shutdown()
    }

    @Test func `a loop over a deleted queue throws`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let consumer = try await broker.consume("q")
        let loop = Task { for try await _ in consumer {} }
        try await broker.deleteQueue("q")
        let error = await #expect(throws: BrokerError.self) { try await loop.value }
        #expect(error?.code == .notFound)
        try await broker.shutdown()
    }

    @Test func `several tasks share a consumer, each message going to one`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let consumer = try await broker.consume("q", prefetch: 16)
        let numbers = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var seen: [String] = []
                    for try await message in consumer {
                        seen.append(message.text ?? "")
                        try await message.ack()
                    }
                    return seen
                }
            }
            try await broker.publish(batch: (0..<500).map { OutgoingMessage("\($0)", to: "q") })
            try await eventually { try await broker.status(of: "q").acked == 500 }
            try await consumer.cancel()
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(numbers.count == 500)
        #expect(Set(numbers).count == 500)
        try await broker.shutdown()
    }

    @Test func `a message does not wait behind a task that is busy with another`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish(batch: (0..<10).map { OutgoingMessage("\($0)", to: "q") })
        let consumer = try await broker.consume("q", prefetch: 10)
        var busy = consumer.makeAsyncIterator()
        #expect(try await busy.next()?.text == "0")
        #expect(try await consumer.take(9).map(\.text) == (1..<10).map { "\($0)" })
        try await broker.shutdown()
    }

    @Test func `what a loop leaves goes to the task that waits`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let consumer = try await broker.consume("q", prefetch: 10)
        let tasks = (0..<10).map { _ in Task { try await consumer.take(1).count } }
        await yieldOften()
        try await broker.publish(batch: (0..<10).map { OutgoingMessage("\($0)", to: "q") })
        for task in tasks { #expect(try await task.value == 1) }
        try await broker.shutdown()
    }

    @Test func `a loop left in the middle holds nothing once its consumer is cancelled`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish(batch: (0..<10).map { OutgoingMessage("\($0)", to: "q") })
        let consumer = try await broker.consume("q")
        var iterator = consumer.makeAsyncIterator()
        let first = try #require(try await iterator.next())
        try await consumer.cancel()
        #expect(try await broker.status(of: "q").ready == 9)
        #expect(try await iterator.next() == nil)
        try await first.ack()
        #expect(try await broker.get("q")?.isRedelivered == true)
        try await broker.shutdown()
    }

    @Test func `an iteration goes on in another task when the first was cancelled`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let consumer = try await broker.consume("q")
        let first = Task { try await consumer.take(1) }
        await yieldOften()
        first.cancel()
        #expect(try await first.value.isEmpty)
        try await broker.publish("x", to: "q")
        #expect(try await consumer.take(1).map(\.text) == ["x"])
        try await broker.shutdown()
    }

    @Test func `an exclusive consumer keeps others away`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let consumer = try await broker.consume("q", exclusive: true)
        await #expect(throws: BrokerError.self) { try await broker.consume("q") }
        try await consumer.cancel()
        _ = try await broker.consume("q")
        try await broker.shutdown()
    }
}

extension Consumer {
    /// The texts of the next `count` messages, each settled as it comes.
    fileprivate func take(
        _ count: Int, settle: (ConsumedMessage) -> Void
    ) async throws -> [String] {
        var texts: [String] = []
        for try await message in self {
            texts.append(message.text ?? "")
            settle(message)
            if texts.count == count { break }
        }
        return texts
    }
}
