// Which right each request needs, as a table, and RabbitMQ's words for what is refused.

import Testing

@testable import LeveretCore

/// A request, the rights that it needs, and the tag, where one is enough.
private struct Need: CustomTestStringConvertible, Sendable {
    let name: String
    let request: Request
    /// As `configure queue q`.
    let rights: [String]
    var testDescription: String { name }

    init(_ name: String, _ request: Request, _ rights: String...) {
        self.name = name
        self.request = request
        self.rights = rights
    }
}

private func publish(_ exchange: ExchangeName, userID: String? = nil) -> Request {
    var properties = MessageProperties()
    properties.userID = userID
    return .publish(
        Message(
            exchange: exchange, routingKey: "k", properties: userID == nil ? nil : properties, body: []),
        mandatory: false)
}

private let needs = [
    Need("publish", publish("e"), "write exchange e"),
    Need("publish to the default exchange", publish(""), "write exchange amq.default"),
    Need("get", .get("q", autoAck: false, waitMilliseconds: 0), "read queue q"),
    Need("consume", .consume(Consume(queue: "q")), "read queue q"),
    Need("purge", .purge("q"), "read queue q"),
    Need("peek", .peek(Peek("q")), "read queue q"),
    Need("why", .why("q"), "read queue q"),
    Need("stat", .status("q"), "read queue q"),
    Need("cancel a message", .cancelMessage("q", 1), "read queue q"),
    Need("edit", .edit(MessageEdit("q", 1)), "read queue q", "write queue q"),
    Need(
        "import", .restore(RestoredMessage(Message(exchange: "", routingKey: "", body: []), to: "q")),
        "write queue q"),
    Need("move to a queue", .move(Move(from: "a", to: .queue("b"))), "read queue a", "write queue b"),
    Need(
        "move to an exchange", .move(Move(from: "a", to: .exchange("e", routingKey: nil))), "read queue a",
        "write exchange e"),
    Need("remove some", .move(Move(from: "a", to: .nowhere)), "read queue a"),
    Need("declare a queue", .declareQueue(QueueDefinition("q"), passive: false), "configure queue q"),
    Need(
        "declare a queue without a name", .declareQueue(QueueDefinition(""), passive: false),
        "configure queue amq.gen-"),
    Need(
        "declare a queue with dead letters",
        .declareQueue(
            QueueDefinition("q", arguments: ["x-dead-letter-exchange": .string("d")]), passive: false),
        "configure queue q", "read queue q", "write exchange d"),
    Need(
        "declare an exchange", .declareExchange(ExchangeDefinition("e", type: .fanout), passive: false),
        "configure exchange e"),
    Need(
        "declare an exchange with an alternate",
        .declareExchange(
            ExchangeDefinition("e", type: .fanout, arguments: ["alternate-exchange": .string("a")]),
            passive: false),
        "configure exchange e", "read exchange e", "write exchange a"),
    Need("delete a queue", .deleteQueue("q", ifUnused: false, ifEmpty: false), "configure queue q"),
    Need("delete an exchange", .deleteExchange("e", ifUnused: false), "configure exchange e"),
    Need("pause", .setPaused("q", true), "configure queue q"),
    Need(
        "bind a queue", .bind(Binding(source: "e", target: .queue("q"), routingKey: "")), "write queue q",
        "read exchange e"),
    Need(
        "unbind an exchange", .unbind(Binding(source: "e", target: .exchange("d"), routingKey: "")),
        "write exchange d", "read exchange e"),
    Need("route", .route(Message(exchange: "e", routingKey: "", body: [])), "write exchange e"),
    Need("ask whether a queue is there", .declareQueue(QueueDefinition("q"), passive: true)),
    Need(
        "ask whether an exchange is there",
        .declareExchange(ExchangeDefinition("e", type: .fanout), passive: true)),
    Need("declare a queue for replies", .declareReplyQueue),
    Need("consume replies", .consume(Consume(queue: "amq.rabbitmq.reply-to.X"))),
    Need(
        "get replies", .get("amq.rabbitmq.reply-to.X", autoAck: true, waitMilliseconds: 0),
        "read queue amq.rabbitmq.reply-to.X"),
    Need("settle", .settle(Settlement(.ack, 1))),
    Need("recover", .recover),
    Need(
        "a transaction", .transaction([publish("e"), .settle(Settlement(.ack, 1))]), "write exchange e"),
]

@Suite struct AccessTests {
    /// Access that allows these rights, written as in `Need`.
    private func access(_ rights: [String], tags: [String] = []) throws -> Access {
        func pattern(_ right: String) -> String {
            let names = rights.filter { $0.hasPrefix(right) }.map { $0.split(separator: " ")[2] }
            return names.isEmpty ? "" : "^(\(names.joined(separator: "|")))$"
        }
        let permission = UserPermission(
            "u", configure: pattern("configure"), write: pattern("write"), read: pattern("read"))
        return Access(user(tags, try ActivePermission(permission)), in: host)
    }

    private let host = VirtualHost(id: .default, name: "/")

    private func user(_ tags: [String], _ permission: ActivePermission?) -> UserState {
        let user = UserState(UserDefinition("u", passwordHash: "", tags: tags))
        user.permissions["/"] = permission
        return user
    }

    private func refusal(_ access: Access, _ request: Request) -> BrokerError? {
        do throws(BrokerError) { try access.check(request) } catch { return error }
        return nil
    }

    @Test(arguments: needs)
    fileprivate func `a request needs these rights, each of them, and no other`(need: Need) throws {
        #expect(refusal(try access(need.rights), need.request) == nil)
        for missing in need.rights {
            let words = missing.split(separator: " ")
            let error = refusal(try access(need.rights.filter { $0 != missing }), need.request)
            #expect(error?.code == .accessRefused)
            #expect(
                error?.text
                    == "\(words[0]) access to \(words[1]) '\(words[2])' in vhost '/' refused for user 'u'")
        }
    }

    /// What tags allow, of those that have permissions in the virtual host.
    private static let tagged: [(request: Request, tags: Set<UserTag>)] = [
        (.list(.queues, match: nil), [.management, .policymaker, .monitoring]),
        (.list(.exchanges, match: nil), [.management, .policymaker, .monitoring]),
        (.list(.bindings, match: nil), [.management, .policymaker, .monitoring]),
        (.list(.consumers, match: nil), [.management, .policymaker, .monitoring]),
        (.list(.policies, match: nil), [.management, .policymaker, .monitoring]),
        (.list(.connections, match: nil), [.monitoring]),
        (.list(.users, match: nil), []),
        (.list(.permissions, match: nil), []),
        (.list(.topicPermissions, match: nil), []),
        (.status(nil), [.management, .policymaker, .monitoring]),
        (.status("q"), [.monitoring]),
        (.why("q"), [.monitoring]),
        (.peek(Peek("q")), []),
        (.setPolicy(Policy("p", pattern: "", definition: [:])), [.policymaker]),
        (.setPolicy(Policy("p", pattern: "", isOperator: true, definition: [:])), []),
        (.deletePolicy("p", isOperator: false), [.policymaker]),
        (.query("SELECT 1"), []),
        (.closeConnection("1", reason: ""), []),
        (.administer(.export), []),
        (.administer(.delete("u")), []),
        (.list(.virtualHosts, match: nil), [.management, .policymaker, .monitoring]),
        (.createVirtualHost("v"), []), (.deleteVirtualHost("v"), []),
        (.limitVirtualHost("v", VirtualHostLimits()), []), (.enter("v"), []),
    ]

    @Test func `tags allow what is about the broker, and administrators all of that, but no messages`() throws
    {
        for (request, tags) in Self.tagged {
            for tag in UserTag.allCases {
                let isMessages = if case .peek = request { true } else { false }
                let isAllowed = tags.contains(tag) || (tag == .administrator && !isMessages)
                let error = refusal(try access([], tags: [tag.rawValue]), request)
                #expect((error == nil) == isAllowed, "\(request) by \(tag): \(error?.text ?? "allowed")")
                #expect(error == nil || [.accessRefused, .notAllowed].contains(error?.code))
            }
        }
        #expect(refusal(try access([], tags: ["administrator"]), publish("e")) != nil)
        let text = refusal(try access([]), .list(.connections, match: nil))?.text
        #expect(
            text
                == "lists of connections: access refused for user 'u', who needs one of the tags 'monitoring', "
                + "'administrator'")
    }

    @Test func `a virtual host without permissions is closed to all but administrators`() {
        for tag in UserTag.allCases {
            let access = Access(user([tag.rawValue], nil), in: host)
            let error = refusal(access, .list(.queues, match: nil))
            #expect((error == nil) == (tag == .administrator))
            if [.management, .monitoring, .policymaker].contains(tag) {
                #expect(error == BrokerError(.notAllowed, "access to vhost '/' refused for user 'u'"))
            }
            #expect(refusal(access, publish("e"))?.code == .accessRefused)
        }
    }

    @Test func `a pattern is found anywhere, an empty one nowhere`() throws {
        func allows(_ pattern: String, _ name: String) throws -> Bool {
            let permission = UserPermission("u", configure: "", write: "", read: pattern)
            return try ActivePermission(permission).allows(.read, name)
        }
        #expect(try allows("^app", "app.jobs") && !allows("^app", "my.app"))
        #expect(try allows("app", "my.app") && allows(".*", "") && allows(".*", "x"))
        #expect(try !allows("", "x") && !allows("", "") && !allows("^$", "x"))
    }

    @Test func `a pattern that is broken is refused by its right and place`() {
        let error = #expect(throws: BrokerError.self) {
            try ActivePermission(UserPermission("u", configure: ".*", write: "a(b", read: ""))
        }
        #expect(error?.code == .preconditionFailed)
        #expect(
            error?.text
                == "write: pattern 'a(b' can't be understood at character 4: a group is not closed")
    }

    @Test func `who publishes may not say to be somebody else, unless the tag impersonator lets it`() throws {
        let access = try access(["write exchange e"])
        #expect(refusal(access, publish("e", userID: "u")) == nil)
        let error = refusal(access, publish("e", userID: "v"))
        #expect(error?.code == .preconditionFailed)
        #expect(error?.text == "user_id property set to 'v' but authenticated user was 'u'")
        let other = try self.access(["write exchange e"], tags: ["impersonator"])
        #expect(refusal(other, publish("e", userID: "v")) == nil)
    }

    @Test func `who imports may not say that somebody else had published it, unless it is an administrator`()
        throws
    {
        var properties = MessageProperties()
        properties.userID = "v"
        let message = Message(exchange: "", routingKey: "", properties: properties, body: [])
        let restore = Request.restore(RestoredMessage(message, to: "q"))
        let error = refusal(try access(["write queue q"]), restore)
        #expect(error?.text == "user_id property set to 'v' but authenticated user was 'u'")
        #expect(refusal(try access(["write queue q"], tags: ["administrator"]), restore) == nil)
    }

    @Test func `what is remembered is bounded, and stays right`() throws {
        let permission = UserPermission("u", configure: "", write: "", read: "7$")
        let access = Access(user([], try ActivePermission(permission)), in: host)
        for number in 0..<5000 {
            let queue = QueueName("q\(number)")
            #expect(access.allows(.read, .queue(queue)) == (number % 10 == 7))
        }
        #expect(!access.allows(.read, .queue("q1")) && access.allows(.read, .queue("q7")))
    }

    @Test func `a request that is refused in a transaction is named by its place`() throws {
        let error = refusal(try access(["write exchange e"]), .transaction([publish("e"), publish("f")]))
        #expect(error?.part == 1)
        #expect(error?.text == "write access to exchange 'f' in vhost '/' refused for user 'u'")
    }
}
