// Delayed retry: which returned messages wait, how long, and where they go back to.

import Testing

@testable import LeveretCore

@Suite struct RetryTests {
    private func harness(_ type: String, _ more: FieldTable = [:]) -> CoreHarness {
        let broker = CoreHarness()
        var arguments: FieldTable = [
            "x-delayed-retry-type": .string(type), "x-delayed-retry-min": .int(100),
            "x-delayed-retry-max": .int(350),
        ]
        for field in more.fields { arguments[field.name] = field.value }
        broker.queue("jobs", arguments)
        return broker
    }

    /// Publishes, takes and gives back; returns how long the message then waits.
    private func wait(
        _ broker: CoreHarness, _ outcome: Settlement.Outcome, delay: Int64? = nil, headers: FieldTable = [:]
    ) -> Int64? {
        if broker.info("jobs")?.ready == 0 { _ = broker.publish("a", to: "jobs", headers: headers) }
        guard let delivery = broker.get("jobs") else { return nil }
        broker.run(.settle(Settlement(outcome, delivery.tag, delayMilliseconds: delay)))
        guard let due = broker.found("jobs")?.delayed.inMemory.min()?.due else { return 0 }
        return due.milliseconds - broker.now.milliseconds
    }

    @Test func `each type delays what it names`() {
        #expect(wait(harness("disabled"), .fail) == 0)
        #expect(wait(harness("failed"), .fail) == 100)
        #expect(wait(harness("failed"), .requeue) == 0)
        #expect(wait(harness("returned"), .requeue) == 100)
        #expect(wait(harness("returned"), .fail) == 0)
        #expect(wait(harness("all"), .fail) == 100)
        #expect(wait(harness("all"), .requeue) == 100)
    }

    @Test(arguments: [("linear", [100, 200, 300, 350, 350]), ("exponential", [100, 200, 350, 350, 350])])
    func `the delay grows with each failure up to the maximum`(backoff: String, expected: [Int64]) {
        let broker = harness("failed", ["x-delayed-retry-backoff": .string(backoff)])
        for delay in expected {
            #expect(wait(broker, .fail) == delay)
            broker.advance(milliseconds: delay)
        }
    }

    @Test func `jitter shortens a delay by chance, up to so many percent`() {
        let broker = harness("failed", ["x-delayed-retry-jitter": .int(50)])
        var seen: Set<Int64> = []
        for _ in 0..<20 {
            let delay = wait(broker, .fail) ?? 0
            #expect((50...350).contains(delay))
            seen.insert(delay)
            broker.advance(milliseconds: 350)
        }
        #expect(seen.count > 3)
    }

    @Test func `a retried message goes back to its old place`() {
        let broker = harness("failed")
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        #expect(broker.get("jobs")?.text == "a")
        #expect(broker.get("jobs")?.text == "b")
        broker.run(.settle(Settlement(.fail, 2)))
        #expect(broker.rows[2]?.place == -2)
        #expect(broker.rows[2]?.due == broker.now.advanced(byMilliseconds: 100))
        broker.run(.settle(Settlement(.requeue, 1)))
        broker.advance(milliseconds: 100)
        #expect((0..<3).map { _ in broker.get("jobs")?.text } == ["a", "b", "c"])
    }

    @Test func `past the delivery limit it does not wait but dies`() {
        let broker = harness("failed", ["x-delivery-limit": .int(1)])
        #expect(wait(broker, .fail) == 100)
        broker.advance(milliseconds: 100)
        #expect(wait(broker, .fail) == 0)
        #expect(broker.info("jobs")?.deaths[.deliveryLimit] == 1)
    }

    @Test func `the consumer's own delay beats the queue's, and works without it`() {
        #expect(wait(harness("failed"), .fail, delay: 7) == 7)
        #expect(wait(harness("failed"), .fail, delay: 0) == 0)
        #expect(wait(harness("disabled"), .requeue, delay: 40) == 40)
    }

    @Test func `a message's own headers beat the queue's arguments`() {
        let own: FieldTable = ["x-delayed-retry-min": .int(30), "x-delayed-retry-type": .string("all")]
        #expect(wait(harness("disabled"), .requeue, headers: own) == 30)
        // One that makes no sense is refused with the publish; what came otherwise is passed over.
        let settings = RetrySettings()
        #expect(settings.overridden(by: ["x-delayed-retry-min": .string("soon")]) == settings)
    }

    @Test func `what a consumer held when it went counts as failed and waits`() {
        let broker = harness("failed")
        _ = broker.publish("a", to: "jobs")
        broker.settle()
        let other = broker.openSession()
        broker.run(.get("jobs", autoAck: false, waitMilliseconds: 0), from: other)
        broker.core.closeSession(other, now: broker.now)
        broker.settle()
        #expect(broker.info("jobs")?.delayed == 1)
        broker.advance(milliseconds: 100)
        #expect(broker.get("jobs")?.failed == 1)
    }

    @Test func `a message that expires while it waits dies then`() {
        let broker = harness("failed")
        _ = broker.publish("a", to: "jobs", expiration: "60")
        _ = broker.get("jobs")
        broker.run(.settle(Settlement(.fail, 1)))
        broker.advance(milliseconds: 60)
        #expect(broker.info("jobs")?.deaths[.expired] == 1)
        #expect(broker.rows.isEmpty)
    }

    @Test func `a retry after a restart finds its place among what is only stored`() {
        var limits = CoreLimits()
        limits.windowCountMax = 2
        limits.windowCountMin = 1
        let broker = CoreHarness(limits: limits)
        let definition = QueueDefinition("jobs")
        var state = RecoveredState()
        state.nextNumber = 10
        state.nextQueueID = 2
        let level = RecoveredLevel(count: 5, bytes: 5)
        state.virtualHosts[0].queues = [
            RecoveredQueue(
                id: 1, definition: definition, levels: [level], delayed: 1,
                nextDue: broker.now.advanced(byMilliseconds: 100))
        ]
        for number in [1, 2, 3, 5, 6] as [MessageNumber] { broker.rows[number] = Self.row(number) }
        var waiting = Self.row(4)
        waiting.place = -4
        waiting.due = broker.now.advanced(byMilliseconds: 100)
        broker.rows[4] = waiting
        broker.core.recover(state, now: broker.now)
        broker.advance(milliseconds: 100)
        #expect((0..<7).map { _ in broker.get("jobs", autoAck: true)?.number } == [1, 2, 3, 4, 5, 6, nil])
    }

    @Test func `a transient message that waits to be tried again keeps its counters, also in the spill file`()
    {
        var limits = CoreLimits()
        limits.windowCountMax = 1
        limits.windowCountMin = 1
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs")
        for body in ["a", "b"] { _ = broker.publish(body, to: "jobs", persistent: false) }
        broker.settle()
        for round in 1...2 {
            for tag in [2 * round - 1, 2 * round] {
                #expect(broker.get("jobs")?.deliveries == round)
                let back = Settlement(.fail, DeliveryTag(UInt64(tag)), delayMilliseconds: 60_000)
                broker.run(.settle(back))
            }
            broker.settle()
            broker.advance(milliseconds: 60_000)
        }
        #expect(broker.get("jobs")?.failed == 2)
    }

    @Test func `a purge that is still at work does not eat what returns`() throws {
        var limits = CoreLimits()
        limits.windowCountMax = 1
        limits.windowCountMin = 1
        let broker = CoreHarness(limits: limits)
        var state = RecoveredState()
        state.nextNumber = 10
        state.nextQueueID = 2
        state.virtualHosts[0].queues = [
            RecoveredQueue(
                id: 1, definition: QueueDefinition("jobs"), levels: [RecoveredLevel(count: 2, bytes: 2)],
                delayed: 1, nextDue: broker.now.advanced(byMilliseconds: 100))
        ]
        for number in [1, 2] as [MessageNumber] { broker.rows[number] = Self.row(number) }
        var waiting = Self.row(3)
        waiting.place = -3
        waiting.due = broker.now.advanced(byMilliseconds: 100)
        broker.rows[3] = waiting
        broker.core.recover(state, now: broker.now)
        broker.advance(milliseconds: 0)
        #expect(broker.found("jobs")?.delayed.inMemory.count == 1)
        broker.ask(.purge("jobs"))
        // The store has not finished the range when the message is due.
        let taken = broker.core.takeBatch(now: broker.now)
        let batch = try #require(taken)
        broker.core.committed(batch.number, unfinished: batch.ranges, now: broker.now)
        broker.now = broker.now.advanced(byMilliseconds: 100)
        broker.core.timeReached(now: broker.now)
        broker.settle()
        #expect(broker.rows[3]?.place == 10)
        #expect(broker.get("jobs")?.number == 3)
    }

    private static func row(_ number: MessageNumber) -> InsertRow {
        InsertRow(
            number: number, queue: 1, message: Message(exchange: "", routingKey: "jobs", body: [1]),
            entered: 0)
    }

    @Test(
        arguments: [
            ["x-delayed-retry-type": .string("sometimes")], ["x-delayed-retry-type": .string("all")],
            ["x-delayed-retry-min": .int(0)], ["x-delayed-retry-min": .int(-1)],
            ["x-delayed-retry-max": .int(4_294_967_296)], ["x-delayed-retry-min": .string("5")],
            ["x-delayed-retry-min": .int(9), "x-delayed-retry-max": .int(8)],
            ["x-delayed-retry-backoff": .string("cubic")], ["x-delayed-retry-jitter": .int(101)],
        ] as [FieldTable])
    func `arguments that make no sense are refused by name`(arguments: FieldTable) {
        let broker = CoreHarness()
        let definition = QueueDefinition("jobs", arguments: arguments)
        guard case .refused(let error)? = broker.run(.declareQueue(definition, passive: false)) else {
            Issue.record("taken")
            return
        }
        #expect(error.code == .preconditionFailed)
        #expect(error.text.contains("x-delayed-retry-"))
    }

    @Test func `the longest delays don't overflow`() {
        var settings = RetrySettings()
        settings.delayMinMilliseconds = QueueSettings.millisecondsMax
        settings.backoff = .exponential
        for failed in [1, 2, 33, 34, Int32.max] {
            #expect(settings.delayMilliseconds(failed: failed) == QueueSettings.millisecondsMax)
        }
    }
}
