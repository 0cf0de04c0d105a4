// Every argument and every header that means something: what it may be is taken, and whatever else it might be is
// refused with a 406 that names it, what was given and what is allowed. Arguments that contradict each other, too.

import Testing

@testable import LeveretCore

/// An argument or header, and what it may be.
struct Argument: CustomTestStringConvertible, Sendable {
    enum Kind {
        case number(ClosedRange<Int64>)
        case word([String])
        case text(mayBeEmpty: Bool)
        case flag
    }

    let name: String
    let kind: Kind
    /// Words that are allowed beside numbers.
    var words: [String] = []
    /// What must stand beside it.
    var companions: FieldTable = [:]
    var testDescription: String { name }

    init(_ name: String, _ kind: Kind, or words: [String] = [], with companions: FieldTable = [:]) {
        self.name = name
        self.kind = kind
        self.words = words
        self.companions = companions
    }

    var good: [FieldValue] {
        let words = self.words.map { FieldValue.string($0) }
        return switch kind {
        case .number(let range):
            [.int(range.lowerBound), .int(range.upperBound), .double(Double(range.lowerBound))] + words
        case .word(let words): words.map { .string($0) }
        case .text(let mayBeEmpty):
            [.string("e"), .string(String(repeating: "e", count: 255))] + (mayBeEmpty ? [.string("")] : [])
        case .flag: [.bool(true), .bool(false)]
        }
    }

    var bad: [FieldValue] {
        let never: [FieldValue] = [
            .void, .bytes([0xFF]), .array([.int(1)]), .table(["a": .int(1)]), .timestamp(1),
            .decimal(scale: 0, value: 1),
        ]
        switch kind {
        case .number(let range):
            var bad: [FieldValue] = [
                .string("5"), .string("soon"), .string(""), .bool(true), .double(1.5), .double(.nan),
                .double(.infinity), .double(0x1p63), .double(-0x1p64),
            ]
            if range.lowerBound > .min {
                bad += [.int(range.lowerBound - 1), .int(-1), .int(.min), .double(-1)]
            }
            if range.upperBound < .max {
                bad += [.int(range.upperBound + 1), .int(.max), .double(0x1p62)]
            }
            return bad + never
        case .word:
            return [.string("often"), .string(""), .string("ALL"), .int(0), .int(-1), .bool(true)] + never
        case .text(let mayBeEmpty):
            return [.string(String(repeating: "e", count: 256)), .int(1), .bool(false), .double(1)]
                + (mayBeEmpty ? [] : [.string("")]) + never
        case .flag: return [.int(1), .int(0), .string("true"), .string("yes"), .double(1)] + never
        }
    }
}

@Suite struct BadArgumentTests {
    private static let milliseconds: ClosedRange<Int64> = 1...4_294_967_295
    private static let retryTypes = ["disabled", "all", "failed", "returned"]
    private static let retryMin: FieldTable = ["x-delayed-retry-min": .int(1)]

    /// Every argument of a queue.
    private static let queue: [Argument] = [
        Argument("x-message-ttl", .number(0...4_294_967_295)), Argument("x-expires", .number(milliseconds)),
        Argument("x-expires-if-empty", .number(milliseconds)),
        Argument("x-max-length", .number(0...Int64.max)),
        Argument("x-max-length-bytes", .number(0...Int64.max)),
        Argument("x-overflow", .word(["drop-head", "reject-publish", "reject-publish-dlx"])),
        Argument("x-dead-letter-exchange", .text(mayBeEmpty: true)),
        Argument(
            "x-dead-letter-routing-key", .text(mayBeEmpty: true),
            with: ["x-dead-letter-exchange": .string("")]),
        Argument("x-delivery-limit", .number(0...Int64.max)), Argument("x-max-priority", .number(1...255)),
        Argument("x-consumer-timeout", .number(milliseconds)), Argument("x-single-active-consumer", .flag),
        Argument("x-deduplicate", .number(milliseconds), or: ["while-queued"]),
        Argument("x-delayed-retry-type", .word(retryTypes), with: retryMin),
        Argument("x-delayed-retry-min", .number(milliseconds)),
        Argument("x-delayed-retry-max", .number(milliseconds)),
        Argument("x-delayed-retry-backoff", .word(["linear", "exponential"])),
        Argument("x-delayed-retry-jitter", .number(0...100)),
        Argument("x-queue-type", .word(["classic", "quorum"])),
    ]

    /// Every argument of an exchange.
    private static let exchange: [Argument] = [
        Argument("alternate-exchange", .text(mayBeEmpty: false)),
        Argument("x-deduplicate", .number(milliseconds)),
        Argument("x-delayed-type", .word(["direct", "fanout", "topic", "headers"])),
    ]

    /// Every header that steers the broker and has a type and a range.
    private static let headers: [Argument] = [
        Argument("x-delay", .number(Int64.min...4_294_967_295)),
        Argument("x-delayed-retry-type", .word(retryTypes)),
        Argument("x-delayed-retry-min", .number(0...4_294_967_295)),
        Argument("x-delayed-retry-max", .number(0...4_294_967_295)),
        Argument("x-delayed-retry-backoff", .word(["linear", "exponential"])),
        Argument("x-delayed-retry-jitter", .number(0...100)),
    ]

    /// Holds a refusal to its promise: the name, what was given, what is allowed.
    private func check(
        _ error: BrokerError?, _ argument: Argument, _ value: FieldValue,
        _ sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let text = error?.text ?? "it was taken"
        #expect(error?.code == .preconditionFailed, "\(value): \(text)", sourceLocation: sourceLocation)
        for part in ["'\(argument.name)'", "'\(value.shown)' of type '\(value.typeName)'", "expected "] {
            #expect(text.contains(part), "\(value): \(text)", sourceLocation: sourceLocation)
        }
    }

    private func table(_ argument: Argument, _ value: FieldValue) -> FieldTable {
        var table: FieldTable = [argument.name: value]
        for field in argument.companions.fields { table[field.name] = field.value }
        return table
    }

    @Test func `the table of arguments lacks none`() {
        let names = Set(Self.queue.map(\.name))
        #expect(names.isSuperset(of: QueueArgument.settable))
        #expect(Set(Self.exchange.map(\.name)).isSuperset(of: ExchangeArgument.settable))
        #expect(names.count == QueueArgument.settable.count + 3)
    }

    @Test(arguments: queue)
    func `an argument of a queue is what it may be, or refused by name`(argument: Argument) {
        let broker = CoreHarness()
        for value in argument.bad {
            let definition = QueueDefinition("bad", arguments: table(argument, value))
            check(broker.refusal(of: .declareQueue(definition, passive: false)), argument, value)
        }
        #expect(broker.found("bad") == nil)
        for (index, value) in argument.good.enumerated() {
            let definition = QueueDefinition(QueueName("q\(index)"), arguments: table(argument, value))
            #expect(broker.refusal(of: .declareQueue(definition, passive: false)) == nil, "\(value)")
        }
    }

    @Test(arguments: queue)
    func `in a policy, too`(argument: Argument) {
        let broker = CoreHarness()
        func set(_ value: FieldValue, isOperator: Bool) -> BrokerError? {
            let policy = Policy(
                "p", pattern: "", appliesTo: .queues, isOperator: isOperator,
                definition: [argument.name: value])
            return broker.refusal(of: .setPolicy(policy))
        }
        guard QueueArgument.settable.contains(argument.name) else {
            let text = set(argument.good[0], isOperator: false)?.text
            #expect(text?.contains("can't set '\(argument.name)'; it can set x-message-ttl") == true)
            return
        }
        for isOperator in [false, true] {
            for value in argument.bad { check(set(value, isOperator: isOperator), argument, value) }
            for value in argument.good { #expect(set(value, isOperator: isOperator) == nil, "\(value)") }
        }
    }

    @Test(arguments: exchange)
    func `an argument of an exchange is what it may be, or refused by name`(argument: Argument) {
        let broker = CoreHarness()
        func definition(_ name: ExchangeName, _ value: FieldValue) -> ExchangeDefinition {
            var arguments: FieldTable = ["x-delayed-type": .string("direct")]
            arguments[argument.name] = value
            return ExchangeDefinition(name, type: .delayed, arguments: arguments)
        }
        for value in argument.bad {
            check(
                broker.refusal(of: .declareExchange(definition("bad", value), passive: false)), argument,
                value)
            guard ExchangeArgument.settable.contains(argument.name) else { continue }
            let policy = Policy(
                "p", pattern: "", appliesTo: .exchanges, definition: [argument.name: value])
            check(broker.refusal(of: .setPolicy(policy)), argument, value)
        }
        for (index, value) in argument.good.enumerated() {
            let name = ExchangeName("e\(index)")
            #expect(broker.refusal(of: .declareExchange(definition(name, value), passive: false)) == nil)
        }
    }

    @Test(arguments: headers)
    func `a header of a message is what it may be, or refused by name`(argument: Argument) {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-delayed-retry-type": .string("all"), "x-delayed-retry-min": .int(1)])
        func publish(_ value: FieldValue) -> BrokerError? {
            var properties = MessageProperties()
            properties.headers[argument.name] = value
            let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
            return broker.refusal(of: .publish(message, mandatory: false))
        }
        func edit(_ value: FieldValue) -> BrokerError? {
            var edit = MessageEdit("jobs", 1)
            edit.headers[argument.name] = value
            return broker.refusal(of: .edit(edit))
        }
        _ = broker.publish("one", to: "jobs")
        for value in argument.bad {
            check(publish(value), argument, value)
            // Once it is published, the delay has no say any more.
            if argument.name != "x-delay" { check(edit(value), argument, value) }
        }
        #expect(broker.info("jobs")?.published == 1)
        for value in argument.good {
            #expect(publish(value) == nil, "\(value)")
            #expect(edit(value) == nil, "\(value)")
        }
    }

    @Test(arguments: ["CC", "BCC"])
    func `more keys are an array of strings, or refused by name`(header: String) {
        let broker = CoreHarness()
        broker.queue("jobs")
        func publish(_ value: FieldValue) -> BrokerError? {
            var properties = MessageProperties()
            properties.headers[header] = value
            let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
            return broker.refusal(of: .publish(message, mandatory: false))
        }
        for value in [.string("a"), .int(1), .array([.int(1)]), .array([.string("a"), .void]), .void]
            as [FieldValue]
        {
            let error = publish(value)
            #expect(error?.code == .preconditionFailed)
            #expect(error?.text.contains("'\(header)'; expected an array of strings") == true)
        }
        #expect(publish(.array([])) == nil && publish(.array([.string("a")])) == nil)
    }

    @Test func `an id to know a message by is a string or a whole number`() {
        let broker = CoreHarness()
        broker.queue("jobs", ["x-deduplicate": .int(1000)])
        func publish(_ value: FieldValue) -> BrokerError? {
            var properties = MessageProperties()
            properties.headers[HeaderName.deduplication] = value
            let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
            return broker.refusal(of: .publish(message, mandatory: false))
        }
        let long = String(repeating: "n", count: 256)
        for value in [.bool(true), .double(1.5), .void, .array([]), .table([:])] as [FieldValue] {
            let text = publish(value)?.text ?? "taken"
            #expect(text.contains("x-deduplication-header") && text.contains("expected a string"), "\(text)")
        }
        let text = publish(.string(long))?.text ?? "taken"
        #expect(text.contains("from its doubles has 256 bytes") && text.contains("255"), "\(text)")
        for value in [.string(""), .string(String(long.dropLast())), .int(.min), .int(0)] as [FieldValue] {
            #expect(publish(value) == nil, "\(value)")
        }
    }

    @Test(
        arguments: [
            ("4294967296", true), ("-1", true), ("", true), ("soon", true), ("1.5", true),
            ("9223372036854775808", true), ("0", false), ("4294967295", false),
        ] as [(String, Bool)])
    func `an expiration is whole milliseconds, or refused`(expiration: String, isRefused: Bool) {
        let broker = CoreHarness()
        broker.queue("jobs")
        var properties = MessageProperties()
        properties.expiration = expiration
        let message = Message(exchange: "", routingKey: "jobs", properties: properties, body: [])
        let error = broker.refusal(of: .publish(message, mandatory: false))
        #expect((error?.code == .preconditionFailed) == isRefused)
        if isRefused {
            let text =
                "invalid expiration '\(expiration)'; whole milliseconds from 0 to 4294967295 are allowed"
            #expect(error?.text == text)
        }
    }

    @Test func `what a consumer asks for is within its range, or refused`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        broker.queue("one", ["x-single-active-consumer": .bool(true)])
        func consume(_ consume: Consume) -> BrokerError? { broker.refusal(of: .consume(consume)) }
        for timeout in [0, -1, 4_294_967_296, .max, .min] as [Int64] {
            let error = consume(Consume(queue: "jobs", timeoutMilliseconds: timeout))
            #expect(error?.code == .preconditionFailed)
            #expect(error?.text == "a consumer timeout of \(timeout) ms; 1 to 4294967295 are allowed")
        }
        for prefetch in [-1, .min] {
            let error = consume(Consume(queue: "jobs", prefetch: prefetch))
            #expect(error?.text == "prefetch \(prefetch) is negative; 0 is without limit")
        }
        #expect(consume(Consume(queue: "one", exclusive: true))?.code == .accessRefused)
        for timeout in [1, 4_294_967_295] as [Int64] {
            #expect(consume(Consume(queue: "jobs", prefetch: 0, timeoutMilliseconds: timeout)) == nil)
        }
    }

    @Test(
        arguments: [
            (["x-expires": .int(1), "x-expires-if-empty": .int(1)], "x-expires-if-empty", "x-expires"),
            (
                ["x-dead-letter-routing-key": .string("k")], "x-dead-letter-routing-key",
                "x-dead-letter-exchange"
            ),
            (["x-delayed-retry-type": .string("all")], "x-delayed-retry-type", "x-delayed-retry-min"),
            (
                ["x-delayed-retry-min": .int(9), "x-delayed-retry-max": .int(8)], "x-delayed-retry-min",
                "x-delayed-retry-max"
            ),
        ] as [(FieldTable, String, String)])
    func `arguments that contradict each other are refused, both by name`(
        arguments: FieldTable, first: String, second: String
    ) {
        let broker = CoreHarness()
        let definition = QueueDefinition("jobs", arguments: arguments)
        let error = broker.refusal(of: .declareQueue(definition, passive: false))
        #expect(error?.code == .preconditionFailed)
        #expect(error?.text.contains("invalid arg '\(first)' for queue 'jobs'") == true)
        #expect(error?.text.contains("'\(second)'") == true)
        // A policy may be a part of what counts; what contradicts an argument gives way to it.
        let policy = Policy("p", pattern: "", definition: arguments)
        #expect(broker.refusal(of: .setPolicy(policy)) == nil)
        broker.queue("jobs")
        _ = broker.publish("a", to: "jobs")
        #expect(broker.info("jobs")?.ready == 1)
    }

    @Test func `an edit of a message that moved on, is held, or was changed meanwhile is refused`() {
        var limits = CoreLimits()
        limits.windowCountMax = 2
        limits.windowCountMin = 1
        let broker = CoreHarness(limits: limits)
        for queue in ["jobs", "other"] as [QueueName] { broker.queue(queue) }
        for body in ["a", "b", "c", "d", "e", "f"] { _ = broker.publish(body, to: "jobs") }
        broker.settle()
        func edit(_ position: MessageNumber, version: Int? = nil) -> BrokerError? {
            var edit = MessageEdit("jobs", position)
            edit.body = [1]
            edit.version = version
            return broker.refusal(of: .edit(edit))
        }
        // The first is in memory, the last only stored.
        for position in [1, 6] as [MessageNumber] {
            #expect(edit(position, version: 2)?.text == "the message has version 1, not 2; look at it again")
            #expect(edit(position, version: 1) == nil)
            #expect(edit(position, version: 1)?.text == "the message has version 2, not 1; look at it again")
            #expect(edit(position, version: 2) == nil)
        }
        let held = broker.get("jobs")
        #expect(held?.number == 1)
        #expect(edit(1)?.text == "message 1 of queue 'jobs' is unacked: test/get holds it")
        broker.run(.settle(Settlement(.ack, 1)))
        var move = Move(from: "jobs", to: .queue("other"))
        move.position = 6
        broker.run(.move(move))
        broker.run(.cancelMessage("jobs", 5))
        for position in [1, 5, 6, 99, .init(.max)] as [MessageNumber] {
            let text =
                "no message waits at position \(position.rawValue) of queue 'jobs'; it may have moved on"
            #expect(edit(position)?.text == text)
            #expect(edit(position)?.code == .notFound)
        }
        for milliseconds in [-1, 4_294_967_296, .min, .max] as [Int64] {
            for isDelay in [true, false] {
                var edit = MessageEdit("jobs", 2)
                if isDelay {
                    edit.delayMilliseconds = milliseconds
                } else {
                    edit.ttlMilliseconds = milliseconds
                }
                let text = broker.refusal(of: .edit(edit))?.text
                #expect(text == "\(milliseconds) ms is out of range; 0 to 4294967295 are allowed")
            }
        }
    }
}
