// Messages that wait for their time: delayed at publish, rescheduled, cancelled.

import Testing

@testable import LeveretCore

@Suite struct DelayTests {
    private func harness(_ limits: CoreLimits = CoreLimits(), _ arguments: FieldTable = [:]) -> CoreHarness {
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", arguments)
        return broker
    }

    private var narrow: CoreLimits {
        var limits = CoreLimits()
        limits.windowCountMax = 2
        limits.windowCountMin = 1
        return limits
    }

    private func publish(
        _ broker: CoreHarness, _ body: String, delay: Int64, persistent: Bool = true,
        expiration: String? = nil
    ) {
        _ = broker.publish(
            body, to: "jobs", expiration: expiration, persistent: persistent,
            headers: ["x-delay": .int(delay)])
    }

    private func texts(_ broker: CoreHarness, _ count: Int) -> [String?] {
        (0..<count).map { _ in broker.get("jobs", autoAck: true)?.text }
    }

    private func delayed(_ broker: CoreHarness, from: MessageNumber = 0) -> [PeekedMessage] {
        let peek = Peek("jobs", state: .delayed, from: from)
        guard case .messages(let rows)? = broker.run(.peek(peek)) else { return [] }
        return rows
    }

    @Test func `a delayed message is ready when it is due and not before`() {
        let broker = harness()
        publish(broker, "a", delay: 100)
        broker.settle()
        #expect(broker.info("jobs")?.ready == 0)
        #expect(broker.info("jobs")?.delayed == 1)
        broker.advance(milliseconds: 99)
        #expect(texts(broker, 1) == [nil])
        broker.advance(milliseconds: 1)
        #expect(texts(broker, 1) == ["a"])
        #expect(broker.info("jobs")?.delayed == 0)
    }

    @Test func `the core asks to be woken when something is due`() {
        let broker = harness()
        publish(broker, "a", delay: 100)
        #expect(broker.core.nextWake == broker.now.advanced(byMilliseconds: 100))
    }

    @Test func `it takes its place at the tail when it is due`() {
        let broker = harness()
        publish(broker, "late", delay: 10)
        _ = broker.publish("before", to: "jobs")
        broker.advance(milliseconds: 10)
        _ = broker.publish("after", to: "jobs")
        broker.settle()
        let row = broker.rows.values.first { $0.message?.body == Array("late".utf8) }
        #expect(row?.number == 1 && row?.place == 3 && row?.due == nil)
        #expect(texts(broker, 3) == ["before", "late", "after"])
    }

    @Test func `a row that waits has its due time and no place`() {
        let broker = harness()
        publish(broker, "a", delay: 5_000)
        broker.settle()
        #expect(broker.rows[1]?.place == 0)
        #expect(broker.rows[1]?.due == broker.now.advanced(byMilliseconds: 5_000))
    }

    @Test func `what is due is delivered in order of due times, from memory and from the store`() {
        let broker = harness(narrow)
        for (body, delay) in [("c", 300), ("a", 100), ("e", 5_000), ("b", 200), ("d", 1_800)] {
            publish(broker, body, delay: Int64(delay))
        }
        broker.settle()
        #expect(delayed(broker).map(\.number) == [2, 4, 1, 5, 3])
        for _ in 0..<60 { broker.advance(milliseconds: 100) }
        #expect(texts(broker, 6) == ["a", "b", "c", "d", "e", nil])
    }

    @Test func `far off, delayed messages stand in the store only, transient ones in the spill file`() {
        let broker = harness()
        for index in 0..<10 { publish(broker, "\(index)", delay: 60_000, persistent: index % 2 == 0) }
        broker.settle()
        #expect(broker.core.messageBytes == 0)
        #expect(broker.rows.values.count { $0.isSpilled } == 5)
        broker.advance(milliseconds: 60_000)
        #expect(broker.info("jobs")?.ready == 10)
        #expect(texts(broker, 10) == (0..<10).map { "\($0)" })
        broker.settle()
        #expect(broker.rows.isEmpty)
    }

    @Test func `many that are due in one moment all come, in order`() {
        var limits = narrow
        limits.sliceCount = 3
        let broker = harness(limits)
        for index in 0..<50 { publish(broker, "\(index)", delay: 2_000) }
        broker.settle()
        broker.advance(milliseconds: 2_000)
        #expect(texts(broker, 51) == (0..<50).map { "\($0)" } + [nil])
    }

    @Test func `a crowd that is due while some of it is cancelled does not keep the timer from its end`() {
        var limits = narrow
        limits.windowCountMax = 4
        limits.sliceCount = 1
        let broker = harness(limits)
        for index in 0..<8 { publish(broker, "\(index)", delay: 2_000) }
        broker.settle()
        broker.advance(milliseconds: 1_500)
        broker.now = broker.now.advanced(byMilliseconds: 500)
        broker.core.timeReached(now: broker.now)
        broker.ask(.cancelMessage("jobs", 3))
        _ = broker.publish("soon gone", to: "jobs", expiration: "5")
        #expect(broker.core.nextWake > broker.now)
        broker.settle()
        #expect(broker.info("jobs")?.ready == 8)
    }

    @Test func `its time to live counts from when it is due`() {
        let broker = harness(CoreLimits(), ["x-message-ttl": .int(50)])
        publish(broker, "a", delay: 100)
        broker.advance(milliseconds: 100)
        broker.advance(milliseconds: 49)
        #expect(broker.info("jobs")?.ready == 1)
        broker.advance(milliseconds: 1)
        #expect(broker.info("jobs")?.ready == 0)
        #expect(broker.info("jobs")?.deaths[.expired] == 1)
    }

    @Test func `delayed messages are neither counted nor refused by a length limit`() {
        let broker = harness(
            CoreLimits(), ["x-max-length": .int(1), "x-overflow": .string("reject-publish")])
        _ = broker.publish("now", to: "jobs")
        publish(broker, "a", delay: 10)
        publish(broker, "b", delay: 10)
        broker.settle()
        #expect(broker.info("jobs")?.delayed == 2)
        broker.advance(milliseconds: 10)
        #expect(broker.info("jobs")?.ready == 3)
    }

    @Test func `a purge leaves what is delayed`() {
        let broker = harness(narrow)
        for index in 0..<4 { _ = broker.publish("\(index)", to: "jobs") }
        publish(broker, "later", delay: 10)
        publish(broker, "much later", delay: 10_000)
        broker.settle()
        broker.run(.purge("jobs"))
        #expect(broker.info("jobs")?.delayed == 2)
        broker.advance(milliseconds: 10)
        #expect(texts(broker, 2) == ["later", nil])
    }

    @Test func `a deleted queue takes its delayed messages along`() {
        let broker = harness(narrow)
        for delay in [10, 20, 30, 90_000] { publish(broker, "x", delay: Int64(delay)) }
        broker.settle()
        broker.run(.deleteQueue("jobs", ifUnused: false, ifEmpty: false))
        #expect(broker.rows.isEmpty)
        #expect(broker.core.messageBytes == 0)
    }

    @Test func `a queue with delayed messages is not empty`() {
        let broker = harness()
        publish(broker, "x", delay: 10)
        broker.settle()
        guard case .refused(let error)? = broker.run(.deleteQueue("jobs", ifUnused: false, ifEmpty: true))
        else {
            Issue.record("deleted")
            return
        }
        #expect(error.code == .preconditionFailed)
    }

    @Test func `the publisher hears when the delayed copy is stored, not when it is due`() {
        let broker = harness()
        _ = broker.publish("a", to: "jobs", headers: ["x-delay": .int(60_000)])
        broker.commit()
        broker.drain(broker.session)
        guard case .answer(_, .routed(1))? = broker.events[broker.session]?.last else {
            Issue.record("no confirm")
            return
        }
    }

    @Test func `a dead letter is not delayed again`() {
        let broker = CoreHarness()
        broker.queue("dead")
        broker.queue(
            "jobs", ["x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead")])
        publish(broker, "a", delay: 10)
        broker.advance(milliseconds: 10)
        _ = broker.get("jobs")
        broker.run(.settle(Settlement(.deadLetter, 1)))
        #expect(broker.get("dead")?.text == "a")
    }

    @Test(arguments: [.string("5"), .int(4_294_967_296), .double(0.5), .bool(true), .void] as [FieldValue])
    func `a delay that makes no sense is refused`(value: FieldValue) {
        let broker = harness()
        guard case .refused(let error)? = broker.publish("a", to: "jobs", headers: ["x-delay": value]) else {
            Issue.record("taken")
            return
        }
        #expect(error.code == .preconditionFailed && error.text.contains("x-delay"))
    }

    @Test(arguments: [0, -5, Int64.min]) func `no delay, or less, is none`(delay: Int64) {
        let broker = harness()
        publish(broker, "a", delay: delay)
        #expect(texts(broker, 1) == ["a"])
    }

    // MARK: - One by one

    @Test func `a delayed message is cancelled, in memory or only stored`() {
        let broker = harness(narrow)
        publish(broker, "soon", delay: 100)
        publish(broker, "later", delay: 60_000)
        publish(broker, "stays", delay: 60_000)
        broker.settle()
        for position in [1, 2] as [MessageNumber] {
            guard case .done? = broker.run(.cancelMessage("jobs", position)) else {
                Issue.record("\(position) not cancelled")
                return
            }
        }
        #expect(broker.rows.keys.sorted() == [3])
        #expect(broker.info("jobs")?.delayed == 1)
        broker.advance(milliseconds: 60_000)
        #expect(texts(broker, 2) == ["stays", nil])
    }

    @Test func `a ready message is cancelled, in memory or only stored`() {
        let broker = harness(narrow)
        for index in 1...5 { _ = broker.publish("\(index)", to: "jobs") }
        broker.settle()
        for position in [1, 4] as [MessageNumber] { broker.run(.cancelMessage("jobs", position)) }
        #expect(broker.info("jobs")?.ready == 3)
        #expect(texts(broker, 4) == ["2", "3", "5", nil])
    }

    @Test func `two cancels of one stored message: the second finds nothing`() {
        let broker = harness(narrow)
        for index in 1...5 { _ = broker.publish("\(index)", to: "jobs") }
        broker.settle()
        broker.ask(.cancelMessage("jobs", 4))
        guard case .refused(let error)? = broker.run(.cancelMessage("jobs", 4)) else {
            Issue.record("cancelled twice")
            return
        }
        #expect(error.code == .notFound)
        #expect(broker.info("jobs")?.ready == 4)
    }

    @Test func `what is held can't be cancelled, and what is gone is not found`() {
        let broker = harness()
        _ = broker.publish("a", to: "jobs")
        _ = broker.get("jobs")
        guard case .refused(let held)? = broker.run(.cancelMessage("jobs", 1)),
            case .refused(let gone)? = broker.run(.cancelMessage("jobs", 9))
        else {
            Issue.record("cancelled")
            return
        }
        #expect(held.code == .preconditionFailed && held.text.contains("test/get"))
        #expect(gone.code == .notFound)
    }

    @Test func `a delayed message is rescheduled, and its version counts on`() {
        let broker = harness()
        publish(broker, "a", delay: 60_000)
        publish(broker, "b", delay: 30_000)
        broker.settle()
        broker.run(.edit(MessageEdit("jobs", 1, delayMilliseconds: 100)))
        var again = MessageEdit("jobs", 1, delayMilliseconds: 0)
        again.version = 1
        guard case .refused(let error)? = broker.run(.edit(again)) else {
            Issue.record("changed in spite of its version")
            return
        }
        #expect(error.text.contains("version 2"))
        #expect(delayed(broker).map(\.number) == [1, 2])
        #expect(delayed(broker).map(\.version) == [2, 1])
        broker.advance(milliseconds: 100)
        #expect(texts(broker, 2) == ["a", nil])
    }

    @Test func `an edit changes a message in memory or only stored`() {
        let broker = harness(narrow)
        for index in 1...5 { _ = broker.publish("\(index)", to: "jobs") }
        broker.settle()
        for position in [1, 4] as [MessageNumber] {
            var edit = MessageEdit("jobs", position)
            edit.body = Array("edited \(position.rawValue)".utf8)
            edit.routingKey = "other"
            edit.headers = ["tries": .int(0)]
            guard case .done? = broker.run(.edit(edit)) else {
                Issue.record("\(position) not edited")
                return
            }
        }
        #expect(broker.rows[4]?.version == 2)
        let found = (0..<5).compactMap { _ in broker.get("jobs", autoAck: true) }
        #expect(found.map(\.text) == ["edited 1", "2", "3", "edited 4", "5"])
        #expect(found[3].message.routingKey == "other")
        #expect(found[3].message.properties?.headers == ["tries": .int(0)])
        #expect(broker.core.messageBytes == 0)
    }

    @Test func `an edit before the commit is what gets stored`() {
        let broker = harness()
        _ = broker.publish("a", to: "jobs")
        var edit = MessageEdit("jobs", 1)
        edit.body = Array("b".utf8)
        broker.run(.edit(edit))
        #expect(broker.rows[1]?.message?.body == Array("b".utf8))
        #expect(broker.rows[1]?.version == 2)
    }

    @Test func `an edit is answered once it is stored, also of what was not stored before`() {
        let broker = harness()
        publish(broker, "a", delay: 60_000)
        #expect(broker.ask(.edit(MessageEdit("jobs", 1, delayMilliseconds: 0))) == nil)
        broker.settle()
        #expect(broker.ask(.edit(MessageEdit("jobs", 1, delayMilliseconds: 50))) == nil)
        #expect(broker.rows[1]?.version == 2)
    }

    @Test func `what is delayed by an edit keeps its count of failures, also in the spill file`() {
        let broker = harness(narrow)
        for index in 1...6 { _ = broker.publish("\(index)", to: "jobs", persistent: false) }
        broker.settle()
        #expect(texts(broker, 5).last == "5")
        let held = broker.get("jobs")
        broker.run(.settle(Settlement(.fail, held?.tag ?? 0)))
        broker.run(.edit(MessageEdit("jobs", held?.number ?? 0, delayMilliseconds: 60_000)))
        broker.advance(milliseconds: 60_000)
        let again = broker.get("jobs")
        #expect(again?.text == "6" && again?.failed == 1 && again?.deliveries == 2)
    }

    @Test func `an edited time to live counts from now, and never past the queue's`() {
        let broker = harness(CoreLimits(), ["x-message-ttl": .int(100)])
        for body in ["a", "b"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        for (position, ttl) in [(1, 20), (2, 5_000)] as [(MessageNumber, Int64)] {
            var edit = MessageEdit("jobs", position)
            edit.ttlMilliseconds = ttl
            broker.run(.edit(edit))
        }
        broker.advance(milliseconds: 20)
        #expect(broker.info("jobs")?.ready == 1)
        broker.advance(milliseconds: 80)
        #expect(broker.info("jobs")?.ready == 0)
    }

    @Test func `a ready message that is delayed goes back to its old place`() {
        let broker = harness()
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        broker.run(.edit(MessageEdit("jobs", 2, delayMilliseconds: 50)))
        #expect(broker.rows[2]?.place == -2)
        broker.advance(milliseconds: 50)
        #expect(broker.rows[2]?.place == 2)
        #expect(texts(broker, 3) == ["a", "b", "c"])
    }
}
