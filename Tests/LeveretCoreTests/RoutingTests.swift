// Where messages go: exchange types, exchange-to-exchange bindings, alternate exchanges, CC and BCC.

import Testing

@testable import LeveretCore

@Suite struct RoutingTests {
    private var topology = Topology(of: .default)

    init() throws {
        for (slot, name) in ["a", "b", "c"].enumerated() {
            topology.addQueue(QueueName(name), slot: QueueSlot(Int32(slot)))
        }
    }

    private mutating func declare(
        _ name: ExchangeName, _ type: ExchangeType, alternate: String? = nil, autoDelete: Bool = false,
        internal isInternal: Bool = false
    ) throws {
        var arguments = FieldTable()
        arguments["alternate-exchange"] = alternate.map { .string($0) }
        let definition = ExchangeDefinition(
            name, type: type, autoDelete: autoDelete, internal: isInternal, arguments: arguments)
        #expect(try topology.declare(definition, passive: false))
    }

    private mutating func bind(
        _ source: ExchangeName, _ target: BindingTarget, _ key: String = "", _ arguments: FieldTable = [:]
    ) throws {
        let binding = Binding(source: source, target: target, routingKey: key, arguments: arguments)
        #expect(try topology.bind(binding))
    }

    private func message(_ exchange: ExchangeName, _ key: String = "", _ headers: FieldTable = [:]) -> Message
    {
        var properties = MessageProperties()
        properties.headers = headers
        return Message(
            exchange: exchange, routingKey: key, properties: headers.isEmpty ? nil : properties, body: [])
    }

    private mutating func route(
        _ exchange: ExchangeName, _ key: String = "", _ headers: FieldTable = [:]
    ) throws -> [Int32] {
        try topology.route(message(exchange, key, headers)).queues.map(\.rawValue)
    }

    @Test mutating func `the default exchange finds a queue by its name`() throws {
        #expect(try route("", "b") == [1])
        #expect(try route("", "none") == [])
        _ = topology.removeQueue("b")
        #expect(try route("", "b") == [])
    }

    @Test mutating func `a direct exchange takes equal keys only`() throws {
        try bind("amq.direct", .queue("a"), "k")
        try bind("amq.direct", .queue("b"), "k")
        try bind("amq.direct", .queue("c"), "K")
        #expect(try route("amq.direct", "k") == [0, 1])
        #expect(try route("amq.direct", "K") == [2])
        #expect(try route("amq.direct", "") == [])
    }

    @Test mutating func `a fanout exchange takes every queue once`() throws {
        try bind("amq.fanout", .queue("b"))
        try bind("amq.fanout", .queue("a"), "one")
        try bind("amq.fanout", .queue("a"), "two")
        #expect(try route("amq.fanout", "any") == [1, 0])
    }

    @Test(arguments: ["amq.direct", "amq.fanout", "amq.topic", "amq.headers"] as [ExchangeName])
    mutating func `a queue's bindings go at once, others stay`(exchange: ExchangeName) throws {
        for number in 0..<9 {
            let target = BindingTarget.queue(["a", "b", "c"][number % 3])
            // Of each queue two with a key that the others have, too.
            try bind(exchange, target, number < 6 ? "k" : "\(number)", ["n": .int(Int64(number / 3))])
        }
        let removal = topology.removeQueue("b")
        #expect(removal.bindings.map(\.arguments["n"]) == [.int(0), .int(1), .int(2)])
        for number: Int64 in 0..<2 { #expect(try route(exchange, "k", ["n": .int(number)]) == [0, 2]) }
        for (key, queue) in [("6", Int32(0)), ("8", 2)] where exchange == "amq.direct" {
            #expect(try route(exchange, key) == [queue])
        }
        #expect(topology.exchangeInfo(exchange)?.bindings == 6)
        _ = topology.removeQueue("a")
        _ = topology.removeQueue("c")
        #expect(try route(exchange, "k", ["n": .int(0)]) == [])
        #expect(topology.exchangeInfo(exchange)?.bindings == 0)
    }

    @Test mutating func `a topic exchange forgets its routes when bindings change`() throws {
        try bind("amq.topic", .queue("a"), "x.*")
        #expect(try route("amq.topic", "x.y") == [0])
        try bind("amq.topic", .queue("b"), "#")
        #expect(try route("amq.topic", "x.y") == [0, 1])
        _ = try topology.unbind(Binding(source: "amq.topic", target: .queue("a"), routingKey: "x.*"))
        #expect(try route("amq.topic", "x.y") == [1])
        #expect(try route("amq.topic", "") == [1])
    }

    @Test mutating func `a repeated route is the same object`() throws {
        try bind("amq.topic", .queue("a"), "x.#")
        let first = try topology.route(message("amq.topic", "x.y"))
        let second = try topology.route(message("amq.topic", "x.y"))
        #expect(first === second)
    }

    @Test mutating func `a headers exchange looks at every message anew`() throws {
        try bind("amq.headers", .queue("a"), "", ["x-match": .string("any"), "n": .int(5)])
        #expect(try route("amq.headers", "", ["n": .double(5)]) == [0])
        #expect(try route("amq.headers", "", ["n": .int(6)]) == [])
    }

    @Test mutating func `exchanges that lead to each other are visited once`() throws {
        try declare("x", .fanout)
        try declare("y", .direct)
        try bind("x", .exchange("y"))
        try bind("y", .exchange("x"), "k")
        try bind("x", .queue("a"))
        try bind("y", .queue("a"), "k")
        try bind("y", .queue("b"), "k")
        #expect(try route("x", "k") == [0, 1])
        #expect(try route("x", "other") == [0])
        #expect(try route("y", "k") == [0, 1])
        _ = try topology.unbind(Binding(source: "y", target: .queue("b"), routingKey: "k"))
        #expect(try route("x", "k") == [0])
    }

    @Test mutating func `an alternate exchange takes what matched nothing, and loops end`() throws {
        try declare("x", .direct, alternate: "y")
        try declare("y", .direct, alternate: "x")
        try bind("x", .queue("a"), "k")
        #expect(try route("x", "other") == [])
        try bind("y", .queue("b"), "other")
        #expect(try route("x", "k") == [0])
        #expect(try route("x", "other") == [1])
        #expect(topology.explain(message("x", "other")).map(\.reason) == [.alternate, .binding])
        _ = try topology.deleteExchange("y", ifUnused: false)
        #expect(try route("x", "other") == [])
    }

    @Test mutating func `CC and BCC add keys`() throws {
        try bind("amq.direct", .queue("a"), "k")
        try bind("amq.direct", .queue("b"), "cc")
        try bind("amq.direct", .queue("c"), "bcc")
        let headers: FieldTable = [
            "CC": .array([.string("cc"), .string("k")]), "BCC": .array([.string("bcc")]),
        ]
        #expect(try route("amq.direct", "k", headers) == [0, 1, 2])
        #expect(try route("amq.direct", "k") == [0])
        #expect(try route("", "a", ["CC": .array([.string("c")])]) == [0, 2])
        #expect(throws: BrokerError.self) { try topology.route(message("", "a", ["CC": .string("b")])) }
    }

    @Test mutating func `publishes are refused where there is no exchange or an internal one`() throws {
        try declare("inside", .fanout, internal: true)
        #expect(throws: BrokerError(.notFound, "no exchange 'none' in vhost '/'")) {
            try topology.route(message("none"))
        }
        for _ in 0..<2 {
            #expect(throws: BrokerError.self) { try topology.route(message("inside")) }
        }
        try declare("x", .fanout)
        try bind("x", .exchange("inside"))
        try bind("inside", .queue("a"))
        #expect(try route("x") == [0])
    }

    @Test mutating func `auto-delete exchanges go with their last binding, one after another`() throws {
        try declare("x", .fanout, autoDelete: true)
        try declare("y", .fanout, autoDelete: true)
        try bind("x", .exchange("y"))
        try bind("y", .queue("a"))
        let removal = topology.removeQueue("a")
        #expect(removal.bindings.map(\.source) == ["y", "x"])
        #expect(removal.exchanges.map(\.name) == ["y", "x"])
        #expect(topology.exchange("x") == nil)
        #expect(throws: BrokerError.self) { try topology.route(message("x")) }
    }

    @Test mutating func `a chain of auto-delete exchanges may be longer than any stack`() throws {
        let count = 30_000
        var next = BindingTarget.queue("a")
        for index in 0..<count {
            let name = ExchangeName("x\(index)")
            try declare(name, .fanout, autoDelete: true)
            try bind(name, next)
            next = .exchange(name)
        }
        let removal = topology.removeQueue("a")
        #expect(removal.exchanges.map(\.name) == (0..<count).map { ExchangeName("x\($0)") })
        #expect(removal.bindings.count == count && topology.records.isEmpty)
    }

    @Test mutating func `declarations are idempotent and say what differs`() throws {
        try declare("x", .direct, alternate: "y")
        let same = ExchangeDefinition("x", arguments: ["alternate-exchange": .string("y")])
        #expect(try topology.declare(same, passive: false) == false)
        #expect(
            throws: BrokerError(
                .preconditionFailed,
                "inequivalent arg 'type' for exchange 'x' in vhost '/': "
                    + "received 'topic' but current is 'direct'")
        ) { try topology.declare(ExchangeDefinition("x", type: .topic), passive: false) }
        #expect(try topology.declare(ExchangeDefinition("amq.topic", type: .topic), passive: false) == false)
        for name: ExchangeName in ["", "amq.mine", "leveret.x"] {
            let error = #expect(throws: BrokerError.self) {
                try topology.declare(ExchangeDefinition(name), passive: false)
            }
            #expect(error?.code == .accessRefused)
        }
        #expect(throws: BrokerError(.notFound, "no exchange 'none' in vhost '/'")) {
            try topology.declare(ExchangeDefinition("none"), passive: true)
        }
    }

    @Test mutating func `deleting takes bindings from and to an exchange along`() throws {
        try declare("x", .topic)
        try bind("x", .queue("a"), "#")
        try bind("amq.fanout", .exchange("x"))
        try bind("x", .exchange("x"), "self")
        #expect(throws: BrokerError.self) { try topology.deleteExchange("x", ifUnused: true) }
        #expect(throws: BrokerError.self) { try topology.deleteExchange("amq.fanout", ifUnused: false) }
        #expect(try topology.deleteExchange("none", ifUnused: false).isEmpty)
        let removal = try topology.deleteExchange("x", ifUnused: false)
        #expect(removal.bindings.map(\.source) == ["x", "x", "amq.fanout"])
        #expect(topology.records.isEmpty && topology.ids.isEmpty && topology.idsByTarget.isEmpty)
        #expect(try route("amq.fanout") == [])
    }

    @Test mutating func `bindings differ by key and arguments, not by the order of arguments`() throws {
        let a: FieldTable = ["x-match": .string("all"), "n": .int(1)]
        let b: FieldTable = ["n": .int(1), "x-match": .string("all")]
        try bind("amq.headers", .queue("a"), "", a)
        let again = Binding(source: "amq.headers", target: .queue("a"), arguments: b)
        #expect(try topology.bind(again) == false)
        try bind("amq.headers", .queue("a"), "", ["n": .int(2)])
        #expect(try topology.unbind(again).bindings.count == 1)
        #expect(try topology.unbind(again).isEmpty)
        #expect(topology.records.count == 1)
        #expect(throws: BrokerError(.notFound, "no queue 'none' in vhost '/'")) {
            try topology.bind(Binding(source: "amq.fanout", target: .queue("none")))
        }
    }

    @Test mutating func `publishes are counted by exchange`() throws {
        try bind("amq.direct", .queue("a"), "k")
        for key in ["k", "k", "none"] { _ = try route("amq.direct", key) }
        let info = topology.exchangeInfo("amq.direct")
        #expect(info?.published == 3)
        #expect(info?.unroutable == 1)
        #expect(info?.bindings == 1)
    }
}
