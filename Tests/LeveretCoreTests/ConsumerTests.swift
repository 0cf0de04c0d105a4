// Who gets the next message: pauses, priorities, a single active consumer, and leases that end.

import Testing

@testable import LeveretCore

@Suite struct ConsumerTests {
    private let singleActive: FieldTable = ["x-single-active-consumer": .bool(true)]

    private func consumers(_ broker: CoreHarness, from session: SessionID? = nil) -> [ConsumerInfo] {
        guard
            case .page(.consumers(let rows), next: nil)? = broker.run(
                .list(.consumers, match: nil), from: session)
        else {
            return []
        }
        return rows
    }

    // MARK: - Pause

    @Test func `a paused queue takes messages and hands none out`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.run(.consume(Consume(queue: "jobs", tag: "w")))
        broker.run(.setPaused("jobs", true))
        #expect(broker.info("jobs")?.pausedSince == broker.now)
        _ = broker.publish("a", to: "jobs")
        #expect(broker.get("jobs") == nil)
        #expect(broker.deliveries().isEmpty)
        broker.run(.setPaused("jobs", true))
        broker.run(.setPaused("jobs", false))
        #expect(broker.deliveries().map(\.text) == ["a"])
        #expect(broker.info("jobs")?.pausedSince == nil)
    }

    @Test func `a GET waits until a paused queue goes on, and messages expire meanwhile`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.run(.setPaused("jobs", true))
        _ = broker.publish("a", to: "jobs", expiration: "10")
        _ = broker.publish("b", to: "jobs")
        broker.ask(.get("jobs", autoAck: false, waitMilliseconds: 1000))
        broker.advance(milliseconds: 20)
        #expect(broker.info("jobs")?.ready == 1)
        broker.run(.setPaused("jobs", false))
        let got = (broker.events[broker.session] ?? []).contains {
            if case .answer(_, .delivered(let delivery, _)) = $0 { delivery.text == "b" } else { false }
        }
        #expect(got)
    }

    @Test func `a queue that isn't there can't be paused`() {
        let broker = CoreHarness()
        guard case .refused(let error)? = broker.run(.setPaused("nowhere", true)) else {
            Issue.record("it was not refused")
            return
        }
        #expect(error.code == .notFound)
    }

    // MARK: - Single active consumer

    @Test func `the first consumer is active, the next takes over when it goes`() {
        let broker = CoreHarness()
        broker.queue("jobs", singleActive)
        let other = broker.openSession()
        broker.run(.consume(Consume(queue: "jobs", tag: "one", prefetch: 2)))
        broker.run(.consume(Consume(queue: "jobs", tag: "two")), from: other)
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        #expect(broker.deliveries().map(\.text) == ["a", "b"])
        #expect(broker.deliveries(of: other).isEmpty)
        #expect(consumers(broker).map(\.isActive) == [true, false])
        broker.core.closeSession(broker.session, now: broker.now)
        broker.settle()
        #expect(broker.deliveries(of: other).map(\.text) == ["a", "b", "c"])
        #expect(consumers(broker, from: other).map(\.isActive) == [true])
    }

    @Test func `the next waits until what the one before holds is settled or back`() {
        let broker = CoreHarness()
        broker.queue("jobs", singleActive)
        let other = broker.openSession()
        broker.run(.consume(Consume(queue: "jobs", tag: "one", prefetch: 2)))
        broker.run(.consume(Consume(queue: "jobs", tag: "two")), from: other)
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        broker.run(.cancel("one", requeue: false))
        #expect(broker.deliveries(of: other).isEmpty)
        broker.run(.settle(Settlement(.ack, 1)))
        #expect(broker.deliveries(of: other).isEmpty)
        broker.run(.settle(Settlement(.requeue, 2)))
        broker.settle()
        #expect(broker.deliveries(of: other).map(\.text) == ["b", "c"])
    }

    @Test func `a consumer of a higher priority takes over once the active one holds nothing`() {
        let broker = CoreHarness()
        broker.queue("jobs", singleActive)
        let other = broker.openSession()
        broker.run(.consume(Consume(queue: "jobs", tag: "low", prefetch: 1)))
        _ = broker.publish("a", to: "jobs")
        broker.run(.consume(Consume(queue: "jobs", tag: "high", priority: 1)), from: other)
        _ = broker.publish("b", to: "jobs")
        broker.settle()
        #expect(broker.deliveries(of: other).isEmpty)
        broker.run(.settle(Settlement(.ack, 1)))
        broker.settle()
        #expect(broker.deliveries(of: other).map(\.text) == ["b"])
    }

    @Test func `a queue with a single active consumer refuses exclusive ones`() {
        let broker = CoreHarness()
        broker.queue("jobs", singleActive)
        guard case .refused(let error)? = broker.run(.consume(Consume(queue: "jobs", exclusive: true))) else {
            Issue.record("it was not refused")
            return
        }
        #expect(error.code == .accessRefused)
    }

    // MARK: - Priorities

    @Test func `consumers of a higher priority come first while they have credit`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        let other = broker.openSession()
        broker.run(.consume(Consume(queue: "jobs", tag: "low", priority: -1)))
        broker.run(.consume(Consume(queue: "jobs", tag: "high", prefetch: 2, priority: 5)), from: other)
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        #expect(broker.deliveries(of: other).map(\.text) == ["a", "b"])
        #expect(broker.deliveries().map(\.text) == ["c"])
        broker.run(.settle(Settlement(.ack, 1)), from: other)
        _ = broker.publish("d", to: "jobs")
        broker.settle()
        #expect(broker.deliveries(of: other).map(\.text) == ["a", "b", "d"])
    }

    // MARK: - Leases

    @Test func `a message that is held for too long goes back, and only its consumer ends`() throws {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.queue("mails")
        broker.run(.consume(Consume(queue: "jobs", tag: "slow", timeoutMilliseconds: 100)))
        broker.run(.consume(Consume(queue: "mails", tag: "other")))
        _ = broker.publish("a", to: "jobs")
        _ = broker.publish("m", to: "mails")
        broker.settle()
        broker.advance(milliseconds: 99)
        #expect(broker.info("jobs")?.unacked == 1)
        broker.advance(milliseconds: 1)
        #expect(broker.info("jobs")?.ready == 1)
        #expect(consumers(broker).map(\.tag) == ["other"])
        let ended = (broker.events[broker.session] ?? []).contains {
            if case .consumerEnded("slow", .leaseExpired) = $0 { true } else { false }
        }
        #expect(ended)
        guard case .refused(let error)? = broker.run(.settle(Settlement(.ack, 1))) else {
            Issue.record("a late ack was taken")
            return
        }
        #expect(error.code == .preconditionFailed)
        #expect(error.text.hasPrefix("the lease of delivery 1 expired at 1970-01-01T00:16:40.100Z"))
        #expect(broker.refusal(of: .settle(Settlement(.ack, 1, multiple: true))) == error)
        let again = try #require(broker.get("jobs"))
        #expect(again.deliveries == 2 && again.failed == 1)
    }

    @Test func `what was settled in time, or touched, is left alone`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-consumer-timeout": .int(100)])
        broker.run(.consume(Consume(queue: "jobs", tag: "w")))
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        broker.advance(milliseconds: 60)
        broker.run(.settle(Settlement(.ack, 1)))
        broker.run(.touch(2, forMilliseconds: nil))
        broker.run(.touch(3, forMilliseconds: 200))
        broker.advance(milliseconds: 60)
        #expect(broker.info("jobs")?.unacked == 2)
        broker.advance(milliseconds: 50)
        #expect(broker.info("jobs")?.unacked == 1 && broker.info("jobs")?.consumers == 0)
        broker.run(.settle(Settlement(.ack, 3)))
        #expect(broker.info("jobs")?.unacked == 0)
        broker.advance(milliseconds: 1000)
        #expect(broker.info("jobs")?.ready == 1)
    }

    @Test func `a GET's lease ends too, and past the delivery limit the message dies`() {
        let broker = CoreHarness()
        broker.queue("dead")
        broker.queue(
            "jobs",
            [
                "x-consumer-timeout": .int(100), "x-delivery-limit": .int(0),
                "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead"),
            ])
        _ = broker.publish("a", to: "jobs")
        #expect(broker.get("jobs")?.text == "a")
        broker.advance(milliseconds: 100)
        let dead = broker.get("dead")
        #expect(dead?.deaths?.deaths.first?.reason == .deliveryLimit)
        #expect(dead?.deaths?.errorText == "not settled within 100 ms")
    }

    @Test func `a touch of what has no lease changes nothing, of what is not held is refused`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        _ = broker.publish("a", to: "jobs")
        _ = broker.get("jobs")
        guard case .done? = broker.run(.touch(1, forMilliseconds: 1)) else {
            Issue.record("it was refused")
            return
        }
        broker.advance(milliseconds: 100_000)
        #expect(broker.info("jobs")?.unacked == 1)
        for request in [Request.touch(7, forMilliseconds: nil), .touch(1, forMilliseconds: 0)] {
            guard case .refused(let error)? = broker.run(request) else {
                Issue.record("\(request) was taken")
                return
            }
            #expect(error.code == .preconditionFailed)
        }
    }

    // MARK: - Unused queues

    @Test func `a queue that expires if empty goes after a GET that took what came at once`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-expires-if-empty": .int(100)])
        _ = broker.ask(.get("jobs", autoAck: true, waitMilliseconds: 1000))
        broker.advance(milliseconds: 50)
        _ = broker.publish("a", to: "jobs")
        broker.settle()
        broker.advance(milliseconds: 99)
        #expect(broker.found("jobs") != nil)
        broker.advance(milliseconds: 1)
        #expect(broker.found("jobs") == nil)
    }

    @Test func `a queue that expires if empty stays while something is in it`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-expires-if-empty": .int(100)])
        _ = broker.publish("a", to: "jobs")
        broker.advance(milliseconds: 1000)
        #expect(broker.get("jobs")?.text == "a")
        broker.advance(milliseconds: 1000)
        broker.run(.settle(Settlement(.ack, 1)))
        broker.advance(milliseconds: 99)
        #expect(broker.found("jobs") != nil)
        // A MOVE that finds nothing is no use of the queue.
        broker.run(.move(Move(from: "jobs", to: .exchange("", routingKey: nil))))
        broker.advance(milliseconds: 1)
        #expect(broker.found("jobs") == nil)
    }
}
