// The life of messages in one core, told as transcripts.

import Testing

@testable import LeveretCore

@Suite struct BrokerCoreTests {
    @Test func `a confirm of a durable message comes with the commit and not before`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        #expect(broker.publish("a", to: "jobs") == nil)
        broker.commit()
        broker.drain(broker.session)
        guard case .answer(_, .routed(1))? = broker.events[broker.session]?.last else {
            Issue.record("no confirm after the commit")
            return
        }
    }

    @Test func `a transient message is confirmed at once and never stored`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        guard case .routed(1)? = broker.publish("a", to: "jobs", persistent: false) else {
            Issue.record("not confirmed")
            return
        }
        broker.settle()
        #expect(broker.rows.isEmpty)
    }

    @Test func `an acked message that was not yet committed never reaches the store`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        _ = broker.publish("a", to: "jobs")
        let delivery = broker.get("jobs")
        #expect(delivery?.text == "a")
        #expect(broker.core.gathering.liveInserts == 1)
        broker.ask(.settle(Settlement(.ack, 1)))
        #expect(broker.core.gathering.liveInserts == 0)
        broker.settle()
        #expect(broker.rows.isEmpty)
    }

    @Test func `a requeued message returns to its own place`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        #expect(broker.get("jobs")?.text == "a")
        #expect(broker.get("jobs")?.text == "b")
        broker.run(.settle(Settlement(.requeue, 2)))
        broker.run(.settle(Settlement(.requeue, 1)))
        let again = broker.get("jobs")
        #expect(again?.text == "a")
        #expect(again?.isRedelivered == true)
        #expect(broker.get("jobs")?.text == "b")
        #expect(broker.get("jobs")?.text == "c")
    }

    @Test func `what does not fit the window is read back in order`() {
        var limits = CoreLimits()
        limits.windowCountMax = 4
        limits.windowCountMin = 2
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs")
        for index in 0..<50 { _ = broker.publish("\(index)", to: "jobs", persistent: index % 3 != 0) }
        broker.settle()
        #expect(broker.info("jobs")?.ready == 50)
        #expect((broker.info("jobs")?.inMemory ?? 99) <= 4)
        for index in 0..<50 { #expect(broker.get("jobs", autoAck: true)?.text == "\(index)") }
        broker.settle()
        #expect(broker.rows.isEmpty)
        #expect(broker.core.messageBytes == 0)
    }

    @Test func `a GET is answered when what it waits for in the store has expired`() {
        var limits = CoreLimits()
        limits.windowCountMax = 4
        limits.windowCountMin = 2
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-message-ttl": 1_000])
        for index in 0..<50 { _ = broker.publish("\(index)", to: "jobs") }
        broker.settle()
        while broker.ask(.get("jobs", autoAck: true, waitMilliseconds: 0)) != nil {}
        broker.now = broker.now.advanced(byMilliseconds: 1_000)
        broker.core.timeReached(now: broker.now)
        broker.serveLoads(lastFirst: true)
        broker.settle()
        let isAnswered = broker.events[broker.session]?.contains {
            if case .answer(_, .empty) = $0 { true } else { false }
        }
        #expect(isAnswered == true)
    }

    @Test func `prefetch bounds what a consumer holds and an ack makes room`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.run(.consume(Consume(queue: "jobs", tag: "c", prefetch: 2)))
        for body in ["a", "b", "c", "d"] { _ = broker.publish(body, to: "jobs") }
        #expect(broker.deliveries().map(\.text) == ["a", "b"])
        broker.run(.settle(Settlement(.ack, 2, multiple: true)))
        #expect(broker.deliveries().map(\.text) == ["a", "b", "c", "d"])
    }

    @Test func `a message expires anywhere in the queue and is dead-lettered with its history`() {
        let broker = CoreHarness()
        broker.queue("dead")
        broker.queue(
            "jobs", ["x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead")])
        _ = broker.publish("stays", to: "jobs")
        _ = broker.publish("goes", to: "jobs", expiration: "50")
        broker.advance(milliseconds: 49)
        #expect(broker.info("dead")?.ready == 0)
        broker.advance(milliseconds: 1)
        let letter = broker.get("dead")
        #expect(letter?.text == "goes")
        #expect(letter?.deaths?.deaths.first?.reason == .expired)
        #expect(letter?.deaths?.deaths.first?.originalExpiration == "50")
        #expect(letter?.message.properties?.expiration == nil)
        #expect(broker.info("jobs")?.ready == 1)
    }

    @Test func `past the delivery limit a message is dead-lettered`() {
        let broker = CoreHarness()
        broker.queue("dead")
        broker.queue(
            "jobs",
            [
                "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead"),
                "x-delivery-limit": .int(1),
            ])
        _ = broker.publish("a", to: "jobs")
        for tag in 1...2 {
            #expect(broker.get("jobs")?.text == "a")
            broker.run(.settle(Settlement(.fail, DeliveryTag(UInt64(tag)), errorText: "boom")))
        }
        #expect(broker.info("jobs")?.ready == 0)
        let letter = broker.get("dead")
        #expect(letter?.deaths?.deaths.first?.reason == .deliveryLimit)
        #expect(letter?.deaths?.errorText == "boom")
    }

    @Test func `a dead letter that goes nowhere is parked with the reason`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-dead-letter-exchange": .string("gone"), "x-max-length": .int(0)])
        _ = broker.publish("a", to: "jobs")
        broker.settle()
        #expect(broker.get(.parked)?.deaths?.errorText?.contains("'gone'") == true)
    }

    @Test func `a closed session hands everything back, counted as failed`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        let other = broker.openSession()
        for body in ["a", "b"] { _ = broker.publish(body, to: "jobs") }
        broker.run(.consume(Consume(queue: "jobs", tag: "c")), from: other)
        #expect(broker.deliveries(of: other).count == 2)
        broker.core.closeSession(other, now: broker.now)
        broker.settle()
        let again = broker.get("jobs")
        #expect(again?.text == "a")
        #expect(again?.failed == 1)
        #expect(again?.deliveries == 2)
    }

    @Test func `a purge counts what was ready and leaves what is held`() {
        var limits = CoreLimits()
        limits.windowCountMax = 4
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs")
        for index in 0..<20 { _ = broker.publish("\(index)", to: "jobs") }
        broker.settle()
        #expect(broker.get("jobs")?.text == "0")
        guard case .count(19)? = broker.run(.purge("jobs")) else {
            Issue.record("wrong count")
            return
        }
        #expect(broker.rows.count == 1)
        broker.run(.settle(Settlement(.requeue, 1)))
        #expect(broker.get("jobs")?.text == "0")
    }

    @Test func `a move keeps the order and is one batch per slice`() {
        var limits = CoreLimits()
        limits.windowCountMax = 4
        limits.sliceCount = 3
        let broker = CoreHarness(limits: limits)
        broker.queue("a")
        broker.queue("b")
        for index in 0..<10 { _ = broker.publish("\(index)", to: "a") }
        broker.settle()
        guard case .count(10)? = broker.run(.move(Move(from: "a", to: .queue("b")))) else {
            Issue.record("wrong count")
            return
        }
        for index in 0..<10 { #expect(broker.get("b")?.text == "\(index)") }
        #expect(broker.info("a")?.ready == 0)
    }

    @Test func `a full queue that rejects publishes tells the publisher`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-max-length": .int(1), "x-overflow": .string("reject-publish")])
        _ = broker.publish("a", to: "jobs")
        guard case .refused(let error)? = broker.publish("b", to: "jobs") else {
            Issue.record("was taken")
            return
        }
        #expect(error.code == .resourceError)
        #expect(broker.info("jobs")?.ready == 1)
    }

    @Test func `a transaction with an unknown tag does nothing at all`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        let message = Message(exchange: "", routingKey: "jobs", body: [1])
        guard
            case .refused(let error)? = broker.run(
                .transaction([.publish(message, mandatory: false), .settle(Settlement(.ack, 9))]))
        else {
            Issue.record("was carried out")
            return
        }
        #expect(error.code == .preconditionFailed)
        #expect(broker.info("jobs")?.ready == 0)
    }

    @Test func `what is there already is answered once it is on disk, as to who made it`() {
        let broker = CoreHarness()
        let other = broker.openSession()
        let requests: [Request] = [
            .declareQueue(QueueDefinition("jobs"), passive: false),
            .bind(Binding(source: "amq.fanout", target: .queue("jobs"))),
            .setPaused("jobs", true),
            .deleteQueue("jobs", ifUnused: false, ifEmpty: false),
        ]
        for request in requests {
            #expect(broker.ask(request) == nil)
            #expect(broker.ask(request, from: other) == nil)
            let batch = broker.core.takeBatch(now: broker.now)
            #expect(broker.ask(request, from: other) == nil)
            broker.core.committed(batch?.number ?? 0, unfinished: [], now: broker.now)
            broker.settle()
            #expect(broker.ask(request, from: other) != nil)
        }
        #expect(broker.events[broker.session]?.count == 4)
        #expect(broker.events[other]?.count == 12)
    }

    @Test func `a waiting GET is answered by the next message or with nothing in time`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        #expect(broker.ask(.get("jobs", autoAck: true, waitMilliseconds: 100)) == nil)
        _ = broker.publish("a", to: "jobs")
        broker.drain(broker.session)
        let isDelivered = broker.events[broker.session]?.contains {
            if case .answer(_, .delivered) = $0 { true } else { false }
        }
        #expect(isDelivered == true)
        #expect(broker.ask(.get("jobs", autoAck: true, waitMilliseconds: 100)) == nil)
        broker.advance(milliseconds: 100)
        guard case .answer(_, .empty)? = broker.events[broker.session]?.last else {
            Issue.record("not answered in time")
            return
        }
    }

    @Test func `requests and events are small, because each message is copied in some`() {
        #expect(MemoryLayout<Request>.size <= 48)
        #expect(MemoryLayout<Answer>.size <= 40)
        #expect(MemoryLayout<SessionEvent>.size <= 64)
    }
}
