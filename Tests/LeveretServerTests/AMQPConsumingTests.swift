// What consumers see: names and tags, prefetch, what goes with its last consumer, and what ends a message's life.

import LeveretTestSupport
import Testing

@Suite struct AMQPConsumingTests {
    @Test func `names that the server makes have 22 characters of their own`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            client.declareQueue("")
            let queue = try client.next().split(separator: " ")[1]
            #expect(queue.wholeMatch(of: /amq\.gen-[A-Za-z0-9_-]{22}/) != nil, "\(queue)")
            client.consume("")
            let tag = try client.next().split(separator: " ")[1]
            #expect(tag.wholeMatch(of: /amq\.ctag-[A-Za-z0-9_-]{22}/) != nil, "\(tag)")
        }
    }

    @Test func `a queue that the server named is declared again by its name`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            client.declareQueue("", exclusive: true)
            let queue = String(try client.next().split(separator: " ")[1])
            client.declareQueue(queue, exclusive: true)
            try client.expect("queue.declare-ok \(queue)")
        }
    }

    @Test(arguments: [(3, 1), (2, 4)] as [(Int, UInt16)])
    func `a prefetch of the channel starves none of its queues`(queues: Int, prefetch: UInt16) async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            for queue in 0..<queues {
                try client.haveQueue("q\(queue)")
                for _ in 0..<20 { client.publish("x", to: "q\(queue)") }
            }
            client.qos(prefetch, global: true)
            try client.expect("basic.qos-ok")
            for queue in 0..<queues { client.consume("q\(queue)", as: "t\(queue)") }
            var deliveries: [String: Int] = [:]
            for _ in 0..<20 {
                var next = try client.next()
                while next.hasPrefix("basic.consume-ok") { next = try client.next() }
                let words = next.split(separator: " ")
                deliveries[String(words[1]), default: 0] += 1
                client.ack(UInt64(words[2]) ?? 0)
            }
            #expect(deliveries.count == queues && deliveries.values.allSatisfy { $0 >= 5 }, "\(deliveries)")
        }
    }

    @Test func `delivery tags count over consume and get of a channel`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("a")
            try client.haveQueue("b")
            client.publish("1", to: "a")
            client.get("a")
            try client.expect("basic.get-ok 1")
            client.consume("b", as: "t")
            try client.expect("basic.consume-ok t")
            client.publish("2", to: "b")
            try client.expect("basic.deliver t 2")
            client.publish("3", to: "a")
            client.get("a")
            try client.expect("basic.get-ok 3")
        }
    }

    @Test func `a dead socket gives back what it held, in its place and marked`() async throws {
        try await withServer { port in
            let other = try AMQPSocket(port: port)
            try other.haveQueue("q")
            for number in 0..<4 { other.publish("\(number)", to: "q", properties: [0, 0]) }
            other.declareQueue("q", passive: true)
            try other.expect("queue.declare-ok q 4 0")
            var dying: AMQPSocket? = try AMQPSocket(port: port)
            for number in 1...3 {
                dying?.get("q")
                try dying?.expect("basic.get-ok \(number) false")
            }
            dying = nil
            var ready = ""
            while ready != "queue.declare-ok q 4 0" {
                other.declareQueue("q", passive: true)
                ready = try other.next()
            }
            var seen: [String] = []
            for _ in 0..<4 {
                other.get("q")
                let words = try other.next().split(separator: " ")
                seen.append("\(words.last ?? "") \(words[2])")
            }
            #expect(seen == ["0 true", "1 true", "2 true", "3 false"])
        }
    }

    @Test func `basic.get and consumers without acks ignore the prefetch`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            for number in 0..<6 { client.publish("\(number)", to: "q") }
            client.qos(1)
            try client.expect("basic.qos-ok")
            client.qos(1, global: true)
            try client.expect("basic.qos-ok")
            for number in 1...3 {
                client.get("q")
                try client.expect("basic.get-ok \(number)")
            }
            client.consume("q", as: "t", noAck: true)
            try client.expect("basic.consume-ok t")
            for number in 4...6 { try client.expect("basic.deliver t \(number)") }
        }
    }

    @Test func `a consumer without acks waits while the channel's prefetch is reached`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            for queue in ["q", "p"] { try client.haveQueue(queue) }
            client.qos(1, global: true)
            try client.expect("basic.qos-ok")
            client.consume("q", as: "t")
            try client.expect("basic.consume-ok t")
            client.publish("1", to: "q")
            try client.expect("basic.deliver t 1")
            client.consume("p", as: "u", noAck: true)
            try client.expect("basic.consume-ok u")
            for number in 2...3 { client.publish("\(number)", to: "p") }
            client.declareQueue("p", passive: true)
            try client.expect("queue.declare-ok p 2 1")
            client.ack(1)
            for number in 2...3 { try client.expect("basic.deliver u \(number)") }
        }
    }

    @Test func `what a channel held is there for a get after it is closed, however much that was`()
        async throws
    {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            for _ in 0..<2000 { client.publish("x", to: "q") }
            client.consume("q", as: "t")
            try client.expect("basic.consume-ok t")
            for number in 1...2000 { try client.expect("basic.deliver t \(number) ") }
            client.closeChannel()
            try client.expect("channel.close-ok")
            client.openChannel(1)
            try client.expect("channel.open-ok")
            for number in 1...2000 {
                client.get("q", noAck: true)
                try client.expect("basic.get-ok \(number) true")
            }
            client.get("q")
            try client.expect("basic.get-empty")
        }
    }

    @Test func `an auto-delete queue goes with its last consumer, and stays if it never had one`()
        async throws
    {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            client.declareQueue("used", autoDelete: true)
            try client.expect("queue.declare-ok used")
            client.consume("used", as: "t")
            try client.expect("basic.consume-ok t")
            client.cancel("t")
            try client.expect("basic.cancel-ok t")
            client.declareQueue("used", passive: true)
            #expect(
                try client.next() == "channel.close 404 NOT_FOUND - no queue 'used' in vhost '/' 50 10")
            let maker = try AMQPSocket(port: port)
            maker.declareQueue("unused", autoDelete: true)
            try maker.expect("queue.declare-ok unused")
            maker.closeConnection()
            try maker.expect("connection.close-ok")
            client.closeOk()
            client.openChannel(1)
            try client.expect("channel.open-ok")
            client.declareQueue("unused", passive: true)
            #expect(try client.next() == "queue.declare-ok unused 0 0")
        }
    }

    @Test func `an auto-delete exchange goes with its last binding`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            client.declareExchange("e", autoDelete: true)
            try client.expect("exchange.declare-ok")
            client.bindQueue("q", to: "e", key: "k")
            try client.expect("queue.bind-ok")
            client.unbindQueue("q", from: "e", key: "k")
            try client.expect("queue.unbind-ok")
            client.declareExchange("e", "", passive: true)
            #expect(
                try client.next() == "channel.close 404 NOT_FOUND - no exchange 'e' in vhost '/' 40 10")
        }
    }

    @Test func `counts are of ready messages only`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            for number in 0..<5 { client.publish("\(number)", to: "q") }
            client.qos(2)
            try client.expect("basic.qos-ok")
            client.consume("q", as: "t")
            try client.expect("basic.consume-ok t")
            try client.expect("basic.deliver t 1")
            try client.expect("basic.deliver t 2")
            client.declareQueue("q", passive: true)
            #expect(try client.next() == "queue.declare-ok q 3 1")
            client.purge("q")
            #expect(try client.next() == "queue.purge-ok 3")
            client.deleteQueue("q")
            #expect(try client.next() == "queue.delete-ok 0")
        }
    }

    @Test func `x-message-ttl 0 delivers to a waiting consumer, and drops without one`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q", [("x-message-ttl", .int(0))])
            client.consume("q", as: "t", noAck: true)
            try client.expect("basic.consume-ok t")
            client.publish("x", to: "q")
            try client.expect("basic.deliver t 1")
            client.cancel("t")
            try client.expect("basic.cancel-ok t")
            client.publish("y", to: "q")
            client.declareQueue("q", passive: true)
            #expect(try client.next() == "queue.declare-ok q 0 0")
        }
    }

    @Test func `a per-message TTL counts wherever the message stands`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            client.publish("long", to: "q", properties: [0x01, 0, 6] + Array("600000".utf8))
            client.publish("short", to: "q", properties: [0x01, 0, 1] + Array("1".utf8))
            // RabbitMQ shows both until the first is gone.
            var counted = ""
            while counted != "queue.declare-ok q 1 0" {
                client.declareQueue("q", passive: true)
                counted = try client.next()
            }
            client.get("q")
            #expect(try client.next().hasSuffix(" long"))
        }
    }

    /// The properties of a message that was got.
    private static func properties(_ answer: String) -> [UInt8] {
        let hex = answer.drop { $0 != "{" }.dropFirst().prefix { $0 != "}" }.split(separator: " ")
        return hex.compactMap { UInt8($0, radix: 16) }
    }

    /// The same as text with bytes in between.
    private static func headers(_ answer: String) -> String {
        String(decoding: properties(answer), as: UTF8.self)
    }

    @Test func `x-max-length drops the head, and dead-letters it`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("dead")
            try client.haveQueue(
                "q",
                [
                    ("x-max-length", .int(1)), ("x-dead-letter-exchange", .text("")),
                    ("x-dead-letter-routing-key", .text("dead")),
                ])
            client.publish("0", to: "q")
            client.publish("1", to: "q")
            client.get("q", noAck: true)
            #expect(try client.next().hasSuffix(" 1"))
            client.get("dead", noAck: true)
            let letter = try client.next()
            #expect(letter.hasSuffix(" 0") && Self.headers(letter).contains("maxlen"))
        }
    }

    @Test func `deaths are told newest first, once for each queue and reason`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue(
                "work",
                [("x-dead-letter-exchange", .text("")), ("x-dead-letter-routing-key", .text("pause"))])
            try client.haveQueue(
                "pause",
                [
                    ("x-message-ttl", .int(1)), ("x-dead-letter-exchange", .text("")),
                    ("x-dead-letter-routing-key", .text("work")),
                ])
            client.consume("work", as: "t")
            try client.expect("basic.consume-ok t")
            client.publish("x", to: "work", properties: [0, 0])
            var told = ""
            for tag in 1...3 as ClosedRange<UInt64> {
                let delivery = try client.next()
                #expect(delivery.hasPrefix("basic.deliver t \(tag) false '' work"))
                told = Self.headers(delivery)
                if tag < 3 { client.reject(tag, requeue: false) }
            }
            let deaths = told.prefix { _ in true }.split(separator: "x-death")[1].split(separator: "x-first")[
                0]
            #expect(deaths.matches(of: /reason/).count == 2, "one entry for each queue and reason")
            let (expired, rejected) = (deaths.firstRange(of: "expired"), deaths.firstRange(of: "rejected"))
            let (newest, oldest) = (try #require(expired), try #require(rejected))
            #expect(newest.lowerBound < oldest.lowerBound)
            #expect(told.contains("x-first-death-queueS\0\0\0\u{4}work"))
            #expect(told.contains("x-first-death-reasonS\0\0\0\u{8}rejected"))
        }
    }

    @Test func `a dead letter that is published again goes on with its history, counts being long`()
        async throws
    {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("dead")
            for name in ["first", "second"] {
                let arguments: AMQPArguments = [
                    ("x-max-length", .int(0)), ("x-dead-letter-exchange", .text("")),
                    ("x-dead-letter-routing-key", .text("dead")),
                ]
                try client.haveQueue(name, arguments)
            }
            /// What becomes of a message with these properties.
            func pass(through queue: String, _ properties: [UInt8]) throws -> [UInt8] {
                client.publish("x", to: queue, properties: properties)
                client.get("dead", noAck: true)
                return Self.properties(try client.next())
            }
            /// The counts of its deaths, newest first.
            func counts(_ properties: [UInt8]) -> [UInt8] {
                let text = String(decoding: properties, as: Unicode.ASCII.self)
                return text.matches(of: /countl\0{7}(.)/).map {
                    UInt8(ascii: $0.1.unicodeScalars.first ?? "0")
                }
            }
            let once = try pass(through: "first", [0, 0])
            #expect(counts(once) == [1])
            let twice = try pass(through: "first", once)
            #expect(counts(twice) == [2])
            let elsewhere = try pass(through: "second", twice)
            #expect(counts(elsewhere) == [1, 2])
            let text = String(decoding: elsewhere, as: Unicode.ASCII.self)
            #expect(text.contains("x-first-death-queueS\0\0\0\u{5}first"))
            #expect(text.contains("x-last-death-queueS\0\0\0\u{6}second"))
            #expect(text.contains("timeT\0\0\0\0"))
        }
    }
}
