// What AMQP clients see of routing, deliveries, transactions and dead letters.

import LeveretTestSupport
import Testing

@Suite struct AMQPDeliveryTests {
    /// A list of one header table, encoded, without delivery mode.
    private static func headers(_ fields: AMQPArguments) -> [UInt8] {
        [0x20, 0] + AMQPItem.table(fields).bytes
    }

    private static func bodies(_ client: AMQPSocket, of queue: String, _ count: Int) throws -> [String] {
        try (0..<count).map { _ in
            client.get(queue, noAck: true)
            let answer = try client.next()
            return answer.hasPrefix("basic.get-ok") ? String(answer.split(separator: " ").last ?? "") : "none"
        }
    }

    @Test func `a channel error leaves other channels and gives back what was held`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            client.openChannel(2)
            try client.expect("[2] channel.open-ok")
            try client.haveQueue("q")
            client.publish("x", to: "q", properties: [0, 0])
            client.get("q")
            try client.expect("basic.get-ok 1 false")
            client.declareQueue("nope", passive: true)
            try client.expect("channel.close 404")
            client.get("q", on: 2)
            #expect(try client.next() == "[2] basic.get-ok 1 true '' q 0 {0 0} x")
        }
    }

    @Test func `what stands behind a publish that closes the channel is not done`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            client.openChannel(2)
            try client.expect("[2] channel.open-ok")
            try client.haveQueue("q")
            client.publish("x", to: "k", exchange: "nope")
            client.publish("lost", to: "q")
            client.deleteQueue("q")
            try client.expect("channel.close 404 NOT_FOUND - no exchange 'nope'")
            client.declareQueue("q", passive: true, on: 2)
            #expect(try client.next() == "[2] queue.declare-ok q 0 0")
        }
    }

    @Test func `consumers of one channel have their own tags and turns`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            for tag in ["a", "b", "c"] {
                client.consume("q", as: tag)
                try client.expect("basic.consume-ok \(tag)")
            }
            for number in 0..<6 { client.publish("\(number)", to: "q") }
            var tags: [Substring] = []
            for _ in 0..<6 { tags.append(try client.next().split(separator: " ")[1]) }
            #expect(tags == ["a", "b", "c", "a", "b", "c"])
        }
    }

    @Test func `a consumer of a higher priority comes first while it has credit`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            client.consume("q", as: "lo")
            try client.expect("basic.consume-ok lo")
            client.qos(2)
            try client.expect("basic.qos-ok")
            client.consume("q", as: "hi", [("x-priority", .int(5))])
            try client.expect("basic.consume-ok hi")
            for number in 0..<4 { client.publish("\(number)", to: "q") }
            var tags: [Substring] = []
            for _ in 0..<4 { tags.append(try client.next().split(separator: " ")[1]) }
            #expect(tags == ["hi", "hi", "lo", "lo"])
        }
    }

    @Test func `a single active consumer hands over when it is cancelled`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q", [("x-single-active-consumer", .bool(true))])
            for tag in ["a", "b"] {
                client.consume("q", as: tag, noAck: true)
                try client.expect("basic.consume-ok \(tag)")
            }
            client.publish("1", to: "q")
            try client.expect("basic.deliver a 1")
            client.cancel("a")
            try client.expect("basic.cancel-ok a")
            client.publish("2", to: "q")
            try client.expect("basic.deliver b 2")
        }
    }

    @Test func `CC is seen by consumers and BCC is not, and the key stays`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            for queue in ["cc0", "cc1", "cc2"] { try client.haveQueue(queue) }
            let copies: AMQPArguments = [("CC", .list([.text("cc1")])), ("BCC", .list([.text("cc2")]))]
            client.publish("x", to: "cc0", properties: Self.headers(copies))
            let seen = Self.headers([("CC", .list([.text("cc1")]))]).dropFirst(2)
            let shown = ([0x30, 0] + seen + [1]).map { String($0, radix: 16) }.joined(separator: " ")
            for queue in ["cc0", "cc1", "cc2"] {
                client.get(queue, noAck: true)
                let answer = try client.next()
                #expect(answer.hasSuffix(" false '' cc0 0 {\(shown)} x"))
            }
        }
    }

    @Test func `an alternate exchange takes it: no return`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            client.declareExchange("spare", "fanout")
            try client.expect("exchange.declare-ok")
            client.bindQueue("q", to: "spare")
            try client.expect("queue.bind-ok")
            client.declareExchange("main", "direct", [("alternate-exchange", .text("spare"))])
            try client.expect("exchange.declare-ok")
            client.selectConfirms()
            try client.expect("confirm.select-ok")
            client.publish("x", to: "nokey", exchange: "main", mandatory: true)
            #expect(try client.next() == "basic.ack 1 false")
            client.get("q")
            #expect(try client.next() == "basic.get-ok 1 false main nokey 0 {10 0 2} x")
        }
    }

    @Test func `an empty queue name means the channel's last queue, and its key, too`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            client.declareQueue("", exclusive: true)
            let name = try client.next().split(separator: " ")[1]
            #expect(name.hasPrefix("amq.gen-") && name.utf8.count == 30)
            client.bindQueue("", to: "amq.direct")
            try client.expect("queue.bind-ok")
            client.publish("x", to: String(name), exchange: "amq.direct", properties: [0, 0])
            client.get("")
            #expect(try client.next() == "basic.get-ok 1 false amq.direct \(name) 0 {0 0} x")
        }
    }

    @Test func `a transaction is done at commit, and what no queue took comes back before`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q", durable: true)
            client.publish("old", to: "q")
            client.get("q")
            try client.expect("basic.get-ok 1")
            client.selectTx()
            try client.expect("tx.select-ok")
            client.ack(1)
            client.publish("new", to: "q")
            client.publish("homeless", to: "nowhere", mandatory: true)
            client.declareQueue("q", passive: true)
            #expect(try client.next() == "queue.declare-ok q 0 0")
            client.commit()
            #expect(try client.next() == "basic.return 312 NO_ROUTE '' nowhere {10 0 2} homeless")
            #expect(try client.next() == "tx.commit-ok")
            #expect(try Self.bodies(client, of: "q", 2) == ["new", "none"])
        }
    }

    @Test func `a dead letter tells of its death, and keeps its own headers`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("dead")
            let arguments: AMQPArguments = [
                ("x-dead-letter-exchange", .text("")), ("x-dead-letter-routing-key", .text("dead")),
            ]
            try client.haveQueue("q", arguments)
            client.publish("x", to: "q", properties: Self.headers([("mine", .int(7))]))
            client.get("q")
            try client.expect("basic.get-ok 1")
            client.reject(1, requeue: false)
            client.declareQueue("dead", passive: true)
            try client.expect("queue.declare-ok dead 1")
            client.get("dead")
            let hex = try client.next().drop { $0 != "{" }.dropFirst().prefix { $0 != "}" }
            let bytes = hex.split(separator: " ").compactMap { UInt8($0, radix: 16) }
            let text = String(decoding: bytes, as: UTF8.self)
            for name in ["mine", "x-death", "rejected", "x-first-death-queue", "x-last-death-reason"] {
                #expect(text.contains(name), "\(name)")
            }
        }
    }

    @Test func `a thousand channels of one connection each have their own deliveries`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            for number in 2...1000 as ClosedRange<UInt16> { client.openChannel(number) }
            for number in 2...1000 { try client.expect("[\(number)] channel.open-ok") }
            for number in 2...1000 as ClosedRange<UInt16> { client.publish("x", to: "q", on: number) }
            client.closeChannel(1000)
            try client.expect("[1000] channel.close-ok")
            client.get("q")
            try client.expect("basic.get-ok 1 false '' q 998")
        }
    }
}
