// Doubles: a client's publish whose id was seen is confirmed and dropped, in memory or after asking the store.

import Testing

@testable import LeveretCore

@Suite struct DeduplicationTests {
    private func publish(
        _ broker: CoreHarness, _ id: String?, to queue: String = "jobs", exchange: ExchangeName = "",
        header: FieldValue? = nil, delay: Int64? = nil, expiration: String? = nil, persistent: Bool = true
    ) -> Answer? {
        var properties = MessageProperties()
        properties.messageID = id
        properties.expiration = expiration
        properties.headers[HeaderName.deduplication] = header
        properties.headers[HeaderName.delay] = delay.map { .int($0) }
        let message = Message(
            exchange: exchange, routingKey: queue, properties: properties.isEmpty ? nil : properties,
            isPersistent: persistent, body: Array((id ?? "none").utf8))
        return broker.run(.publish(message, mandatory: true))
    }

    private func routed(_ answer: Answer?) -> Int? {
        if case .routed(let count)? = answer { count } else { nil }
    }

    @Test func `an id counts for its window`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .int(100)])
        #expect(routed(publish(broker, "a")) == 1)
        #expect(routed(publish(broker, "a")) == 0)
        #expect(routed(publish(broker, "b")) == 1)
        #expect(routed(publish(broker, nil)) == 1)
        #expect(routed(publish(broker, nil)) == 1)
        broker.run(.purge("jobs"))
        broker.advance(milliseconds: 99)
        #expect(routed(publish(broker, "a")) == 0)
        broker.advance(milliseconds: 1)
        #expect(routed(publish(broker, "a")) == 1)
        #expect(broker.info("jobs")?.deduplicated == 2)
        #expect(broker.info("jobs")?.ready == 1)
    }

    @Test func `what is acked before it is written is confirmed when its id is stored`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .int(10_000)])
        var properties = MessageProperties()
        properties.messageID = "a"
        let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [1])
        let ticket = Ticket(broker.nextTicket)
        #expect(broker.ask(.publish(message, mandatory: true)) == nil)
        #expect(broker.get("jobs")?.tag == 1)
        broker.ask(.settle(Settlement(.ack, 1)))
        #expect(broker.answer(ticket, of: broker.session) == nil)
        #expect(broker.commit())
        broker.drain(broker.session)
        #expect(routed(broker.answer(ticket, of: broker.session)) == 1)
        #expect(broker.rows.isEmpty && broker.ids.count == 1)
        #expect(routed(publish(broker, "a")) == 0)
    }

    @Test func `an id counts while its message is queued or held, and not longer`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        for isPersistent in [true, false] {
            #expect(routed(publish(broker, "a", persistent: isPersistent)) == 1)
            #expect(routed(publish(broker, "a", persistent: isPersistent)) == 0)
            let held = broker.get("jobs")
            #expect(routed(publish(broker, "a", persistent: isPersistent)) == 0)
            broker.run(.settle(Settlement(.requeue, held?.tag ?? 0)))
            #expect(routed(publish(broker, "a", persistent: isPersistent)) == 0)
            broker.run(.purge("jobs"))
        }
        #expect(routed(publish(broker, "a")) == 1)
    }

    @Test func `an id counts while its message is delayed, also after a restart`() {
        let before = CoreHarness()
        before.queue("jobs", ["x-deduplicate": .string("while-queued")])
        #expect(routed(publish(before, "a", delay: 60_000)) == 1)
        #expect(routed(publish(before, "a")) == 0)
        before.settle()
        let after = before.crashed()
        #expect(routed(publish(after, "a")) == 0)
        #expect(routed(publish(after, "b")) == 1)
    }

    @Test func `the header comes before the message id, and must be a string or a whole number`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .int(1000)])
        #expect(routed(publish(broker, "a", header: .int(7))) == 1)
        #expect(routed(publish(broker, "b", header: .int(7))) == 0)
        #expect(routed(publish(broker, "a")) == 1)
        for header in [FieldValue.bool(true), .string(String(repeating: "x", count: 256))] {
            guard case .refused(let error)? = publish(broker, "c", header: header) else {
                Issue.record("\(header.shown.prefix(20)) was taken")
                continue
            }
            #expect(error.code == .preconditionFailed)
        }
    }

    @Test func `what memory has forgotten the store knows, and publishes keep their order meanwhile`() {
        var limits = CoreLimits()
        limits.seenIDsMax = 1
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": .int(10_000)])
        for id in ["a", "b", "c", "d"] { #expect(routed(publish(broker, id)) == 1) }
        #expect(routed(publish(broker, "a")) == 0)
        var tickets: [Ticket] = []
        for (place, id) in ["e", "b", "f"].enumerated() {
            var properties = MessageProperties()
            properties.messageID = id
            let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
            let ticket = Ticket(UInt64(1000 + place))
            tickets.append(ticket)
            broker.core.submit(
                ticket, .publish(message, mandatory: false), from: broker.session, now: broker.now)
        }
        broker.settle()
        #expect(tickets.map { routed(broker.answer($0, of: broker.session)) } == [1, 0, 1])
        let ids = (0..<6).map { _ in broker.get("jobs", autoAck: true)?.message.properties?.messageID }
        #expect(ids == ["a", "b", "c", "d", "e", "f"])
    }

    @Test func `the store is asked about a queue's ids when the exchange has just forgotten its own`() {
        var limits = CoreLimits()
        limits.seenIDsMax = 1
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        broker.run(
            .declareExchange(
                ExchangeDefinition("logs", type: .fanout, arguments: ["x-deduplicate": .int(100)]),
                passive: false))
        broker.run(.bind(Binding(source: "logs", target: .queue("jobs"), routingKey: "")))
        for id in ["a", "b", "c"] {
            #expect(routed(publish(broker, id, to: "", exchange: "logs")) == 1)
        }
        broker.advance(milliseconds: 100)
        #expect(routed(publish(broker, "c", to: "", exchange: "logs")) == 0)
        broker.run(.purge("jobs"))
        #expect(routed(publish(broker, "c", to: "", exchange: "logs")) == 1)
    }

    @Test func `memory holds few ids though the store is asked all the time`() {
        var limits = CoreLimits()
        (limits.seenIDsMax, limits.idFilterBytesMax) = (1, 0)
        limits.sliceCount = 1
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": .int(10_000)])
        for id in ["a", "b", "c"] { #expect(routed(publish(broker, id)) == 1) }
        for number in 0..<20 {
            var properties = MessageProperties()
            properties.messageID = "\(number)"
            let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
            broker.core.submit(
                Ticket(UInt64(number)), .publish(message, mandatory: false), from: broker.session,
                now: broker.now)
        }
        for _ in 0..<15 {
            broker.serveLoads()
            broker.commit()
        }
        #expect(broker.core.waitingForIDs.count == 5)
        #expect(broker.core.seenIDs.count <= 3)
    }

    @Test(arguments: [FieldValue.int(10_000), .string("while-queued")])
    func `the store is not asked about an id that memory has never had`(setting: FieldValue) {
        var limits = CoreLimits()
        limits.seenIDsMax = 1
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": setting])
        let ids = (0..<2_000).map { "\($0)" }
        for id in ids { _ = publish(broker, id) }
        var asked = 0
        for number in 0..<300 {
            var properties = MessageProperties()
            properties.messageID = "new \(number)"
            let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
            broker.core.submit(1, .publish(message, mandatory: false), from: broker.session, now: broker.now)
            asked += broker.core.idLookup == nil ? 0 : 1
            broker.settle()
        }
        // Of a filter, one in a hundred or so passes.
        #expect(asked < 30)
        #expect(ids.prefix(100).allSatisfy { routed(publish(broker, $0)) == 0 })
    }

    @Test func `an id that was made for its message is not looked for, and counts from then on`() {
        var limits = CoreLimits()
        (limits.seenIDsMax, limits.idFilterBytesMax) = (1, 0)
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        for id in ["a", "b", "c"] { #expect(routed(publish(broker, id)) == 1) }
        func submit(_ ticket: Ticket, _ id: String, isNew: Bool) {
            var properties = MessageProperties()
            properties.messageID = id
            let message = Message(
                exchange: "", routingKey: "jobs", shared: SharedProperties(properties), isPersistent: true,
                body: [], hasNewID: isNew)
            broker.core.submit(
                ticket, .transaction([.publish(message, mandatory: true)]), from: broker.session,
                now: broker.now)
        }
        submit(1_000, "d", isNew: true)
        #expect(broker.core.idLookup == nil)
        // Behind one that waits for the store it waits, too.
        submit(1_001, "a", isNew: false)
        submit(1_002, "e", isNew: true)
        #expect(broker.core.waitingForIDs.count == 2)
        broker.settle()
        let ready = (0..<6).map { _ in broker.get("jobs", autoAck: false)?.message.properties?.messageID }
        #expect(ready == ["a", "b", "c", "d", "e", nil])
        for id in ["d", "e"] { #expect(routed(publish(broker, id)) == 0) }
    }

    @Test func `once a queue is empty the store is not asked any more`() {
        var limits = CoreLimits()
        (limits.seenIDsMax, limits.idFilterBytesMax) = (1, 0)
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        for id in ["a", "b", "c"] { #expect(routed(publish(broker, id)) == 1) }
        for _ in 0..<3 {
            #expect(!broker.core.seenIDs.isComplete)
            broker.run(.settle(Settlement(.ack, broker.get("jobs")?.tag ?? 0)))
        }
        #expect(broker.core.seenIDs.isComplete)
        #expect(routed(publish(broker, "a")) == 1)
        #expect(routed(publish(broker, "a")) == 0)
    }

    @Test func `a queue is not empty while what it hands over may come back`() {
        var limits = CoreLimits()
        limits.seenIDsMax = 1
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        for id in ["a", "b", "c"] { #expect(routed(publish(broker, id)) == 1) }
        let held = broker.get("jobs")
        let session = broker.openSession()
        let consume = Request.consume(Consume(queue: "jobs", tag: "c", autoAck: true))
        broker.core.submit(1, consume, from: session, now: broker.now)
        broker.ask(.settle(Settlement(.ack, held?.tag ?? 0)))
        broker.core.closeSession(session, now: broker.now)
        broker.settle()
        #expect(broker.info("jobs")?.ready == 2)
        for id in ["b", "c"] { #expect(routed(publish(broker, id)) == 0) }
        #expect(routed(publish(broker, "a")) == 1)
    }

    @Test func `a queue is not empty while what a connection's other session has not drained comes back`() {
        var limits = CoreLimits()
        (limits.seenIDsMax, limits.idFilterBytesMax) = (1, 0)
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        #expect(routed(publish(broker, "a", expiration: "50")) == 1)
        for id in ["b", "c"] { #expect(routed(publish(broker, id)) == 1) }
        let connection = broker.core.openConnection(name: "other", now: broker.now)
        let sessions = (0..<2).map { _ in broker.core.openSession(on: connection, now: broker.now) }
        let get = Request.get("jobs", autoAck: true, waitMilliseconds: 0)
        for session in [sessions[0], sessions[1], sessions[1]] {
            broker.core.submit(1, get, from: session, now: broker.now)
        }
        broker.now = broker.now.advanced(byMilliseconds: 100)
        broker.core.closeConnection(connection, now: broker.now)
        broker.settle()
        #expect(broker.info("jobs")?.ready == 2)
        for id in ["b", "c"] { #expect(routed(publish(broker, id)) == 0) }
        #expect(routed(publish(broker, "a")) == 1)
    }

    @Test func `once automatic acks have emptied a queue the store is not asked any more`() {
        var limits = CoreLimits()
        (limits.seenIDsMax, limits.idFilterBytesMax) = (1, 0)
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        for id in ["a", "b", "c"] { #expect(routed(publish(broker, id)) == 1) }
        #expect(!broker.core.seenIDs.isComplete)
        broker.run(.consume(Consume(queue: "jobs", tag: "c", autoAck: true)))
        broker.settle()
        #expect(broker.deliveries().count == 3)
        #expect(broker.core.seenIDs.isComplete)
    }

    @Test(arguments: [FieldValue.int(10_000), .string("while-queued")])
    func `the store is asked without waiting for a commit, unless ids leave with their messages`(
        setting: FieldValue
    ) {
        var limits = CoreLimits()
        limits.seenIDsMax = 1
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": setting])
        for id in ["a", "b", "c"] { #expect(routed(publish(broker, id)) == 1) }
        _ = broker.core.takeOutputs()
        let committed = broker.core.committedBarrier
        let others = Message(exchange: "", routingKey: "jobs", isPersistent: true, body: [])
        broker.core.submit(1, .publish(others, mandatory: false), from: broker.session, now: broker.now)
        var properties = MessageProperties()
        properties.messageID = "a"
        let double = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
        broker.core.submit(2, .publish(double, mandatory: false), from: broker.session, now: broker.now)
        let asked = broker.core.takeOutputs().loads.map(\.barrier)
        #expect(asked == [setting == .int(10_000) ? committed : broker.core.latestBarrier])
    }

    @Test func `an exchange drops what it has handed on before, whatever the queue`() {
        let broker = CoreHarness()
        broker.run(
            .declareExchange(
                ExchangeDefinition("logs", type: .fanout, arguments: ["x-deduplicate": .int(100)]),
                passive: false))
        broker.queue("one")
        broker.run(.bind(Binding(source: "logs", target: .queue("one"), routingKey: "")))
        #expect(routed(publish(broker, "a", to: "", exchange: "logs")) == 1)
        broker.queue("two")
        broker.run(.bind(Binding(source: "logs", target: .queue("two"), routingKey: "")))
        #expect(routed(publish(broker, "a", to: "", exchange: "logs")) == 0)
        #expect(routed(publish(broker, "b", to: "", exchange: "logs")) == 2)
        #expect(routed(publish(broker, "a", to: "one")) == 1)
    }

    @Test func `dead letters and moves are never taken for doubles`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .int(100_000)])
        broker.queue(
            "first",
            ["x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("jobs")])
        #expect(routed(publish(broker, "a")) == 1)
        #expect(routed(publish(broker, "a", to: "first")) == 1)
        let held = broker.get("first")
        broker.run(.settle(Settlement(.deadLetter, held?.tag ?? 0)))
        #expect(broker.info("jobs")?.ready == 2)
        broker.run(.move(Move(from: "jobs", to: .queue("first"))))
        broker.run(.move(Move(from: "first", to: .queue("jobs"))))
        #expect(broker.info("jobs")?.ready == 2)
        #expect(routed(publish(broker, "a")) == 0)
    }

    @Test func `a publish that a full queue refused is no double when it comes again`() {
        let broker = CoreHarness()
        broker.queue(
            "jobs",
            [
                "x-deduplicate": .int(100_000), "x-max-length": .int(1),
                "x-overflow": .string("reject-publish"),
            ])
        #expect(routed(publish(broker, "a")) == 1)
        #expect(routed(publish(broker, "b")) == nil)
        broker.run(.purge("jobs"))
        #expect(routed(publish(broker, "b")) == 1)
    }

    @Test func `the exchange remembers a delayed publish, which a full queue takes all the same`() {
        let broker = CoreHarness()
        broker.run(
            .declareExchange(
                ExchangeDefinition("once", type: .fanout, arguments: ["x-deduplicate": .int(1000)]),
                passive: false))
        broker.queue("jobs", ["x-max-length": .int(0), "x-overflow": .string("reject-publish")])
        broker.run(.bind(Binding(source: "once", target: .queue("jobs"), routingKey: "")))
        #expect(routed(publish(broker, "a", exchange: "once", delay: 10)) == 1)
        #expect(routed(publish(broker, "a", exchange: "once", delay: 10)) == 0)
    }

    @Test func `an id that is only in the spill file outlives a purge of what is ready`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        #expect(routed(publish(broker, "a", delay: 60_000, persistent: false)) == 1)
        broker.run(.purge("jobs"))
        #expect(routed(publish(broker, "a", persistent: false)) == 0)
        broker.advance(milliseconds: 60_000)
        _ = broker.get("jobs", autoAck: true)
        #expect(routed(publish(broker, "a", persistent: false)) == 1)
    }

    @Test func `an id is gone with what came due and was purged while the store was asked`() {
        var limits = CoreLimits()
        (limits.windowCountMax, limits.windowCountMin) = (1, 1)
        let before = CoreHarness(limits: limits)
        before.queue("jobs", ["x-deduplicate": .string("while-queued")])
        for id in ["x", "y"] { #expect(routed(publish(before, id)) == 1) }
        #expect(routed(publish(before, "a", delay: 500)) == 1)
        before.settle()
        let broker = before.crashed()
        broker.advance(milliseconds: 1)
        var properties = MessageProperties()
        properties.messageID = "a"
        let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
        broker.core.submit(1000, .publish(message, mandatory: false), from: broker.session, now: broker.now)
        broker.now = broker.now.advanced(byMilliseconds: 500)
        broker.core.timeReached(now: broker.now)
        broker.ask(.purge("jobs"))
        broker.serveLoads()
        broker.settle()
        #expect(routed(broker.answer(1000, of: broker.session)) == 1)
    }

    @Test func `an id is gone with what a purge removes while the store is asked`() {
        let before = CoreHarness()
        before.queue("jobs", ["x-deduplicate": .string("while-queued")])
        #expect(routed(publish(before, "a")) == 1)
        // Where nothing is left, nobody is asked.
        #expect(routed(publish(before, "b", delay: 50_000)) == 1)
        before.settle()
        let broker = before.crashed()
        broker.ask(.purge("jobs"))
        var properties = MessageProperties()
        properties.messageID = "a"
        let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
        broker.core.submit(1000, .publish(message, mandatory: false), from: broker.session, now: broker.now)
        // The store answers between two parts of what the purge removes.
        guard let batch = broker.core.takeBatch(now: broker.now),
            let load = broker.core.takeOutputs().loads.last, case .ids(let keys) = load.kind
        else {
            Issue.record("the store was not asked for ids")
            return
        }
        broker.core.committed(batch.number, unfinished: batch.ranges, now: broker.now)
        var result = LoadResult(request: load, rows: [])
        result.ids = keys.map { StoredID(key: $0, expires: .distantFuture, number: 1, place: 1) }
        broker.commit()
        broker.core.loaded(result, now: broker.now)
        broker.settle()
        #expect(routed(broker.answer(1000, of: broker.session)) == 1)
    }

    @Test func `a queue does not know the ids of a transient one that a restart has taken`() {
        let before = CoreHarness()
        before.queue("jobs", ["x-deduplicate": .int(50_000)], durable: false)
        #expect(routed(publish(before, "a")) == 1)
        before.settle()
        let broker = before.crashed()
        broker.ask(.declareQueue(QueueDefinition("jobs", durable: false), passive: false))
        broker.ask(.setPolicy(Policy("p", pattern: "jobs", definition: ["x-deduplicate": .int(50_000)])))
        while broker.core.hasMoreWork { broker.core.continueWork(now: broker.now) }
        var properties = MessageProperties()
        properties.messageID = "a"
        let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
        broker.core.submit(1000, .publish(message, mandatory: false), from: broker.session, now: broker.now)
        broker.serveLoads()
        broker.settle()
        #expect(routed(broker.answer(1000, of: broker.session)) == 1)
    }

    @Test func `an id outlives a purge while a session that is closed still hands its message back`() {
        var limits = CoreLimits()
        limits.sliceCount = 1
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        let session = broker.openSession()
        for id in ["a", "b"] {
            #expect(routed(publish(broker, id)) == 1)
            broker.run(.get("jobs", autoAck: false, waitMilliseconds: 0), from: session)
        }
        broker.core.closeSession(session, now: broker.now)
        broker.ask(.purge("jobs"))
        broker.settle()
        #expect(routed(publish(broker, "a")) == 1)
        #expect(routed(publish(broker, "b")) == 0)
    }

    @Test func `what a full queue drops while the store is asked takes no id along`() {
        let before = CoreHarness()
        before.queue("jobs", ["x-deduplicate": .int(60_000)])
        before.queue("full", ["x-max-length": .int(0), "x-overflow": .string("reject-publish-dlx")])
        _ = publish(before, "a")
        before.settle()
        let broker = before.crashed()
        var properties = MessageProperties()
        properties.messageID = "a"
        let double = Message(exchange: "", routingKey: "jobs", properties: properties, body: [1])
        #expect(broker.ask(.publish(double, mandatory: false)) == nil)
        _ = broker.publish("x", to: "full")
        broker.settle()
        #expect(broker.info("full")?.deaths[.maxlen] == 1)
        #expect(broker.info("jobs")?.ready == 1)
    }

    @Test func `doubles within a transaction are dropped too`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        var properties = MessageProperties()
        properties.messageID = "a"
        let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
        let publish = Request.publish(message, mandatory: false)
        guard case .committed(let routed)? = broker.run(.transaction([publish, publish])) else {
            Issue.record("it was refused")
            return
        }
        #expect(routed == [1, 0])
    }

    @Test func `a wrong header refuses a transaction`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .string("while-queued")])
        var properties = MessageProperties()
        properties.headers[HeaderName.deduplication] = .bool(true)
        let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
        guard case .refused(let error)? = broker.run(.transaction([.publish(message, mandatory: true)]))
        else {
            Issue.record("it was taken")
            return
        }
        #expect(error.code == .preconditionFailed && error.part == 0)
    }

    @Test(arguments: [FieldValue.int(0), .int(-1), .string("always"), .bool(true), .int(.max)])
    func `a wrong x-deduplicate is refused by name, of a queue and of an exchange`(value: FieldValue) {
        let broker = CoreHarness()
        let arguments: FieldTable = ["x-deduplicate": value]
        let requests = [
            Request.declareQueue(QueueDefinition("jobs", arguments: arguments), passive: false),
            .declareExchange(ExchangeDefinition("logs", arguments: arguments), passive: false),
        ]
        for request in requests {
            guard case .refused(let error)? = broker.run(request) else {
                Issue.record("it was taken")
                continue
            }
            #expect(error.code == .preconditionFailed && error.text.contains("x-deduplicate"))
        }
    }
}
