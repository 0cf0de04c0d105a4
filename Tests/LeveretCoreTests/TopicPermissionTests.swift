// Topic permissions: which keys of a topic exchange a user may publish and bind with, and what stays free.

import Testing

@testable import LeveretCore

@Suite struct TopicPermissionTests {
    /// A core with a user who may do everything, the topic exchange `t`, the direct exchange `d` and the queue `q`.
    private struct Fixture {
        let broker = CoreHarness()
        let session: SessionID

        init(user: UserName = "app") throws {
            broker.run(.administer(.add(UserDefinition(user, passwordHash: "hash"))))
            broker.run(.administer(.permit(UserPermission(user, configure: ".*", write: ".*", read: ".*"))))
            broker.run(.declareExchange(ExchangeDefinition("t", type: .topic), passive: false))
            broker.run(.declareExchange(ExchangeDefinition("d", type: .direct), passive: false))
            broker.run(.declareQueue(QueueDefinition("q"), passive: false))
            let connection = broker.core.openConnection(name: "c", isClosable: true, now: broker.now)
            session = broker.core.openSession(on: connection, now: broker.now)
            try broker.core.logIn(connection, as: user, passwordHash: "hash", now: 0)
        }

        func permit(_ write: String, _ read: String, user: UserName = "app", exchange: ExchangeName = "t") {
            let permission = TopicPermission(user, exchange: exchange, write: write, read: read)
            broker.run(.administer(.permitTopics(permission)))
        }

        func refusal(of request: Request) -> BrokerError? { broker.refusal(of: request, from: session) }

        func publish(_ key: String, to exchange: ExchangeName = "t", cc: [String] = []) -> BrokerError? {
            var properties = MessageProperties()
            properties.headers = ["CC": .array(cc.map { .string($0) })]
            let message = Message(
                exchange: exchange, routingKey: key, properties: cc.isEmpty ? nil : properties, body: [])
            return refusal(of: .publish(message, mandatory: false))
        }

        func bind(_ key: String, from exchange: ExchangeName = "t") -> BrokerError? {
            refusal(of: .bind(Binding(source: exchange, target: .queue("q"), routingKey: key)))
        }
    }

    @Test func `keys are free until something is set for the exchange, and other exchanges stay free`() throws
    {
        let fixture = try Fixture()
        #expect(fixture.publish("a.b") == nil && fixture.bind("#") == nil)
        fixture.permit("^a", "^b")
        #expect(fixture.publish("a.b") == nil && fixture.bind("b.#") == nil)
        #expect(fixture.publish("b", to: "d") == nil && fixture.bind("a", from: "d") == nil)
        #expect(fixture.publish("b", to: "amq.topic") == nil)
        #expect(fixture.publish("b") != nil && fixture.bind("a.#") != nil)
        fixture.broker.run(.administer(.freeTopics("app", in: "/", exchange: "other")))
        #expect(fixture.publish("b") != nil)
        fixture.broker.run(.administer(.freeTopics("app", in: "/", exchange: nil)))
        #expect(fixture.publish("b") == nil && fixture.bind("a.#") == nil)
    }

    @Test func `a key that is refused is named in RabbitMQ's words`() throws {
        let fixture = try Fixture()
        fixture.permit("^a", "^b")
        func text(_ right: String, _ key: String) -> String {
            "\(right) access to topic '\(key)' in exchange exchange 't' in vhost '/' refused for user 'app'"
        }
        #expect(fixture.publish("x") == BrokerError(.accessRefused, text("write", "x")))
        #expect(fixture.bind("x") == BrokerError(.accessRefused, text("read", "x")))
        let unbind = Binding(source: "t", target: .queue("q"), routingKey: "y")
        #expect(fixture.refusal(of: .unbind(unbind)) == BrokerError(.accessRefused, text("read", "y")))
        let exchange = Binding(source: "t", target: .exchange("d"), routingKey: "z")
        #expect(fixture.refusal(of: .bind(exchange)) == BrokerError(.accessRefused, text("read", "z")))
    }

    @Test func `CC and BCC are keys, too, and a transaction and ROUTE are looked at as publishes are`() throws
    {
        let fixture = try Fixture()
        fixture.permit("^a", "")
        #expect(fixture.publish("a", cc: ["ab"]) == nil)
        #expect(fixture.publish("a", cc: ["ab", "b"])?.text.contains("topic 'b'") == true)
        let message = Message(exchange: "t", routingKey: "b", body: [])
        #expect(fixture.refusal(of: .transaction([.publish(message, mandatory: false)]))?.part == 0)
        #expect(fixture.refusal(of: .route(message))?.code == .accessRefused)
    }

    @Test func `what is moved to a topic exchange goes with keys that are allowed, or stays`() throws {
        let fixture = try Fixture()
        #expect(fixture.bind("#") == nil)
        fixture.permit("^a", "")
        fixture.broker.run(.declareQueue(QueueDefinition("from"), passive: false))
        fixture.broker.run(.publish(Message(exchange: "", routingKey: "from", body: []), mandatory: false))
        let own = Move(from: "from", to: .exchange("t", routingKey: nil))
        #expect(fixture.refusal(of: .move(own))?.text.contains("topic 'from' in exchange") == true)
        #expect(fixture.broker.found("from")?.readyCount == 1)
        let other = Move(from: "from", to: .exchange("t", routingKey: "a"))
        #expect(fixture.refusal(of: .move(other)) == nil)
        #expect(fixture.broker.found("from")?.readyCount == 0)
        #expect(fixture.broker.found("q")?.readyCount == 1)
    }

    @Test func `an empty pattern is the empty key, and names in braces stand for themselves only`() throws {
        let fixture = try Fixture(user: "a.*")
        fixture.permit("", "^{username}/{vhost}$", user: "a.*")
        #expect(fixture.publish("") == nil && fixture.publish("a") != nil)
        #expect(fixture.bind("a.*//") == nil)
        #expect(fixture.bind("abc//") != nil, "a user's name is no pattern")
        fixture.permit("{client_id}", "", user: "a.*")
        #expect(fixture.publish("x") != nil)
    }

    @Test func `permissions are stored, listed and checked, and go with user and virtual host`() throws {
        let fixture = try Fixture()
        let broker = fixture.broker
        broker.run(.createVirtualHost("shop"))
        let here = TopicPermission("app", exchange: "t", write: "^a", read: "")
        let there = TopicPermission("app", in: "shop", exchange: "t", write: "", read: "b")
        broker.definitions = []
        for permission in [there, here, here] { broker.run(.administer(.permitTopics(permission))) }
        #expect(broker.definitions == [.putTopicPermission(there), .putTopicPermission(here)])
        func listed() -> [TopicPermission] {
            guard
                case .page(.topicPermissions(let rows), next: nil)? = broker.run(
                    .list(.topicPermissions, match: "a*"))
            else { return [] }
            return rows
        }
        #expect(listed() == [here, there])
        broker.run(.deleteVirtualHost("shop"))
        #expect(
            listed() == [here]
                && broker.definitions.contains(.deleteTopicPermission("app", in: "shop", exchange: "t")))
        func refusal(_ permission: TopicPermission) -> BrokerError? {
            broker.refusal(of: .administer(.permitTopics(permission)))
        }
        #expect(refusal(there) == BrokerError(.notFound, "no vhost 'shop'"))
        #expect(refusal(TopicPermission("no", exchange: "t", write: "", read: ""))?.code == .notFound)
        let broken = refusal(TopicPermission("app", exchange: "t", write: "(", read: ""))
        #expect(broken?.text.hasPrefix("write: pattern '(' can't be understood at character") == true)
        #expect(fixture.publish("b") != nil, "what is refused changes nothing")
        let (again, crashed) = (CoreHarness(), UserDefinition("app", passwordHash: ""))
        var state = RecoveredState()
        state.users = [crashed]
        state.permissions = [UserPermission("app", configure: ".*", write: ".*", read: ".*")]
        state.topicPermissions = [here, TopicPermission("app", exchange: "amq.topic", write: "(", read: "(")]
        again.core.recover(state, now: again.now)
        let connection = again.core.openConnection(name: "c", now: again.now)
        let session = again.core.openSession(on: connection, now: again.now)
        try again.core.logIn(connection, as: "app", passwordHash: "", now: 0)
        let lost = Message(exchange: "amq.topic", routingKey: "a", body: [])
        #expect(
            again.refusal(of: .publish(lost, mandatory: false), from: session)?.code == .accessRefused,
            "one that can't be understood any more allows nothing")
    }

    @Test func `a user has only so many`() throws {
        var limits = CoreLimits()
        limits.topicPermissionsMax = 1
        let broker = CoreHarness(limits: limits)
        broker.run(.administer(.add(UserDefinition("a", passwordHash: ""))))
        func permit(_ exchange: ExchangeName, _ write: String) -> ReplyCode? {
            let permission = TopicPermission("a", exchange: exchange, write: write, read: "")
            return broker.refusal(of: .administer(.permitTopics(permission)))?.code
        }
        #expect(permit("x", "a") == nil && permit("x", "b") == nil && permit("y", "a") == .resourceError)
    }
}
