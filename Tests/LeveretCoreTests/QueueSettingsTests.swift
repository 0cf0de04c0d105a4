// The arguments of queues: what they may be, and the words of the refusals.

import Testing

@testable import LeveretCore

@Suite struct QueueSettingsTests {
    private func refusal(_ arguments: FieldTable) -> BrokerError? {
        do throws(BrokerError) {
            _ = try QueueSettings(QueueDefinition("q", arguments: arguments))
            return nil
        } catch { return error }
    }

    @Test func `every argument is read`() throws {
        let settings = try QueueSettings(
            QueueDefinition(
                "q",
                arguments: [
                    "x-message-ttl": .int(0), "x-expires": .double(1), "x-max-length": .int(10),
                    "x-max-length-bytes": .int(.max), "x-overflow": .string("reject-publish-dlx"),
                    "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("k"),
                    "x-delivery-limit": .int(3), "x-queue-type": .string("quorum"), "x-mine": .void,
                ]))
        #expect(settings.messageTTLMilliseconds == 0)
        #expect(settings.expiresMilliseconds == 1)
        #expect(settings.lengthMax == 10)
        #expect(settings.bytesMax == .max)
        #expect(settings.overflow == .rejectPublishDLX)
        #expect(settings.deadLetterExchange == .default)
        #expect(settings.deadLetterRoutingKey == "k")
        #expect(settings.deliveryLimit == 3)
        #expect(try QueueSettings(QueueDefinition("q")) == QueueSettings())
    }

    @Test(
        arguments: [
            ["x-message-ttl": .int(-1)], ["x-message-ttl": .int(4_294_967_296)],
            ["x-message-ttl": .string("5")], ["x-expires": .int(0)], ["x-expires": .double(1.5)],
            ["x-max-length": .int(-1)], ["x-max-length-bytes": .bool(true)], ["x-overflow": .string("drop")],
            ["x-overflow": .int(1)], ["x-dead-letter-exchange": .int(1)],
            ["x-dead-letter-routing-key": .string("k")], ["x-delivery-limit": .int(-1)],
            ["x-queue-type": .string("fast")],
        ] as [FieldTable])
    func `a value that makes no sense is refused by name`(arguments: FieldTable) {
        let error = refusal(arguments)
        #expect(error?.code == .preconditionFailed)
        #expect(error?.text.contains(arguments.fields[0].name) == true)
    }

    @Test func `a quorum queue has RabbitMQ's delivery limit unasked`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-queue-type": .string("quorum"), "x-dead-letter-exchange": .string("gone")])
        func limit() -> (FieldValue?, FieldValue?, Int64?) {
            let info = broker.info("jobs")
            return (
                info?.effective["x-delivery-limit"], info?.origins["x-delivery-limit"],
                broker.found("jobs")?.settings.deliveryLimit
            )
        }
        #expect(limit() == (.int(20), .string("default"), 20))
        _ = broker.publish("a", to: "jobs")
        var rejected = 0
        while let delivery = broker.get("jobs") {
            broker.run(.settle(Settlement(.fail, delivery.tag)))
            rejected += 1
        }
        #expect(rejected == 21 && broker.core.totals.deaths[.deliveryLimit] == 1)
        let policy = Policy("p", pattern: "", definition: ["x-delivery-limit": .int(30)])
        broker.run(.setPolicy(policy))
        #expect(limit() == (.int(30), .string("policy 'p'"), 30))
        broker.run(.deletePolicy("p", isOperator: false))
        #expect(limit() == (.int(20), .string("default"), 20))
        broker.queue("own", ["x-queue-type": .string("quorum"), "x-delivery-limit": .int(0)])
        #expect(broker.found("own")?.settings.deliveryLimit == 0)
        broker.queue("classic", ["x-queue-type": .string("classic")])
        #expect(broker.found("classic")?.settings.deliveryLimit == nil)
    }

    @Test func `streams are refused`() {
        #expect(refusal(["x-queue-type": .string("stream")])?.code == .notImplemented)
    }

    @Test func `a declaration that differs is refused in RabbitMQ's words`() {
        let current = QueueDefinition("q", arguments: ["x-message-ttl": .int(6), "x-deduplicate": .int(1)])
        func text(_ arguments: FieldTable, durable: Bool = true) -> String? {
            QueueSettings.inequivalence(
                of: QueueDefinition("q", durable: durable, arguments: arguments), to: current)?.text
        }
        #expect(text(["x-mine": .void, "x-deduplicate": .int(1), "x-message-ttl": .int(6)]) == nil)
        #expect(text(["x-message-ttl": .int(6)])?.hasPrefix("inequivalent arg 'x-deduplicate' for") == true)
        let start = "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received "
        #expect(text(["x-message-ttl": .int(5)]) == start + "'5' but current is '6'")
        #expect(text(["x-message-ttl": .double(6)]) == start + "'6.0' but current is '6'")
        #expect(
            text(["x-deduplicate": .int(1)]) == start + "none but current is the value '6' of type 'long'")
        #expect(
            text([:], durable: false)
                == "inequivalent arg 'durable' for queue 'q' in vhost '/': "
                + "received 'false' but current is 'true'")
    }
}
