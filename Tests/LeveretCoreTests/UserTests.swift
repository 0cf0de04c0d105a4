// Users in the core: who there is, logging in, limits, and rights that change while they are in use.

import Testing

@testable import LeveretCore

/// A core with a user `app`, and a connection and session of that user.
private struct UserFixture {
    let broker = CoreHarness()
    let connection: ConnectionID
    let session: SessionID

    init(configure: String = ".*", write: String = ".*", read: String = ".*", tags: [String] = []) throws {
        broker.run(.administer(.add(UserDefinition("app", passwordHash: "hash", tags: tags))))
        broker.run(
            .administer(.permit(UserPermission("app", configure: configure, write: write, read: read))))
        connection = broker.core.openConnection(name: "app's", isClosable: true, now: broker.now)
        session = broker.core.openSession(on: connection, now: broker.now)
        try broker.core.logIn(connection, as: "app", passwordHash: "hash", now: 0)
    }

    func administer(_ request: UserRequest) { broker.run(.administer(request)) }

    func refusal(of request: Request) -> BrokerError? { broker.refusal(of: request, from: session) }
}

@Suite struct UserTests {
    private func users(_ broker: CoreHarness, match: String? = nil) -> [UserInfo] {
        guard case .page(.users(let rows), next: nil)? = broker.run(.list(.users, match: match)) else {
            return []
        }
        return rows
    }

    @Test func `a user is added, changed, listed and deleted, and all of it is stored`() {
        let broker = CoreHarness()
        func done(_ request: UserRequest) -> Bool {
            if case .done? = broker.run(.administer(request)) { true } else { false }
        }
        #expect(done(.add(UserDefinition("b", passwordHash: "1", tags: ["y", "x", "y"]))))
        #expect(done(.add(UserDefinition("a", passwordHash: "2"))))
        #expect(users(broker).map(\.name) == ["a", "b"] && users(broker, match: "b*").map(\.name) == ["b"])
        #expect(users(broker).last?.tags == ["x", "y"])
        #expect(done(.setTags("b", ["monitoring"])) && done(.setPassword("b", hash: "3")))
        #expect(done(.setLimits("b", UserLimits(connectionsMax: 2))))
        #expect(
            users(broker).last
                == UserInfo(
                    name: "b", tags: ["monitoring"], limits: UserLimits(connectionsMax: 2), connections: 0,
                    sessions: 0))
        #expect(done(.permit(UserPermission("b", configure: "", write: "", read: "x"))))
        #expect(done(.delete("b")) && done(.delete("b")) && users(broker).map(\.name) == ["a"])
        let b = UserDefinition("b", passwordHash: "1", tags: ["x", "y"])
        var tagged = UserDefinition("b", passwordHash: "1", tags: ["monitoring"])
        var definitions: [DefinitionChange] = [.putUser(b), .putUser(UserDefinition("a", passwordHash: "2"))]
        definitions.append(.putUser(tagged))
        tagged.passwordHash = "3"
        definitions.append(.putUser(tagged))
        tagged.limits.connectionsMax = 2
        definitions += [
            .putUser(tagged),
            .putPermission(UserPermission("b", configure: "", write: "", read: "x")), .deleteUser("b"),
        ]
        #expect(broker.definitions == definitions)
    }

    @Test func `what makes no sense is refused by name`() {
        let broker = CoreHarness()
        func refusal(_ request: UserRequest) -> BrokerError? { broker.refusal(of: .administer(request)) }
        broker.run(.administer(.add(UserDefinition("a", passwordHash: ""))))
        let again = refusal(.add(UserDefinition("a", passwordHash: "")))
        #expect(again == BrokerError(.preconditionFailed, "user 'a' is there already"))
        let long = String(repeating: "n", count: 256)
        #expect(refusal(.add(UserDefinition("", passwordHash: "")))?.text.contains("not 0") == true)
        #expect(
            refusal(.add(UserDefinition(UserName(long), passwordHash: "")))?.text.contains("not 256") == true)
        #expect(
            refusal(.add(UserDefinition("b", passwordHash: String(repeating: "h", count: 1025))))?.code
                == .preconditionFailed)
        #expect(refusal(.setTags("a", [long]))?.text.contains("a tag has 1 to 255 bytes") == true)
        #expect(refusal(.setTags("a", ["x,y"]))?.text.contains("'x,y'") == true)
        #expect(refusal(.setTags("a", (0...32).map(String.init)))?.text.contains("33 tags") == true)
        for request in [
            UserRequest.setTags("no", []), .setPassword("no", hash: ""), .setLimits("no", UserLimits()),
            .permit(UserPermission("no", configure: "", write: "", read: "")),
        ] {
            #expect(refusal(request) == BrokerError(.notFound, "no user 'no'; LIST users shows them"))
        }
        let broken = refusal(.permit(UserPermission("a", configure: "", write: "", read: "[")))
        #expect(broken?.text.hasPrefix("read: pattern '[' can't be understood at character") == true)
        let nowhere = refusal(
            .permit(UserPermission("a", in: "shop", configure: "", write: "", read: "")))
        #expect(nowhere == BrokerError(.notFound, "no vhost 'shop'"))
    }

    @Test func `there are only so many users`() {
        var limits = CoreLimits()
        limits.usersMax = 1
        let broker = CoreHarness(limits: limits)
        broker.run(.administer(.add(UserDefinition("a", passwordHash: ""))))
        #expect(
            broker.refusal(of: .administer(.add(UserDefinition("b", passwordHash: ""))))?.code
                == .resourceError)
        #expect(broker.refusal(of: .administer(.put(UserDefinition("a", passwordHash: "x")))) == nil)
    }

    @Test func `only the hash that was compared lets in, and only once`() throws {
        let fixture = try UserFixture()
        let other = fixture.broker.core.openConnection(name: "other", now: 0)
        #expect(throws: BrokerError.wrongLogin) {
            try fixture.broker.core.logIn(other, as: "app", passwordHash: "old", now: 0)
        }
        #expect(throws: BrokerError.wrongLogin) {
            try fixture.broker.core.logIn(other, as: "nobody", passwordHash: "hash", now: 0)
        }
        let twice = #expect(throws: BrokerError.self) {
            try fixture.broker.core.logIn(fixture.connection, as: "app", passwordHash: "hash", now: 0)
        }
        #expect(twice?.code == .commandInvalid)
    }

    @Test func `a session without a user may do everything, one with a user what that may`() throws {
        let fixture = try UserFixture(configure: "^app", write: "", read: "")
        fixture.broker.queue("mine")
        #expect(fixture.refusal(of: .declareQueue(QueueDefinition("app"), passive: false)) == nil)
        #expect(
            fixture.refusal(of: .deleteQueue("mine", ifUnused: false, ifEmpty: false))?.text
                == "configure access to queue 'mine' in vhost '/' refused for user 'app'")
        #expect(fixture.broker.info("mine") != nil)
        // What is refused by rights is so whether it is there or not.
        #expect(fixture.refusal(of: .purge("none"))?.code == .accessRefused)
        // A session that the connection opens later is the same user's.
        let later = fixture.broker.core.openSession(on: fixture.connection, now: 0)
        #expect(fixture.broker.refusal(of: .purge("mine"), from: later)?.code == .accessRefused)
    }

    @Test func `permissions and tags that change count at once`() throws {
        let fixture = try UserFixture(read: "")
        fixture.broker.queue("jobs")
        #expect(fixture.refusal(of: .purge("jobs"))?.code == .accessRefused)
        fixture.administer(.permit(UserPermission("app", configure: "", write: "", read: "jobs")))
        #expect(fixture.refusal(of: .purge("jobs")) == nil)
        fixture.administer(.forbid("app", in: "/"))
        #expect(fixture.refusal(of: .purge("jobs"))?.code == .accessRefused)
        #expect(fixture.refusal(of: .query("SELECT 1"))?.code == .accessRefused)
        fixture.administer(.setTags("app", ["administrator"]))
        #expect(fixture.broker.core.refusal(of: .query("SELECT 1"), from: fixture.session) == nil)
    }

    @Test
    func `consumers and waiting GETs of what may no longer be read end, and what is held may be settled`()
        throws
    {
        let fixture = try UserFixture()
        let broker = fixture.broker
        for queue in ["jobs", "mails"] as [QueueName] {
            broker.queue(queue)
            broker.run(
                .consume(Consume(queue: queue, tag: ConsumerTag(queue.rawValue))), from: fixture.session)
        }
        broker.queue("slow")
        _ = broker.ask(
            .get("slow", autoAck: false, waitMilliseconds: 60_000), from: fixture.session)
        _ = broker.publish("one", to: "jobs")
        broker.settle()
        #expect(broker.deliveries(of: fixture.session).count == 1)
        fixture.administer(.permit(UserPermission("app", configure: "", write: "", read: "mails")))
        let ended = (broker.events[fixture.session] ?? []).compactMap { event -> ConsumerTag? in
            if case .consumerEnded(let tag, .accessRefused) = event { tag } else { nil }
        }
        #expect(ended == ["jobs"])
        let answers = (broker.events[fixture.session] ?? []).filter { event in
            if case .answer(_, .empty) = event { true } else { false }
        }
        #expect(answers.count == 1)
        _ = broker.publish("two", to: "jobs")
        broker.settle()
        #expect(broker.info("jobs")?.ready == 1 && broker.info("jobs")?.unacked == 1)
        #expect(fixture.refusal(of: .settle(Settlement(.ack, 1))) == nil)
        #expect(broker.info("jobs")?.unacked == 0)
    }

    @Test func `a user that is deleted may do nothing, and its connections are to be closed`() throws {
        let fixture = try UserFixture(tags: ["administrator"])
        fixture.broker.queue("jobs")
        _ = fixture.broker.core.takeOutputs()
        fixture.broker.ask(.administer(.delete("app")))
        let closings = fixture.broker.core.takeOutputs().closings
        #expect(closings.map(\.connection) == [fixture.connection])
        #expect(closings.first?.reason == "user 'app' was deleted")
        #expect(fixture.refusal(of: .purge("jobs"))?.code == .accessRefused)
        #expect(fixture.refusal(of: .query("SELECT 1"))?.code == .accessRefused)
        // One of the same name is another.
        fixture.administer(.add(UserDefinition("app", passwordHash: "hash", tags: ["administrator"])))
        #expect(fixture.refusal(of: .query("SELECT 1"))?.code == .accessRefused)
    }

    @Test func `a user has as many connections and sessions as it may`() throws {
        let fixture = try UserFixture()
        let broker = fixture.broker
        fixture.administer(.setLimits("app", UserLimits(connectionsMax: 2, sessionsMax: 3)))
        let second = broker.core.openConnection(name: "second", now: 0)
        try broker.core.logIn(second, as: "app", passwordHash: "hash", now: 0)
        let third = broker.core.openConnection(name: "third", now: 0)
        let error = #expect(throws: BrokerError.self) {
            try broker.core.logIn(third, as: "app", passwordHash: "hash", now: 0)
        }
        #expect(error?.code == .notAllowed)
        #expect(
            error?.text == "connection refused for user 'app': user connection limit (2) is reached")
        broker.queue("jobs")
        let sessions = (0..<3).map { _ in broker.core.openSession(on: second, now: 0) }
        #expect(
            sessions.map { broker.refusal(of: .purge("jobs"), from: $0)?.code } == [nil, nil, .notAllowed])
        #expect(
            users(broker).first
                == UserInfo(
                    name: "app", tags: [], limits: UserLimits(connectionsMax: 2, sessionsMax: 3),
                    connections: 2, sessions: 4))
        broker.core.closeConnection(second, now: 0)
        try broker.core.logIn(third, as: "app", passwordHash: "hash", now: 0)
    }

    @Test func `replay takes messages home only where the user may write`() throws {
        let fixture = try UserFixture(write: "^(dead|amq.default)$")
        let broker = fixture.broker
        broker.queue("dead")
        broker.queue(
            "jobs", ["x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead")])
        _ = broker.publish("one", to: "jobs")
        let delivery = try #require(broker.get("jobs"))
        broker.run(.settle(Settlement(.deadLetter, delivery.tag)))
        #expect(broker.info("dead")?.ready == 1)
        let position = try #require(broker.rows.keys.max())
        var replay = Move.replay(from: "dead")
        replay.position = position
        let error = fixture.refusal(of: .move(replay))
        #expect(
            error?.text.hasPrefix("write access to queue 'jobs' in vhost '/' refused for user 'app'") == true)
        #expect(broker.info("dead")?.ready == 1 && broker.info("jobs")?.ready == 0)
        fixture.administer(.permit(UserPermission("app", configure: "", write: "jobs", read: ".*")))
        #expect(fixture.refusal(of: .move(replay)) == nil)
        #expect(broker.info("jobs")?.ready == 1)
    }

    @Test func `rights are of one virtual host, and go with it`() throws {
        let fixture = try UserFixture(tags: ["management"])
        let broker = fixture.broker
        for host in ["shop", "other"] as [VirtualHostName] { broker.run(.createVirtualHost(host)) }
        let closed = BrokerError(.notAllowed, "access to vhost 'shop' refused for user 'app'")
        #expect(fixture.refusal(of: .enter("shop")) == closed)
        fixture.administer(.permit(UserPermission("app", in: "shop", configure: "^a", write: "", read: "")))
        #expect(fixture.refusal(of: .enter("shop")) == nil)
        #expect(fixture.refusal(of: .declareQueue(QueueDefinition("a"), passive: false)) == nil)
        #expect(
            fixture.refusal(of: .purge("a"))?.text
                == "read access to queue 'a' in vhost 'shop' refused for user 'app'")
        guard
            case .virtualHosts(let hosts)? = broker.run(
                .list(.virtualHosts, match: nil), from: fixture.session)
        else {
            Issue.record("no listing")
            return
        }
        #expect(hosts.map(\.name) == ["/", "shop"])
        #expect(fixture.refusal(of: .createVirtualHost("mine"))?.code == .accessRefused)
        // What changes elsewhere leaves it where it is.
        fixture.administer(.forbid("app", in: "/"))
        #expect(fixture.refusal(of: .deleteQueue("a", ifUnused: false, ifEmpty: false)) == nil)
        broker.run(.deleteVirtualHost("shop"))
        broker.run(.createVirtualHost("shop"))
        #expect(fixture.refusal(of: .enter("shop")) == closed)
        #expect(
            broker.definitions.contains(.deletePermission("app", in: "shop")), "it is gone from the file")
    }

    @Test func `users and permissions are there after a restart`() throws {
        var state = RecoveredState()
        state.users = [UserDefinition("app", passwordHash: "hash", tags: ["management"])]
        state.permissions = [
            UserPermission("app", configure: "", write: "", read: "jobs"),
            UserPermission("gone", configure: "", write: "", read: ""),
        ]
        let broker = CoreHarness()
        broker.core.recover(state, now: 0)
        #expect(broker.core.passwordHash(of: "app") == "hash" && broker.core.passwordHash(of: "gone") == nil)
        guard case .page(.permissions(let rows), next: nil)? = broker.run(.list(.permissions, match: nil))
        else {
            Issue.record("no listing")
            return
        }
        #expect(rows == [state.permissions[0]])
        guard case .userDefinitions(let users)? = broker.run(.administer(.export)) else {
            Issue.record("no export")
            return
        }
        #expect(users == state.users)
    }
}
