// The Swift API against a real store: what is published, taken, settled and looked at, and what is still
// there when the file is opened again.

import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerTests {
    @Test func `a published message is still there after a restart`() async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareQueue("orders")
        try await first.publish("one lamp", to: "orders")
        try await first.shutdown()

        let second = try fixture.open()
        let message = try #require(try await second.get("orders"))
        #expect(message.text == "one lamp")
        #expect(message.queue == "orders")
        try await second.shutdown()
    }

    @Test func `names and keys that only look the same are still two after a restart`() async throws {
        let fixture = try BrokerFixture()
        let texts = ["caf\u{E9}", "cafe\u{301}"]
        let first = try fixture.open()
        for text in texts {
            try await first.declareQueue(QueueName(text))
            try await first.bind(Binding(source: "amq.fanout", target: .queue(QueueName(text))))
        }
        _ = try await first.publish(
            batch: texts.map { OutgoingMessage("x", to: "amq.fanout", routingKey: $0) })
        try await first.shutdown()

        let second = try fixture.open()
        #expect(
            try await second.queues().map { Array($0.definition.name.rawValue.utf8) }
                == texts.map { Array($0.utf8) }.reversed())
        for text in texts {
            for key in texts {
                let message = try #require(try await second.get(QueueName(text), autoAck: true))
                #expect(message.routingKey.hasSameBytes(as: key))
            }
        }
        try await second.shutdown()
    }

    @Test func `an acked message is gone after a restart`() async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareQueue("orders")
        try await first.publish("one lamp", to: "orders")
        try await first.get("orders")?.ack()
        try await first.shutdown()

        let second = try fixture.open()
        #expect(try await second.get("orders") == nil)
        try await second.shutdown()
    }

    @Test func `a transient message does not survive a restart`() async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareQueue("orders")
        try await first.publish("passing", to: "orders", persistent: false)
        try await first.publish("staying", to: "orders")
        try await first.shutdown()

        let second = try fixture.open()
        #expect(try await second.get("orders")?.text == "staying")
        #expect(try await second.get("orders") == nil)
        try await second.shutdown()
    }

    @Test func `a nacked message comes back to its place and is not counted as failed`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("first", to: "q")
        try await broker.publish("second", to: "q")
        try await broker.get("q")?.nack()
        let again = try #require(try await broker.get("q"))
        #expect(again.text == "first")
        #expect(again.isRedelivered)
        #expect(again.delivery.failed == 0)
        try await broker.shutdown()
    }

    @Test func `a message rejected with requeue is counted as failed`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("bad", to: "q")
        try await broker.get("q")?.reject(requeue: true)
        #expect(try await broker.get("q")?.delivery.failed == 1)
        try await broker.shutdown()
    }

    @Test func `a rejected message goes to the dead-letter exchange with the consumer's reason`() async throws
    {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("dead")
        try await broker.declareQueue(
            "q",
            arguments: ["x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead")])
        try await broker.publish("bad", to: "q")
        try await broker.get("q")?.reject(error: "no such lamp")
        let dead = try #require(try await broker.get("dead", wait: .seconds(30)))
        #expect(dead.text == "bad")
        #expect(dead.delivery.deaths?.errorText == "no such lamp")
        #expect(dead.delivery.deaths?.originQueue == "q")
        try await broker.shutdown()
    }

    @Test func `settling a message twice says so`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("once", to: "q")
        let message = try #require(try await broker.get("q"))
        try await message.ack()
        let error = await #expect(throws: BrokerError.self) { try await message.reject() }
        #expect(error?.code == .preconditionFailed)
        #expect(error?.text.contains("settled before") == true)
        try await broker.shutdown()
    }

    @Test func `settling a message that was acked automatically says so`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("once", to: "q")
        let message = try #require(try await broker.get("q", autoAck: true))
        let error = await #expect(throws: BrokerError.self) { try await message.ack() }
        #expect(error?.text.contains("acked automatically") == true)
        message.ackWithoutWaiting()
        try await broker.shutdown()
    }

    @Test func `a get waits for a message`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        async let message = broker.get("q", wait: .seconds(60))
        try await broker.publish("late", to: "q")
        #expect(try await message?.text == "late")
        try await broker.shutdown()
    }

    @Test func `a get gives up when its time is over`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        #expect(try await broker.get("q", wait: .milliseconds(5)) == nil)
        try await broker.shutdown()
    }

    @Test func `a message expires by the broker's clock`() async throws {
        let hand = HandClock()
        let broker = try BrokerFixture.inMemory { $0.clock = hand.clock }
        try await broker.declareQueue("q", arguments: ["x-message-ttl": .int(1_000)])
        try await broker.publish("soon gone", to: "q")
        hand.advance(milliseconds: 999)
        #expect(try await broker.status(of: "q").ready == 1)
        hand.advance(milliseconds: 1)
        try await eventually { try await broker.status(of: "q").ready == 0 }
        try await broker.shutdown()
    }

    @Test func `messages are routed by bindings`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareExchange("flights", type: .topic)
        try await broker.declareQueue("united")
        try await broker.declareQueue("all")
        try await broker.bind("united", to: "flights", routingKey: "*.UA.#")
        try await broker.bind("all", to: "flights", routingKey: "#")
        #expect(try await broker.publish("x", to: "flights", routingKey: "departed.UA.EWR") == 2)
        #expect(try await broker.publish("y", to: "flights", routingKey: "departed.AA.EWR") == 1)
        let steps = try await broker.route(to: "flights", routingKey: "departed.UA.EWR")
        #expect(Set(steps.map(\.target)) == [.queue("united"), .queue("all")])
        try await broker.unbind("all", from: "flights", routingKey: "#")
        #expect(try await broker.publish("z", to: "flights", routingKey: "departed.AA.EWR") == 0)
        try await broker.shutdown()
    }

    @Test func `a message for a queue that is not there is refused`() async throws {
        let broker = try BrokerFixture.inMemory()
        let error = await #expect(throws: BrokerError.self) { try await broker.publish("x", to: "nowhere") }
        #expect(error?.code == .noRoute)
        #expect(error?.text.contains("'nowhere'") == true)
        try await broker.shutdown()
    }

    @Test func `an unknown exchange is named`() async throws {
        let broker = try BrokerFixture.inMemory()
        let error = await #expect(throws: BrokerError.self) {
            try await broker.publish("x", to: "nowhere", routingKey: "k")
        }
        #expect(error?.code == .notFound)
        #expect(error?.text.contains("'nowhere'") == true)
        try await broker.shutdown()
    }

    @Test func `declaring a queue otherwise is refused`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q", arguments: ["x-max-length": .int(5)])
        try await broker.declareQueue("q", arguments: ["x-max-length": .int(5)])
        let error = await #expect(throws: BrokerError.self) {
            try await broker.declareQueue("q", arguments: ["x-max-length": .int(6)])
        }
        #expect(error?.code == .preconditionFailed)
        #expect(error?.text.contains("x-max-length") == true)
        try await broker.shutdown()
    }

    @Test func `a queue without a name gets one`() async throws {
        let broker = try BrokerFixture.inMemory()
        let declared = try await broker.declareQueue("", exclusive: true)
        #expect(declared.name.rawValue.hasPrefix("amq.gen-"))
        try await broker.publish("mine", to: declared.name)
        #expect(try await broker.get(declared.name)?.text == "mine")
        try await broker.shutdown()
    }

    @Test func `peek shows without taking, move and purge count`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("from")
        try await broker.declareQueue("to")
        try await broker.publish(batch: (1...10).map { OutgoingMessage("\($0)", to: "from") })
        let seen = try await broker.peek("from", count: 3)
        #expect(seen.map { String(decoding: $0.message.body, as: UTF8.self) } == ["1", "2", "3"])
        #expect(try await broker.move(from: "from", to: "to", count: 4) == 4)
        #expect(try await broker.status(of: "to").ready == 4)
        #expect(try await broker.purge("from") == 6)
        #expect(try await broker.deleteQueue("to") == 4)
        #expect(try await broker.queues().map(\.definition.name) == ["from"])
        try await broker.shutdown()
    }

    @Test func `listings and the status know what is there`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        try await broker.declareExchange("x", type: .fanout)
        try await broker.bind("q", to: "x")
        let consumer = try await broker.consume("q", prefetch: 7)
        #expect(try await broker.exchanges(matching: "x").map(\.definition.type) == [.fanout])
        #expect(try await broker.bindings().contains { $0.source == "x" && $0.target == .queue("q") })
        #expect(try await broker.consumers().map(\.prefetch) == [7])
        #expect(try await broker.connections().map(\.name) == ["embedded"])
        let status = try await broker.status()
        #expect(status.version == Broker.version)
        #expect(status.database == fixture.path)
        #expect(status.databaseBytes > 0)
        #expect(status.queues == 1)
        try await consumer.cancel()
        try await broker.shutdown()
    }

    @Test func `what happens is told to those who listen`() async throws {
        let broker = try BrokerFixture.inMemory()
        let events = broker.events()
        try await broker.declareQueue("q")
        try await broker.deleteQueue("q")
        try await broker.shutdown()
        var heard: [BrokerEvent] = []
        for await event in events { heard.append(event) }
        #expect(heard == [.queueDeclared("q", in: "/"), .queueDeleted("q", in: "/")])
    }

    @Test func `a batch is all or nothing`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        await #expect(throws: BrokerError.self) {
            try await broker.publish(batch: [
                OutgoingMessage("good", to: "q"), OutgoingMessage("bad", to: "nowhere", routingKey: "k"),
            ])
        }
        #expect(try await broker.status(of: "q").ready == 0)
        #expect(try await broker.publish(batch: []) == [])
        try await broker.shutdown()
    }

    @Test func `a handle's confirm can be awaited later, and more than once`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        var handles: [PublishHandle] = []
        for number in 1...100 {
            handles.append(try await broker.publishing(OutgoingMessage("\(number)", to: "q")))
        }
        for handle in handles { #expect(try await handle.confirmed() == 1) }
        #expect(try await handles[0].confirmed() == 1)
        let lost = try await broker.publishing(OutgoingMessage("x", to: "nowhere"))
        await #expect(throws: BrokerError.self) { try await lost.confirmed() }
        try await broker.shutdown()
    }

    @Test func `many tasks publish at once and each is answered`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<64 {
                group.addTask {
                    for number in 0..<20 { try await broker.publish("\(task).\(number)", to: "q") }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await broker.status(of: "q").ready == 1_280)
        try await broker.shutdown()
    }
}
