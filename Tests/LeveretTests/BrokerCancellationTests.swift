// A task is cancelled while it waits for the broker: what it is told, and what became of its wish.

import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerCancellationTests {
    @Test(arguments: [false, true])
    func `a cancelled get takes no message`(autoAck: Bool) async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let task = Task { try await broker.get("q", wait: .seconds(3_600), autoAck: autoAck) }
        await yieldOften()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await broker.publish("x", to: "q")
        let message = try #require(try await broker.get("q"))
        #expect(message.text == "x")
        #expect(!message.isRedelivered)
        try await broker.shutdown()
    }

    @Test(arguments: [false, true])
    func `a get that is cancelled as its message comes loses nothing`(autoAck: Bool) async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        for number in 1...200 {
            let get = Task { try await broker.get("q", wait: .seconds(3_600), autoAck: autoAck) }
            let publish = Task { try await broker.publish("\(number)", to: "q") }
            get.cancel()
            try await publish.value
            do {
                let message = try #require(try await get.value)
                #expect(message.text == "\(number)")
                if !autoAck { try await message.ack() }
            } catch is CancellationError {
                let message = try #require(try await broker.get("q", wait: .seconds(60), autoAck: true))
                #expect(message.text == "\(number)")
            }
        }
        let state = try await broker.status(of: "q")
        #expect(state.ready + state.unacked == 0)
        try await broker.shutdown()
    }

    @Test func `a publish that is cancelled while it waits for room is not stored`() async throws {
        let gate = Gate()
        var fixture = try BrokerFixture()
        fixture.configuration.limits.gatheredBytesMax = 1_000
        fixture.configuration.retryMilliseconds = gate.retryMilliseconds
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        let blocker = try Blocker(path: fixture.path)
        try blocker.block()
        let first = try await broker.publishing(OutgoingMessage("first", to: "q"))
        try await eventually { gate.isReached }
        let second = try await broker.publishing(
            OutgoingMessage([UInt8](repeating: 1, count: 5_000), to: "q"))
        let waiting = Task { try await broker.publish("third", to: "q") }
        let batch = Task { try await broker.publish(batch: [OutgoingMessage("fourth", to: "q")]) }
        let handle = Task { try await broker.publishing(OutgoingMessage("fifth", to: "q")) }
        await yieldOften()
        waiting.cancel()
        batch.cancel()
        handle.cancel()
        await #expect(throws: PublishCancelled(mayBeStored: false)) { try await waiting.value }
        await #expect(throws: PublishCancelled(mayBeStored: false)) { try await batch.value }
        await #expect(throws: PublishCancelled(mayBeStored: false)) { try await handle.value }
        try blocker.release()
        gate.open()
        try await first.confirmed()
        try await second.confirmed()
        #expect(try await broker.status(of: "q").ready == 2)
        try await broker.shutdown()
    }

    @Test func `a declaration, a batch and a transaction cancelled on their way may have happened`()
        async throws
    {
        let gate = Gate()
        var fixture = try BrokerFixture()
        fixture.configuration.retryMilliseconds = gate.retryMilliseconds
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        let blocker = try Blocker(path: fixture.path)
        try blocker.block()
        let declaration = Task { _ = try await broker.declareQueue("other") }
        let batch = Task { _ = try await broker.publish(batch: [OutgoingMessage("a", to: "q")]) }
        let transaction = Task { try await broker.transaction { $0.publish("b", to: "q") } }
        try await eventually {
            let queues = try await broker.queues()
            return gate.isReached && queues.count == 2 && queues.contains { $0.ready == 2 }
        }
        for task in [declaration, batch, transaction] { task.cancel() }
        await #expect(throws: CancellationError.self) { try await declaration.value }
        await #expect(throws: PublishCancelled(mayBeStored: true)) { try await batch.value }
        await #expect(throws: PublishCancelled(mayBeStored: true)) { try await transaction.value }
        #expect("\(PublishCancelled(mayBeStored: true))".contains("may be stored"))
        try blocker.release()
        gate.open()
        try await broker.shutdown()
        let again = try fixture.open()
        #expect(try await again.status(of: "q").ready == 2)
        #expect(try await again.status(of: "other").ready == 0)
        try await again.shutdown()
    }

    @Test func `an ack that is cancelled on its way may have happened`() async throws {
        let gate = Gate()
        var fixture = try BrokerFixture()
        fixture.configuration.retryMilliseconds = gate.retryMilliseconds
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        try await broker.publish("x", to: "q")
        let message = try #require(try await broker.get("q"))
        let blocker = try Blocker(path: fixture.path)
        try blocker.block()
        let ack = Task { try await message.ack() }
        try await eventually { gate.isReached }
        ack.cancel()
        await #expect(throws: CancellationError.self) { try await ack.value }
        try blocker.release()
        gate.open()
        try await broker.shutdown()
        let again = try fixture.open()
        #expect(try await again.get("q") == nil)
        try await again.shutdown()
    }

    @Test func `one of two who await a confirm is cancelled, and the other hears it`() async throws {
        let gate = Gate()
        var fixture = try BrokerFixture()
        fixture.configuration.retryMilliseconds = gate.retryMilliseconds
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        let blocker = try Blocker(path: fixture.path)
        try blocker.block()
        let handle = try await broker.publishing(OutgoingMessage("x", to: "q"))
        let (one, other) = (Task { try await handle.confirmed() }, Task { try await handle.confirmed() })
        try await eventually { gate.isReached }
        one.cancel()
        await #expect(throws: PublishCancelled(mayBeStored: true)) { try await one.value }
        try blocker.release()
        gate.open()
        #expect(try await other.value == 1)
        try await broker.shutdown()
    }

    @Test func `a cancelled shutdown goes on to its end`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        let handle = try await broker.publishing(OutgoingMessage("x", to: "q"))
        let shutdown = Task { try await broker.shutdown() }
        shutdown.cancel()
        try await shutdown.value
        #expect(try await handle.confirmed() == 1)
        try await fixture.open().shutdown()
    }
}
