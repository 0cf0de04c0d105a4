// IMPORT: a message comes back as it was.

import Testing

@testable import LeveretCore

@Suite struct RestoreTests {
    private let death = DeathHistory(
        deaths: [
            Death(
                queue: "jobs", reason: .rejected, count: 2, exchange: "events", routingKeys: ["k"], time: 500)
        ],
        originQueue: "jobs", firstReason: .rejected, firstExchange: "events", firstTime: 500, lastTime: 900,
        errorText: "it broke")

    private func message(_ text: String, key: String = "k", persistent: Bool = true) -> Message {
        Message(
            exchange: "events", routingKey: key, properties: nil, isPersistent: persistent,
            body: Array(text.utf8))
    }

    private func peek(_ broker: CoreHarness, _ state: Peek.State = .ready) -> [PeekedMessage] {
        guard case .messages(let rows)? = broker.run(.peek(Peek("q", state: state))) else { return [] }
        return rows
    }

    @Test func `a message keeps its exchange, key and history, and is confirmed once it is stored`() throws {
        let broker = CoreHarness()
        broker.queue("q")
        let restored = RestoredMessage(message("one"), to: "q", deaths: death)
        #expect(broker.ask(.restore(restored)) == nil)
        #expect(broker.run(.restore(restored)).map { "\($0)" } == "routed(1)")
        let row = try #require(peek(broker).first)
        #expect(row.message.exchange == "events" && row.message.routingKey == "k" && row.deaths == death)
        let again = broker.crashed()
        #expect(peek(again).map(\.deaths) == [death, death])
    }

    @Test func `one that was delayed waits until the same moment, and one whose moment has passed does not`()
    {
        let broker = CoreHarness()
        broker.queue("q")
        let due = broker.now.advanced(byMilliseconds: 5_000)
        broker.run(.restore(RestoredMessage(message("later"), to: "q", due: due)))
        broker.run(.restore(RestoredMessage(message("now"), to: "q", due: 1)))
        #expect(peek(broker, .delayed).map(\.due) == [due])
        #expect(peek(broker).map { String(decoding: $0.message.body, as: UTF8.self) } == ["now"])
    }

    @Test func `it is refused where nothing can have it`() {
        let broker = CoreHarness()
        broker.queue("q", ["x-max-length": 1, "x-overflow": "reject-publish"])
        #expect(broker.refusal(of: .restore(RestoredMessage(message("x"), to: "none")))?.code == .notFound)
        broker.run(.restore(RestoredMessage(message("x"), to: "q")))
        #expect(broker.refusal(of: .restore(RestoredMessage(message("x"), to: "q")))?.code == .resourceError)
        let long = message("x", key: String(repeating: "k", count: 256))
        #expect(broker.refusal(of: .restore(RestoredMessage(long, to: "q")))?.code == .preconditionFailed)
        broker.core.setAlarm("the disk is full", now: broker.now)
        #expect(broker.refusal(of: .restore(RestoredMessage(message("x"), to: "q")))?.code == .resourceError)
    }

    @Test func `what was on its way when an alarm began is taken, where nobody could be told each refusal`() {
        let broker = CoreHarness()
        broker.queue("q")
        let session = broker.core.openSession(on: broker.connection, stopsAtRefusal: true, now: broker.now)
        let publish = Request.publish(
            Message(exchange: "", routingKey: "q", body: Array("x".utf8)), mandatory: false)
        broker.core.setAlarm("the disk is full", now: broker.now)
        // It drains its events only behind the first.
        #expect(broker.refusal(of: publish) != nil)
        let first = broker.ask(publish, from: session)
        if case .refused? = first { Issue.record("it was not told yet") }
        guard case .refused(let error)? = broker.ask(publish, from: session) else {
            Issue.record("it was told")
            return
        }
        #expect(error.code == .resourceError)
    }

    @Test func `a transient one is answered at once`() {
        let broker = CoreHarness()
        broker.queue("q")
        let restored = RestoredMessage(message("x", persistent: false), to: "q")
        #expect(broker.ask(.restore(restored)).map { "\($0)" } == "routed(1)")
        broker.settle()
    }
}
