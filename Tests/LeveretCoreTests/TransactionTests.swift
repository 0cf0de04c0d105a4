// Transactions whose rejected messages are not in memory.

import Testing

@testable import LeveretCore

@Suite struct TransactionTests {
    /// A broker that has let the body go of the delivery that it gives back.
    private func bodiless(_ change: (inout CoreLimits) -> Void = { _ in }) throws -> (CoreHarness, Delivery) {
        var limits = CoreLimits()
        limits.messageBytesMax = 100
        change(&limits)
        let broker = CoreHarness(limits: limits)
        broker.queue("dead")
        broker.queue(
            "jobs",
            ["x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead")])
        _ = broker.publish(String(repeating: "x", count: 500), to: "jobs")
        broker.settle()
        let delivery = try #require(broker.get("jobs"))
        // The commit after the next message finds memory short.
        broker.queue("other")
        broker.queue("more")
        _ = broker.publish(String(repeating: "y", count: 500), to: "more")
        broker.settle()
        let session = try #require(broker.core.sessionsByID[broker.session])
        let held = try #require(session[delivery.tag])
        #expect(held.entry.message == nil)
        return (broker, delivery)
    }

    private func transaction(_ delivery: Delivery) -> Request {
        let message = Message(exchange: "", routingKey: "other", body: [1])
        return .transaction([
            .publish(message, mandatory: false), .settle(Settlement(.deadLetter, delivery.tag)),
        ])
    }

    @Test func `a rejected message that must be read stands in the transaction's batch`() throws {
        let (broker, delivery) = try bodiless()
        #expect(broker.ask(transaction(delivery)) == nil)
        let early = broker.core.takeBatch(now: broker.now)
        #expect(early == nil && broker.core.commitWish == .none)
        #expect(broker.serveLoads())
        let taken = broker.core.takeBatch(now: broker.now)
        let batch = try #require(taken)
        #expect(batch.removals == [delivery.number])
        #expect(batch.inserts.compactMap(\.message?.body.count).sorted() == [1, 500])
        broker.core.committed(batch.number, unfinished: [], now: broker.now)
        broker.drain(broker.session)
        let answers = broker.events[broker.session]?.filter {
            if case .answer(_, .committed) = $0 { true } else { false }
        }
        #expect(answers?.count == 1)
    }

    @Test func `a message that can't be read holds nobody else up`() throws {
        let (broker, delivery) = try bodiless()
        broker.ask(transaction(delivery))
        let loads = broker.core.takeOutputs().loads
        #expect(loads.count == 1)
        for load in loads { broker.core.loadFailed(load) }
        #expect(broker.core.commitWish == .now)
        let taken = broker.core.takeBatch(now: broker.now)
        let batch = try #require(taken)
        #expect(batch.removals.isEmpty && batch.inserts.count { $0.message != nil } == 1)
        broker.core.committed(batch.number, unfinished: [], now: broker.now)
        broker.loads += loads
        broker.settle()
        #expect(broker.info("dead")?.ready == 1)
    }

    @Test func `who published what a transaction acks in a queue that is gone hears so`() throws {
        let broker = CoreHarness()
        broker.queue("jobs")
        let message = Message(exchange: "", routingKey: "jobs", body: [1])
        broker.core.submit(1000, .publish(message, mandatory: false), from: broker.session, now: broker.now)
        guard
            case .delivered(let delivery, _)? = broker.ask(.get("jobs", autoAck: false, waitMilliseconds: 0))
        else { throw BrokerError(.notFound, "nothing was delivered") }
        broker.ask(.deleteQueue("jobs", ifUnused: false, ifEmpty: false))
        let taken = broker.core.takeBatch(now: broker.now)
        let batch = try #require(taken)
        broker.ask(.transaction([.settle(Settlement(.ack, delivery.tag))]))
        broker.core.committed(batch.number, unfinished: [], now: broker.now)
        #expect(broker.core.commitWish == .now)
        broker.settle()
        #expect(broker.answer(1000, of: broker.session) != nil)
    }

    @Test func `what a transaction dead-letters counts against its bytes`() throws {
        let (broker, delivery) = try bodiless { $0.transactionBytesMax = 499 }
        let refusal = broker.refusal(of: transaction(delivery))
        #expect(refusal?.text == "a transaction of over 499 bytes; commit in smaller parts")
        #expect(refusal?.part == 1)
        #expect(broker.info("other")?.ready == 0 && broker.info("jobs")?.unacked == 1)
    }

    // MARK: - What is left to the next transaction

    @Test
    func `what the next transaction settles is out of reach until then, and goes back with its session`()
        throws
    {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.publish(["1", "2", "3"], to: "jobs")
        let tags = (1...2).compactMap { _ in broker.get("jobs")?.tag }
        broker.run(.settleAtCommit(Settlement(.ack, 0, multiple: true)))
        let later = try #require(broker.get("jobs")).tag
        for tag in tags {
            let again: [Request] = [
                .settle(Settlement(.ack, tag)), .settleAtCommit(Settlement(.ack, tag, multiple: true)),
                .touch(tag, forMilliseconds: nil),
            ]
            for request in again {
                let text = broker.refusal(of: request)?.text
                #expect(text?.hasPrefix("unknown delivery tag \(tag.rawValue)") == true)
            }
        }
        broker.run(.recover)
        #expect(broker.get("jobs").map { $0.text } == "3" && later == 3)
        #expect(broker.core.sessionsByID[broker.session]?.heldCount == 3)
        broker.run(.transaction([]))
        #expect(broker.core.sessionsByID[broker.session]?.heldCount == 1)
        broker.run(.settleAtCommit(Settlement(.ack, 4)))
        broker.core.closeSession(broker.session, now: broker.now)
        let other = broker.openSession()
        guard
            case .delivered(let delivery, 0)? = broker.run(
                .get("jobs", autoAck: true, waitMilliseconds: 0), from: other)
        else { throw BrokerError(.notFound, "nothing came back") }
        #expect(delivery.text == "3" && delivery.failed == 1)
    }

    @Test func `a transaction is refused where what was left to it has gone back`() throws {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-consumer-timeout": .int(10)])
        broker.publish(["1"], to: "jobs")
        let delivery = try #require(broker.get("jobs"))
        broker.run(.settleAtCommit(Settlement(.ack, delivery.tag)))
        broker.advance(milliseconds: 10)
        let message = Message(exchange: "", routingKey: "jobs", body: [1])
        let refusal = broker.refusal(of: .transaction([.publish(message, mandatory: false)]))
        #expect(refusal?.text.contains("the lease of delivery 1 expired") == true)
        #expect(broker.bodies(of: "jobs") == ["1"])
    }
}
