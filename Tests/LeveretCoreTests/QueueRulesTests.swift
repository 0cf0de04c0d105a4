// What a queue's arguments and attributes make it do, each at its limit and one past it.

import Testing

@testable import LeveretCore

@Suite struct QueueRulesTests {
    private let broker = CoreHarness()

    // MARK: - Time

    @Test func `with a TTL of 0 a message is handed to who waits, or expires at once`() {
        broker.queue("dead")
        broker.queue("jobs", FieldTable.toDead.adding(["x-message-ttl": .int(0)]))
        broker.publish(["a"], to: "jobs")
        #expect(broker.info("jobs")?.ready == 0)
        broker.run(.consume(Consume(queue: "jobs", tag: "c", prefetch: 1)))
        broker.publish(["b", "c"], to: "jobs")
        broker.settle()
        #expect(broker.deliveries().map(\.text) == ["b"])
        #expect(broker.bodies(of: "dead") == ["a", "c"])
    }

    @Test func `the smaller of the queue's TTL and the message's own counts`() {
        broker.queue("jobs", ["x-message-ttl": .int(50)])
        _ = broker.publish("long", to: "jobs", expiration: "80")
        _ = broker.publish("short", to: "jobs", expiration: "20")
        broker.advance(milliseconds: 20)
        #expect(broker.info("jobs")?.ready == 1)
        broker.advance(milliseconds: 29)
        #expect(broker.info("jobs")?.ready == 1)
        broker.advance(milliseconds: 1)
        #expect(broker.info("jobs")?.ready == 0)
    }

    @Test func `a crowd that expires at once goes slice by slice`() {
        var limits = CoreLimits()
        limits.sliceCount = 16
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-message-ttl": .int(10)])
        for number in 0..<40 { _ = broker.publish("\(number)", to: "jobs") }
        func ready() -> Int? { broker.found("jobs")?.readyCount }
        broker.now = broker.now.advanced(byMilliseconds: 10)
        broker.core.timeReached(now: broker.now)
        #expect(ready() == 38 && broker.hasMoreWork)
        broker.core.continueWork(now: broker.now)
        #expect(ready() == 36)
        // The later they are, the more go at once.
        for left in [32, 24, 8, 0] {
            broker.now = broker.now.advanced(byMilliseconds: 500)
            broker.core.continueWork(now: broker.now)
            #expect(ready() == left)
        }
        broker.settle()
        #expect(!broker.hasMoreWork)
    }

    @Test func `a crowd that expires at once is spread over several batches`() {
        var limits = CoreLimits()
        limits.sliceCount = 2
        limits.slicesPerBatch = 2
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs", ["x-message-ttl": .int(10)])
        for body in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        broker.now = broker.now.advanced(byMilliseconds: 10)
        broker.core.timeReached(now: broker.now)
        broker.core.continueWork(now: broker.now)
        #expect(broker.hasRoomForWork)
        broker.core.continueWork(now: broker.now)
        #expect(!broker.hasRoomForWork)
        #expect(broker.hasMoreWork)
        #expect(broker.core.commitWish == .now)
        broker.commit()
        #expect(broker.hasRoomForWork)
    }

    @Test func `an unused queue goes when its time is over, and a use starts it anew`() {
        broker.queue("jobs", ["x-expires": .int(100)])
        broker.advance(milliseconds: 99)
        #expect(broker.get("jobs") == nil)
        broker.advance(milliseconds: 99)
        broker.queue("jobs", ["x-expires": .int(100)])
        broker.run(.consume(Consume(queue: "jobs", tag: "c")))
        broker.advance(milliseconds: 500)
        broker.run(.cancel("c", requeue: true))
        broker.advance(milliseconds: 99)
        #expect(broker.found("jobs") != nil)
        broker.advance(milliseconds: 1)
        #expect(broker.found("jobs") == nil)
    }

    @Test func `a GET that waited in vain was a use until its end`() {
        broker.queue("jobs", ["x-expires": .int(100)])
        broker.ask(.get("jobs", autoAck: false, waitMilliseconds: 500))
        broker.advance(milliseconds: 500)
        broker.advance(milliseconds: 99)
        #expect(broker.found("jobs") != nil)
        broker.advance(milliseconds: 1)
        #expect(broker.found("jobs") == nil)
    }

    @Test func `a queue that a waiting GET has emptied goes when it is unused from then on`() {
        broker.queue("jobs", ["x-expires": .int(20)])
        broker.ask(.get("jobs", autoAck: true, waitMilliseconds: 500))
        broker.advance(milliseconds: 100)
        broker.publish(["a"], to: "jobs")
        broker.advance(milliseconds: 19)
        #expect(broker.found("jobs") != nil)
        broker.advance(milliseconds: 1)
        #expect(broker.found("jobs") == nil)
    }

    // MARK: - Deleting, and who may

    @Test func `if-unused and if-empty keep a queue that is used or not empty`() {
        broker.queue("jobs")
        broker.publish(["a"], to: "jobs")
        let ifEmpty = broker.refusal(of: .deleteQueue("jobs", ifUnused: false, ifEmpty: true))
        #expect(ifEmpty?.code == .preconditionFailed)
        #expect(ifEmpty?.text.contains("not empty: 1") == true)
        broker.run(.consume(Consume(queue: "jobs", tag: "c")))
        let ifUnused = broker.refusal(of: .deleteQueue("jobs", ifUnused: true, ifEmpty: false))
        #expect(ifUnused?.code == .preconditionFailed)
        #expect(ifUnused?.text.contains("in use by 1") == true)
        guard case .count(0)? = broker.run(.deleteQueue("jobs", ifUnused: false, ifEmpty: true)) else {
            Issue.record("a queue whose messages are all held is empty")
            return
        }
    }

    @Test func `an auto-delete queue goes with its last consumer and not before`() {
        let definition = QueueDefinition("jobs", autoDelete: true)
        broker.run(.declareQueue(definition, passive: false))
        for tag: ConsumerTag in ["a", "b"] { broker.run(.consume(Consume(queue: "jobs", tag: tag))) }
        broker.run(.cancel("a", requeue: true))
        #expect(broker.found("jobs") != nil)
        broker.run(.cancel("b", requeue: true))
        #expect(broker.found("jobs") == nil)
        broker.run(.declareQueue(definition, passive: false))
        let other = broker.openSession()
        broker.run(.consume(Consume(queue: "jobs", tag: "c")), from: other)
        broker.core.closeSession(other, now: broker.now)
        #expect(broker.found("jobs") == nil)
    }

    @Test func `an exchange that goes with a transient queue's binding leaves none of its own in the store`()
    {
        broker.queue("jobs", durable: false)
        broker.run(.declareExchange(ExchangeDefinition("last", autoDelete: true), passive: false))
        let upstream = Binding(source: "amq.fanout", target: .exchange("last"))
        broker.run(.bind(upstream))
        broker.run(.bind(Binding(source: "last", target: .queue("jobs"))))
        broker.run(.deleteQueue("jobs", ifUnused: false, ifEmpty: false))
        #expect(broker.definitions.suffix(2).contains(.deleteExchange("last", in: .default)))
        #expect(broker.definitions.suffix(2).contains(.deleteBinding(upstream, in: .default)))
    }

    @Test func `an exclusive queue is refused to others and goes with its connection, held messages too`() {
        let connection = broker.core.openConnection(name: "owner", now: broker.now)
        let owner = broker.core.openSession(on: connection, now: broker.now)
        broker.run(.declareQueue(QueueDefinition("own", exclusive: true), passive: false), from: owner)
        broker.publish(["a", "b"], to: "own")
        let strangers: [Request] = [
            .declareQueue(QueueDefinition("own", exclusive: true), passive: false),
            .declareQueue(QueueDefinition("own"), passive: true), .purge("own"),
            .get("own", autoAck: true, waitMilliseconds: 0), .consume(Consume(queue: "own", tag: "c")),
            .deleteQueue("own", ifUnused: false, ifEmpty: false), .move(Move(from: "own", to: .queue("own"))),
            .bind(Binding(source: "amq.fanout", target: .queue("own"))),
        ]
        for request in strangers { #expect(broker.refusal(of: request)?.code == .resourceLocked) }
        broker.run(.get("own", autoAck: false, waitMilliseconds: 0), from: owner)
        broker.core.closeConnection(connection, now: broker.now)
        broker.settle()
        #expect(broker.found("own") == nil)
        #expect(broker.core.messageBytes == 0)
        #expect(broker.rows.isEmpty)
    }

    @Test func `an exclusive consumer keeps others out, and is kept out by them`() {
        broker.queue("jobs")
        broker.run(.consume(Consume(queue: "jobs", tag: "a", exclusive: true)))
        #expect(broker.refusal(of: .consume(Consume(queue: "jobs", tag: "b")))?.code == .accessRefused)
        broker.run(.cancel("a", requeue: true))
        broker.run(.consume(Consume(queue: "jobs", tag: "b")))
        let late = Consume(queue: "jobs", tag: "c", exclusive: true)
        #expect(broker.refusal(of: .consume(late))?.code == .accessRefused)
    }

    @Test func `a name with a reserved prefix is refused, an empty one is made up`() {
        for name: QueueName in ["amq.jobs", "leveret.jobs"] {
            let error = broker.refusal(of: .declareQueue(QueueDefinition(name), passive: false))
            #expect(error?.code == .accessRefused)
        }
        guard
            case .declared(let name, _, _)? = broker.run(
                .declareQueue(QueueDefinition(""), passive: false))
        else {
            Issue.record("not declared")
            return
        }
        #expect(name.rawValue.hasPrefix("amq.gen-"))
    }

    // MARK: - Who is next

    @Test func `the consumer that holds least is next, then they take turns`() {
        broker.queue("jobs")
        for tag: ConsumerTag in ["a", "b"] {
            broker.run(.consume(Consume(queue: "jobs", tag: tag, prefetch: 2)))
        }
        broker.publish(["1", "2", "3", "4", "5"], to: "jobs")
        #expect(broker.deliveries().map { $0.source.consumer } == ["a", "b", "a", "b"])
        for tag: DeliveryTag in [2, 4] { broker.ask(.settle(Settlement(.ack, tag))) }
        broker.publish(["6"], to: "jobs")
        #expect(broker.deliveries().dropFirst(4).map { $0.source.consumer } == ["b", "b"])
    }

    @Test func `a session's prefetch bounds all its consumers together`() {
        broker.queue("jobs")
        broker.run(.setSessionPrefetch(2))
        for tag: ConsumerTag in ["a", "b"] { broker.run(.consume(Consume(queue: "jobs", tag: tag))) }
        broker.publish(["1", "2", "3"], to: "jobs")
        #expect(broker.deliveries().count == 2)
        broker.run(.setSessionPrefetch(3))
        #expect(broker.deliveries().count == 3)
    }

    // MARK: - Publishing

    @Test func `mandatory returns what no queue takes, else it is dropped and counted`() {
        let message = Message(exchange: "amq.direct", routingKey: "nowhere", body: [1])
        guard case .unroutable? = broker.run(.publish(message, mandatory: true)) else {
            Issue.record("not returned")
            return
        }
        guard case .routed(0)? = broker.run(.publish(message, mandatory: false)) else {
            Issue.record("not confirmed with 0")
            return
        }
        #expect(broker.core.totals.unroutable == 2)
    }

    @Test func `CC and BCC reach each queue once, and BCC is not delivered`() {
        for queue: QueueName in ["a", "b", "c"] { broker.queue(queue) }
        var properties = MessageProperties()
        properties.headers["CC"] = .array([.string("b"), .string("b"), .string("a")])
        properties.headers["BCC"] = .array([.string("c"), .string("b")])
        let message = Message(exchange: "", routingKey: "a", properties: properties, body: [1])
        guard case .routed(3)? = broker.run(.publish(message, mandatory: false)) else {
            Issue.record("not routed to three queues")
            return
        }
        for queue: QueueName in ["a", "b", "c"] {
            #expect(broker.info(queue)?.ready == 1)
            let delivered = broker.get(queue)?.message.properties?.headers
            #expect(delivered?["CC"] != nil)
            #expect(delivered?["BCC"] == nil)
        }
    }

    @Test(arguments: [4096, 2]) func `a peek ends at its bytes, and goes on from there`(window: Int) {
        var limits = CoreLimits()
        limits.peekBytesMax = 10
        (limits.windowCountMax, limits.windowCountMin) = (window, min(window, limits.windowCountMin))
        let broker = CoreHarness(limits: limits)
        broker.queue("jobs")
        for _ in 0..<8 { _ = broker.publish("four", to: "jobs") }
        func peek(from: MessageNumber, _ state: Peek.State = .ready) -> [MessageNumber] {
            let peek = Peek("jobs", state: state, from: from, countMax: 100)
            guard case .messages(let rows)? = broker.run(.peek(peek)) else { return [] }
            return rows.map(\.number)
        }
        #expect(peek(from: 1) == [1, 2, 3])
        #expect(peek(from: 4) == [4, 5, 6])
        #expect(peek(from: 7) == [7, 8])
        for _ in 0..<5 { _ = broker.get("jobs") }
        #expect(peek(from: 1, .unacked) == [1, 2, 3])
        #expect(peek(from: 4, .unacked) == [4, 5])
    }

    @Test(.timeLimit(.minutes(5))) func `a GET that waits costs the same however many wait before it`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        let get = Request.get("jobs", autoAck: true, waitMilliseconds: 1000)
        for round in 1...100 {
            let gets = (0..<1000).map { Submission(Ticket(UInt64(round * 1000 + $0)), get) }
            broker.core.submit(gets, from: broker.session, now: broker.now)
        }
        _ = broker.publish("a", to: "jobs")
        #expect(broker.deliveries().isEmpty)
        broker.advance(milliseconds: 999)
        #expect(broker.found("jobs")?.gets.isEmpty == false)
        broker.advance(milliseconds: 1)
        #expect(broker.found("jobs")?.gets.isEmpty == true)
        let answers = broker.events[broker.session, default: []].filter {
            if case .answer(let ticket, _) = $0 { ticket.rawValue >= 1000 } else { false }
        }
        #expect(answers.count == 100_000)
    }

    @Test func `GETs that wait end each at its own time, whichever are served`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        for wait in [10, 50, 30] {
            broker.ask(.get("jobs", autoAck: true, waitMilliseconds: Int64(wait)))
        }
        _ = broker.publish("a", to: "jobs")
        func ended() -> Int {
            (broker.events[broker.session] ?? []).count {
                if case .answer(_, .empty) = $0 { true } else { false }
            }
        }
        broker.advance(milliseconds: 29)
        #expect(ended() == 0)
        broker.advance(milliseconds: 1)
        #expect(ended() == 1)
        broker.advance(milliseconds: 20)
        #expect(ended() == 2)
        #expect(broker.found("jobs")?.gets.earliestDeadline == .distantFuture)
    }
}
