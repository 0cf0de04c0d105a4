// Queues with x-max-priority: what goes out first, what memory holds, and what comes back from the store.

import Testing

@testable import LeveretCore

@Suite struct PriorityTests {
    private func harness(_ limits: CoreLimits = CoreLimits(), _ arguments: FieldTable = [:]) -> CoreHarness {
        let broker = CoreHarness(limits: limits)
        var arguments = arguments
        arguments["x-max-priority"] = .int(10)
        broker.queue("jobs", arguments)
        return broker
    }

    private func texts(_ broker: CoreHarness, _ count: Int) -> [String?] {
        (0..<count).map { _ in broker.get("jobs", autoAck: true)?.text }
    }

    @Test func `higher priorities go first, and equal ones in their order`() {
        let broker = harness()
        for (body, priority) in [("a", 1), ("b", 5), ("c", nil), ("d", 5), ("e", 1)] as [(String, UInt8?)] {
            _ = broker.publish(body, to: "jobs", priority: priority)
        }
        #expect(texts(broker, 6) == ["b", "d", "a", "e", "c", nil])
    }

    @Test func `a priority above the maximum counts as the maximum`() {
        let broker = harness()
        _ = broker.publish("a", to: "jobs", priority: 10)
        _ = broker.publish("b", to: "jobs", priority: 255)
        #expect(texts(broker, 2) == ["a", "b"])
    }

    @Test func `without x-max-priority a message's priority means nothing`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        _ = broker.publish("a", to: "jobs")
        _ = broker.publish("b", to: "jobs", priority: 9)
        broker.settle()
        #expect(broker.rows.values.allSatisfy { $0.priority == nil })
        #expect(texts(broker, 2) == ["a", "b"])
    }

    @Test func `a returned message goes to its own place in its own priority`() {
        let broker = harness()
        for (body, priority) in [("a", 2), ("b", 2), ("c", 7)] as [(String, UInt8)] {
            _ = broker.publish(body, to: "jobs", priority: priority)
        }
        #expect(broker.get("jobs")?.text == "c")
        #expect(broker.get("jobs")?.text == "a")
        broker.run(.settle(Settlement(.requeue, 2)))
        broker.run(.settle(Settlement(.requeue, 1)))
        #expect(texts(broker, 3) == ["c", "a", "b"])
    }

    @Test func `what is only stored is waited for and not overtaken by lower priorities`() {
        var limits = CoreLimits()
        limits.windowCountMax = 2
        limits.windowCountMin = 1
        let broker = harness(limits)
        for index in 0..<4 { _ = broker.publish("low\(index)", to: "jobs", priority: 1) }
        for index in 0..<4 { _ = broker.publish("high\(index)", to: "jobs", priority: 9) }
        broker.settle()
        #expect(
            texts(broker, 9) == ["high0", "high1", "high2", "high3", "low0", "low1", "low2", "low3", nil])
    }

    @Test func `a full queue drops what would be delivered next`() {
        let broker = harness(CoreLimits(), ["x-max-length": .int(2)])
        for (body, priority) in [("a", 1), ("b", 2), ("c", 3)] as [(String, UInt8)] {
            _ = broker.publish(body, to: "jobs", priority: priority)
        }
        #expect(texts(broker, 3) == ["b", "a", nil])
    }

    @Test func `a peek shows the order of delivery, also of what is only stored`() throws {
        var limits = CoreLimits()
        limits.windowCountMax = 2
        limits.windowCountMin = 1
        let broker = harness(limits)
        for (index, priority) in ([0, 3, 0, 3, 7, 0, 3] as [UInt8]).enumerated() {
            _ = broker.publish("\(index)", to: "jobs", priority: priority)
        }
        broker.settle()
        guard case .messages(let rows)? = broker.run(.peek(Peek("jobs"))) else {
            Issue.record("no rows")
            return
        }
        #expect(
            rows.map { String(decoding: $0.message.body, as: UTF8.self) } == [
                "4", "1", "3", "6", "0", "2", "5",
            ])
    }

    @Test func `expired messages are found at every priority, also behind the windows`() {
        var limits = CoreLimits()
        limits.windowCountMax = 1
        limits.windowCountMin = 1
        let broker = harness(limits)
        for priority in [0, 4, 9] as [UInt8] {
            _ = broker.publish("stays", to: "jobs", priority: priority)
            _ = broker.publish("goes", to: "jobs", expiration: "10", priority: priority)
        }
        broker.settle()
        for _ in 0..<3 { broker.advance(milliseconds: 10) }
        #expect(broker.info("jobs")?.ready == 3)
        #expect(texts(broker, 4) == ["stays", "stays", "stays", nil])
    }

    @Test func `a purge leaves what consumers hold, at every priority`() {
        var limits = CoreLimits()
        limits.windowCountMax = 1
        limits.windowCountMin = 1
        let broker = harness(limits)
        for index in 0..<3 {
            _ = broker.publish("low\(index)", to: "jobs", priority: 0)
            _ = broker.publish("high\(index)", to: "jobs", priority: 5)
        }
        broker.settle()
        #expect(broker.get("jobs")?.text == "high0")
        guard case .count(5)? = broker.run(.purge("jobs")) else {
            Issue.record("another count")
            return
        }
        #expect(broker.rows.count == 1)
        broker.run(.settle(Settlement(.requeue, 1)))
        #expect(texts(broker, 2) == ["high0", nil])
    }

    @Test func `a move takes what was ready as it began, whatever comes in above it`() {
        var limits = CoreLimits()
        limits.sliceCount = 1
        let broker = harness(limits)
        broker.queue("other")
        for index in 0..<3 { _ = broker.publish("\(index)", to: "jobs", priority: 1) }
        broker.settle()
        broker.ask(.move(Move(from: "jobs", to: .queue("other"))))
        _ = broker.publish("new", to: "jobs", priority: 9)
        broker.settle()
        #expect(broker.info("other")?.ready == 3)
        #expect(texts(broker, 2) == ["new", nil])
    }

    @Test(arguments: [.int(0), .int(-1), .int(256), .int(.max), .string("5"), .double(1.5)] as [FieldValue])
    func `a maximum that makes no sense is refused`(value: FieldValue) {
        let broker = CoreHarness()
        let definition = QueueDefinition("jobs", arguments: ["x-max-priority": value])
        guard case .refused(let error)? = broker.run(.declareQueue(definition, passive: false)) else {
            Issue.record("taken")
            return
        }
        #expect(error.code == .preconditionFailed)
        #expect(error.text.contains("'x-max-priority'") && error.text.contains("1 to 255"))
    }
}
