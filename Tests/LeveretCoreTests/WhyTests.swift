// WHY has a sentence and its facts for everything that can stop a message.

import Testing

@testable import LeveretCore

@Suite struct WhyTests {
    private func why(_ broker: CoreHarness, _ queue: QueueName = "jobs") -> [QueueReason] {
        guard case .reasons(let reasons)? = broker.run(.why(queue)) else { return [] }
        return reasons
    }

    private func broker(_ arguments: FieldTable = [:], _ limits: CoreLimits = CoreLimits()) -> CoreHarness {
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", arguments)
        return broker
    }

    @Test func `an empty queue, and one without consumers`() {
        let broker = broker()
        #expect(
            why(broker).map(\.text) == [
                "nothing is ready in queue 'jobs'",
                "no exchange is bound to queue 'jobs': only publishes to the default exchange with its name as the key "
                    + "reach it, and none did since the start",
            ])
        _ = broker.publish("a", to: "jobs")
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.noConsumer])
        #expect(reasons.first?.facts["ready"] == .int(1))
        guard case .refused(let error)? = broker.run(.why("nowhere")) else {
            Issue.record("it was not refused")
            return
        }
        #expect(error.code == .notFound)
    }

    @Test func `a pause says since when`() {
        let broker = broker()
        broker.run(.setPaused("jobs", true))
        _ = broker.publish("a", to: "jobs")
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.paused, .noConsumer])
        #expect(reasons.first?.facts["since"] == .string("1970-01-01T00:16:40.000Z"))
    }

    @Test func `a prefetch that is used up says by whom, what and since when`() {
        let broker = broker()
        broker.run(.consume(Consume(queue: "jobs", tag: "w", prefetch: 2)))
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        let reasons = why(broker)
        let text =
            "consumer 'w' of 'test' holds 2 messages, as many as its prefetch allows; message 1 since "
            + "1970-01-01T00:16:40.000Z"
        #expect(reasons.map(\.text) == [text])
        broker.advance(milliseconds: 10_000)
        #expect(
            why(broker).first?.text
                == text + "; 'leveret connections close 1' gives back what it holds")
        #expect(reasons.first?.facts["connection"] == .int(1))
        #expect(reasons.first?.kind == .prefetch && reasons.first?.facts["position"] == .int(1))
    }

    @Test func `who holds messages is named, a GET too`() {
        let broker = broker()
        _ = broker.publish("a", to: "jobs")
        _ = broker.get("jobs")
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.empty, .held])
        #expect(reasons.last?.facts["held_by"] == .string("test/get"))
    }

    @Test func `a session that holds all it may, and one that does not read`() {
        var limits = CoreLimits()
        limits.outgoingBytesMax = 100
        let broker = broker([:], limits)
        broker.run(.setSessionPrefetch(1))
        broker.run(.consume(Consume(queue: "jobs", tag: "w")))
        for body in ["a", "b"] { _ = broker.publish(body, to: "jobs") }
        #expect(why(broker).map(\.kind) == [.session, .held])

        let deaf = broker.openSession()
        let message = Message(exchange: "", routingKey: "jobs", body: [UInt8](repeating: 0, count: 80))
        broker.core.submit(1, .consume(Consume(queue: "jobs", tag: "d")), from: deaf, now: broker.now)
        for _ in 0..<3 {
            broker.core.submit(2, .publish(message, mandatory: false), from: deaf, now: broker.now)
        }
        #expect(why(broker).map(\.kind).contains(.notReading))
    }

    @Test func `a single active consumer that is stuck says who stands by`() {
        let broker = broker(["x-single-active-consumer": .bool(true)])
        broker.run(.consume(Consume(queue: "jobs", tag: "one", prefetch: 1)))
        broker.run(.consume(Consume(queue: "jobs", tag: "two")), from: broker.openSession())
        for body in ["a", "b"] { _ = broker.publish(body, to: "jobs") }
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.prefetch, .standBy])
        #expect(
            reasons.last?.text
                == "only consumer 'one' of 'test' gets messages, being the single active one; 1 stands by until it goes"
        )
        #expect(reasons.last?.facts["stand_by"] == .int(1))
    }

    @Test func `messages that expire before their turn, by the pace and by the count`() {
        let broker = broker(["x-message-ttl": .int(2_000)])
        for _ in 0..<50 { _ = broker.publish("a", to: "jobs") }
        for _ in 0..<5 { _ = broker.get("jobs", autoAck: true) }
        broker.advance(milliseconds: 1_000)
        let slow = why(broker).first { $0.kind == .expiring }
        #expect(
            slow?.text.hasPrefix("messages live for 2 s (argument) and at ") == true, "\(slow?.text ?? "")")
        #expect(slow?.text.hasSuffix("they expire before that") == true)
        #expect(slow?.facts["ttl"] == .int(2_000))
        broker.advance(milliseconds: 1_001)
        let gone = why(broker)
        #expect(gone.map(\.kind) == [.empty, .expiring])
        #expect(
            gone.last?.text
                == "messages expired before they were taken, living for 2 s (argument): 45 since the start; what "
                + "expired is gone, for the queue has no dead-letter exchange")
    }

    @Test func `what died is in the parking queue where its exchange isn't there, and the policy is named`() {
        let broker = broker()
        let definition: FieldTable = [
            "x-message-ttl": .int(1_000), "x-dead-letter-exchange": .string("none"),
        ]
        broker.run(.setPolicy(Policy("short", pattern: "jobs", definition: definition)))
        _ = broker.publish("a", to: "jobs")
        broker.advance(milliseconds: 1_001)
        let reason = why(broker).first { $0.kind == .expiring }
        #expect(
            reason?.text
                == "messages expired before they were taken, living for 1 s (policy 'short'): 1 since the start; "
                + "exchange 'none', where dead letters go, isn't there, so they stand in 'leveret.parked'")
        #expect(reason?.facts["ttl_origin"] == .string("policy 'short'"))
    }

    @Test func `what left a full queue is told`() {
        let broker = broker(["x-max-length": .int(1)])
        for _ in 0..<1_235 { _ = broker.publish("a", to: "jobs") }
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.noConsumer, .dropping])
        #expect(
            reasons.last?.text
                == "1,234 messages left it since the start because it was full; what left is gone, for the queue has no "
                + "dead-letter exchange")
        #expect(reasons.last?.facts["maxlen"] == .int(1_234))
    }

    @Test func `messages that fail for good are told, and where they went`() {
        let broker = broker()
        func fail(_ outcome: Settlement.Outcome) {
            _ = broker.publish("a", to: "jobs")
            _ = broker.get("jobs")
            broker.run(.settle(Settlement(outcome, DeliveryTag(0), multiple: true)))
        }
        fail(.deadLetter)
        let gone = why(broker)
        #expect(gone.map(\.kind) == [.empty, .failing])
        #expect(
            gone.last?.text
                == "1 message was rejected since the start, the last at 1970-01-01T00:16:40.000Z; what failed "
                + "is gone, for the queue has no dead-letter exchange")
        let policy: FieldTable = [
            "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead"),
            "x-delivery-limit": .int(0),
        ]
        broker.run(.setPolicy(Policy("p", pattern: "jobs", definition: policy)))
        fail(.deadLetter)
        fail(.fail)
        let kept = why(broker).last
        #expect(
            kept?.text
                == "2 messages were rejected and 1 message failed more often than the delivery limit allows since "
                + "the start, the last at 1970-01-01T00:16:40.000Z; what failed went to exchange '' with the key 'dead', "
                + "and 'leveret dead list' has the reasons")
        #expect(kept?.facts["rejected"] == .int(2) && kept?.facts["delivery_limit"] == .int(1))
        #expect(kept?.facts["exchange"] == .string("") && kept?.facts["key"] == .string("dead"))
    }

    @Test func `messages that come back again and again are told with the one that does so most`() {
        let broker = broker()
        _ = broker.publish("poison", to: "jobs")
        func tryAgain(_ times: Int) {
            for _ in 0..<times {
                _ = broker.get("jobs")
                broker.run(.settle(Settlement(.fail, DeliveryTag(0), multiple: true)))
            }
        }
        tryAgain(9)
        broker.advance(milliseconds: 1_000)
        // A few times may be chance.
        #expect(why(broker).map(\.kind) == [.noConsumer])
        tryAgain(11)
        broker.advance(milliseconds: 1_000)
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.noConsumer, .returning])
        #expect(
            reasons.last?.text
                == "of 11 deliveries a second 11 come back: message 1 was handed out 20 times; a delayed "
                + "retry makes such messages wait, a delivery limit ends them")
        #expect(reasons.last?.facts["failed"] == .int(20))
        let info = broker.info("jobs")
        #expect(info?.returned == 20 && info?.returnRate == 11)
        broker.advance(milliseconds: 5_000)
        #expect(why(broker).map(\.kind) == [.noConsumer])
    }

    @Test func `publishes that pass a queue by are told with their exchange`() {
        let broker = broker()
        broker.run(.declareExchange(ExchangeDefinition("e", type: .topic), passive: false))
        broker.run(.bind(Binding(source: "e", target: .queue("jobs"), routingKey: "a.#")))
        #expect(why(broker).map(\.kind) == [.empty])
        _ = broker.run(.publish(Message(exchange: "e", routingKey: "b", body: [1]), mandatory: false))
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.empty, .elsewhere])
        #expect(
            reasons.last?.text
                == "1 message came to exchange 'e' since the start and none matched 'a.#', by which queue "
                + "'jobs' is bound; 'leveret route e KEY' shows the way of a message")
        _ = broker.run(.publish(Message(exchange: "e", routingKey: "a.b", body: [1]), mandatory: false))
        #expect(why(broker).map(\.kind) == [.noConsumer])
    }

    @Test func `more that comes in than goes out is told with both rates`() {
        let broker = broker()
        broker.run(.consume(Consume(queue: "jobs", tag: "w", prefetch: 5)))
        for _ in 0..<100 { _ = broker.publish("a", to: "jobs") }
        broker.advance(milliseconds: 1_000)
        broker.found("jobs")?.consumers.first?.unacked = 0  // its acks are on the way
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.held, .goesOn, .behind])
        #expect(reasons.last?.text.hasPrefix("its consumers do not keep up: ") == true)
        #expect(reasons.last?.facts["in_rate"] != nil && reasons.last?.facts["out_rate"] != nil)
        broker.found("jobs")?.consumers.first?.unacked = 5
    }

    @Test func `a hand-over that waits for others`() {
        let broker = broker(["x-single-active-consumer": .bool(true)])
        let other = broker.openSession()
        broker.run(.consume(Consume(queue: "jobs", tag: "one", prefetch: 1)))
        broker.run(.consume(Consume(queue: "jobs", tag: "two")), from: other)
        for body in ["a", "b"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        broker.run(.cancel("one", requeue: false))
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.handOver, .held])
        #expect(reasons.first?.facts["held_by_others"] == .int(1))
    }

    @Test func `all is well once neither an alarm nor a warning stands`() {
        let broker = CoreHarness()
        func told() -> [BrokerEvent] { broker.core.takeOutputs().events }
        broker.core.setWarnings(["something else writes"])
        broker.core.setAlarm("the disk is full", now: broker.now)
        #expect(told() == [.alarmRaised("something else writes"), .alarmRaised("the disk is full")])
        broker.core.setAlarm(nil, now: broker.now)
        #expect(told() == [])
        broker.core.setWarnings([])
        #expect(told() == [.alarmCleared])
    }

    @Test func `a full queue, an alarm and a shutdown`() {
        let broker = broker(["x-max-length": .int(1), "x-overflow": .string("reject-publish")])
        _ = broker.publish("a", to: "jobs")
        broker.core.setAlarm("the disk is full", now: broker.now)
        #expect(why(broker).map(\.kind) == [.noConsumer, .full, .alarm])
        #expect(
            why(broker)[1].text == "queue 'jobs' is full and refuses publishes: 1 of 1 message, 1 bytes")
        broker.core.beginDraining(now: broker.now)
        #expect(why(broker).map(\.kind) == [.draining, .full, .alarm])
    }

    @Test func `where nothing stands still it says so`() {
        var limits = CoreLimits()
        limits.outgoingBytesMax = 100
        let broker = broker([:], limits)
        let deaf = broker.openSession()
        broker.core.submit(1, .consume(Consume(queue: "jobs", tag: "d")), from: deaf, now: broker.now)
        for _ in 0..<3 { _ = broker.publish(String(repeating: ".", count: 60), to: "jobs") }
        #expect(why(broker).map(\.kind) == [.notReading, .held])
        broker.run(.consume(Consume(queue: "jobs", tag: "w")))
        #expect(why(broker).map(\.kind) == [.empty, .held, .held])
    }

    @Test func `what is delayed says until when, in memory or only stored`() {
        let broker = broker()
        for delay in [500, 90_000] as [Int64] {
            _ = broker.publish("a", to: "jobs", headers: ["x-delay": .int(delay)])
        }
        broker.settle()
        var reasons = why(broker)
        #expect(reasons.map(\.kind) == [.empty, .delayed])
        #expect(
            reasons.last?.text
                == "2 messages of queue 'jobs' are delayed, the next until 1970-01-01T00:16:40.500Z; 'leveret delayed "
                + "jobs' shows what waits, and 'leveret msg edit jobs POSITION --delay 0' makes one ready")
        #expect(reasons.last?.facts["delayed"] == .int(2))
        broker.advance(milliseconds: 500)
        _ = broker.get("jobs", autoAck: true)
        reasons = why(broker)
        #expect(reasons.map(\.kind) == [.empty, .delayed])
        #expect(reasons.last?.facts["due"] == .string("1970-01-01T00:18:10.000Z"))
        // What is delayed holds nothing up.
        broker.run(.consume(Consume(queue: "jobs", tag: "w")))
        #expect(why(broker).map(\.kind) == [.empty, .delayed])
    }

    @Test(arguments: [500, 90_000] as [Int64])
    func `a retry that waits says how often it failed and when it is tried again`(delay: Int64) {
        let broker = broker(["x-delayed-retry-type": .string("all"), "x-delayed-retry-min": .int(delay)])
        _ = broker.publish("a", to: "jobs")
        _ = broker.get("jobs")
        broker.run(.settle(Settlement(.fail, 1)))
        broker.settle()
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.empty, .delayed, .retry])
        let due = broker.now.advanced(byMilliseconds: delay).iso8601
        #expect(reasons.last?.text == "message 1 came back, having failed once, and is tried again at \(due)")
        #expect(reasons.last?.facts == ["position": .int(1), "failed": .int(1), "due": .string(due)])
        broker.advance(milliseconds: delay)
        #expect(why(broker).map(\.kind) == [.noConsumer])
    }

    @Test func `doubles that were dropped are told`() {
        let broker = broker(["x-deduplicate": .int(1000)])
        for _ in 0..<3 {
            _ = broker.publish("a", to: "jobs", headers: ["x-deduplication-header": .string("1")])
        }
        let reasons = why(broker)
        #expect(reasons.map(\.kind) == [.noConsumer, .doubles])
        #expect(
            reasons.last?.text == "publishes were dropped because their ids had been seen: 2 messages, "
                + "the last at 1970-01-01T00:16:40.000Z")
        #expect(reasons.last?.facts["deduplicated"] == .int(2))
    }

    @Test func `messages that are being read, and publishers that wait for the disk`() {
        let before = broker()
        _ = before.publish("a", to: "jobs")
        before.settle()
        var limits = CoreLimits()
        limits.gatheredBytesMax = 1
        let after = before.crashed(limits: limits)
        after.core.submit(
            1, .get("jobs", autoAck: false, waitMilliseconds: 9), from: after.session, now: after.now)
        guard case .reasons(let reading)? = after.ask(.why("jobs")) else {
            Issue.record("no answer")
            return
        }
        #expect(reading.map(\.kind) == [.reading])
        after.settle()
        after.core.submit(
            2, .publish(Message(exchange: "", routingKey: "jobs", body: [1, 2]), mandatory: false),
            from: after.session, now: after.now)
        guard case .reasons(let pressed)? = after.ask(.why("jobs")) else {
            Issue.record("no answer")
            return
        }
        #expect(pressed.map(\.kind) == [.noConsumer, .held, .alarm])
        #expect(pressed.last?.facts["waiting_bytes"] != nil)
    }

    @Test func `a queue from which messages go out says so`() {
        let broker = broker()
        broker.run(.consume(Consume(queue: "jobs", tag: "w", prefetch: 1)))
        for body in ["a", "b"] { _ = broker.publish(body, to: "jobs") }
        // Its answer to the ack is not there yet: it has room, and the next is on its way.
        broker.found("jobs")?.consumers.first?.unacked = 0
        #expect(why(broker).map(\.kind) == [.held, .goesOn])
        broker.found("jobs")?.consumers.first?.unacked = 1
    }
}
