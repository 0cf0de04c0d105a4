// Virtual hosts: one name in two of them is two things, and what is deleted takes everything along.

import Testing

@testable import LeveretCore

@Suite struct VirtualHostTests {
    /// A broker with a second virtual host, and a session in it.
    private func pair(limits: CoreLimits = CoreLimits()) -> (broker: CoreHarness, other: SessionID) {
        let broker = CoreHarness(limits: limits)
        broker.run(.createVirtualHost("shop"))
        return (broker, broker.openSession(in: "shop"))
    }

    private func declare(_ name: QueueName, _ broker: CoreHarness, from session: SessionID? = nil) {
        declare(name, [:], broker, from: session)
    }

    private func declare(
        _ name: QueueName, _ arguments: FieldTable, _ broker: CoreHarness, from session: SessionID? = nil
    ) {
        let definition = QueueDefinition(name, arguments: arguments)
        broker.run(.declareQueue(definition, passive: false), from: session)
    }

    private func publish(
        _ text: String, to exchange: ExchangeName = "", _ key: String, id: String? = nil,
        _ broker: CoreHarness,
        from session: SessionID? = nil
    ) -> Answer? {
        var properties = MessageProperties()
        properties.messageID = id
        let message = Message(
            exchange: exchange, routingKey: key, properties: properties.isEmpty ? nil : properties,
            body: Array(text.utf8))
        return broker.run(.publish(message, mandatory: false), from: session)
    }

    private func bodies(_ name: QueueName, _ broker: CoreHarness, from session: SessionID? = nil) -> [String]
    {
        guard case .messages(let rows)? = broker.run(.peek(Peek(name, countMax: 100)), from: session) else {
            return []
        }
        return rows.map { String(decoding: $0.message.body, as: UTF8.self) }
    }

    private func rows(_ broker: CoreHarness) -> [VirtualHostInfo] {
        guard case .virtualHosts(let rows)? = broker.run(.list(.virtualHosts, match: nil)) else { return [] }
        return rows
    }

    // MARK: - Apart

    @Test func `queues of one name in two virtual hosts have nothing in common`() {
        let (broker, other) = pair()
        broker.queue("jobs")
        declare("jobs", ["x-max-length": 1], broker, from: other)
        _ = publish("here", "jobs", broker)
        for text in ["there", "newer"] { _ = publish(text, "jobs", broker, from: other) }
        #expect(bodies("jobs", broker) == ["here"])
        #expect(bodies("jobs", broker, from: other) == ["newer"])
        broker.run(.deleteQueue("jobs", ifUnused: false, ifEmpty: false))
        #expect(broker.refusal(of: .purge("jobs"))?.text == "no queue 'jobs' in vhost '/'")
        #expect(bodies("jobs", broker, from: other) == ["newer"])
    }

    @Test func `exchanges and bindings lead to queues of their own virtual host only`() {
        let (broker, other) = pair()
        for session in [broker.session, other] {
            declare("a", broker, from: session)
            let exchange = ExchangeDefinition("x", type: session == other ? .fanout : .topic)
            broker.run(.declareExchange(exchange, passive: false), from: session)
            broker.run(.bind(Binding(source: "x", target: .queue("a"), routingKey: "k.*")), from: session)
            broker.run(
                .bind(Binding(source: "amq.direct", target: .queue("a"), routingKey: "k")), from: session)
        }
        _ = publish("1", to: "x", "other", broker, from: other)
        _ = publish("2", to: "x", "other", broker)
        _ = publish("3", to: "amq.direct", "k", broker)
        #expect(bodies("a", broker) == ["3"])
        #expect(bodies("a", broker, from: other) == ["1"])
        broker.run(.deleteExchange("x", ifUnused: false))
        #expect(
            broker.refusal(of: .route(Message(exchange: "x", routingKey: "", body: [])))?.code == .notFound)
        _ = publish("4", to: "x", "", broker, from: other)
        #expect(bodies("a", broker, from: other) == ["1", "4"])
    }

    @Test func `dead letters stay in the virtual host of their queue, also those that are parked`() {
        let (broker, other) = pair()
        for session in [broker.session, other] {
            declare(
                "jobs", ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"], broker,
                from: session)
        }
        declare("dead", broker)
        for session in [broker.session, other] {
            _ = publish("x", "jobs", broker, from: session)
            guard
                case .delivered(let delivery, _)? = broker.run(
                    .get("jobs", autoAck: false, waitMilliseconds: 0), from: session)
            else {
                Issue.record("nothing was there")
                return
            }
            broker.run(.settle(Settlement(.deadLetter, delivery.tag)), from: session)
        }
        #expect(bodies("dead", broker) == ["x"] && bodies(.parked, broker) == [])
        #expect(bodies(.parked, broker, from: other) == ["x"])
    }

    @Test func `a replay goes to the queue of its own virtual host`() {
        let (broker, other) = pair()
        let arguments: FieldTable = [
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-max-length": 0,
        ]
        for session in [broker.session, other] {
            declare("jobs", arguments, broker, from: session)
            declare("dead", broker, from: session)
        }
        _ = publish("x", "jobs", broker, from: other)
        #expect(bodies("dead", broker, from: other) == ["x"])
        guard case .messages(let rows)? = broker.run(.peek(Peek("dead")), from: other) else { return }
        var replay = Move.replay(from: "dead")
        replay.position = rows.first?.number
        broker.run(.deleteQueue("jobs", ifUnused: false, ifEmpty: false), from: other)
        #expect(broker.refusal(of: .move(replay), from: other)?.code == .notFound)
        declare("jobs", broker, from: other)
        broker.run(.move(replay), from: other)
        #expect(bodies("jobs", broker, from: other) == ["x"])
        #expect(bodies("jobs", broker).isEmpty && bodies("dead", broker).isEmpty)
        let move = Move(from: "jobs", to: .exchange("nowhere", routingKey: nil))
        #expect(broker.refusal(of: .move(move), from: other)?.text == "no exchange 'nowhere' in vhost 'shop'")
    }

    @Test func `policies are of one virtual host, by name and by what they match`() {
        let (broker, other) = pair()
        for session in [broker.session, other] { declare("jobs", broker, from: session) }
        let policy = Policy("p", pattern: "", definition: ["x-max-length": 1])
        broker.run(.setPolicy(policy), from: other)
        declare("later", broker)
        for text in ["1", "2"] {
            for session in [broker.session, other] { _ = publish(text, "jobs", broker, from: session) }
        }
        #expect(bodies("jobs", broker) == ["1", "2"] && bodies("jobs", broker, from: other) == ["2"])
        #expect(broker.info("later")?.policy == nil)
        broker.run(.deletePolicy("p", isOperator: false))
        guard case .policies(let rows)? = broker.run(.list(.policies, match: nil), from: other) else {
            Issue.record("no listing")
            return
        }
        #expect(rows == [PolicyInfo(policy: policy, queues: 1, exchanges: 5)])
    }

    @Test func `ids that an exchange has seen are of its virtual host`() {
        let (broker, other) = pair()
        for session in [broker.session, other] {
            declare("jobs", broker, from: session)
            let exchange = ExchangeDefinition("x", type: .fanout, arguments: ["x-deduplicate": 10_000])
            broker.run(.declareExchange(exchange, passive: false), from: session)
            broker.run(.bind(Binding(source: "x", target: .queue("jobs"))), from: session)
            for text in ["1", "2"] { _ = publish(text, to: "x", "", id: "same", broker, from: session) }
        }
        #expect(bodies("jobs", broker) == ["1"] && bodies("jobs", broker, from: other) == ["1"])
    }

    @Test func `listings show what is of the session's virtual host`() {
        let (broker, other) = pair()
        broker.queue("a")
        declare("b", broker, from: other)
        broker.run(.consume(Consume(queue: "a")))
        broker.run(.consume(Consume(queue: "b")), from: other)
        func names(_ listing: Listing) -> [String] {
            guard case .page(let rows, nil)? = broker.run(.list(listing, match: nil), from: other) else {
                return []
            }
            switch rows {
            case .queues(let rows): return rows.map(\.definition.name.rawValue)
            case .consumers(let rows): return rows.map(\.queue.rawValue)
            case .exchanges(let rows): return rows.map(\.definition.name.rawValue)
            case .connections(let rows): return rows.map(\.virtualHost.rawValue)
            default: return []
            }
        }
        #expect(names(.queues) == ["b"] && names(.consumers) == ["b"] && names(.exchanges).count == 6)
        #expect(names(.connections) == ["/", "shop"])
        #expect(rows(broker).map(\.queues) == [1, 1])
    }

    @Test func `a listing goes on where it began, whatever the session enters meanwhile`() throws {
        var limits = CoreLimits()
        limits.pageRowsMax = 1
        let (broker, other) = pair(limits: limits)
        for name in ["a", "b"] as [QueueName] { broker.queue(name) }
        let first = broker.run(.list(.queues, match: nil))
        guard case .page(_, let cursor?)? = first else {
            Issue.record("one page: \(String(describing: first))")
            return
        }
        let next = try #require(Request.list(.queues, match: nil).goingOn(after: cursor))
        guard case .page(.queues(let rows), _)? = broker.run(next, from: other) else {
            Issue.record("no page")
            return
        }
        #expect(rows.map(\.definition.name) == ["b"])
    }

    // MARK: - Entering

    @Test func `a session goes where it has nothing to lose`() {
        let (broker, other) = pair()
        declare("jobs", broker, from: other)
        _ = publish("x", "jobs", broker, from: other)
        #expect(
            broker.refusal(of: .enter("nowhere"), from: other) == BrokerError(.notFound, "no vhost 'nowhere'")
        )
        broker.run(.get("jobs", autoAck: false, waitMilliseconds: 0), from: other)
        #expect(broker.refusal(of: .enter("/"), from: other)?.code == .commandInvalid)
        broker.run(.recover, from: other)
        broker.run(.consume(Consume(queue: "jobs", tag: "c")), from: other)
        #expect(broker.refusal(of: .enter("/"), from: other)?.text.contains("has consumers") == true)
        broker.run(.cancel("c", requeue: true), from: other)
        declare("empty", broker, from: other)
        broker.ask(.get("empty", autoAck: false, waitMilliseconds: 10_000), from: other)
        #expect(broker.refusal(of: .enter("/"), from: other)?.text.contains("a GET that waits") == true)
        broker.advance(milliseconds: 10_000)
        #expect(broker.refusal(of: .enter("/"), from: other) == nil)
        #expect(broker.core.virtualHost(of: other) == "/")
        #expect(broker.refusal(of: .purge("jobs"), from: other)?.text == "no queue 'jobs' in vhost '/'")
    }

    @Test func `errors name the virtual host`() {
        let (broker, other) = pair()
        declare("jobs", broker, from: other)
        let differs = QueueDefinition("jobs", arguments: ["x-max-length": 1])
        for (request, text) in [
            (Request.declareQueue(differs, passive: false), "for queue 'jobs' in vhost 'shop': received"),
            (
                .declareQueue(QueueDefinition("q", arguments: ["x-expires": 0]), passive: false),
                "'q' in vhost 'shop'"
            ),
            (.bind(Binding(source: "x", target: .queue("jobs"))), "no exchange 'x' in vhost 'shop'"),
            (.bind(Binding(source: "amq.topic", target: .queue("x"))), "no queue 'x' in vhost 'shop'"),
            (.publish(Message(exchange: "x", routingKey: "", body: []), mandatory: false), "in vhost 'shop'"),
            (.status("x"), "no queue 'x' in vhost 'shop'"), (.why("x"), "no queue 'x' in vhost 'shop'"),
        ] { #expect(broker.refusal(of: request, from: other)?.text.contains(text) == true, "\(text)") }
    }

    // MARK: - Limits

    @Test func `a virtual host takes no more queues than it may have, but parks what dies`() {
        let (broker, other) = pair()
        broker.run(.limitVirtualHost("shop", VirtualHostLimits(queuesMax: 1)))
        declare("jobs", ["x-dead-letter-exchange": "gone"], broker, from: other)
        let error = broker.refusal(of: .declareQueue(QueueDefinition("more"), passive: false), from: other)
        #expect(
            error
                == BrokerError(
                    .preconditionFailed,
                    "cannot declare queue 'more': queue limit in vhost 'shop' (1) is reached")
        )
        declare("jobs", ["x-dead-letter-exchange": "gone"], broker, from: other)
        _ = publish("x", "jobs", broker, from: other)
        broker.run(.get("jobs", autoAck: false, waitMilliseconds: 0), from: other)
        broker.run(.settle(Settlement(.deadLetter, 1)), from: other)
        #expect(bodies(.parked, broker, from: other) == ["x"])
        broker.run(.limitVirtualHost("shop", VirtualHostLimits()))
        declare("more", broker, from: other)
        #expect(rows(broker).last?.queues == 3)
        #expect(broker.refusal(of: .limitVirtualHost("none", VirtualHostLimits()))?.code == .notFound)
        let negative = VirtualHostLimits(connectionsMax: -1)
        #expect(broker.refusal(of: .limitVirtualHost("shop", negative))?.code == .preconditionFailed)
    }

    @Test func `a virtual host lets no more connections in than it may have`() {
        let (broker, _) = pair()
        broker.run(.limitVirtualHost("shop", VirtualHostLimits(connectionsMax: 2)))
        let second = broker.core.openConnection(name: "second", isClosable: true, now: broker.now)
        let sessions = (0..<2).map { _ in broker.core.openSession(on: second, now: broker.now) }
        for session in sessions { #expect(broker.refusal(of: .enter("shop"), from: session) == nil) }
        let third = broker.core.openConnection(name: "third", isClosable: true, now: broker.now)
        let late = broker.core.openSession(on: third, now: broker.now)
        #expect(
            broker.refusal(of: .enter("shop"), from: late)
                == BrokerError(.notAllowed, "access to vhost 'shop' refused: connection limit (2) is reached")
        )
        #expect(rows(broker).map(\.connections) == [0, 2])
        broker.core.closeSession(sessions[0], now: broker.now)
        #expect(broker.refusal(of: .enter("shop"), from: late) != nil)
        broker.core.closeConnection(second, now: broker.now)
        #expect(broker.refusal(of: .enter("shop"), from: late) == nil)
    }

    @Test
    func `who has asked nothing yet counts nowhere, and the limit of the first virtual host counts, too`() {
        let (broker, _) = pair()
        broker.run(.limitVirtualHost("/", VirtualHostLimits(connectionsMax: 1)))
        let connection = broker.core.openConnection(name: "second", isClosable: true, now: broker.now)
        let session = broker.core.openSession(on: connection, now: broker.now)
        #expect(rows(broker).map(\.connections) == [0, 1])
        broker.queue("jobs")
        #expect(rows(broker).map(\.connections) == [1, 1])
        #expect(broker.refusal(of: .purge("jobs"), from: session)?.code == .notAllowed)
        // What is about no names goes, so that a limit can be lifted.
        #expect(broker.refusal(of: .list(.virtualHosts, match: nil), from: session) == nil)
        #expect(broker.refusal(of: .limitVirtualHost("/", VirtualHostLimits()), from: session) == nil)
        #expect(broker.refusal(of: .purge("jobs"), from: session) == nil)
    }

    // MARK: - Creating and deleting

    @Test func `creating one again changes nothing, and names have bounds`() {
        let (broker, other) = pair()
        declare("jobs", broker, from: other)
        broker.run(.createVirtualHost("shop"))
        #expect(rows(broker).map(\.name) == ["/", "shop"] && rows(broker).last?.queues == 1)
        for name in ["", String(repeating: "n", count: 256)] {
            let error = broker.refusal(of: .createVirtualHost(VirtualHostName(name)))
            #expect(error?.code == .preconditionFailed)
        }
        #expect(
            broker.refusal(of: .createVirtualHost(VirtualHostName(String(repeating: "n", count: 255)))) == nil
        )
        var limits = CoreLimits()
        limits.virtualHostsMax = 1
        #expect(CoreHarness(limits: limits).refusal(of: .createVirtualHost("a"))?.code == .resourceError)
    }

    @Test func `some can't be deleted`() {
        let (broker, other) = pair()
        #expect(broker.refusal(of: .deleteVirtualHost("/"), from: other)?.code == .accessRefused)
        #expect(broker.refusal(of: .deleteVirtualHost("shop"), from: other)?.code == .preconditionFailed)
        guard case .count(0)? = broker.run(.deleteVirtualHost("none")) else {
            Issue.record("what is not there is nothing to delete")
            return
        }
    }

    @Test(arguments: [1, 64]) func `all that is in it goes with it, and nothing else`(slice: Int) {
        var limits = CoreLimits()
        limits.deletedQueuesPerSlice = slice
        let (broker, other) = pair(limits: limits)
        for session in [broker.session, other] {
            for name in ["a", "b", "c"] as [QueueName] {
                declare(name, ["x-dead-letter-exchange": "gone"], broker, from: session)
                _ = publish("x", name.rawValue, broker, from: session)
            }
            let exchange = ExchangeDefinition("x", type: .fanout, arguments: ["x-deduplicate": 10_000])
            broker.run(.declareExchange(exchange, passive: false), from: session)
            broker.run(.bind(Binding(source: "x", target: .queue("a"))), from: session)
            _ = publish("y", to: "x", "", id: "seen", broker, from: session)
            broker.run(.setPolicy(Policy("p", pattern: "", definition: ["x-max-length": 9])), from: session)
        }
        let holder = broker.openSession(in: "shop", isClosable: true)
        broker.run(.get("a", autoAck: false, waitMilliseconds: 0), from: holder)
        broker.run(.consume(Consume(queue: "b", tag: "c", prefetch: 1)), from: other)
        guard case .count(let count)? = broker.run(.deleteVirtualHost("shop")) else {
            Issue.record("no answer")
            return
        }
        #expect(count == 2)
        #expect(rows(broker).map(\.name) == ["/"])
        #expect(broker.rows.values.allSatisfy { $0.queue.rawValue <= 3 } && broker.rows.count == 4)
        #expect(broker.ids.count == 1)
        #expect(broker.info("a")?.ready == 2 && broker.info("a")?.policy == "p")
        #expect(broker.core.queuesByID.count == 3 && broker.core.messageBytes > 0)
        // Who was in it is told, and can go elsewhere once it holds nothing.
        let ended = (broker.events[other] ?? []).contains {
            if case .consumerEnded("c", _) = $0 { true } else { false }
        }
        #expect(ended)
        #expect(
            broker.refusal(of: .purge("a"), from: other)?.text == "vhost 'shop' is deleted; enter another")
        broker.run(.settle(Settlement(.requeue, 0, multiple: true)), from: other)
        #expect(broker.refusal(of: .enter("/"), from: other) == nil)
        broker.run(.settle(Settlement(.deadLetter, 1)), from: holder)
        broker.settle()
        #expect(broker.rows.count == 4)
        // One of its name begins empty.
        broker.run(.createVirtualHost("shop"))
        let again = broker.openSession(in: "shop")
        #expect(broker.refusal(of: .purge("a"), from: again)?.code == .notFound)
        #expect(rows(broker).last?.connections == 1)
    }

    @Test func `connections of a server that are in it are closed`() {
        let (broker, _) = pair()
        _ = broker.openSession(in: "shop", isClosable: true)
        _ = broker.openSession(in: "/", isClosable: true)
        _ = broker.core.takeOutputs()
        broker.ask(.deleteVirtualHost("shop"))
        let closings = broker.core.takeOutputs().closings
        #expect(closings.map(\.reason) == ["vhost 'shop' is deleted"])
        broker.settle()
    }

    @Test func `what dies while a virtual host goes is gone with it`() {
        var limits = CoreLimits()
        limits.deletedQueuesPerSlice = 1
        let (broker, other) = pair(limits: limits)
        declare("a", broker, from: other)
        declare("b", ["x-dead-letter-exchange": "", "x-message-ttl": 1000], broker, from: other)
        _ = publish("x", "b", broker, from: other)
        broker.ask(.deleteVirtualHost("shop"))
        #expect(broker.hasMoreWork)
        broker.now = broker.now.advanced(byMilliseconds: 2000)
        broker.core.timeReached(now: broker.now)
        broker.settle()
        #expect(broker.rows.isEmpty && broker.core.queuesByID.isEmpty && broker.core.totals.parked == 0)
    }

    // MARK: - Restarts

    @Test func `a restart finds them as they were`() {
        let (broker, other) = pair()
        broker.queue("jobs")
        declare("jobs", ["x-max-length": 5], broker, from: other)
        broker.run(.setPolicy(Policy("p", pattern: "", definition: ["x-expires": 9_000])), from: other)
        broker.run(.limitVirtualHost("shop", VirtualHostLimits(queuesMax: 7, connectionsMax: 8)))
        _ = publish("x", "jobs", broker, from: other)
        let next = broker.crashed()
        let session = next.openSession(in: "shop")
        #expect(bodies("jobs", next, from: session) == ["x"] && bodies("jobs", next).isEmpty)
        #expect(rows(next).last?.limits == VirtualHostLimits(queuesMax: 7, connectionsMax: 8))
        guard case .queues(let queues)? = next.run(.status("jobs"), from: session) else { return }
        #expect(queues.first?.policy == "p" && next.info("jobs")?.policy == nil)
        next.run(.createVirtualHost("another"))
        #expect(next.core.virtualHosts.map(\.id) == [1, 3, 2])
    }

    @Test func `a crash in the middle of a deletion leaves nothing behind`() {
        var limits = CoreLimits()
        limits.deletedQueuesPerSlice = 1
        let (broker, other) = pair(limits: limits)
        for name in ["a", "b", "c"] as [QueueName] {
            declare(name, broker, from: other)
            _ = publish("x", name.rawValue, broker, from: other)
        }
        broker.ask(.deleteVirtualHost("shop"))
        broker.commit()
        #expect(broker.rows.count == 2)
        let next = broker.crashed()
        next.settle()
        #expect(next.rows.isEmpty && rows(next).map(\.name) == ["/"])
    }
}
