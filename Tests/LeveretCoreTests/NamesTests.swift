// Names and keys are compared byte by byte: what only looks the same is not.

import Testing

@testable import LeveretCore

@Suite struct NamesTests {
    /// é as one character, and as an e with an accent.
    private static let composed = "caf\u{E9}"
    private static let decomposed = "cafe\u{301}"

    @Test func `the default exchange has an empty name`() {
        #expect(ExchangeName.default == "")
    }

    @Test(arguments: ["", "a", "12345678", "a text that is no small string", "späß mit ünïcödé und mehr"])
    func `the same bytes are equal, others are not`(text: String) {
        #expect(text.hasSameBytes(as: String(decoding: Array(text.utf8), as: UTF8.self)))
        #expect(!text.hasSameBytes(as: text + "x"))
        #expect(text.precedesByBytes(text + "x") && !text.precedesByBytes(text))
        #expect(!(text + "1234567y").hasSameBytes(as: text + "1234567z"))
    }

    @Test func `what only looks the same has another name`() {
        #expect(QueueName(Self.composed) != QueueName(Self.decomposed))
        #expect(ExchangeName(Self.composed) != ExchangeName(Self.decomposed))
        #expect(VirtualHostName(Self.composed) != VirtualHostName(Self.decomposed))
        #expect(ConsumerTag(Self.composed) != ConsumerTag(Self.decomposed))
        // As many bytes: the ångström sign and A with a ring.
        #expect(QueueName("\u{212B}") != QueueName("A\u{30A}"))
        let headers: FieldTable = [Self.composed: 1, Self.decomposed: 2]
        #expect(headers[Self.composed] == 1 && headers[Self.decomposed] == 2)
        #expect(FieldValue.string(Self.composed) != .string(Self.decomposed))
    }

    @Test(arguments: [ExchangeType.direct, .topic, .headers])
    func `queues, keys and headers that only look the same are kept apart`(type: ExchangeType) {
        let broker = CoreHarness()
        let exchange = ExchangeName("x \(Self.composed)")
        broker.run(.declareExchange(ExchangeDefinition(exchange, type: type), passive: false))
        for text in [Self.composed, Self.decomposed] {
            broker.queue(QueueName(text))
            let arguments: FieldTable = type == .headers ? ["h": .string(text)] : [:]
            broker.run(
                .bind(
                    Binding(
                        source: exchange, target: .queue(QueueName(text)), routingKey: text,
                        arguments: arguments)))
        }
        for text in [Self.composed, Self.decomposed, Self.composed] {
            var properties = MessageProperties()
            properties.headers = type == .headers ? ["h": .string(text)] : [:]
            let message = Message(
                exchange: exchange, routingKey: text, properties: properties.isEmpty ? nil : properties,
                body: Array(text.utf8))
            guard case .routed(1)? = broker.run(.publish(message, mandatory: false)) else {
                Issue.record("not one queue took it")
                return
            }
            #expect(broker.publish("", to: text, persistent: false) != nil)
        }
        #expect(broker.info(QueueName(Self.composed))?.ready == 4)
        #expect(broker.info(QueueName(Self.decomposed))?.ready == 2)
    }

    @Test func `ids that only look the same are no doubles`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .int(1000)])
        for id in [Self.composed, Self.decomposed, Self.composed] {
            var properties = MessageProperties()
            properties.messageID = id
            let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
            broker.run(.publish(message, mandatory: false))
        }
        #expect(broker.info("jobs")?.ready == 2)
    }
}
