// What comes back to its queue, and who is free again by that. Most of these were found by the simulation.

import Testing

@testable import LeveretCore

@Suite struct ReturnTests {
    @Test func `sessions of a connection that ends do not hand messages to each other`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-delivery-limit": .int(1)])
        _ = broker.publish("a", to: "jobs")
        #expect(broker.get("jobs")?.text == "a")
        for _ in 0..<3 {
            broker.ask(.get("jobs", autoAck: false, waitMilliseconds: 1000), from: broker.openSession())
        }
        broker.core.closeConnection(broker.connection, now: broker.now)
        broker.settle()
        let queue = broker.found("jobs")
        #expect(queue?.first?.failed == 1)
        #expect(queue?.first?.acquired == 1)
    }

    @Test func `a reject with requeue is answered once its count is on disk`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        _ = broker.publish("a", to: "jobs")
        // Not yet written at first, then written.
        for failures: Int32 in 1...2 {
            let held = broker.get("jobs")
            #expect(broker.ask(.settle(Settlement(.fail, held?.tag ?? 0))) == nil)
            broker.settle()
            let stored = broker.counters.values.first?.failed ?? broker.rows.values.first?.failed
            #expect(stored == failures)
        }
        let held = broker.get("jobs")
        #expect(broker.ask(.settle(Settlement(.requeue, held?.tag ?? 0))) != nil)
    }

    @Test(arguments: [Settlement.Outcome.ack, .deadLetter])
    func `what a transaction takes away before it is written is confirmed with the transaction`(
        outcome: Settlement.Outcome
    ) {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.queue("done")
        let publisher = broker.openSession()
        func message(_ queue: String) -> Message {
            Message(exchange: "", routingKey: queue, properties: nil, isPersistent: true, body: [1])
        }
        #expect(broker.ask(.publish(message("jobs"), mandatory: true), from: publisher) == nil)
        let held = broker.get("jobs")
        let settle = Request.settle(Settlement(outcome, held?.tag ?? 0))
        #expect(broker.ask(.transaction([.publish(message("done"), mandatory: true), settle])) == nil)
        broker.drain(publisher)
        #expect(broker.events[publisher, default: []].isEmpty)
        broker.settle()
        #expect(broker.events[publisher]?.count == 1)
        #expect(broker.rows.count == 1)
    }

    @Test func `what a transaction's publish drops before it is written is confirmed with the transaction`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-max-length": .int(1)])
        let publisher = broker.openSession()
        let message = Message(
            exchange: "", routingKey: "jobs", properties: nil, isPersistent: true, body: [1])
        #expect(broker.ask(.publish(message, mandatory: true), from: publisher) == nil)
        #expect(broker.ask(.transaction([.publish(message, mandatory: true)])) == nil)
        broker.drain(publisher)
        #expect(broker.events[publisher, default: []].isEmpty)
        broker.settle()
        #expect(broker.events[publisher]?.count == 1)
    }

    @Test func `a cancel with requeue lets the session's other consumers go on`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.queue("mails")
        broker.run(.setSessionPrefetch(1))
        broker.run(.consume(Consume(queue: "jobs", tag: "j")))
        broker.run(.consume(Consume(queue: "mails", tag: "m")))
        _ = broker.publish("a", to: "jobs")
        _ = broker.publish("b", to: "mails")
        #expect(broker.deliveries().map(\.text) == ["a"])
        broker.run(.cancel("j", requeue: true))
        #expect(broker.deliveries().map(\.text) == ["a", "b"])
    }

    @Test func `what a GET holds leaves the session's prefetch to its consumers`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.queue("mails")
        broker.run(.setSessionPrefetch(1))
        _ = broker.publish("a", to: "jobs")
        #expect(broker.get("jobs")?.text == "a")
        broker.run(.consume(Consume(queue: "mails", tag: "m")))
        for body in ["b", "c"] { _ = broker.publish(body, to: "mails") }
        #expect(broker.deliveries().map(\.text) == ["b"])
        broker.run(.settle(Settlement(.ack, 1)))
        #expect(broker.deliveries().map(\.text) == ["b"])
        broker.run(.settle(Settlement(.ack, 2)))
        #expect(broker.deliveries().map(\.text) == ["b", "c"])
    }

    @Test func `a message that expired while it was held dies as expired when it returns`() {
        let broker = CoreHarness()
        broker.queue("dead")
        let arguments: FieldTable = [
            "x-max-length": .int(1), "x-dead-letter-exchange": .string(""),
            "x-dead-letter-routing-key": .string("dead"),
        ]
        broker.queue("jobs", arguments)
        _ = broker.publish("a", to: "jobs", expiration: "10")
        #expect(broker.get("jobs")?.text == "a")
        _ = broker.publish("b", to: "jobs")
        broker.advance(milliseconds: 20)
        broker.run(.settle(Settlement(.requeue, 1)))
        #expect(broker.get("jobs")?.text == "b")
        #expect(broker.get("dead")?.deaths?.deaths.first?.reason == .expired)
    }

    @Test func `a message that returns to a full queue makes it drop its head`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-max-length": .int(1)])
        _ = broker.publish("a", to: "jobs")
        #expect(broker.get("jobs")?.text == "a")
        _ = broker.publish("b", to: "jobs")
        broker.run(.settle(Settlement(.requeue, 1)))
        #expect(broker.info("jobs")?.ready == 1)
        #expect(broker.get("jobs")?.text == "b")
    }

    @Test func `a message that expires before it is committed is found on disk`() {
        var limits = CoreLimits()
        (limits.windowCountMax, limits.windowCountMin) = (1, 1)
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs")
        _ = broker.publish("a", to: "jobs")
        _ = broker.publish("b", to: "jobs", expiration: "500")
        broker.commit()
        _ = broker.publish("c", to: "jobs", expiration: "10")
        broker.advance(milliseconds: 20)
        #expect(broker.info("jobs")?.ready == 2)
    }

    @Test func `who waits for the store is answered when all of it has expired meanwhile`() {
        var limits = CoreLimits()
        (limits.windowCountMax, limits.windowCountMin) = (1, 1)
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-message-ttl": .int(10)])
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs", persistent: false) }
        broker.settle()
        broker.ask(.get("jobs", autoAck: true, waitMilliseconds: 0))
        broker.ask(.get("jobs", autoAck: true, waitMilliseconds: 0))
        broker.ask(.move(Move(from: "jobs", to: .queue("jobs"))))
        broker.now = broker.now.advanced(byMilliseconds: 20)
        broker.core.timeReached(now: broker.now)
        broker.settle()
        let answers = (broker.events[broker.session] ?? []).suffix(2)
        guard case .answer(_, .empty)? = answers.first, case .answer(_, .count(0))? = answers.last else {
            Issue.record("not both were answered: \(answers)")
            return
        }
    }

    @Test func `who waits for the store is answered when the queue is purged meanwhile`() {
        var limits = CoreLimits()
        (limits.windowCountMax, limits.windowCountMin) = (1, 1)
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs")
        for body in ["a", "b"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        broker.ask(.get("jobs", autoAck: true, waitMilliseconds: 0))
        #expect(broker.ask(.get("jobs", autoAck: true, waitMilliseconds: 0)) == nil)
        broker.ask(.move(Move(from: "jobs", to: .queue("jobs"))))
        broker.ask(.purge("jobs"))
        broker.settle()
        let isEmpty = broker.events[broker.session]?.contains {
            if case .answer(_, .empty) = $0 { true } else { false }
        }
        let isMoved = broker.events[broker.session]?.contains {
            if case .answer(_, .count(0)) = $0 { true } else { false }
        }
        #expect(isEmpty == true)
        #expect(isMoved == true)
    }

    @Test func `an unused queue goes though a GET waited at it when its session ended`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-expires": .int(100)])
        let other = broker.openSession()
        broker.ask(.get("jobs", autoAck: false, waitMilliseconds: 60_000), from: other)
        broker.advance(milliseconds: 50)
        broker.core.closeSession(other, now: broker.now)
        broker.advance(milliseconds: 200)
        #expect(broker.found("jobs") == nil)
    }

    @Test func `a GET that finds nothing waits for what closed sessions give back`() {
        var limits = CoreLimits()
        limits.sliceCount = 1
        let broker = CoreHarness(limits: limits)
        broker.queue("q")
        broker.publish(["1", "2", "3"], to: "q")
        let other = broker.openSession()
        for _ in 1...3 { broker.run(.get("q", autoAck: false, waitMilliseconds: 0), from: other) }
        broker.core.closeSession(other, now: broker.now)
        #expect(broker.ask(.get("q", autoAck: true, waitMilliseconds: 0)) != nil)
        #expect(broker.ask(.get("q", autoAck: true, waitMilliseconds: 0)) == nil)
        broker.settle()
        #expect(broker.bodies(of: "q") == ["3"])
        #expect(broker.found("q")?.comingBack == 0)
    }
}
