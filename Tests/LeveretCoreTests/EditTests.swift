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

    @Test(arguments: ["reject-publish", "reject-publish-dlx"], [nil, 2])
    func `a full queue that rejects publishes refuses an edit that makes a message larger`(
        overflow: String, window: Int?
    ) {
        let broker = harness(
            ["x-max-length-bytes": .int(10), "x-overflow": .string(overflow)], window: window)
        for body in ["one", "two", "six"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        // In memory, and with a narrow window only stored.
        for position in [1, 3] as [MessageNumber] {
            let error = broker.refusal(of: edit(position, "12345"))
            #expect(error?.code == .resourceError)
            #expect(
                error?.text
                    == "queue 'jobs' is full and rejects publishes; the message is left as it was")
            #expect(broker.info("jobs")?.readyBytes == 9)
        }
        #expect(broker.refusal(of: edit(3, "1234")) == nil)
        #expect(broker.info("jobs")?.readyBytes == 10)
        // What does not grow has room also in a queue that holds all it may.
        #expect(broker.refusal(of: edit(1, "1")) == nil)
        #expect(broker.refusal(of: edit(1, "123")) == nil)
        #expect(broker.bodies(of: "jobs") == ["123", "two", "1234"])
        #expect(broker.info("jobs")?.readyBytes == 0 && broker.core.messageBytes == 0)
    }

    @Test func `a full queue that rejects publishes refuses an edit that makes a message ready`() {
        let broker = harness(
            [
                "x-max-length": .int(2), "x-max-length-bytes": .int(10),
                "x-overflow": .string("reject-publish"),
            ])
        delayed(broker, "12345678", by: 60_000)
        delayed(broker, "1", by: 60_000)
        _ = broker.publish("one", to: "jobs")
        #expect(broker.refusal(of: edit(1, nil, delay: 0))?.code == .resourceError)
        // While it waits it is not counted.
        #expect(broker.refusal(of: edit(1, "12345678901")) == nil)
        #expect(broker.refusal(of: edit(1, "1234567", delay: 0)) == nil)
        #expect(broker.info("jobs")?.readyBytes == 10)
        #expect(broker.refusal(of: edit(2, nil, delay: 0))?.code == .resourceError)
        #expect(broker.refusal(of: edit(2, nil, delay: 5)) == nil)
        #expect(broker.bodies(of: "jobs") == ["one", "1234567"])
    }

    @Test(arguments: [nil, 2])
    func `a queue that drops from its head does so when an edit makes it too long`(window: Int?) {
        let broker = harness(
            ["x-max-length-bytes": .int(10), "x-dead-letter-exchange": .string("")], window: window)
        for body in ["one", "two", "six"] { _ = broker.publish(body, to: "jobs") }
        delayed(broker, "1234", by: 60_000)
        broker.settle()
        #expect(broker.refusal(of: edit(3, "12345")) == nil)
        #expect(broker.info("jobs")?.ready == 2 && broker.info("jobs")?.readyBytes == 8)
        #expect(broker.refusal(of: edit(4, nil, delay: 0)) == nil)
        #expect(broker.info("jobs")?.ready == 2 && broker.info("jobs")?.readyBytes == 9)
        #expect(broker.info("jobs")?.deaths[.maxlen] == 2)
        #expect(broker.bodies(of: "jobs") == ["12345", "1234"])
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

    /// A broker after a restart, with one message that only its store has.
    private func stored(_ text: String) -> CoreHarness {
        let before = harness([:])
        _ = before.publish(text, to: "jobs")
        before.settle()
        return before.crashed()
    }

    @Test func `an edit of the only message, which must be read, serves who waits for it to be read`() {
        let broker = stored("a")
        broker.ask(edit(1, "b"))
        broker.ask(.consume(Consume(queue: "jobs", tag: "worker")))
        broker.settle()
        #expect(broker.deliveries().map(\.text) == ["b"])
    }

    @Test func `a cancel of the only message, which must be read, answers who waits for it to be read`() {
        let broker = stored("a")
        broker.ask(.cancelMessage("jobs", 1))
        guard case .empty? = broker.run(.get("jobs", autoAck: true, waitMilliseconds: 0)) else {
            Issue.record("the GET was not answered")
            return
        }
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
