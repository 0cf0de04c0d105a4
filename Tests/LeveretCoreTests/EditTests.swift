// What an edit does beyond the message itself: to its queue's length, and to who waits for it.

import Testing

@testable import LeveretCore

@Suite struct EditTests {
    private func harness(_ arguments: FieldTable, window: Int? = nil) -> CoreHarness {
        var limits = CoreLimits()
        if let window { (limits.windowCountMax, limits.windowCountMin) = (window, 1) }
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", arguments)
        return broker
    }

    private func edit(_ position: MessageNumber, _ body: String?, delay: Int64? = nil) -> Request {
        var edit = MessageEdit("jobs", position, delayMilliseconds: delay)
        edit.body = body.map { Array($0.utf8) }
        return .edit(edit)
    }

    private func delayed(_ broker: CoreHarness, _ body: String, by delay: Int64) {
        _ = broker.publish(body, to: "jobs", headers: ["x-delay": .int(delay)])
    }

    @Test(arguments: [true, false], [100, 3_600_000])
    func `a message that an edit makes ready is ready with the answer`(persistent: Bool, delay: Int64) {
        let broker = harness([:])
        _ = broker.publish("a", to: "jobs", persistent: persistent, headers: ["x-delay": .int(delay)])
        _ = broker.publish("b", to: "jobs", persistent: persistent)
        broker.settle()
        _ = broker.run(edit(1, nil, delay: 0))
        #expect(broker.info("jobs")?.ready == 2 && broker.info("jobs")?.delayed == 0)
        #expect(broker.bodies(of: "jobs") == ["b", "a"])
    }

    @Test func `a message that an edit makes ready goes to who waits for it, at once`() {
        let broker = harness([:])
        delayed(broker, "a", by: 60_000)
        broker.settle()
        broker.run(.consume(Consume(queue: "jobs", tag: "worker")))
        #expect(broker.deliveries().isEmpty)
        _ = broker.run(edit(1, "b", delay: 0))
        #expect(broker.deliveries().map(\.text) == ["b"])
    }

    @Test func `an edit that makes a message ready again gives it its old place at once`() {
        let broker = harness([:])
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        _ = broker.run(edit(2, nil, delay: 60_000))
        _ = broker.run(edit(2, nil, delay: 0))
        _ = broker.run(edit(3, nil, delay: 0))
        #expect(broker.rows[2]?.place == 2 && broker.rows[2]?.due == nil)
        #expect(broker.bodies(of: "jobs") == ["a", "b", "c"])
    }
}
