// What a user of few rights is refused over AMQP, method by method and in RabbitMQ's words, and what limits refuse.

import Leveret
import LeveretTestSupport
import Testing

@testable import LeveretServer

/// A method that asks for more than the user `app` may, and what it is refused with.
private struct Refused: Sendable, CustomTestStringConvertible {
    let name: String
    /// What the server says: `channel.close 403 ACCESS_REFUSED - ` comes before it.
    let words: String
    let call: @Sendable (AMQPSocket) -> Void
    var testDescription: String { name }

    init(_ name: String, _ words: String, _ call: @escaping @Sendable (AMQPSocket) -> Void) {
        self.name = name
        self.words = words
        self.call = call
    }

    static func of(_ right: String, _ resource: String, _ method: String) -> String {
        "\(right) access to \(resource) 'other' in vhost '/' refused for user 'app' \(method)"
    }
}

private let refusedMethods = [
    Refused("queue.declare", Refused.of("configure", "queue", "50 10")) { $0.declareQueue("other") },
    Refused("queue.declare with a dead-letter exchange", Refused.of("write", "exchange", "50 10")) {
        $0.declareQueue("app.dead", [("x-dead-letter-exchange", .text("other"))])
    },
    Refused("queue.bind of the queue", Refused.of("write", "queue", "50 20")) {
        $0.bindQueue("other", to: "app.x")
    },
    Refused("queue.bind to the exchange", Refused.of("read", "exchange", "50 20")) {
        $0.bindQueue("app.q", to: "other")
    },
    Refused("queue.unbind of the queue", Refused.of("write", "queue", "50 50")) {
        $0.unbindQueue("other", from: "app.x")
    },
    Refused("queue.unbind from the exchange", Refused.of("read", "exchange", "50 50")) {
        $0.unbindQueue("app.q", from: "other")
    },
    Refused("queue.purge", Refused.of("read", "queue", "50 30")) { $0.purge("other") },
    Refused("queue.delete", Refused.of("configure", "queue", "50 40")) { $0.deleteQueue("other") },
    Refused("exchange.declare", Refused.of("configure", "exchange", "40 10")) { $0.declareExchange("other") },
    Refused("exchange.declare with an alternate", Refused.of("write", "exchange", "40 10")) {
        $0.declareExchange("app.new", "direct", [("alternate-exchange", .text("other"))])
    },
    Refused("exchange.bind of the target", Refused.of("write", "exchange", "40 30")) {
        $0.bindExchange("other", to: "app.x")
    },
    Refused("exchange.bind to the source", Refused.of("read", "exchange", "40 30")) {
        $0.bindExchange("app.x", to: "other")
    },
    Refused("exchange.unbind of the target", Refused.of("write", "exchange", "40 40")) {
        $0.unbindExchange("other", from: "app.x")
    },
    Refused("exchange.delete", Refused.of("configure", "exchange", "40 20")) { $0.deleteExchange("other") },
    Refused("basic.publish", Refused.of("write", "exchange", "60 40")) {
        $0.publish("x", to: "k", exchange: "other")
    },
    Refused("basic.get", Refused.of("read", "queue", "60 70")) { $0.get("other") },
    Refused("basic.consume", Refused.of("read", "queue", "60 20")) { $0.consume("other") },
]

@Suite struct AMQPRightsTests {
    /// Queues and exchanges that are the user's, and others.
    private static func furnish(_ broker: Broker) async throws {
        for name in ["app.q", "other"] as [QueueName] { _ = try await broker.declareQueue(name) }
        for name in ["app.x", "other"] as [ExchangeName] {
            try await broker.declareExchange(name, type: .topic)
        }
    }

    @Test(arguments: refusedMethods)
    fileprivate func `a method that a user has no right to closes the channel with 403`(
        refused: Refused
    ) async throws {
        try await LoginServer.with { server in
            try await Self.furnish(server.broker)
            let client = try server.amqp("app")
            refused.call(client)
            #expect(try client.next() == "channel.close 403 ACCESS_REFUSED - \(refused.words)")
            client.closeOk()
            client.openChannel(1)
            try client.expect("channel.open-ok")
            client.declareQueue("app.q", passive: true)
            #expect(try client.next().hasPrefix("queue.declare-ok app.q"), "the connection goes on")
        }
    }

    @Test func `a user of few rights does what it may`() async throws {
        try await LoginServer.with { server in
            try await Self.furnish(server.broker)
            let client = try server.amqp("app")
            client.declareQueue("other", passive: true)
            try client.expect("queue.declare-ok other 0 0")
            client.bindQueue("app.q", to: "app.x", key: "#")
            try client.expect("queue.bind-ok")
            client.publish("one", to: "k", exchange: "app.x", properties: [0, 0])
            client.publish("two", to: "app.q", properties: [0, 0])
            client.selectTx()
            try client.expect("tx.select-ok")
            client.publish("three", to: "app.q", properties: [0, 0])
            client.commit()
            try client.expect("tx.commit-ok")
            for (tag, body) in [(1, "one"), (2, "two"), (3, "three")] {
                client.get("app.q", noAck: true)
                #expect(try client.next().hasPrefix("basic.get-ok \(tag) false"), "\(body)")
            }
            client.declareQueue("")
            #expect(
                try client.next().hasPrefix(
                    "channel.close 403 ACCESS_REFUSED - configure access to queue 'amq.gen-"))
        }
    }

    @Test func `keys of a topic exchange that a user may not use close the channel with 403`() async throws {
        try await LoginServer.with { server in
            try await Self.furnish(server.broker)
            let topics = TopicPermission(
                "app", exchange: "app.x", write: #"^{username}\."#, read: "^(all|{username})$")
            try await server.broker.administer(.permitTopics(topics))
            let client = try server.amqp("app")
            client.bindQueue("app.q", to: "app.x", key: "all")
            try client.expect("queue.bind-ok")
            client.selectConfirms()
            try client.expect("confirm.select-ok")
            client.publish("x", to: "app.news", exchange: "app.x")
            try client.expect("basic.ack 1 false")
            func words(_ right: String, _ key: String, _ method: String) -> String {
                "channel.close 403 ACCESS_REFUSED - \(right) access to topic '\(key)' in exchange exchange 'app.x' in "
                    + "vhost '/' refused for user 'app' \(method)"
            }
            client.publish("x", to: "ops.news", exchange: "app.x")
            #expect(try client.next() == words("write", "ops.news", "60 40"))
            for (call, method) in [
                ({ $0.bindQueue("app.q", to: "app.x", key: "#") }, "50 20"),
                ({ $0.unbindQueue("app.q", from: "app.x", key: "#") }, "50 50"),
            ] as [((AMQPSocket) -> Void, String)] {
                client.closeOk()
                client.openChannel(1)
                try client.expect("channel.open-ok")
                call(client)
                #expect(try client.next() == words("read", "#", method))
            }
        }
    }

    @Test func `answers find their way to a client that may declare nothing`() async throws {
        try await LoginServer.with { server in
            try await server.broker.administer(
                .permit(UserPermission("app", configure: "", write: "^amq.default$", read: "^rpc$")))
            _ = try await server.broker.declareQueue("rpc")
            let client = try server.amqp("app")
            client.consume("amq.rabbitmq.reply-to", as: "answers", noAck: true)
            try client.expect("basic.consume-ok answers")
            let replyTo = Array("amq.rabbitmq.reply-to".utf8)
            client.publish("2 + 2", to: "rpc", properties: [0x02, 0, UInt8(replyTo.count)] + replyTo)
            client.get("rpc", noAck: true)
            let question = try client.next()
            let hex = question.drop { $0 != "{" }.dropFirst().prefix { $0 != "}" }.split(separator: " ")
            let bytes = hex.compactMap { UInt8($0, radix: 16) }
            let address = String(decoding: bytes.drop { $0 != UInt8(ascii: "a") }, as: UTF8.self)
            client.publish("4", to: address, properties: [0, 0])
            #expect(try client.next() == "basic.deliver answers 2 false '' \(address) {0 0} 4")
        }
    }

    @Test func `limits of a virtual host are told with 530 and 406`() async throws {
        try await LoginServer.with { server in
            try await server.broker.createVirtualHost("shop")
            try await server.broker.limitVirtualHost(
                "shop", to: VirtualHostLimits(queuesMax: 1, connectionsMax: 1))
            let all = UserPermission("app", in: "shop", configure: ".*", write: ".*", read: ".*")
            try await server.broker.administer(.permit(all))
            let client = try server.amqp("app", host: "shop")
            let second = try server.greet("app", host: "shop")
            #expect(
                try second.next()
                    == "connection.close 530 NOT_ALLOWED - access to vhost 'shop' refused for user 'app': "
                    + "connection limit (1) is reached 10 40")
            try client.haveQueue("one")
            client.declareQueue("two")
            #expect(
                try client.next()
                    == "channel.close 406 PRECONDITION_FAILED - cannot declare queue 'two': queue limit in vhost "
                    + "'shop' (1) is reached 50 10")
        }
    }

    @Test func `limits of a user are told with 530`() async throws {
        try await LoginServer.with { server in
            try await server.broker.administer(
                .setLimits("app", UserLimits(connectionsMax: 1, sessionsMax: 1)))
            let client = try server.amqp("app")
            let second = try server.greet("app")
            #expect(
                try second.next()
                    == "connection.close 530 NOT_ALLOWED - connection refused for user 'app': user connection limit "
                    + "(1) is reached 10 40")
            client.openChannel(2)
            try client.expect("[2] channel.open-ok")
            #expect(
                try client.next()
                    == "connection.close 530 NOT_ALLOWED - number of channels opened for user 'app' has reached the "
                    + "maximum allowed user limit of (1) 0 0")
        }
    }

    @Test func `a deleted virtual host or user closes its connections with 320, without channels, too`()
        async throws
    {
        try await LoginServer.with { server in
            try await server.broker.createVirtualHost("shop")
            let all = UserPermission("app", in: "shop", configure: "", write: "", read: "")
            try await server.broker.administer(.permit(all))
            let bare = try server.greet("app", host: "shop")
            try bare.expect("connection.open-ok")
            let here = try server.amqp("app")
            _ = try await server.broker.deleteVirtualHost("shop")
            #expect(
                try bare.next()
                    == "connection.close 320 CONNECTION_FORCED - vhost 'shop' is deleted 0 0")
            try await server.broker.administer(.delete("app"))
            #expect(
                try here.next()
                    == "connection.close 320 CONNECTION_FORCED - user 'app' was deleted 0 0")
        }
    }

    @Test(arguments: [true, false])
    func `guest is taken from this machine only, whatever its password`(isLocal: Bool) async throws {
        try await LoginServer.with({ $0.login.allowPlainPasswords = true }, isLocal: isLocal) { server in
            let hash = try PasswordHash(of: Array("guest's".utf8), cost: .small).text
            try await server.broker.administer(.add(UserDefinition("guest", passwordHash: hash)))
            try await server.broker.administer(
                .permit(UserPermission("guest", configure: "", write: "", read: "")))
            let client = try AMQPSocket(greeting: server.port)
            try client.expect("connection.start")
            client.startOk(user: "guest", password: "guest's")
            try client.expect(isLocal ? "connection.tune" : "connection.close 403 ACCESS_REFUSED - Login was")
            let line = try LineSocket(port: server.port).ask("AUTH guest guest's").line
            #expect(line == (isLocal ? "OK" : "ERR \(BrokerError.wrongLogin)"))
            let app = try server.amqp("app")
            app.declareQueue("app.q")
            try app.expect("queue.declare-ok")
        }
    }

    @Test func `another secret on a connection changes nothing and is taken`() async throws {
        try await LoginServer.with { server in
            let client = try server.amqp("app")
            client.call(10, 70, .long("another"), .short("it expires"))
            #expect(try client.next() == "connection.update-secret-ok")
            client.declareQueue("other")
            try client.expect("channel.close 403")
            _ = try server.amqp("app")
        }
    }
}
