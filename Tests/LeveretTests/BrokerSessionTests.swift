// The synchronous door as a server uses it: batches in, events out, wakes in between.

import LeveretTestSupport
import Synchronization
import Testing

@testable import Leveret

/// A server's side of a session: collects what comes, as an event loop would.
private final class Client: Sendable {
    private let wakes = Atomic(0)
    private let session = Mutex<BrokerSession?>(nil)

    init(of connection: BrokerConnection) {
        let opened = connection.openSession { [weak self] in self?.wakes.add(1, ordering: .relaxed) }
        session.withLock { $0 = opened }
    }

    var wakeCount: Int { wakes.load(ordering: .relaxed) }

    func submit(_ requests: Request...) -> [SessionEvent] {
        var events: [SessionEvent] = []
        let submissions = requests.enumerated().map { Submission(Ticket(UInt64($0.offset)), $0.element) }
        session.withLock { $0 }?.submit(submissions, events: &events)
        return events
    }

    /// Everything that comes until `isEnough`.
    func collect(
        from events: [SessionEvent], until isEnough: ([SessionEvent]) -> Bool
    ) async -> [SessionEvent] {
        var events = events
        while !isEnough(events) {
            session.withLock { $0 }?.drain(into: &events)
            await Task.yield()
        }
        return events
    }

    func close() { session.withLock { $0 }?.close() }
    func letGo() { session.withLock { $0 = nil } }
    var shouldPause: Bool { session.withLock { $0 }?.shouldPause ?? false }
}

extension SessionEvent {
    fileprivate var text: String? {
        if case .delivery(let delivery) = self {
            String(decoding: delivery.message.body, as: UTF8.self)
        } else {
            nil
        }
    }

    fileprivate var refusal: BrokerError? {
        if case .answer(_, .refused(let error)) = self { error } else { nil }
    }
}

@Suite(.timeLimit(.minutes(10)))
struct BrokerSessionTests {
    private func publish(_ text: String, persistent: Bool = true) -> Request {
        .publish(
            Message(exchange: "", routingKey: "q", isPersistent: persistent, body: Array(text.utf8)),
            mandatory: false)
    }

    @Test func `one submit carries many requests, and every one is answered`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        let client = Client(of: broker.openConnection(name: "test"))
        let events = await client.collect(
            from: client.submit(
                .declareQueue(QueueDefinition("q"), passive: false), publish("a"), publish("b"),
                .consume(Consume(queue: "q")))
        ) { $0.count == 6 }
        #expect(events.compactMap(\.text) == ["a", "b"])
        #expect(events.compactMap(\.refusal).isEmpty)
        try await broker.shutdown()
    }

    @Test func `a session is woken once for what waits`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let client = Client(of: broker.openConnection(name: "test"))
        _ = client.submit(.consume(Consume(queue: "q", autoAck: true)))
        try await broker.publish("a", to: "q", persistent: false)
        try await broker.publish("b", to: "q", persistent: false)
        try await eventually { client.wakeCount > 0 }
        #expect(client.wakeCount == 1)
        let events = await client.collect(from: []) { $0.count == 2 }
        #expect(events.compactMap(\.text) == ["a", "b"])
        try await broker.shutdown()
    }

    @Test func `an operator has a connection closed by whoever opened it`() async throws {
        let broker = try BrokerFixture.inMemory()
        let reasons = Mutex<[String]>([])
        let client = Client(
            of: broker.openConnection(name: "mine") { reason in reasons.withLock { $0.append(reason) } })
        let asked = await client.collect(
            from: client.submit(
                .closeConnection("mine", reason: "stuck"), .closeConnection("embedded", reason: ""),
                .closeConnection("none", reason: ""))
        ) { $0.count == 3 }
        #expect(reasons.withLock { $0 } == ["stuck"])
        #expect(asked.compactMap(\.refusal?.code) == [.accessRefused, .notFound])
        try await broker.shutdown()
    }

    @Test func `a client changes what is logged where the program takes such a wish`() async throws {
        let wishes = Mutex<[LogLevel]>([])
        var configuration = Broker.Configuration()
        configuration.logControl = Broker.LogControl(initial: .info) { level in
            wishes.withLock { $0.append(level) }
        }
        let broker = try Broker(.memory, configuration: configuration)
        #expect(try await broker.status().logLevel == .info)
        let client = Client(of: broker.openConnection(name: "operator"))
        _ = client.submit(.setLogLevel(.critical))
        #expect(try await broker.status().logLevel == .critical)
        #expect(wishes.withLock { $0 } == [.critical])
        // SIGHUP of a server.
        broker.logLevelChanged(to: .notice)
        #expect(try await broker.status().logLevel == .notice)
        try await broker.shutdown()

        let deaf = try BrokerFixture.inMemory()
        let other = Client(of: deaf.openConnection(name: "operator"))
        let answers = await other.collect(from: other.submit(.setLogLevel(.debug))) { $0.count == 1 }
        #expect(answers.compactMap(\.refusal?.code) == [.notImplemented])
        #expect(try await deaf.status().logLevel == nil)
        try await deaf.shutdown()
    }

    @Test func `closing a connection returns its messages and deletes its exclusive queues`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("a", to: "q")
        let connection = broker.openConnection(name: "test")
        let client = Client(of: connection)
        let events = await client.collect(
            from: client.submit(
                .declareQueue(QueueDefinition("mine", durable: false, exclusive: true), passive: false),
                .get("q", autoAck: false, waitMilliseconds: 0))
        ) { $0.count == 2 }
        #expect(events.compactMap(\.refusal).isEmpty)
        #expect(try await broker.status(of: "q").unacked == 1)
        connection.close()
        #expect(try await broker.status(of: "q").ready == 1)
        #expect(try await broker.queues().map(\.definition.name) == ["q"])
        #expect(client.submit(publish("b")).compactMap(\.refusal).map(\.code) == [.connectionForced])
        client.close()
        try await broker.shutdown()
    }

    @Test func `a session of a closed connection refuses whatever it is asked`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let connection = broker.openConnection(name: "test")
        connection.close()
        connection.close()
        let client = Client(of: connection)
        let events = client.submit(publish("a"), .status("q"))
        #expect(events.compactMap(\.refusal).map(\.code) == [.connectionForced, .connectionForced])
        client.close()
        try await broker.shutdown()
    }

    @Test func `sessions opened and closed by many threads answer or refuse every request`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                let connection = broker.openConnection(name: "test")
                group.addTask {
                    let client = Client(of: connection)
                    let events = client.submit(.status("q"), publish("a", persistent: false))
                    #expect(events.count == 2)
                }
                group.addTask { connection.close() }
            }
        }
        #expect(try await broker.connections().map(\.name) == ["embedded"])
        try await broker.shutdown()
    }

    @Test func `what was answered before the broker's end can be drained after it`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        let client = Client(of: broker.openConnection(name: "test"))
        #expect(client.submit(publish("a"), publish("b")).isEmpty)
        try await broker.shutdown()
        let events = client.submit(.status("q"))
        #expect(events.count { if case .answer(_, .routed(1)) = $0 { true } else { false } } == 2)
        #expect(events.compactMap(\.refusal).map(\.code) == [.connectionForced])
    }

    @Test func `a waiting GET can be ended and takes no message then`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        let client = Client(of: broker.openConnection(name: "test"))
        #expect(client.submit(.get("q", autoAck: true, waitMilliseconds: 3_600_000)).isEmpty)
        let events = client.submit(.status("q"), .endGet("q", 0), .endGet("q", 0), .endGet("nowhere", 0))
        let answers = events.compactMap {
            if case .answer(let ticket, let answer) = $0 { (ticket, answer) } else { nil }
        }
        #expect(answers.map { $0.0 } == [0, 0, 1, 2, 3])
        #expect(answers.contains { if case (0, .empty) = $0 { true } else { false } })
        try await broker.publish("a", to: "q")
        #expect(try await broker.status(of: "q").ready == 1)
        try await broker.shutdown()
    }

    @Test func `a session that is let go of is closed`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("q")
        try await broker.publish("a", to: "q")
        let client = Client(of: broker.openConnection(name: "test"))
        _ = await client.collect(from: client.submit(.get("q", autoAck: false, waitMilliseconds: 0))) {
            $0.count == 1
        }
        client.letGo()
        #expect(try await broker.status(of: "q").ready == 1)
        #expect(try await broker.connections().map(\.name) == ["embedded"])
        try await broker.shutdown()
    }

    @Test func `a session pauses while too much waits for the disk, and is woken when there is room`()
        async throws
    {
        let broker = try BrokerFixture.inMemory { $0.limits.gatheredBytesMax = 100_000 }
        try await broker.declareQueue("q")
        let client = Client(of: broker.openConnection(name: "test"))
        let body = String(repeating: "x", count: 200_000)
        _ = client.submit(publish(body), publish(body))
        try await eventually { !client.shouldPause }
        let events = await client.collect(from: []) { $0.count == 2 }
        #expect(events.compactMap(\.refusal).isEmpty)
        try await broker.shutdown()
    }

    @Test func `publishes wait for room and all come through`() async throws {
        let fixture = try BrokerFixture()
        var configuration = fixture.configuration
        configuration.limits.gatheredBytesMax = 10_000
        let broker = try Broker(.file(fixture.path), configuration: configuration)
        try await broker.declareQueue("q")
        let body = [UInt8](repeating: 1, count: 5_000)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 {
                group.addTask { for _ in 0..<10 { try await broker.publish(body, to: "q") } }
            }
            try await group.waitForAll()
        }
        #expect(try await broker.status(of: "q").ready == 500)
        try await broker.shutdown()
    }
}
