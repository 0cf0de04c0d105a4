// Where messages go: exchange types, exchange-to-exchange bindings, alternate exchanges, CC and BCC.

import Testing

@testable import LeveretCore

@Suite struct RoutingTests {
    private var topology = Topology()

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
}
