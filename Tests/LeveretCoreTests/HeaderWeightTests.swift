// Properties and headers count against the limits of memory as bodies do: a message may be nothing but headers.

import Testing

@testable import LeveretCore

@Suite struct HeaderWeightTests {
    private let large: FieldTable = ["h": .string(String(repeating: "x", count: 100_000))]

    private func message(_ headers: FieldTable) -> Message {
        var properties = MessageProperties()
        properties.headers = headers
        return Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
    }

    @Test func `a message weighs what its headers do, and small ones a flat rate`() {
        #expect(Message(exchange: "", routingKey: "jobs", body: [1]).footprint == 161)
        #expect(message(["n": .int(1), "s": .string("short")]).footprint == 480)
        #expect(message(["n": .int(1)]).bulk == 0)
        let text = String(repeating: "x", count: 50_000)
        for headers: FieldTable in [
            ["h": .string(text)], ["h": .bytes(Array(text.utf8))], ["h": .array([.string(text)])],
            ["h": .table(["inner": .string(text)])], ["h": .array(Array(repeating: .int(1), count: 4_000))],
        ] {
            let message = message(headers)
            #expect(message.footprint > 40_000 && message.footprint < 110_000)
            #expect(message.bulk > 40_000)
        }
        var properties = MessageProperties()
        properties.headers = large
        let shared = SharedProperties(properties, encoded: Array(repeating: 0, count: 100_020))
        #expect(shared.footprint > 200_000)
    }

    @Test(arguments: [true, false])
    func `a queue keeps no more of what has large headers than of what has large bodies`(persistent: Bool) {
        var limits = CoreLimits()
        limits.windowBytesMax = 1_000_000
        limits.windowCountMin = 2
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-max-length-bytes": 1_000])  // which counts bodies
        for index in 0..<60 {
            _ = broker.publish("\(index)", to: "jobs", persistent: persistent, headers: large)
        }
        broker.settle()
        #expect(broker.info("jobs")?.ready == 60)
        #expect((broker.info("jobs")?.inMemory ?? 99) <= 12)
        #expect(broker.core.messageBytes <= 1_200_000)
        #expect(broker.bodies(of: "jobs") == (0..<60).map { "\($0)" })
        broker.settle()
        #expect(broker.core.messageBytes == 0)
    }

    @Test func `a session that holds large headers gets no more until it settles some`() {
        var limits = CoreLimits()
        limits.unackedBytesMax = 1_000_000
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs")
        for index in 0..<30 { _ = broker.publish("\(index)", to: "jobs", headers: large) }
        broker.run(.consume(Consume(queue: "jobs", tag: "c", prefetch: 0)))
        broker.settle()
        let held = broker.deliveries().count
        #expect((10...11).contains(held))
        broker.run(.settle(Settlement(.ack, DeliveryTag(UInt64(held)), multiple: true)))
        broker.settle()
        #expect(broker.deliveries().count > held)
    }

    @Test func `a session holds no more of what was read without its headers at first`() {
        var limits = CoreLimits()
        limits.unackedBytesMax = 1_000_000
        let before = CoreHarness(limits: limits)
        before.queue("jobs", ["x-max-length": .int(30)])
        for index in 0..<30 { _ = before.publish("\(index)", to: "jobs", headers: large) }
        before.settle()
        let after = before.crashed()
        _ = after.publish("30", to: "jobs", headers: large)
        after.settle()
        #expect(after.bareReads == 1)
        after.run(.consume(Consume(queue: "jobs", tag: "c", prefetch: 0)))
        after.settle()
        #expect((10...11).contains(after.deliveries().count))
    }

    @Test func `a consumer that does not read is handed no more than fits`() {
        var limits = CoreLimits()
        limits.outgoingBytesMax = 500_000
        var core = BrokerCore(limits: limits, seed: 1)
        let session = core.openSession(on: core.openConnection(name: "slow", now: 0), now: 0)
        core.submit(
            1, .declareQueue(QueueDefinition("jobs", durable: false), passive: false), from: session, now: 0)
        core.submit(
            2, .consume(Consume(queue: "jobs", tag: "c", autoAck: true)), from: session, now: 0)
        for index in 0..<30 {
            core.submit(
                Ticket(UInt64(10 + index)), .publish(message(large), mandatory: false), from: session, now: 0)
        }
        var events: [SessionEvent] = []
        core.drain(session, into: &events, now: 0)
        let delivered = events.count { if case .delivery = $0 { true } else { false } }
        #expect((5...6).contains(delivered))
    }

    @Test func `a transaction of large headers is refused as one of large bodies is`() {
        var limits = CoreLimits()
        limits.transactionBytesMax = 1_000_000
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs")
        func transaction(_ count: Int) -> Request {
            .transaction((0..<count).map { _ in .publish(message(large), mandatory: false) })
        }
        #expect(broker.refusal(of: transaction(9)) == nil)
        #expect(broker.refusal(of: transaction(11))?.code == .preconditionFailed)
    }
}
