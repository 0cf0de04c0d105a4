// Opening, cancelling, failing and ending: what holds when things do not go on as usual.

import LeveretTestSupport
import ServiceLifecycle
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerShutdownTests {
    @Test func `a second broker on the same file is refused`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        #expect(throws: BrokerError.self) { try fixture.open() }
        try await broker.shutdown()
        try await fixture.open().shutdown()
    }

    @Test func `a broker that is let go of commits and closes its file`() async throws {
        let fixture = try BrokerFixture()
        func useAndForget() async throws {
            let broker = try fixture.open()
            try await broker.declareQueue("q")
            _ = try await broker.publishing(OutgoingMessage("x", to: "q"))
        }
        try await useAndForget()
        var broker: Broker?
        try await eventually {
            broker = try? fixture.open()  // refused until the other has closed it
            return broker != nil
        }
        #expect(try await broker?.get("q")?.text == "x")
        try await broker?.shutdown()
    }

    @Test func `shutdown commits what was accepted and answers who waits`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        var handles: [PublishHandle] = []
        for number in 0..<100 {
            handles.append(try await broker.publishing(OutgoingMessage("\(number)", to: "q")))
        }
        let waiting = Task { try await broker.get("empty", wait: .seconds(3_600)) }
        try await broker.shutdown()
        for handle in handles { #expect(try await handle.confirmed() == 1) }
        await #expect(throws: BrokerError.self) { try await waiting.value }

        let again = try fixture.open()
        #expect(try await again.status(of: "q").ready == 100)
        try await again.shutdown()
    }

    @Test func `shutdown ends loops, and returns what is held uncounted`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        try await broker.publish(batch: (0..<10).map { OutgoingMessage("\($0)", to: "q") })
        let consumer = try await broker.consume("q")
        let held = try await consumer.take(1)
        let loop = Task { () -> Int in
            var count = 0
            for try await message in consumer {
                try await message.ack()
                count += 1
            }
            return count
        }
        try await eventually { try await broker.status(of: "q").acked == 9 }
        try await broker.shutdown()
        #expect(try await loop.value == 9)
        await #expect(throws: BrokerError.self) { try await held[0].ack() }

        let again = try fixture.open()
        let message = try #require(try await again.get("q"))
        #expect(message.text == "0")
        #expect(message.delivery.failed == 0)
        try await again.shutdown()
    }

    @Test func `shutdown answers who waits for room that will never be there`() async throws {
        var fixture = try BrokerFixture()
        fixture.configuration.limits.gatheredBytesMax = 1_000
        var message = OutgoingMessage(String(repeating: "x", count: 5_000), to: "q")
        message.properties = MessageProperties()
        message.properties?.messageID = "a"
        let known = try fixture.open()
        try await known.declareQueue("q", arguments: ["x-deduplicate": .int(3_600_000)])
        try await known.publish(message)
        try await known.shutdown()

        // Whether it was seen can't be read, so that it keeps its room.
        let broker = try fixture.open()
        #expect(try SQLiteShell.run(fixture.path, "ALTER TABLE dedup_run RENAME TO gone") == "")
        let first = try await broker.publishing(message)
        let second = Task { try await broker.publish("second", to: "q") }
        await yieldOften()
        try await broker.shutdown()
        await #expect(throws: BrokerError.self) { try await first.confirmed() }
        await #expect(throws: BrokerError.self) { try await second.value }
    }

    @Test func `everything is refused after shutdown, and a second shutdown is no error`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.shutdown()
        try await broker.shutdown()
        let error = await #expect(throws: BrokerError.self) { try await broker.publish("x", to: "q") }
        #expect(error?.code == .connectionForced)
        await #expect(throws: BrokerError.self) { try await broker.consume("q") }
        await #expect(throws: BrokerError.self) { try await broker.status() }
        for await _ in broker.events() { Issue.record("an event after the end") }
    }

    @Test func `a broker runs as a service until the group shuts down`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        let group = ServiceGroup(services: [broker], logger: .silent)
        let running = Task { try await group.run() }
        try await broker.declareQueue("q")
        try await broker.publish("x", to: "q")
        await group.triggerGracefulShutdown()
        try await running.value
        let again = try fixture.open()
        #expect(try await again.get("q")?.text == "x")
        try await again.shutdown()
    }

    @Test func `a publish in a cancelled task says that nothing is stored`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            try await broker.publish("x", to: "q")
        }
        task.cancel()
        let error = await #expect(throws: PublishCancelled.self) { try await task.value }
        #expect(error?.mayBeStored == false)
        #expect(try await broker.status(of: "q").ready == 0)
        try await broker.shutdown()
    }

    @Test func `a publish cancelled on its way says that it may be stored`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        let blocker = try Blocker(path: fixture.path)
        try blocker.block()
        let task = Task { try await broker.publish("x", to: "q") }
        try await eventually { try await broker.status(of: "q").ready == 1 }
        task.cancel()
        let error = await #expect(throws: PublishCancelled.self) { try await task.value }
        #expect(error?.mayBeStored == true)
        try blocker.release()
        try await broker.shutdown()
        let again = try fixture.open()
        #expect(try await again.status(of: "q").ready == 1)
        try await again.shutdown()
    }

    @Test func `a commit that fails is tried again until it succeeds, under an alarm`() async throws {
        var fixture = try BrokerFixture()
        fixture.configuration.retryMilliseconds = { _ in 1 }
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        let blocker = try Blocker(path: fixture.path)
        try blocker.block()
        let publish = Task { try await broker.publish("kept", to: "q") }
        try await eventually { try await !broker.status().alarms.isEmpty }
        let error = await #expect(throws: BrokerError.self) { try await broker.publish("refused", to: "q") }
        #expect(error?.code == .resourceError)
        try blocker.release()
        try await publish.value
        try await eventually { try await broker.status().alarms.isEmpty }
        try await broker.publish("taken again", to: "q")
        #expect(try await broker.status(of: "q").ready == 2)
        try await broker.shutdown()
    }

    @Test func `more messages than fit into memory come back in order`() async throws {
        var fixture = try BrokerFixture()
        fixture.configuration.limits.windowCountMax = 64
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        try await broker.publish(batch: (0..<5_000).map { OutgoingMessage("\($0)", to: "q") })
        let consumer = try await broker.consume("q", prefetch: 100)
        var expected = 0
        for try await message in consumer {
            if message.text != "\(expected)" { Issue.record("\(message.text ?? "") instead of \(expected)") }
            message.ackWithoutWaiting()
            expected += 1
            if expected == 5_000 { break }
        }
        try await broker.shutdown()
    }
}
