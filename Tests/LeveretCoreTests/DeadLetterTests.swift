// Where messages go that leave their queue by rule, and what they tell of it.

import Testing

@testable import LeveretCore

@Suite struct DeadLetterTests {
    @Test func `a dead letter that reaches no queue is no unroutable publish`() throws {
        let broker = CoreHarness()
        broker.queue(
            "jobs",
            [
                "x-dead-letter-exchange": .string("amq.direct"),
                "x-dead-letter-routing-key": .string("nowhere"),
            ])
        _ = broker.publish("a", to: "jobs")
        _ = broker.get("jobs")
        broker.run(.settle(Settlement(.deadLetter, 1)))
        _ = broker.run(
            .publish(Message(exchange: "amq.direct", routingKey: "k", body: [1]), mandatory: false))
        guard case .page(.exchanges(let rows), _)? = broker.run(.list(.exchanges, match: "amq.direct")) else {
            Issue.record("no page")
            return
        }
        #expect(rows.map(\.published) == [2] && rows.map(\.unroutable) == [1])
    }

    @Test func `an ack of a dead letter waits until it has left its queue for good`() throws {
        broker.queue("dead")
        queue("jobs", to: "dead")
        _ = broker.publish("a", to: "jobs")
        broker.settle()
        let delivery = try #require(broker.get("jobs"))
        #expect(broker.ask(.settle(Settlement(.deadLetter, delivery.tag))) == nil)
        guard case .delivered(let letter, _)? = broker.ask(.get("dead", autoAck: false, waitMilliseconds: 0))
        else {
            Issue.record("no dead letter")
            return
        }
        // Nothing of it has been written, but that it is in 'jobs' no longer has not, either.
        #expect(broker.ask(.settle(Settlement(.ack, letter.tag))) == nil)
        #expect(broker.crashed().rows.count == 1)
        broker.settle()
        #expect(broker.crashed().rows.isEmpty)
    }

    @Test(arguments: [false, true], [Settlement.Outcome.ack, .deadLetter])
    func `so it does in a transient queue, of which nothing is written`(
        isInFlight: Bool, outcome: Settlement.Outcome
    ) throws {
        broker.queue("dead", durable: false)
        queue("jobs", to: "dead")
        _ = broker.publish("a", to: "jobs")
        broker.settle()
        let delivery = try #require(broker.get("jobs"))
        #expect(broker.ask(.settle(Settlement(.deadLetter, delivery.tag))) == nil)
        let batch = isInFlight ? broker.core.takeBatch(now: broker.now) : nil
        let letter = try #require(broker.get("dead"))
        #expect(broker.ask(.settle(Settlement(outcome, letter.tag))) == nil)
        #expect(broker.crashed().rows.count == 1)
        if let batch {
            broker.apply(batch)
            broker.core.committed(batch.number, unfinished: [], now: broker.now)
        }
        broker.settle()
        #expect(broker.crashed().rows.isEmpty)
        let answers = broker.events[broker.session]?.count {
            if case .answer(_, .done) = $0 { true } else { false }
        }
        #expect(answers == 2)
    }

    @Test func `where its message was never written, nothing waits any more`() throws {
        broker.queue("dead", durable: false)
        queue("jobs", to: "dead")
        _ = broker.publish("a", to: "dead")
        broker.settle()
        _ = broker.publish("b", to: "jobs")
        let delivery = try #require(broker.get("jobs"))
        #expect(broker.ask(.settle(Settlement(.deadLetter, delivery.tag))) == nil)
        broker.settle()
        let other = try #require(broker.get("dead"))
        #expect(broker.ask(.settle(Settlement(.ack, other.tag))) != nil)
    }

    private let broker = CoreHarness()

    /// A queue whose dead letters go to `key` by way of the default exchange.
    private func queue(_ name: QueueName, to key: String?, _ more: FieldTable = [:]) {
        var arguments: FieldTable = ["x-dead-letter-exchange": .string("")]
        if let key { arguments["x-dead-letter-routing-key"] = .string(key) }
        for field in more.fields { arguments[field.name] = field.value }
        broker.queue(name, arguments)
    }

    private func reject(_ delivery: Delivery?, _ text: String? = nil) {
        #expect(delivery != nil)
        broker.run(.settle(Settlement(.deadLetter, delivery?.tag ?? 0, errorText: text)))
    }

    @Test func `a death tells queue, reason, count, exchange, keys, time and the expiration taken away`() {
        broker.queue("dead")
        queue("jobs", to: "dead")
        broker.run(.bind(Binding(source: "amq.topic", target: .queue("jobs"), routingKey: "k.#")))
        var properties = MessageProperties()
        properties.expiration = "5000"
        properties.headers["CC"] = .array([.string("other")])
        let message = Message(exchange: "amq.topic", routingKey: "k.1", properties: properties, body: [1])
        broker.run(.publish(message, mandatory: false))
        reject(broker.get("jobs"), "boom")
        let letter = broker.get("dead")
        let death = Death(
            queue: "jobs", reason: .rejected, count: 1, exchange: "amq.topic", routingKeys: ["k.1", "other"],
            time: broker.now, originalExpiration: "5000")
        #expect(letter?.deaths?.deaths == [death])
        #expect(letter?.deaths?.originQueue == "jobs")
        #expect(letter?.deaths?.firstReason == .rejected)
        #expect(letter?.deaths?.errorText == "boom")
        #expect(letter?.message.properties == nil)
        #expect(letter?.message.routingKey == "dead")
    }

    @Test func `a consumer's text is cut between characters`() {
        broker.queue("dead")
        queue("jobs", to: "dead")
        _ = broker.publish("a", to: "jobs")
        reject(broker.get("jobs"), String(repeating: "€", count: 400))
        #expect(broker.get("dead")?.deaths?.errorText == String(repeating: "€", count: 341))
    }

    @Test func `what can't be routed for another reason than a missing exchange is parked with that reason`()
    {
        broker.queue("jobs", ["x-dead-letter-exchange": .string("amq.fanout")])
        _ = broker.publish("a", to: "jobs")
        var edit = MessageEdit("jobs", 1)
        edit.headers["CC"] = .int(5)
        broker.run(.edit(edit))
        reject(broker.get("jobs"))
        let error = broker.get(.parked)?.deaths?.errorText
        #expect(error?.contains("CC") == true && error?.contains("does not exist") == false)
    }

    @Test func `without a key of the queue's own a dead letter keeps its keys`() {
        broker.queue("dead")
        broker.queue("copy")
        broker.queue("jobs", ["x-dead-letter-exchange": .string("amq.direct")])
        for (name, key) in [("dead", "jobs"), ("copy", "extra")] {
            broker.run(
                .bind(
                    Binding(source: "amq.direct", target: .queue(QueueName(name)), routingKey: key)))
        }
        var properties = MessageProperties()
        properties.headers["CC"] = .array([.string("extra")])
        let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [1])
        broker.run(.publish(message, mandatory: false))
        reject(broker.get("jobs"))
        #expect(broker.get("dead")?.message.routingKey == "jobs")
        #expect(broker.get("copy") != nil)
    }

    @Test func `two rounds between two queues count per queue and reason, newest first`() {
        queue("jobs", to: "wait")
        queue("wait", to: "jobs", ["x-message-ttl": .int(10)])
        _ = broker.publish("a", to: "jobs")
        for _ in 0..<2 {
            reject(broker.get("jobs"))
            broker.advance(milliseconds: 10)
        }
        let deaths = broker.get("jobs")?.deaths
        #expect(deaths?.deaths.map(\.queue) == ["wait", "jobs"])
        #expect(deaths?.deaths.map(\.reason) == [.expired, .rejected])
        #expect(deaths?.deaths.map(\.count) == [2, 2])
        #expect(deaths?.originQueue == "jobs")
    }

    @Test func `a cycle of automatic deaths only is parked, with one rejection in it goes on`() {
        queue("a", to: "b", ["x-message-ttl": .int(10)])
        queue("b", to: "a", ["x-message-ttl": .int(10)])
        _ = broker.publish("x", to: "a")
        broker.advance(milliseconds: 10)
        #expect(broker.info("b")?.ready == 1)
        broker.advance(milliseconds: 10)
        #expect(broker.info("a")?.ready == 0)
        let parked = broker.get(.parked)
        #expect(parked?.deaths?.deaths.map(\.queue) == ["b", "a"])
        #expect(parked?.deaths?.errorText?.contains("'a' before") == true)
    }

    @Test func `a history that a client published changes neither cycles nor where it is replayed to`() {
        queue("a", to: "b", ["x-message-ttl": .int(10)])
        queue("b", to: "a", ["x-message-ttl": .int(10)])
        func death(_ queue: String, _ reason: String) -> FieldValue {
            .table(["queue": .string(queue), "reason": .string(reason), "count": .int(1)])
        }
        let claims = [death("a", "rejected"), death("b", "rejected"), death("b", "expired")]
        _ = broker.publish(
            "x", to: "a", headers: ["x-death": .array(claims), "x-first-death-queue": "secret"])
        broker.advance(milliseconds: 10)
        #expect(broker.info("b")?.ready == 1)
        broker.advance(milliseconds: 10)
        #expect(broker.info("a")?.ready == 0)
        let parked = broker.get(.parked)
        #expect(parked?.deaths?.deaths.map(\.queue) == ["b", "a"] && parked?.deaths?.originQueue == "a")
    }

    @Test func `a queue that dead-letters to itself by rejection may, by expiry parks`() {
        queue("jobs", to: "jobs")
        _ = broker.publish("a", to: "jobs")
        reject(broker.get("jobs"))
        let again = broker.get("jobs")
        #expect(again?.deaths?.deaths.first?.count == 1)
        reject(again)
        #expect(broker.get("jobs")?.deaths?.deaths.first?.count == 2)
        queue("late", to: "late", ["x-message-ttl": .int(10)])
        _ = broker.publish("b", to: "late")
        broker.advance(milliseconds: 10)
        #expect(broker.info("late")?.ready == 0)
        #expect(broker.get(.parked)?.text == "b")
    }

    @Test func `a target that is full parks the letter, and the others get it all the same`() {
        broker.queue("full", ["x-max-length": .int(0), "x-overflow": .string("reject-publish")])
        broker.queue("dead")
        broker.queue("jobs", ["x-dead-letter-exchange": .string("amq.fanout"), "x-max-length": .int(0)])
        for queue: QueueName in ["full", "dead"] {
            broker.run(.bind(Binding(source: "amq.fanout", target: .queue(queue))))
        }
        _ = broker.publish("a", to: "jobs")
        broker.settle()
        #expect(broker.get("dead")?.deaths?.errorText == nil)
        #expect(broker.get(.parked)?.deaths?.errorText?.contains("'full' is full") == true)
    }

    @Test func `a letter that is routed to the parking queue stands there once`() {
        queue("jobs", to: QueueName.parked.rawValue, ["x-max-length": .int(0)])
        for body in ["a", "b"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        #expect(broker.bodies(of: .parked) == ["a", "b"])
    }

    @Test func `an internal exchange takes dead letters`() {
        broker.queue("dead")
        let exchange = ExchangeDefinition("inner", type: .fanout, internal: true)
        broker.run(.declareExchange(exchange, passive: false))
        broker.run(.bind(Binding(source: "inner", target: .queue("dead"))))
        broker.queue("jobs", ["x-dead-letter-exchange": .string("inner"), "x-max-length": .int(0)])
        _ = broker.publish("a", to: "jobs")
        broker.settle()
        #expect(broker.bodies(of: "dead") == ["a"])
    }

    @Test func `without a dead-letter exchange a message is dropped, and counted by its reason`() {
        broker.queue("jobs")
        _ = broker.publish("a", to: "jobs")
        reject(broker.get("jobs"))
        #expect(broker.found("jobs")?.deaths == [.rejected: 1])
        #expect(broker.found(.parked) == nil)
        #expect(broker.rows.isEmpty)
    }

    @Test func `the parking queue is bounded and drops the oldest`() {
        var limits = CoreLimits()
        limits.parkedBytesMax = 3
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-dead-letter-exchange": .string("gone"), "x-max-length": .int(0)])
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        #expect(broker.info(.parked)?.ready == 3)
        _ = broker.publish("d", to: "jobs")
        #expect(broker.bodies(of: .parked) == ["b", "c", "d"])
    }

    @Test func `a message that died into two queues is safe when both have it, not one`() {
        for queue: QueueName in ["dead", "copy", "mails"] { broker.queue(queue) }
        broker.queue("jobs", ["x-dead-letter-exchange": .string("amq.fanout"), "x-max-length": .int(0)])
        for (source, queue) in [
            ("amq.fanout", "dead"), ("amq.fanout", "copy"), ("amq.direct", "jobs"), ("amq.direct", "mails"),
        ] {
            broker.run(
                .bind(
                    Binding(source: ExchangeName(source), target: .queue(QueueName(queue)), routingKey: "k")))
        }
        let message = Message(exchange: "amq.direct", routingKey: "k", body: [1])
        #expect(broker.ask(.publish(message, mandatory: false)) == nil)
        for queue: QueueName in ["dead", "mails"] {
            broker.ask(.get(queue, autoAck: true, waitMilliseconds: 0))
        }
        let isConfirmed = { [broker] in
            broker.events[broker.session]?.contains {
                if case .answer(_, .routed(2)) = $0 { true } else { false }
            }
        }
        #expect(isConfirmed() == false)
        broker.settle()
        #expect(isConfirmed() == true)
    }

    @Test func `dead letters that would multiply for ever are bounded and parked`() {
        var limits = CoreLimits()
        limits.deadLetterCopiesMax = 50
        let broker = CoreHarness(limits: limits)
        let names = (0..<9).map { QueueName("q\($0)") }
        for name in names {
            broker.queue(name, ["x-message-ttl": .int(1), "x-dead-letter-exchange": .string("amq.fanout")])
            broker.run(.bind(Binding(source: "amq.fanout", target: .queue(name))))
        }
        _ = broker.publish("a", to: "q0")
        for _ in 0..<20 { broker.advance(milliseconds: 2) }
        // q0's makes 8 and a parked one, each of these 7 and a parked one, which is over 50: these are parked.
        #expect(names.allSatisfy { broker.info($0)?.ready == 0 })
        #expect(broker.info(.parked)?.ready == 1 + 8)
        let text = broker.get(.parked).flatMap { _ in broker.get(.parked)?.deaths?.errorText }
        #expect(text?.contains("one of 9 copies that dead-lettering has made") == true, "\(text ?? "")")
    }

    @Test func `a first fan-out is as wide as its bindings, and a rejection counts anew`() {
        var limits = CoreLimits()
        limits.deadLetterCopiesMax = 2
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-dead-letter-exchange": .string("amq.fanout")])
        for name: QueueName in ["a", "b", "c"] {
            broker.queue(name, ["x-dead-letter-exchange": .string("amq.topic")])
            broker.run(.bind(Binding(source: "amq.fanout", target: .queue(name))))
        }
        for name: QueueName in ["d", "e"] {
            broker.queue(name)
            broker.run(.bind(Binding(source: "amq.topic", target: .queue(name), routingKey: "#")))
        }
        _ = broker.publish("x", to: "jobs")
        broker.run(.settle(Settlement(.deadLetter, broker.get("jobs")?.tag ?? 0)))
        #expect(broker.get("a")?.deaths?.copies == 3)
        broker.run(.settle(Settlement(.deadLetter, broker.get("b")?.tag ?? 0)))
        #expect(broker.get("d")?.deaths?.copies == 2 && broker.get("e") != nil)
        #expect(broker.info(.parked) == nil)
    }

    @Test func `a history is bounded, and what dies once more is parked`() {
        var limits = CoreLimits()
        limits.deathsMax = 3
        let broker = CoreHarness(limits: limits)
        for number in 0..<6 {
            broker.queue(
                QueueName("q\(number)"),
                [
                    "x-message-ttl": .int(1), "x-dead-letter-exchange": .string(""),
                    "x-dead-letter-routing-key": .string("q\(number + 1)"),
                ])
        }
        _ = broker.publish("a", to: "q0")
        for _ in 0..<12 { broker.advance(milliseconds: 2) }
        #expect(broker.info("q4")?.published == 0 && broker.info(.parked)?.ready == 1)
    }

    @Test func `the removal and all its copies stand in one batch`() {
        broker.queue("dead")
        broker.queue("copy")
        broker.queue("jobs", ["x-dead-letter-exchange": .string("amq.fanout")])
        for queue: QueueName in ["dead", "copy"] {
            broker.run(.bind(Binding(source: "amq.fanout", target: .queue(queue))))
        }
        _ = broker.publish("a", to: "jobs")
        broker.settle()
        let delivery = broker.get("jobs")
        broker.ask(.settle(Settlement(.deadLetter, delivery?.tag ?? 0)))
        let batch = broker.core.takeBatch(now: broker.now)
        #expect(batch?.removals == [delivery?.number ?? 0])
        #expect(batch?.inserts.count { $0.message != nil } == 2)
    }
}
