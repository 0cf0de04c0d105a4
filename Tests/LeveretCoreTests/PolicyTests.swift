// Policies: which counts, what it changes on queues in use, and what is refused.

import Testing

@testable import LeveretCore

@Suite struct PolicyTests {
    private func set(
        _ broker: CoreHarness, _ name: String = "p", _ pattern: String = "jobs", _ definition: FieldTable,
        priority: Int32 = 0, isOperator: Bool = false
    ) -> Answer? {
        broker.run(
            .setPolicy(
                Policy(
                    name, pattern: pattern, priority: priority, isOperator: isOperator,
                    definition: definition)))
    }

    private func refusal(_ answer: Answer?) -> BrokerError? {
        if case .refused(let error)? = answer { error } else { nil }
    }

    @Test func `a policy counts for queues that match, also those declared later`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.queue("mails")
        _ = set(broker, "p", "^jobs", ["x-max-length": .int(1)])
        broker.queue("jobs.more")
        for queue in ["jobs", "jobs.more", "mails"] {
            for body in ["a", "b"] { _ = broker.publish(body, to: queue) }
        }
        broker.settle()
        #expect(broker.info("jobs")?.ready == 1 && broker.info("jobs.more")?.ready == 1)
        #expect(broker.info("mails")?.ready == 2)
        #expect(broker.info("jobs")?.policy == "p" && broker.info("mails")?.policy == nil)
        broker.run(.deletePolicy("p", isOperator: false))
        for body in ["c", "d"] { _ = broker.publish(body, to: "jobs") }
        #expect(broker.info("jobs")?.ready == 3)
    }

    @Test func `an argument beats a policy, an operator policy both, of numbers the lower counts`() throws {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-max-length": .int(10), "x-overflow": .string("drop-head")])
        _ = set(
            broker, "p", "",
            ["x-max-length": .int(5), "x-delivery-limit": .int(7), "x-overflow": .string("reject-publish")])
        _ = set(
            broker, "roof", "",
            [
                "x-max-length": .int(20), "x-delivery-limit": .int(3),
                "x-overflow": .string("reject-publish-dlx"),
            ],
            isOperator: true)
        let info = try #require(broker.info("jobs"))
        #expect(info.effective["x-max-length"] == .int(10))
        #expect(info.origins["x-max-length"] == .string("argument"))
        #expect(info.effective["x-delivery-limit"] == .int(3))
        #expect(info.origins["x-delivery-limit"] == .string("operator policy 'roof'"))
        #expect(info.effective["x-overflow"] == .string("reject-publish-dlx"))
        #expect(info.policy == "p" && info.operatorPolicy == "roof")
        // To declare it again as it was is still the same.
        #expect(broker.found("jobs")?.settings.deliveryLimit == 3)
        broker.queue("jobs", ["x-max-length": .int(10), "x-overflow": .string("drop-head")])
    }

    @Test func `the highest priority counts, then the first by name`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        for (name, priority) in [("c", 1), ("b", 1), ("a", 0)] as [(String, Int32)] {
            _ = set(broker, name, "jobs", ["x-max-length": .int(1)], priority: priority)
        }
        #expect(broker.info("jobs")?.policy == "b")
        guard case .policies(let rows)? = broker.run(.list(.policies, match: nil)) else {
            Issue.record("no listing")
            return
        }
        #expect(rows.map(\.policy.name) == ["b", "c", "a"])
        #expect(rows.map(\.queues) == [1, 0, 0])
    }

    @Test func `settings change on a queue in use: length, leases, expiry`() {
        let broker = CoreHarness()
        broker.queue("dead")
        broker.queue("jobs")
        for body in ["a", "b", "c"] { _ = broker.publish(body, to: "jobs") }
        _ = set(
            broker, "p", "^jobs$",
            [
                "x-max-length": .int(2), "x-dead-letter-exchange": .string(""),
                "x-dead-letter-routing-key": .string("dead"), "x-consumer-timeout": .int(100),
                "x-message-ttl": .int(500),
            ])
        broker.settle()
        #expect(broker.get("dead")?.text == "a")
        #expect(broker.get("jobs")?.text == "b")
        broker.advance(milliseconds: 100)
        #expect(broker.info("jobs")?.unacked == 0 && broker.info("jobs")?.ready == 2)
        broker.advance(milliseconds: 1000)
        #expect(broker.info("jobs")?.ready == 2)  // what was there keeps its time
        _ = broker.publish("d", to: "jobs")
        broker.advance(milliseconds: 500)
        #expect(broker.info("jobs")?.ready == 1)
        _ = set(broker, "p", "^jobs$", ["x-expires": .int(50)])
        broker.advance(milliseconds: 50)
        #expect(broker.found("jobs") == nil)
    }

    @Test func `a lease that a policy brings holds for what is held already`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        _ = broker.publish("a", to: "jobs")
        _ = broker.get("jobs")
        broker.advance(milliseconds: 1000)
        _ = set(broker, "p", "", ["x-consumer-timeout": .int(100)])
        broker.advance(milliseconds: 0)
        #expect(broker.info("jobs")?.ready == 1)
    }

    @Test func `doubles are dropped from when a policy says so`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        var properties = MessageProperties()
        properties.messageID = "a"
        let publish = Request.publish(
            Message(exchange: "", routingKey: "jobs", properties: properties, body: []), mandatory: false)
        broker.run(publish)
        for kind in [FieldValue.int(1000), .string("while-queued")] {
            _ = set(broker, "p", "jobs", ["x-deduplicate": kind])
            broker.run(.purge("jobs"))
            broker.run(publish)
            broker.run(publish)
            #expect(broker.info("jobs")?.ready == 1)
            broker.run(.deletePolicy("p", isOperator: false))
            broker.run(publish)
            #expect(broker.info("jobs")?.ready == 2)
        }
        #expect(broker.core.dedupScopes == 0)
    }

    @Test func `many queues obey slice by slice, and the answer comes after the last`() {
        var limits = CoreLimits()
        limits.policySliceCount = 2
        let broker = CoreHarness(limits: limits)
        for number in 0..<7 { broker.queue(QueueName("jobs.\(number)")) }
        let policy = Policy("p", pattern: "jobs", definition: ["x-max-length": .int(1)])
        #expect(broker.ask(.setPolicy(policy)) == nil)
        #expect(broker.hasMoreWork)
        broker.settle()
        for number in 0..<7 {
            #expect(broker.found(QueueName("jobs.\(number)"))?.settings.lengthMax == 1)
        }
    }

    @Test func `what the broker keeps for itself is nobody's to change`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-dead-letter-exchange": .string("nowhere")])
        _ = set(broker, "p", "", ["x-max-length": .int(0)])
        broker.run(.deletePolicy("p", isOperator: false))
        _ = broker.publish("a", to: "jobs")
        _ = set(broker, "p", "", ["x-max-length": .int(0)])
        broker.settle()
        #expect(broker.info("leveret.parked")?.ready == 1)
    }

    @Test func `wrong policies are refused, naming what is wrong`() {
        let broker = CoreHarness()
        let wrong: [(Answer?, String)] = [
            (set(broker, "", "a", ["x-max-length": .int(1)]), "name"),
            (set(broker, "p", "a(", ["x-max-length": .int(1)]), "at character 3"),
            (set(broker, "p", "a", [:]), "sets nothing"),
            (set(broker, "p", "a", ["x-max-priority": .int(1)]), "can't set 'x-max-priority'"),
            (set(broker, "p", "a", ["x-max-length": .int(-1)]), "x-max-length"),
            (set(broker, "p", "a", ["x-message-ttl": .string("soon")]), "x-message-ttl"),
        ]
        for (answer, text) in wrong {
            #expect(refusal(answer)?.code == .preconditionFailed)
            #expect(refusal(answer)?.text.contains(text) == true, "\(refusal(answer)?.text ?? "taken")")
        }
        guard case .done? = broker.run(.deletePolicy("p", isOperator: false)) else {
            Issue.record("deleting what is not there was refused")
            return
        }
    }
}

@Suite struct NamePatternTests {
    @Test(arguments: [
        ("", "anything", true), ("jobs", "my.jobs.now", true), ("^jobs", "my.jobs", false),
        ("jobs$", "my.jobs", true),
        ("^jobs$", "jobs", true), ("^jobs$", "jobs2", false), ("a.c", "abc", true), ("a\\.c", "abc", false),
        ("^(a|b|)$", "", true), ("^(a|b)+$", "abba", true), ("^(a|b)+$", "abca", false),
        ("^[a-c]{2,3}$", "abc", true),
        ("^[a-c]{2,3}$", "abca", false), ("^[a-c]{2}$", "ab", true), ("^a{2,}$", "a", false),
        ("^a{2,}$", "aaaa", true),
        ("^[^.]+$", "a.b", false), ("^\\d+\\w?$", "12x", true), ("^a?b*$", "bbb", true), ("[]x]", "]", true),
        ("^(?:ab)*$", "abab", true), ("^ä.$", "äö", true), ("^a{0}$", "", true), ("x|", "y", true),
        ("bc.", "abcd", true), ("bc.", "abc", false), ("bbc", "bbbc", true), ("^é", "é", true),
        ("é", "cafe", false),
        ("abcd", "abc", false), ("^^a", "a", true), ("a^b", "ab", false), ("ab+", "aab", true),
        ("^(ab)c", "abc", true),
    ])
    func `a pattern is found where it should be`(pattern: String, name: String, isFound: Bool) throws {
        #expect(try NamePattern(pattern).matches(name) == isFound)
    }

    @Test(arguments: [
        "(", ")", "a)", "[a", "*a", "a{", "a{3,1}", "a{999}", "\\", "\\b", "(?=a)", "[z-a]", "a**",
        "((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))", "((a{99}){99}){99}",
        "((((){255}){255}){255}){255}",
    ])
    func `what can't be understood is refused`(pattern: String) {
        let error = #expect(throws: BrokerError.self) { try NamePattern(pattern) }
        #expect(error?.code == .preconditionFailed)
    }

    @Test func `no pattern takes long`() throws {
        let pattern = try NamePattern("^(a+)+(a|aa)*(a?){60}$")
        #expect(!pattern.matches(String(repeating: "a", count: 254) + "b"))
    }
}
