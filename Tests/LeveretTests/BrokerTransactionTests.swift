// Transactions: publishes and settlements together, all or nothing.

import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerTransactionTests {
    private struct Doubt: Error {}

    @Test func `acks and publishes of a transaction happen together`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("orders")
        try await broker.declareQueue("invoices")
        try await broker.publish("one lamp", to: "orders")
        let consumer = try await broker.consume("orders")
        let order = try #require(try await consumer.take(1).first)
        try await broker.transaction { tx in
            tx.publish("paid", to: "invoices")
            try tx.ack(order)
        }
        #expect(try await broker.status(of: "orders").unacked == 0)
        try await broker.shutdown()

        let again = try fixture.open()
        #expect(try await again.status(of: "orders").ready == 0)
        #expect(try await again.get("invoices")?.text == "paid")
        try await again.shutdown()
    }

    @Test func `a transaction whose closure throws does nothing`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        await #expect(throws: Doubt.self) {
            try await broker.transaction { tx in
                tx.publish("x", to: "q")
                throw Doubt()
            }
        }
        #expect(try await broker.status(of: "q").ready == 0)
        try await broker.shutdown()
    }

    @Test func `a transaction with a part that is refused does nothing`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("held", to: "q")
        let message = try #require(try await broker.get("q"))
        let error = await #expect(throws: BrokerError.self) {
            try await broker.transaction { tx in
                try tx.ack(message)
                tx.publish("x", to: "nowhere", routingKey: "k")
            }
        }
        #expect(error?.part == 1)
        #expect(error?.description == "404 NOT_FOUND request 2: no exchange 'nowhere' in vhost '/'")
        let twice = await #expect(throws: BrokerError.self) {
            try await broker.transaction { tx in
                try tx.ack(message)
                try tx.nack(message)
            }
        }
        #expect(twice?.code == .preconditionFailed)
        #expect(try await broker.status(of: "q").unacked == 1)
        try await message.ack()
        try await broker.shutdown()
    }

    @Test func `a message acked twice in transactions is refused`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("held", to: "q")
        let message = try #require(try await broker.get("q"))
        try await broker.transaction { tx in try tx.ack(message) }
        await #expect(throws: BrokerError.self) {
            try await broker.transaction { tx in
                tx.publish("x", to: "q")
                try tx.ack(message)
            }
        }
        #expect(try await broker.status(of: "q").ready == 0)
        try await broker.shutdown()
    }

    @Test func `messages of two consumers do not fit into one transaction`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("a")
        try await broker.declareQueue("b")
        try await broker.publish("x", to: "a")
        try await broker.publish("y", to: "b")
        let (first, second) = (try await broker.consume("a"), try await broker.consume("b"))
        let x = try #require(try await first.take(1).first)
        let y = try #require(try await second.take(1).first)
        let error = await #expect(throws: BrokerError.self) {
            try await broker.transaction { tx in
                try tx.ack(x)
                try tx.reject(y)
            }
        }
        #expect(error?.text.contains("another consumer") == true)
        #expect(try await broker.status(of: "a").unacked == 1)
        try await broker.shutdown()
    }

    @Test func `a message is settled once in a transaction`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("held", to: "q")
        let message = try #require(try await broker.get("q"))
        let error = await #expect(throws: BrokerError.self) {
            try await broker.transaction { tx in
                try tx.ack(message)
                try tx.reject(message)
            }
        }
        #expect(error?.text.contains("in this transaction already") == true)
        #expect(try await broker.status(of: "q").unacked == 1)
        try await broker.shutdown()
    }

    @Test func `a message of another broker is refused, and nothing happens in either`() async throws {
        let (here, there) = (try BrokerFixture.inMemory(), try BrokerFixture.inMemory())
        for broker in [here, there] { try await broker.declareQueue("q") }
        try await there.publish("held", to: "q")
        let message = try #require(try await there.get("q"))
        let error = await #expect(throws: BrokerError.self) {
            try await here.transaction { tx in
                tx.publish("x", to: "q")
                try tx.ack(message)
            }
        }
        #expect(error?.text.contains("another broker") == true)
        #expect(try await here.status(of: "q").ready == 0)
        #expect(try await there.status(of: "q").ready == 0)
        #expect(try await there.status(of: "q").unacked == 1)
        try await here.shutdown()
        try await there.shutdown()
    }

    @Test func `a transaction's closure may call the broker, which is no part of it`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        await #expect(throws: Doubt.self) {
            try await broker.transaction { tx in
                tx.publish("inside", to: "q")
                try await broker.publish("beside", to: "q")
                throw Doubt()
            }
        }
        #expect(try await broker.get("q")?.text == "beside")
        #expect(try await broker.get("q") == nil)
        try await broker.shutdown()
    }

    @Test func `a transaction may be made of rejects and nacks`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish(batch: ["a", "b"].map { OutgoingMessage($0, to: "q") })
        let consumer = try await broker.consume("q")
        let held = try await consumer.take(2)
        try await consumer.cancel()
        try await broker.transaction { tx in
            try tx.nack(held[0])
            try tx.reject(held[1], error: "bad")
        }
        let state = try await broker.status(of: "q")
        #expect(state.ready == 1)
        #expect(state.unacked == 0)
        try await broker.shutdown()
    }

    @Test func `an empty transaction is done at once`() async throws {
        let broker = try BrokerFixture.inMemory()
        #expect(try await broker.transaction { _ in 7 } == 7)
        try await broker.shutdown()
    }
}
