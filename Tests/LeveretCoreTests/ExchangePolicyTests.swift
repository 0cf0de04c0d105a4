// Policies on exchanges: what a policy is for, and that alternates and ids follow it while the exchange is in use.

import Testing

@testable import LeveretCore

@Suite struct ExchangePolicyTests {
    /// Exchanges `orders` and `spare`, the queues `orders` and `caught`; `spare` hands all to `caught`.
    private func broker() -> CoreHarness {
        let broker = CoreHarness()
        for queue in ["orders", "caught"] as [QueueName] { broker.queue(queue) }
        for (name, type) in [("orders", .direct), ("spare", .fanout)] as [(ExchangeName, ExchangeType)] {
            broker.run(.declareExchange(ExchangeDefinition(name, type: type), passive: false))
        }
        broker.run(.bind(Binding(source: "spare", target: .queue("caught"))))
        return broker
    }

    @discardableResult
    private func set(
        _ broker: CoreHarness, _ name: String, _ pattern: String, _ target: PolicyTarget,
        _ definition: FieldTable, isOperator: Bool = false
    ) -> Answer? {
        broker.run(
            .setPolicy(
                Policy(
                    name, pattern: pattern, appliesTo: target, isOperator: isOperator,
                    definition: definition)))
    }

    private func publish(
        _ broker: CoreHarness, id: String? = nil, to exchange: ExchangeName = "orders"
    ) -> Int? {
        var properties = MessageProperties()
        properties.messageID = id
        let message = Message(
            exchange: exchange, routingKey: "none", properties: id == nil ? nil : properties, body: [])
        guard case .routed(let count)? = broker.run(.publish(message, mandatory: false)) else { return nil }
        return count
    }

    private func info(_ broker: CoreHarness, _ name: ExchangeName = "orders") -> ExchangeInfo? {
        guard
            case .page(.exchanges(let rows), next: nil)? = broker.run(.list(.exchanges, match: name.rawValue))
        else {
            return nil
        }
        return rows.first { $0.definition.name == name }
    }

    @Test func `an alternate exchange comes and goes with a policy, while the exchange is in use`() {
        let broker = broker()
        #expect(publish(broker) == 0)
        set(broker, "p", "^orders$", .exchanges, ["alternate-exchange": .string("spare")])
        #expect(publish(broker) == 1)
        #expect(info(broker)?.policy == "p")
        #expect(info(broker)?.effective == ["alternate-exchange": .string("spare")])
        #expect(info(broker)?.origins == ["alternate-exchange": .string("policy 'p'")])
        #expect(info(broker, "spare")?.policy == nil)
        set(broker, "p", "^orders$", .exchanges, ["alternate-exchange": .string("amq.fanout")])
        #expect(publish(broker) == 0)
        broker.run(.deletePolicy("p", isOperator: false))
        #expect(publish(broker) == 0 && info(broker)?.effective == [:])
        // An exchange that comes later, and one that was always there, obey as well; the default exchange doesn't.
        set(broker, "q", "", .all, ["alternate-exchange": .string("spare")])
        broker.run(.declareExchange(ExchangeDefinition("late"), passive: false))
        for exchange in ["late", "amq.direct"] as [ExchangeName] {
            #expect(publish(broker, to: exchange) == 1, "\(exchange)")
        }
        #expect(publish(broker, to: "") == 0)
    }

    @Test func `an alternate that another exchange's way leads through counts at once, too`() {
        let broker = broker()
        broker.run(.declareExchange(ExchangeDefinition("front", type: .fanout), passive: false))
        broker.run(.bind(Binding(source: "front", target: .exchange("orders"))))
        #expect(publish(broker, to: "front") == 0)
        set(broker, "p", "orders", .exchanges, ["alternate-exchange": .string("spare")])
        #expect(publish(broker, to: "front") == 1)
        broker.run(.deletePolicy("p", isOperator: false))
        #expect(publish(broker, to: "front") == 0)
    }

    @Test func `of exchanges, too, an argument beats a policy and an operator policy both`() {
        let broker = broker()
        broker.run(
            .declareExchange(
                ExchangeDefinition(
                    "own",
                    arguments: ["alternate-exchange": .string("amq.fanout"), "x-deduplicate": .int(500)]),
                passive: false))
        set(broker, "p", "own", .all, ["alternate-exchange": .string("spare"), "x-deduplicate": .int(50)])
        #expect(info(broker, "own")?.effective["alternate-exchange"] == .string("amq.fanout"))
        #expect(info(broker, "own")?.origins["x-deduplicate"] == .string("argument"))
        set(
            broker, "roof", "own", .all,
            ["alternate-exchange": .string("spare"), "x-deduplicate": .int(100)], isOperator: true)
        #expect(info(broker, "own")?.effective["alternate-exchange"] == .string("spare"))
        #expect(info(broker, "own")?.effective["x-deduplicate"] == .int(100))
        #expect(info(broker, "own")?.origins["x-deduplicate"] == .string("operator policy 'roof'"))
        #expect(publish(broker, to: "own") == 1)
        // To declare it again is compared with how it was declared.
        let again = ExchangeDefinition(
            "own", arguments: ["alternate-exchange": .string("amq.fanout"), "x-deduplicate": .int(500)])
        #expect(broker.refusal(of: .declareExchange(again, passive: false)) == nil)
    }

    @Test func `an exchange drops doubles for as long as a policy says so, and knows then what it had seen`()
    {
        let broker = broker()
        broker.run(.bind(Binding(source: "orders", target: .queue("caught"), routingKey: "none")))
        func twice(_ id: String) -> [Int?] { [publish(broker, id: id), publish(broker, id: id)] }
        #expect(twice("a") == [1, 1])
        set(broker, "p", "^orders$", .exchanges, ["x-deduplicate": .int(1000)])
        #expect(twice("b") == [1, 0])
        broker.run(.deletePolicy("p", isOperator: false))
        #expect(twice("b") == [1, 1])
        set(broker, "p", "^orders$", .exchanges, ["x-deduplicate": .int(1000)])
        #expect(twice("b") == [0, 0])
        broker.advance(milliseconds: 1000)
        #expect(twice("b") == [1, 0])
        broker.run(.deleteExchange("orders", ifUnused: false))
        #expect(broker.core.dedupScopes == 0 && broker.ids.isEmpty)
    }

    @Test func `a policy for all is for both, and each takes what it knows`() {
        let broker = broker()
        set(
            broker, "p", "^orders$", .all,
            [
                "alternate-exchange": .string("spare"), "x-max-length": .int(1),
                "x-deduplicate": .string("while-queued"),
            ])
        #expect(info(broker)?.effective == ["alternate-exchange": .string("spare")])
        #expect(broker.info("orders")?.effective["x-max-length"] == .int(1))
        #expect(broker.info("orders")?.effective["alternate-exchange"] == nil)
        #expect(publish(broker) == 1)
        guard case .policies(let rows)? = broker.run(.list(.policies, match: nil)) else {
            Issue.record("no listing")
            return
        }
        #expect(rows.map { [$0.queues, $0.exchanges] } == [[1, 1]])
    }

    @Test(arguments: [
        (PolicyTarget.all, [true, true, true]), (.queues, [true, true, true]),
        (.exchanges, [false, false, false]),
        (.classicQueues, [true, true, false]), (.quorumQueues, [false, false, true]),
    ])
    func `a policy is for the kinds of queues that it names`(target: PolicyTarget, isFor: [Bool]) {
        let broker = CoreHarness()
        let types: [FieldTable] = [
            [:], ["x-queue-type": .string("classic")], ["x-queue-type": .string("quorum")],
        ]
        for (index, arguments) in types.enumerated() { broker.queue(QueueName("q\(index)"), arguments) }
        let setting: FieldTable =
            target == .exchanges ? ["alternate-exchange": .string("e")] : ["x-max-length": .int(1)]
        set(broker, "p", "", target, setting)
        broker.queue("q3", types[0])
        #expect((0..<3).map { broker.info(QueueName("q\($0)"))?.policy != nil } == isFor)
        #expect((broker.info("q3")?.policy != nil) == isFor[0])
        #expect((info(broker, "amq.topic")?.policy != nil) == (target == .all || target == .exchanges))
    }

    @Test func `settings that nobody it is for could have are refused`() {
        let broker = broker()
        let wrong: [(PolicyTarget, FieldTable, String)] = [
            (.queues, ["alternate-exchange": .string("e")], "for queues can't set 'alternate-exchange'"),
            (.exchanges, ["x-max-length": .int(1)], "for exchanges can't set 'x-max-length'"),
            (
                .exchanges, ["x-deduplicate": .string("while-queued")],
                "'while-queued' of type 'longstr'; expected"
            ),
            (.all, ["alternate-exchange": .string("")], "expected the name of an exchange"),
            (.all, ["alternate-exchange": .int(1)], "expected a string"),
        ]
        for (target, definition, text) in wrong {
            let policy = Policy("p", pattern: "", appliesTo: target, definition: definition)
            let error = broker.refusal(of: .setPolicy(policy))
            #expect(error?.code == .preconditionFailed)
            #expect(error?.text.contains(text) == true, "\(error?.text ?? "taken")")
        }
    }

    @Test func `many exchanges obey slice by slice`() {
        var limits = CoreLimits()
        limits.policySliceCount = 2
        let broker = CoreHarness(limits: limits)
        for number in 0..<5 {
            broker.queue(QueueName("q\(number)"))
            broker.run(.declareExchange(ExchangeDefinition(ExchangeName("e\(number)")), passive: false))
        }
        #expect(
            broker.ask(.setPolicy(Policy("p", pattern: "", definition: ["alternate-exchange": .string("e")])))
                == nil)
        #expect(broker.hasMoreWork)
        broker.settle()
        #expect((0..<5).allSatisfy { info(broker, ExchangeName("e\($0)"))?.policy == "p" })
    }
}
