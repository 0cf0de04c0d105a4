// How many messages a queue may hold, and what it does with more: each limit at its edge and one past it.

import Testing

@testable import LeveretCore

@Suite struct QueueLengthTests {
    private let broker = CoreHarness()

    @Test func `drop-head keeps as many as allowed and drops the oldest beyond`() {
        broker.queue("dead")
        broker.queue("jobs", FieldTable.toDead.adding(["x-max-length": .int(2)]))
        broker.publish(["a", "b"], to: "jobs")
        #expect(broker.info("dead")?.ready == 0)
        broker.publish(["c"], to: "jobs")
        #expect(broker.bodies(of: "jobs") == ["b", "c"])
        let letter = broker.get("dead")
        #expect(letter?.text == "a")
        #expect(letter?.deaths?.deaths.first?.reason == .maxlen)
    }

    @Test func `what is only dropped is not read whole, and who comes then gets it whole`() {
        var limits = CoreLimits()
        (limits.windowCountMax, limits.windowCountMin) = (2, 1)
        for arguments: FieldTable in [[:], .toDead] {
            let broker = CoreHarness(limits: limits)
            broker.queue("dead")
            broker.queue("jobs", arguments.adding(["x-max-length": .int(5)]))
            for number in 0..<12 {
                broker.publish(["\(number)"], to: "jobs")
                broker.settle()
            }
            #expect((broker.bareReads > 0) == arguments.isEmpty)
            #expect(broker.info("jobs")?.readyBytes == 7)
            broker.run(.consume(Consume(queue: "jobs", tag: "c", prefetch: 9)))
            broker.settle()
            #expect(broker.deliveries().map(\.text) == ["7", "8", "9", "10", "11"])
        }
    }

    @Test func `what doesn't decode is parked though it was read without its message at first`() throws {
        let before = CoreHarness()
        before.queue("jobs", ["x-max-length": .int(4)])
        before.publish(["a", "b", "c", "d"], to: "jobs")
        before.settle()
        let after = before.crashed()
        after.damaged = Set(before.rows.values.filter { $0.message?.body == Array("c".utf8) }.map(\.number))
        after.publish(["e"], to: "jobs")
        after.settle()
        #expect(after.bareReads == 1 && after.damaged.count == 1)
        after.run(.consume(Consume(queue: "jobs", tag: "c", prefetch: 9)))
        after.settle()
        #expect(after.deliveries().map(\.text) == ["b", "d", "e"])
        #expect(after.get(.parked)?.text == "c")
    }

    @Test(arguments: [true, false])
    func `what was read without its message is read whole a window at a time`(isInHeaders: Bool) {
        var limits = CoreLimits()
        limits.windowBytesMax = 10_000
        let before = CoreHarness(limits: limits)
        before.queue("jobs", ["x-max-length": .int(20)])
        let large = String(repeating: "x", count: 6_000)
        for _ in 0..<20 {
            _ = before.publish(
                isInHeaders ? "" : large, to: "jobs", headers: isInHeaders ? ["h": .string(large)] : [:])
        }
        before.settle()
        let after = before.crashed()
        after.publish(["last"], to: "jobs")
        after.settle()
        #expect(after.bareReads == 1)
        after.run(.consume(Consume(queue: "jobs", tag: "c", prefetch: 1)))
        after.settle()
        #expect(after.core.messageBytes < 4 * 6_000)
        #expect(after.found("jobs")?.windowBulk ?? 0 > 5_000)
        for tag in 1...19 {
            after.run(.settle(Settlement(.ack, DeliveryTag(UInt64(tag)))))
            after.settle()
            #expect(after.core.messageBytes < 4 * 6_000)
        }
        #expect(after.deliveries().last?.text == "last")
        #expect(after.deliveries().count == 20)
    }

    @Test func `a limit in bytes counts bodies, and one too large for it is dropped itself`() {
        broker.queue("jobs", ["x-max-length-bytes": .int(4)])
        broker.publish(["aa", "bb"], to: "jobs")
        #expect(broker.info("jobs")?.ready == 2)
        broker.publish(["c"], to: "jobs")
        #expect(broker.info("jobs")?.ready == 2)
        broker.publish(["ddddd"], to: "jobs")
        #expect(broker.bodies(of: "jobs") == [])
    }

    @Test func `what is held is not counted by a length limit`() {
        broker.queue("jobs", ["x-max-length": .int(1)])
        broker.publish(["a"], to: "jobs")
        #expect(broker.get("jobs")?.text == "a")
        broker.publish(["b"], to: "jobs")
        #expect(broker.info("jobs")?.ready == 1)
        broker.run(.settle(Settlement(.ack, 1)))
        #expect(broker.bodies(of: "jobs") == ["b"])
    }

    @Test func `a queue of length 0 hands to who waits and keeps nothing`() {
        broker.queue("dead")
        broker.queue("jobs", FieldTable.toDead.adding(["x-max-length": .int(0)]))
        broker.publish(["a"], to: "jobs")
        broker.run(.consume(Consume(queue: "jobs", tag: "c", prefetch: 1)))
        broker.publish(["b", "c"], to: "jobs")
        broker.settle()
        #expect(broker.deliveries().map(\.text) == ["b"])
        #expect(broker.bodies(of: "dead") == ["a", "c"])
    }

    @Test(arguments: ["reject-publish", "reject-publish-dlx"])
    func `a full queue refuses what others take, and dead-letters it only if told to`(overflow: String) {
        broker.queue("dead")
        broker.queue("mails")
        broker.queue(
            "jobs", FieldTable.toDead.adding(["x-max-length": .int(1), "x-overflow": .string(overflow)]))
        for queue: QueueName in ["jobs", "mails"] {
            broker.run(.bind(Binding(source: "amq.fanout", target: .queue(queue))))
        }
        let message = Message(exchange: "amq.fanout", routingKey: "k", body: Array("x".utf8))
        guard case .routed(2)? = broker.run(.publish(message, mandatory: false)) else {
            Issue.record("not taken below the limit")
            return
        }
        let error = broker.refusal(of: .publish(message, mandatory: false))
        #expect(error?.code == .resourceError)
        #expect(error?.text.contains("'jobs'") == true)
        broker.settle()
        #expect(broker.info("jobs")?.ready == 1)
        #expect(broker.info("mails")?.ready == 2)
        #expect(broker.info("dead")?.ready == (overflow == "reject-publish" ? 0 : 1))
    }

    @Test func `a move of a full queue onto itself ends, keeps the order and drops nothing`() {
        broker.queue("dead")
        broker.queue("jobs", FieldTable.toDead.adding(["x-max-length": .int(3)]))
        broker.publish(["a", "b", "c"], to: "jobs")
        guard case .count(3)? = broker.run(.move(Move(from: "jobs", to: .queue("jobs")))) else {
            Issue.record("not all were moved")
            return
        }
        #expect(broker.bodies(of: "jobs") == ["a", "b", "c"])
        #expect(broker.info("dead")?.ready == 0)
    }

    @Test func `a transaction that a full queue would refuse settles nothing and publishes nothing`() {
        broker.queue("jobs")
        broker.queue("full", ["x-max-length": .int(1), "x-overflow": .string("reject-publish")])
        broker.publish(["a"], to: "jobs")
        #expect(broker.get("jobs")?.text == "a")
        let message = Message(exchange: "", routingKey: "full", body: [1])
        let publishes = [Request.publish(message, mandatory: false), .publish(message, mandatory: false)]
        let settles = Request.settle(Settlement(.ack, 1))
        #expect(broker.refusal(of: .transaction([settles] + publishes))?.code == .resourceError)
        #expect(broker.info("full")?.ready == 0)
        #expect(broker.info("jobs")?.unacked == 1)
        guard case .committed([1])? = broker.run(.transaction([settles, publishes[0]])) else {
            Issue.record("what fits was refused")
            return
        }
    }

    @Test func `a transaction that hands back to a queue loses nothing that it publishes there`() {
        broker.queue("jobs", ["x-max-length": .int(1), "x-overflow": .string("reject-publish")])
        broker.publish(["a"], to: "jobs")
        #expect(broker.get("jobs")?.text == "a")
        let message = Message(exchange: "", routingKey: "jobs", body: Array("b".utf8))
        broker.run(
            .transaction([.settle(Settlement(.requeue, 1)), .publish(message, mandatory: false)]))
        #expect(broker.bodies(of: "jobs") == ["a", "b"])
    }

    @Test func `a transaction that acks all it holds does not ack what it has just published`() {
        broker.queue("jobs")
        broker.run(.consume(Consume(queue: "jobs", tag: "c")))
        broker.publish(["a"], to: "jobs")
        let message = Message(exchange: "", routingKey: "jobs", body: Array("b".utf8))
        broker.run(
            .transaction([
                .publish(message, mandatory: false), .settle(Settlement(.ack, 0, multiple: true)),
            ]))
        #expect(broker.deliveries().map(\.text) == ["a", "b"])
        #expect(broker.info("jobs")?.unacked == 1)
    }
}
