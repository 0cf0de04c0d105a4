// Who keeps a broker open, what a shutdown does for those who wait, and what a call that returned has promised.

import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerLifetimeTests {
    /// Opens a broker on the fixture's file once the one before has closed it.
    private func reopen(_ fixture: borrowing BrokerFixture) async throws -> Broker {
        while true {
            if let broker = try? fixture.open() { return broker }  // refused until it is closed
            await Task.yield()
        }
    }

    @Test func `what a call has returned is on disk`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        let disk = try Blocker(path: fixture.path)
        try await broker.declareQueue("q")
        #expect(try disk.count("queue") == 1)
        try await broker.declareExchange("x", type: .fanout)
        try await broker.bind("q", to: "x")
        #expect(try disk.count("binding") == 1)
        try await broker.publish("a", to: "q")
        #expect(try disk.count("message") == 1)
        try await broker.publish(batch: [OutgoingMessage("b", to: "q"), OutgoingMessage("c", to: "q")])
        #expect(try disk.count("message") == 3)
        try await broker.publishing(OutgoingMessage("d", to: "q")).confirmed()
        #expect(try disk.count("message") == 4)
        try await broker.get("q")?.ack()
        #expect(try disk.count("message") == 3)
        try await broker.get("q")?.reject()
        #expect(try disk.count("message") == 2)
        let message = try #require(try await broker.get("q"))
        try await broker.transaction { tx in
            try tx.ack(message)
            tx.publish("e", to: "q")
            tx.publish("f", to: "q")
        }
        #expect(try disk.count("message") == 3)
        #expect(try await broker.purge("q") == 3)
        #expect(try disk.count("message") == 0)
        try await broker.deleteQueue("q")
        #expect(try disk.count("queue") == 0)
        try await broker.shutdown()
    }

    @Test func `a handle that waits keeps its broker open until the confirm`() async throws {
        let gate = Gate()
        var fixture = try BrokerFixture()
        fixture.configuration.retryMilliseconds = gate.retryMilliseconds
        func publishAndForget() async throws -> PublishHandle {
            let broker = try fixture.open()
            try await broker.declareQueue("q")
            let blocker = try Blocker(path: fixture.path)
            try blocker.block()
            let handle = try await broker.publishing(OutgoingMessage("x", to: "q"))
            try await eventually { gate.isReached }
            try blocker.release()
            return handle
        }
        let handle = try await publishAndForget()
        gate.open()
        #expect(try await handle.confirmed() == 1)
        let again = try await reopen(fixture)
        #expect(try await again.get("q")?.text == "x")
        try await again.shutdown()
    }

    @Test func `a message keeps its broker open until it is settled`() async throws {
        let fixture = try BrokerFixture()
        func take() async throws -> [ConsumedMessage] {
            let broker = try fixture.open()
            try await broker.declareQueue("q")
            try await broker.publish(batch: ["a", "b"].map { OutgoingMessage($0, to: "q") })
            let first = try await broker.get("q")
            let second = try await broker.consume("q").take(1)
            return [first].compactMap { $0 } + second
        }
        for message in try await take() { try await message.ack() }
        let again = try await reopen(fixture)
        #expect(try await again.get("q") == nil)
        try await again.shutdown()
    }

    @Test func `a consumer keeps its broker open`() async throws {
        let fixture = try BrokerFixture()
        func consume() async throws -> Consumer {
            let broker = try fixture.open()
            try await broker.declareQueue("q")
            try await broker.publish("x", to: "q")
            return try await broker.consume("q")
        }
        func work() async throws {
            let consumer = try await consume()
            for message in try await consumer.take(1) { try await message.ack() }
        }
        try await work()
        let again = try await reopen(fixture)
        #expect(try await again.get("q") == nil)
        try await again.shutdown()
    }

    @Test func `publishes that wait for room are refused once the disk is full`() async throws {
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
        let third = Task { try await broker.publish("third", to: "q") }
        await yieldOften()
        try blocker.release()
        try blocker.refuseMessages()
        gate.open()
        let error = await #expect(throws: BrokerError.self) { try await third.value }
        #expect(error?.code == .resourceError)
        try blocker.takeMessages()
        gate.open()
        try await first.confirmed()
        try await second.confirmed()
        try await broker.shutdown()
    }

    @Test func `a shutdown while the disk stays full ends, and tells everyone who waits`() async throws {
        var fixture = try BrokerFixture()
        fixture.configuration.retryMilliseconds = { _ in 1 }
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        try await broker.declareQueue("empty")
        let consumer = try await broker.consume("empty")
        let loop = Task { try await consumer.take(1) }
        let get = Task { try await broker.get("empty", wait: .seconds(3_600)) }
        let blocker = try Blocker(path: fixture.path)
        try blocker.refuseMessages()
        let handle = try await broker.publishing(OutgoingMessage("lost", to: "q"))
        let publish = Task { try await broker.publish("lost or refused", to: "q") }
        await #expect(throws: BrokerError.self) { try await broker.shutdown() }
        await #expect(throws: BrokerError.self) { try await handle.confirmed() }
        await #expect(throws: BrokerError.self) { try await publish.value }
        #expect(try await loop.value.isEmpty)
        // It ended with the shutdown's beginning, or came after it.
        if let message = try? await get.value { Issue.record("\(message)") }
        await #expect(throws: BrokerError.self) { try await broker.shutdown() }
        try blocker.takeMessages()
        let again = try await reopen(fixture)
        #expect(try await again.status(of: "q").ready == 0)
        try await again.shutdown()
    }

    @Test func `a waiting get ends with nothing as the broker shuts down`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let session = broker.openConnection(name: "test").openSession {}
        var events: [SessionEvent] = []
        session.submit(
            [Submission(7, .get("q", autoAck: false, waitMilliseconds: 3_600_000))], events: &events)
        #expect(events.isEmpty)
        broker.beginDraining()
        session.drain(into: &events)
        #expect(events.contains { if case .answer(7, .empty) = $0 { true } else { false } })
        try await broker.shutdown()
    }

    @Test func `a listener that is slow misses the oldest events and holds nobody up`() async throws {
        let broker = try BrokerFixture.inMemory()
        let events = broker.events()
        for number in 0..<600 {
            try await broker.declareQueue(QueueName("q\(number)"))
            try await broker.deleteQueue(QueueName("q\(number)"))
        }
        try await broker.shutdown()
        var heard: [BrokerEvent] = []
        for await event in events { heard.append(event) }
        #expect(heard.count == 1_000)
        #expect(heard.first == .queueDeclared("q100", in: "/"))
        #expect(heard.last == .queueDeleted("q599", in: "/"))
    }

    @Test func `events come in the order in which things happened, to every listener`() async throws {
        let broker = try BrokerFixture.inMemory()
        let streams = [broker.events(), broker.events()]
        for number in 0..<200 {
            let name = QueueName("q\(number)")
            async let declared = broker.declareQueue(name)
            while try await broker.queues(matching: name.rawValue).isEmpty { await Task.yield() }
            try await broker.deleteQueue(name)
            _ = try await declared
        }
        try await broker.shutdown()
        for stream in streams {
            var heard: [BrokerEvent] = []
            for await event in stream { heard.append(event) }
            #expect(
                heard
                    == (0..<200).flatMap { number -> [BrokerEvent] in
                        [
                            .queueDeclared(QueueName("q\(number)"), in: "/"),
                            .queueDeleted(QueueName("q\(number)"), in: "/"),
                        ]
                    })
        }
    }

    @Test func `a listener that is let go of is forgotten`() async throws {
        let broker = try BrokerFixture.inMemory()
        func listen() async { _ = broker.events() }
        await listen()
        #expect(broker.engine.enter { state, _ in state.listeners.isEmpty })
        try await broker.shutdown()
    }
}
