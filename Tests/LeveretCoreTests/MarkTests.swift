// Deliveries that are written down before they are made, so that a crash counts them however soon it comes.

import Testing

@testable import LeveretCore

@Suite struct MarkTests {
    private func consume(
        _ broker: CoreHarness, _ queue: QueueName = "jobs", _ tag: ConsumerTag = "w", autoAck: Bool = false,
        countsFirst: Bool = false
    ) {
        let consume = Consume(queue: queue, tag: tag, autoAck: autoAck, countsFirst: countsFirst)
        broker.core.submit(0, .consume(consume), from: broker.session, now: broker.now)
        broker.drain(broker.session)
    }

    private func commit(_ broker: CoreHarness) {
        broker.commit()
        broker.drain(broker.session)
    }

    @Test(
        arguments: [["x-delivery-limit": .int(2)], ["x-delayed-retry-type": .string("all")]] as [FieldTable])
    func `what a crash left is handed out once that is written down`(arguments: FieldTable) {
        let before = CoreHarness()
        before.queue("jobs", arguments + ["x-delayed-retry-min": .int(1)])
        for body in ["a", "b"] { _ = before.publish(body, to: "jobs") }
        before.settle()
        let after = before.crashed()
        consume(after)
        after.serveLoads()
        after.drain(after.session)
        #expect(after.deliveries().isEmpty && after.info("jobs")?.unacked == 2)
        commit(after)
        #expect(after.deliveries().map(\.text) == ["a", "b"])
        #expect(after.counters.values.map(\.heldBy) == ["test/w", "test/w"])
        let last = after.crashed()
        #expect(last.get("jobs")?.failed == 1)
    }

    @Test func `a message that ends the process at once is a dead letter after so many times`() {
        var broker = CoreHarness()
        broker.queue("jobs", ["x-delivery-limit": .int(2), "x-dead-letter-exchange": .string("")])
        _ = broker.publish("a", to: "jobs")
        broker.settle()
        var rounds = 0
        while broker.get("jobs") != nil, rounds < 10 {
            rounds += 1
            broker = broker.crashed()
        }
        // The first time is forgotten: nobody had reason to write it down.
        #expect(rounds == 4)
        #expect(broker.core.totals.deaths == [.deliveryLimit: 1])
    }

    @Test func `where the consumer asks, also the first delivery of a new message counts`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        consume(broker, countsFirst: true)
        _ = broker.publish("a", to: "jobs")
        broker.drain(broker.session)
        #expect(broker.deliveries().isEmpty)
        commit(broker)
        #expect(broker.deliveries().map(\.text) == ["a"])
        let after = broker.crashed().get("jobs")
        #expect((after?.failed, after?.deliveries) == (1, 2))
    }

    @Test func `what is new, or in a plain queue, waits for nothing`() {
        let before = CoreHarness()
        before.queue("plain")
        before.queue("jobs", ["x-delivery-limit": .int(2)])
        _ = before.publish("a", to: "plain")
        before.settle()
        let after = before.crashed()
        _ = after.publish("b", to: "jobs")
        for queue in ["plain", "jobs"] as [QueueName] { consume(after, queue, ConsumerTag(queue.rawValue)) }
        after.serveLoads()
        after.drain(after.session)
        #expect(Set(after.deliveries().map(\.text)) == ["a", "b"])
        #expect(after.core.gathering.batch.counters.count == 0)
    }

    @Test func `what stands behind such a delivery keeps its turn, and what is done stays done`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.queue("plain", durable: false)
        consume(broker, countsFirst: true)
        consume(broker, "plain", "p", autoAck: true)
        _ = broker.publish("first", to: "plain", persistent: false)
        _ = broker.publish("a", to: "jobs")
        _ = broker.publish("second", to: "plain", persistent: false)
        broker.drain(broker.session)
        #expect(broker.deliveries().map(\.text) == ["first"])
        #expect(broker.info("plain")?.acked == 1)
        commit(broker)
        #expect(broker.deliveries().map(\.text) == ["first", "a", "second"])
        #expect(broker.info("plain")?.acked == 2)
        #expect(broker.deliveries().map(\.tag) == [1, 2, 3])
    }

    @Test func `a session that closes meanwhile gives it back`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        consume(broker, countsFirst: true)
        _ = broker.publish("a", to: "jobs")
        broker.core.closeSession(broker.session, now: broker.now)
        broker.settle()
        let other = broker.openSession()
        guard
            case .delivered(let delivery, _)? = broker.run(
                .get("jobs", autoAck: false, waitMilliseconds: 0), from: other)
        else {
            Issue.record("it is not there")
            return
        }
        #expect(delivery.text == "a")
    }

    @Test func `under an alarm only those wait who asked for it`() {
        let before = CoreHarness()
        before.queue("jobs", ["x-delivery-limit": .int(2)])
        _ = before.publish("a", to: "jobs")
        before.settle()
        let after = before.crashed()
        after.core.setAlarm("the disk is full", now: after.now)
        consume(after)
        after.serveLoads()
        after.drain(after.session)
        #expect(after.deliveries().map(\.text) == ["a"])
    }
}

extension FieldTable {
    fileprivate static func + (a: FieldTable, b: FieldTable) -> FieldTable {
        var sum = a
        for field in b.fields where sum[field.name] == nil { sum[field.name] = field.value }
        return sum
    }
}
