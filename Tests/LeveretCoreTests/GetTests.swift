// GETs that wait: when each ends, and what bounds what they are handed.

import Testing

@testable import LeveretCore

@Suite struct GetTests {
    /// A broker with a queue `jobs`.
    private func broker(outgoingBytesMax: Int = 1 << 20, unackedBytesMax: Int = 1 << 20) -> CoreHarness {
        var limits = CoreLimits()
        (limits.outgoingBytesMax, limits.unackedBytesMax) = (outgoingBytesMax, unackedBytesMax)
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs")
        return broker
    }

    /// Asks without reading what comes.
    private func get(
        _ broker: CoreHarness, _ ticket: Ticket, from session: SessionID, of queue: QueueName = "jobs",
        autoAck: Bool = true, wait: Int64 = 1_000
    ) {
        broker.core.submit(
            ticket, .get(queue, autoAck: autoAck, waitMilliseconds: wait), from: session, now: broker.now)
    }

    private func texts(_ broker: CoreHarness, _ session: SessionID) -> [String] {
        (broker.events[session] ?? []).map {
            switch $0 {
            case .answer(_, .delivered(let delivery, _)): String(delivery.text.drop { $0 == "." })
            case .answer(_, .empty): "empty"
            case .answer(_, .refused(let error)): "\(error.code.rawValue)"
            default: "?"
            }
        }
    }

    private func publish(_ broker: CoreHarness, _ texts: [String], to queue: String = "jobs") {
        let dots = String(repeating: ".", count: 400)
        for text in texts { _ = broker.publish(dots + text, to: queue, persistent: false) }
    }

    @Test func `a GET ends in its own time, wherever it stands among those that wait`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        let first = broker.nextTicket
        for wait in [300, 100, 200, 250] {
            broker.ask(.get("jobs", autoAck: true, waitMilliseconds: Int64(wait)))
        }
        func answer(_ index: UInt64) -> Answer? { broker.answer(Ticket(first + index), of: broker.session) }
        broker.advance(milliseconds: 100)
        guard case .empty? = answer(1) else {
            Issue.record("the GET of 100 ms was not answered")
            return
        }
        broker.run(.endGet("jobs", Ticket(first + 2)))
        guard case .empty? = answer(2) else {
            Issue.record("the GET that was ended was not answered")
            return
        }
        #expect(answer(0) == nil && answer(3) == nil)
        broker.publish(["a", "b"], to: "jobs")
        broker.settle()
        guard case .delivered(let one, 0)? = answer(0), case .delivered(let two, 0)? = answer(3) else {
            Issue.record("the others got nothing")
            return
        }
        #expect([one.text, two.text] == ["a", "b"])
    }

    @Test func `a session that reads nothing is passed over until it does`() {
        let broker = broker(outgoingBytesMax: 1_000)
        let (deaf, other) = (broker.openSession(), broker.openSession())
        for ticket in 1...6 { get(broker, Ticket(UInt64(ticket)), from: deaf) }
        get(broker, 7, from: other)
        publish(broker, ["1", "2", "3", "4", "5"])
        #expect(broker.core.sessionsByID[deaf]?.outgoing.count == 3)
        broker.drain(other)
        #expect(texts(broker, other) == ["4"] && broker.info("jobs")?.ready == 1)
        broker.drain(deaf)
        #expect(texts(broker, deaf) == ["1", "2", "3", "5"] && broker.info("jobs")?.ready == 0)
        publish(broker, ["6"])
        broker.advance(milliseconds: 1_000)
        #expect(texts(broker, deaf) == ["1", "2", "3", "5", "6", "empty"])
    }

    @Test func `a GET that is passed over ends in its time, and so does its session`() {
        let broker = broker(outgoingBytesMax: 1)
        let deaf = broker.openSession()
        for ticket in [1, 2] as [Ticket] { get(broker, ticket, from: deaf) }
        publish(broker, ["1", "2", "3"])
        broker.now = broker.now.advanced(byMilliseconds: 1_000)
        broker.core.timeReached(now: broker.now)
        get(broker, 3, from: deaf)
        #expect(broker.info("jobs")?.ready == 2)
        broker.drain(deaf)
        #expect(texts(broker, deaf) == ["1", "empty", "2"])
        for ticket in [4, 5] as [Ticket] { get(broker, ticket, from: deaf) }
        publish(broker, ["4"])
        broker.core.closeSession(deaf, now: broker.now)
        #expect(broker.bodies(of: "jobs").map { String($0.drop { $0 == "." }) } == ["3", "4"])
    }

    @Test func `a queue is unused once a GET that was passed over has found nothing`() {
        let broker = broker(outgoingBytesMax: 1)
        broker.queue("own", ["x-expires": .int(1_000), "x-message-ttl": .int(100)])
        let deaf = broker.openSession()
        for ticket in [1, 2] as [Ticket] {
            _ = broker.publish("\(ticket.rawValue)", to: "own", persistent: false)
            let get = Request.get("own", autoAck: true, waitMilliseconds: 0)
            broker.core.submit(ticket, get, from: deaf, now: broker.now)
        }
        broker.now = broker.now.advanced(byMilliseconds: 1_000)
        broker.core.timeReached(now: broker.now)
        broker.drain(deaf)
        #expect(texts(broker, deaf) == ["1", "empty"])
        broker.advance(milliseconds: 999)
        #expect(broker.info("own") != nil)
        broker.advance(milliseconds: 1)
        #expect(broker.info("own") == nil)
    }

    @Test func `a queue is unused once the last GET that waited is refused`() {
        let broker = broker(unackedBytesMax: 500)
        broker.queue("own", ["x-expires": .int(1_000)])
        let greedy = broker.openSession()
        for ticket in [1, 2, 3] as [Ticket] {
            get(broker, ticket, from: greedy, of: "own", autoAck: false, wait: 86_400_000)
        }
        broker.advance(milliseconds: 5_000)
        publish(broker, ["1", "2", "3"], to: "own")
        broker.drain(greedy)
        #expect(texts(broker, greedy) == ["1", "2", "506"])
        broker.advance(milliseconds: 999)
        #expect(broker.info("own") != nil)
        broker.advance(milliseconds: 1)
        #expect(broker.info("own") == nil)
    }

    @Test(arguments: [true, false])
    func `a GET that waits is a use until it is ended or its session closes`(isEnded: Bool) {
        let broker = broker()
        broker.queue("own", ["x-expires": .int(1_000)])
        let patient = broker.openSession()
        get(broker, 1, from: patient, of: "own", wait: 86_400_000)
        broker.advance(milliseconds: 5_000)
        if isEnded {
            broker.core.submit(2, .endGet("own", 1), from: patient, now: broker.now)
        } else {
            broker.core.closeSession(patient, now: broker.now)
        }
        broker.advance(milliseconds: 999)
        #expect(broker.info("own") != nil)
        broker.advance(milliseconds: 1)
        #expect(broker.info("own") == nil)
    }

    @Test func `a session that holds as much as it may is refused, also when its turn comes`() {
        let broker = broker(unackedBytesMax: 500)
        let greedy = broker.openSession()
        for ticket in [1, 2, 3] as [Ticket] { get(broker, ticket, from: greedy, autoAck: false) }
        publish(broker, ["1", "2", "3"])
        get(broker, 4, from: greedy, autoAck: false)
        broker.drain(greedy)
        #expect(texts(broker, greedy) == ["1", "2", "506", "506"] && broker.info("jobs")?.ready == 1)
        broker.run(.settle(Settlement(.ack, 2, multiple: true)), from: greedy)
        get(broker, 5, from: greedy, autoAck: false)
        broker.drain(greedy)
        #expect(texts(broker, greedy).last == "3")
    }
}
