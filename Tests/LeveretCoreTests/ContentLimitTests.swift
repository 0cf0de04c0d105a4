// What the file could not give back as it was handed in is refused by the core, whichever door it came through.

import Testing

@testable import LeveretCore

@Suite struct ContentLimitTests {
    /// A table that is so many levels deep, itself counted.
    private func nested(_ levels: Int) -> FieldTable {
        ["a": (1..<levels).reduce(FieldValue.void) { value, _ in .array([value]) }]
    }

    private func broker() -> CoreHarness {
        let broker = CoreHarness()
        for queue in ["from", "to"] as [QueueName] { broker.queue(queue) }
        broker.run(.bind(Binding(source: "amq.fanout", target: .queue("from"))))
        _ = broker.publish("a", to: "from")
        broker.settle()
        return broker
    }

    private func message(_ change: (inout MessageProperties) -> Void, key: String = "from") -> Message {
        var properties = MessageProperties()
        change(&properties)
        return Message(exchange: "amq.fanout", routingKey: key, properties: properties, body: [1])
    }

    private func edit(_ change: (inout MessageEdit) -> Void) -> Request {
        var edit = MessageEdit("from", 1)
        change(&edit)
        return .edit(edit)
    }

    private func move(_ headers: FieldTable = [:], body: [UInt8]? = nil, key: String? = nil) -> Request {
        var move = Move(from: "from", to: key.map { .exchange("amq.fanout", routingKey: $0) } ?? .queue("to"))
        move.position = 1
        move.headers = headers
        move.body = body
        return .move(move)
    }

    @Test func `tables are taken up to 32 levels deep and refused beyond`() {
        let requests: [(FieldTable) -> Request] = [
            { table in .publish(message { $0.headers = table }, mandatory: false) },
            { table in .transaction([.publish(message { $0.headers = table }, mandatory: false)]) },
            { table in edit { $0.headers = table } },
            { move($0) },
            { .bind(Binding(source: "amq.headers", target: .queue("to"), arguments: $0)) },
            { .declareQueue(QueueDefinition("new", arguments: $0), passive: false) },
            { .declareExchange(ExchangeDefinition("new", type: .fanout, arguments: $0), passive: false) },
        ]
        for request in requests {
            let broker = broker()
            #expect(broker.refusal(of: request(nested(33)))?.text.contains("more than 32 deep") == true)
            #expect(broker.refusal(of: request(nested(32))) == nil)
        }
    }

    @Test func `keys, names and properties are taken up to 255 bytes and refused beyond`() {
        let requests: [(String) -> Request] = [
            { .publish(message({ _ in }, key: $0), mandatory: false) },
            { text in .publish(message { $0.correlationID = text }, mandatory: false) },
            { text in .publish(message { $0.headers[text] = .void }, mandatory: false) },
            { text in edit { $0.routingKey = text } },
            { text in edit { $0.headers[text] = .void } },
            { move([$0: .void]) },
            { move(key: $0) },
        ]
        for request in requests {
            let broker = broker()
            let error = broker.refusal(of: request(String(repeating: "x", count: 256)))
            #expect(error?.code == .preconditionFailed)
            #expect(error?.text.contains("256 bytes; the most is 255") == true)
            #expect(broker.refusal(of: request(String(repeating: "x", count: 255))) == nil)
        }
    }

    @Test func `a move can't bring a body that a publish could not`() {
        var limits = CoreLimits()
        limits.bodyBytesMax = 3
        let broker = CoreHarness(limits: limits)
        for queue in ["from", "to"] as [QueueName] { broker.queue(queue) }
        _ = broker.publish("a", to: "from")
        #expect(broker.refusal(of: move(body: [1, 2, 3, 4]))?.text.contains("3 bytes are allowed") == true)
        #expect(broker.refusal(of: move(body: [1, 2, 3])) == nil)
    }
}
