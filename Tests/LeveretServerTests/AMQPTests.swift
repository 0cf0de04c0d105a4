// What AMQP clients depend on, each behaviour under the words of its description.

import Leveret
import LeveretServer
import LeveretTestSupport
import Testing

@Suite struct AMQPTests {
    @Test func `a protocol header of another version is answered with ours`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(greeting: port, header: Array("AMQP".utf8) + [0, 1, 0, 0])
            #expect(try client.next() == "protocol 0 0 9 1")
            #expect(try client.next() == "closed")
        }
    }

    @Test func `a wrong password is refused with 403, to who can hear it`() async throws {
        try await withServer({ $0.wrongLoginMilliseconds = 0 }) { port in
            let client = try AMQPSocket(greeting: port)
            try client.expect("connection.start 0 9 table of")
            client.startOk(password: "wrong")
            #expect(
                try client.next()
                    == "connection.close 403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                    + "For details see the broker logfile. 0 0")
            client.call(10, 51)
            #expect(try client.next() == "closed")
            let deaf = try AMQPSocket(greeting: port)
            try deaf.expect("connection.start")
            deaf.startOk(password: "wrong", capabilities: [])
            #expect(try deaf.next() == "closed")
        }
    }

    @Test func `an unknown virtual host is refused with 530`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(greeting: port)
            try client.expect("connection.start")
            client.startOk()
            #expect(try client.next() == "connection.tune 2047 131072 60")
            client.tuneOk()
            client.call(10, 40, .short("nope"), .short(""), .octet(0))
            #expect(try client.next() == "connection.close 530 NOT_ALLOWED - vhost nope not found 10 40")
        }
    }

    @Test(arguments: [
        (4000, 131_072, "channel_max = 4000 is too large (2047 maximum allowed)"),
        (0, 131_072, "channel_max = 0 is too large (2047 maximum allowed)"),
        (10, 4095, "frame_max = 4095 is too small (4096 minimum allowed)"),
        (10, 131_073, "frame_max = 131073 is too large (131072 maximum allowed)"),
    ])
    func `a client may lower what is tuned and no more`(channels: Int, frame: Int, why: String) async throws {
        try await withServer { port in
            let client = try AMQPSocket(greeting: port)
            try client.expect("connection.start")
            client.startOk()
            try client.expect("connection.tune")
            client.tuneOk(channelMax: UInt16(channels), frameMax: UInt32(frame))
            #expect(try client.next() == "connection.close 530 NOT_ALLOWED - negotiated \(why) 10 31")
        }
    }

    @Test func `channels above the negotiated number are refused`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port, channelMax: 3)
            client.openChannel(4)
            #expect(
                try client.next()
                    == "connection.close 530 NOT_ALLOWED - number of channels opened (3) has reached the negotiated "
                    + "channel_max (3) 0 0")
        }
    }

    @Test func `content is cut to the negotiated frame_max`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port, frameMax: 4096)
            try client.haveQueue("q")
            client.publish(String(repeating: "x", count: 9000), to: "q", properties: [0, 0])
            client.publish("", to: "q", properties: [0, 0])
            client.get("q", noAck: true)
            #expect(try client.next() == "basic.get-ok 1 false '' q 1 {0 0} 9000 bytes in 3 frames")
            client.get("q", noAck: true)
            #expect(try client.next() == "basic.get-ok 2 false '' q 0 {0 0} ")
        }
    }

    @Test func `properties go through as they came, bit by bit`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q", durable: true)
            // Headers with a byte, a short, an unsigned byte and an empty table; a delivery mode of 2 behind them.
            let table: [UInt8] =
                [0, 0, 0, 23, 1, 0x61, 0x62, 0xFF, 1, 0x62, 0x73, 0, 7, 1, 0x63, 0x42, 200]
                + [1, 0x64, 0x46, 0, 0, 0, 0, 1, 0x65]
            let properties: [UInt8] = [0x30, 0] + table + [0x56, 2]
            client.publish("x", to: "q", properties: properties)
            client.get("q")
            let shown = properties.map { String($0, radix: 16) }.joined(separator: " ")
            #expect(try client.next() == "basic.get-ok 1 false '' q 0 {\(shown)} x")
        }
    }

    @Test func `confirms are told in order, several at once`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q", durable: true)
            client.selectConfirms()
            try client.expect("confirm.select-ok")
            for number in 1...1000 { client.publish("\(number)", to: "q") }
            var confirmed: UInt64 = 0
            while confirmed < 1000 {
                let words = try client.next().split(separator: " ")
                #expect(words.first == "basic.ack")
                let number = UInt64(words[1]) ?? 0
                #expect(number > confirmed)
                if words[2] == "false" { #expect(number == confirmed + 1) }
                confirmed = number
            }
        }
    }

    @Test func `requeue puts a message back in its old place`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            for body in ["0", "1", "2"] { client.publish(body, to: "q", properties: [0, 0]) }
            for number in 1...3 {
                client.get("q")
                try client.expect("basic.get-ok \(number) false")
            }
            client.nack(2)
            client.get("q")
            #expect(try client.next() == "basic.get-ok 4 true '' q 0 {0 0} 1")
            client.nack(0, multiple: true)
            client.get("q")
            #expect(try client.next() == "basic.get-ok 5 true '' q 2 {0 0} 0")
        }
    }

    @Test func `qos for consumers leaves running ones alone, qos for the channel counts at once`()
        async throws
    {
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
            client.qos(4)
            #expect(try client.next() == "basic.qos-ok")
            client.declareQueue("q", passive: true)
            #expect(try client.next() == "queue.declare-ok q 3 1")
            client.cancel("t")
            try client.expect("basic.cancel-ok t")
            client.recover(requeue: true)
            #expect(try client.next() == "basic.recover-ok")
            client.qos(0)
            try client.expect("basic.qos-ok")
            client.qos(1, global: true)
            try client.expect("basic.qos-ok")
            client.consume("q", as: "u")
            try client.expect("basic.consume-ok u")
            try client.expect("basic.deliver u 3 true")
            client.qos(2, global: true)
            // Told before what it brings, or behind it: the order of the two is nobody's business.
            var next = [try client.next(), try client.next()].sorted()
            next[0] = String(next[0].prefix(20))
            #expect(next == ["basic.deliver u 4 tr", "basic.qos-ok"])
        }
    }

    @Test func `an exclusive queue is gone by connection.close-ok`() async throws {
        try await withServer { port in
            for _ in 0..<20 {
                let client = try AMQPSocket(port: port)
                client.declareQueue("q", exclusive: true)
                #expect(try client.next() == "queue.declare-ok q 0 0")
                client.closeConnection()
                #expect(try client.next() == "connection.close-ok")
            }
        }
    }

    @Test func `an exclusive queue of another connection is locked`() async throws {
        try await withServer { port in
            let owner = try AMQPSocket(port: port)
            owner.declareQueue("prx", exclusive: true)
            try owner.expect("queue.declare-ok prx")
            let locked =
                "channel.close 405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'prx' in vhost '/'. "
                + "It could be originally declared on another connection or the exclusive property value does not "
                + "match that of the original declaration. "
            let calls: [((AMQPSocket) -> Void, String)] = [
                ({ $0.declareQueue("prx") }, "50 10"), ({ $0.declareQueue("prx", passive: true) }, "50 10"),
                ({ $0.consume("prx") }, "60 20"), ({ $0.deleteQueue("prx") }, "50 40"),
            ]
            for (call, method) in calls {
                let other = try AMQPSocket(port: port)
                call(other)
                #expect(try other.next() == locked + method)
            }
        }
    }

    @Test func `a client that does not hear of cancels is not told of them`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port, capabilities: [])
            try client.haveQueue("q")
            client.consume("q", as: "t")
            try client.expect("basic.consume-ok")
            client.deleteQueue("q")
            #expect(try client.next() == "queue.delete-ok 0")
            client.qos(1)
            #expect(try client.next() == "basic.qos-ok")
        }
    }

    @Test func `a question goes to its queue and the answer straight back`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            let server = try AMQPSocket(port: port)
            try server.haveQueue("rpc")
            client.consume("amq.rabbitmq.reply-to", as: "answers", noAck: true)
            try client.expect("basic.consume-ok answers")
            let replyTo = Array("amq.rabbitmq.reply-to".utf8)
            client.publish("2 + 2", to: "rpc", properties: [0x02, 0, UInt8(replyTo.count)] + replyTo)
            client.qos(1)
            try client.expect("basic.qos-ok")
            server.get("rpc", noAck: true)
            let question = try server.next()
            let hex = question.drop { $0 != "{" }.dropFirst().prefix { $0 != "}" }.split(separator: " ")
            let bytes = hex.compactMap { UInt8($0, radix: 16) }
            let address = String(decoding: bytes.drop { $0 != UInt8(ascii: "a") }, as: UTF8.self)
            #expect(address.hasPrefix("amq.rabbitmq.reply-to."))
            server.declareQueue(address, passive: true)
            #expect(try server.next() == "queue.declare-ok \(address) 0 1")
            server.publish("4", to: address, properties: [0, 0])
            server.send()
            #expect(try client.next() == "basic.deliver answers 1 false '' \(address) {0 0} 4")
            let thief = try AMQPSocket(port: port)
            thief.get(address, noAck: true)
            #expect(try thief.next().hasPrefix("channel.close 405 RESOURCE_LOCKED"))
            client.closeConnection()
            try client.expect("connection.close-ok")
            server.declareQueue(address, passive: true)
            #expect(
                try server.next()
                    == "channel.close 404 NOT_FOUND - no queue '\(address)' in vhost '/' 50 10")
        }
    }

    @Test func `a silent client is closed after two missed heartbeats, and hears ours meanwhile`()
        async throws
    {
        try await withServer { port in
            let client = try AMQPSocket(port: port, heartbeat: 1)
            var heartbeats = 0
            while true {
                let next = try client.next()
                if next == "closed" { break }
                #expect(next == "heartbeat")
                heartbeats += 1
            }
            #expect(heartbeats >= 2)
        }
    }

    @Test func `one message goes through three doors with its properties`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("jobs", durable: true)
            client.publish("hi", to: "jobs", properties: [0x90, 0, 1, 0x74, 2])
            client.declareQueue("jobs", passive: true)
            try client.expect("queue.declare-ok jobs 1")
            let line = try LineSocket(port: port)
            let message = try line.ask("GET jobs")
            #expect(message.line.contains("content-type=t"))
            #expect(message.body == Array("hi".utf8))
            #expect(try line.ask("NACK 1").line == "OK")
            client.get("jobs")
            #expect(try client.next() == "basic.get-ok 1 true '' jobs 0 {90 0 1 74 2} hi")
        }
    }

    @Test func `a server that stops says so with 320`() async throws {
        // Read when the server has gone: meanwhile it waits for an answer as long as it does for any client.
        var client: AMQPSocket?
        try await withServer { port in client = try AMQPSocket(port: port) }
        #expect(
            try client?.next()
                == "connection.close 320 CONNECTION_FORCED - broker forced connection closure with reason "
                + "'shutdown' 0 0")
        #expect(try client?.next() == "closed")
    }

    @Test func `an operator's word closes a connection with 320 and the reason`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            let operatorLine = try LineSocket(port: port)
            // The operator's own comes behind it, with the first request.
            var rows = [try operatorLine.ask("LIST connections match=\"*127.0.0.1*\" fields=id").line]
            while let row = rows.last, !row.hasPrefix("OK") {
                rows.append(try operatorLine.waitForNext()?.line ?? "OK closed")
            }
            let id = rows[0].filter { $0.isNumber }
            #expect(try operatorLine.ask("KILL connection \(id) reason=\"go away\"").line == "OK 1")
            #expect(try client.next() == "connection.close 320 CONNECTION_FORCED - go away 0 0")
        }
    }
}
