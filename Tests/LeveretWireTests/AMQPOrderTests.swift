// In which order an AMQP channel asks and answers, whatever time the broker takes.

import LeveretCore
import LeveretTestSupport
import LeveretWire
import Testing

@Suite struct AMQPOrderTests {
    private static func qos(_ client: AMQPRecording) {
        client.call(60, 10, .int32(0), .int16(1), .octet(0), on: 1)
    }

    private static func ack(_ tag: UInt64, _ client: AMQPRecording) {
        client.call(60, 80, .int64(tag), .octet(0), on: 1)
    }

    @Test func `an answer waits until what was acked before it is durable`() throws {
        var talk = AMQPTalk.slow()
        let said = try talk.say { client in
            Self.ack(1, client)
            Self.ack(2, client)
            Self.qos(client)
        }
        #expect(said == [])
        #expect(try talk.answer(0) == [])
        #expect(try talk.answer(1) == ["basic.qos-ok"])
    }

    @Test
    func `deliveries pass an answer that waits, and one for which they would have to wait is asked late`()
        throws
    {
        var talk = AMQPTalk.slow()
        _ = try talk.say { client in
            Self.ack(1, client)
            Self.qos(client)
        }
        let message = Message(exchange: "", routingKey: "q", body: Array("x".utf8))
        let source = DeliverySource(queue: "q", consumer: "t", autoAck: true)
        let delivery = Delivery(
            source: source, tag: 2, number: 1, message: message, deliveries: 1, failed: 0, deaths: nil)
        talk.session.heard([.delivery(delivery)], on: 1, out: &talk.out)
        #expect(try talk.heard().first?.hasPrefix("basic.deliver t 2 false '' q") == true)
        #expect(try talk.answer(0) == ["basic.qos-ok"])

        _ = try talk.say { client in
            Self.ack(2, client)
            client.call(60, 70, .int16(0), .short("q"), .octet(0), on: 1)
            client.call(60, 20, .int16(0), .short("q"), .short("u"), .octet(0), .table([]), on: 1)
        }
        #expect(talk.asked.count == 2)
        #expect(try talk.answer(1) == [] && talk.asked.count == 3)
        #expect(try talk.answer(2, with: .empty) == ["basic.get-empty ''"])
        #expect(try talk.answer(3, with: .consuming("u")) == ["basic.consume-ok u"])
    }

    /// Begins or ends an alarm.
    private static func setAlarm(_ notice: Notice, _ talk: inout AMQPTalk) {
        talk.session.heard([.notice(notice)], on: 1, out: &talk.out)
        talk.send([])
    }

    @Test func `in an alarm the commit of publishes waits, that of acks doesn't`() throws {
        for brings in [true, false] {
            var talk = AMQPTalk.slow()
            _ = try talk.say { client in
                client.call(90, 10, on: 1)
                if brings { client.publish("x", to: "q") }
                Self.ack(1, client)
            }
            _ = try talk.answer(0)
            Self.setAlarm(.blocked("full"), &talk)
            _ = try talk.say { $0.call(90, 20, on: 1) }
            #expect(talk.asked.count == (brings ? 1 : 2))
            Self.setAlarm(.unblocked, &talk)
            #expect(talk.asked.count == 2)
            #expect(try talk.answer(1, with: .committed(brings ? [1] : [])) == ["tx.commit-ok"])
        }
    }

    @Test func `in an alarm acks go past publishes that waited before it, and past nothing else`() throws {
        var talk = AMQPTalk.slow()
        _ = try talk.say { client in
            client.call(50, 10, .int16(0), .short("q"), .octet(2), .table([]), on: 1)
            client.publish("x", to: "q")
            client.publish("y", to: "q")
            Self.ack(1, client)
            Self.qos(client)
            Self.ack(2, client)
        }
        Self.setAlarm(.blocked("full"), &talk)
        #expect(
            try talk.answer(0, with: .declared("q", ready: 0, consumers: 0)) == ["queue.declare-ok q 0 0"])
        #expect(talk.asked.count == 2)
        _ = try talk.say { Self.ack(3, $0) }
        #expect(talk.asked.count == 2)
        #expect(try talk.answer(1) == [])
        Self.setAlarm(.unblocked, &talk)
        #expect(try talk.heard() == ["basic.qos-ok"] && talk.asked.count == 6)
    }

    @Test func `a channel is closed for its client once what it acked is durable`() throws {
        var talk = AMQPTalk.slow()
        let said = try talk.say { client in
            Self.ack(1, client)
            client.call(20, 40, .int16(200), .short(""), .int32(0), on: 1)
        }
        #expect(said == [])
        #expect(try talk.answer(0) == ["channel.close-ok"])
    }

    @Test func `a connection is closed for its client once what stood before is answered`() throws {
        var talk = AMQPTalk.slow()
        func close(_ client: AMQPRecording) {
            client.call(10, 50, .int16(200), .short(""), .int16(0), .int16(0))
        }
        var said = try talk.say { client in
            Self.ack(1, client)
            client.call(20, 40, .int16(200), .short(""), .int32(0), on: 1)
            close(client)
        }
        #expect(said == [])
        #expect(try talk.answer(0) == ["channel.close-ok", "connection.close-ok"])

        talk = AMQPTalk.slow()
        said = try talk.say { client in
            client.call(50, 10, .int16(0), .short("q"), .octet(2), .table([]), on: 1)
            Self.qos(client)
            close(client)
        }
        #expect(said == [])
        #expect(
            try talk.answer(0, with: .declared("q", ready: 0, consumers: 0)) == [
                "queue.declare-ok q 0 0", "basic.qos-ok", "connection.close-ok",
            ])
    }

    @Test func `a request behind one that waits is asked after the answer`() throws {
        var talk = AMQPTalk.slow()
        let said = try talk.say { client in
            client.call(50, 10, .int16(0), .short("q"), .octet(2), .table([]), on: 1)
            client.publish("x", to: "q")
            Self.qos(client)
        }
        #expect(said == [])
        #expect(talk.asked.count == 1)
        #expect(
            try talk.answer(0, with: .declared("q", ready: 0, consumers: 0)) == [
                "queue.declare-ok q 0 0", "basic.qos-ok",
            ])
        #expect(talk.asked.count == 2)
    }

    @Test func `what waits counts with the tables in it, and stops the reading`() throws {
        var talk = AMQPTalk.slow()
        let fields = (0..<300).map { ("f\($0)", AMQPField.byte(1)) }
        _ = try talk.say { client in
            for number in 1...20 {
                client.call(50, 10, .int16(0), .short("q\(number)"), .octet(2), .table(fields), on: 1)
            }
        }
        #expect(talk.asked.count == 1 && talk.session.wantsBytes)
        _ = try talk.say { client in
            for number in 21...120 {
                client.call(50, 10, .int16(0), .short("q\(number)"), .octet(2), .table(fields), on: 1)
            }
        }
        #expect(!talk.session.wantsBytes)
    }

    @Test func `before the login a frame is no longer than that takes`() throws {
        var talk = AMQPTalk()
        let client = AMQPRecording()
        client.bytes += [1, 0, 0, 0, 0, 0x10, 1]
        talk.send(client.bytes[...])
        #expect(try talk.heard().last?.hasPrefix("connection.close 501 FRAME_ERROR") == true)
    }

    @Test func `confirms are told in rows where they stand in a row`() throws {
        var talk = AMQPTalk.slow()
        let said = try talk.say { client in
            client.call(85, 10, .octet(0), on: 1)
            for number in 1...8 { client.publish("\(number)", to: "q") }
        }
        #expect(said == ["confirm.select-ok"])
        #expect(try talk.answer(0, 1, 2, with: .routed(1)) == ["basic.ack 3 true"])
        #expect(try talk.answer(4, with: .routed(1)) == ["basic.ack 5 false"])
        let full = BrokerError(.resourceError, "queue 'q' is full and rejects publishes")
        #expect(try talk.answer(6, with: .refused(full)) == ["basic.nack 7 0"])
        // Nobody is told twice of what was told on its own.
        #expect(try talk.answer(3, 5, with: .routed(1)) == ["basic.ack 4 false", "basic.ack 6 false"])
        #expect(try talk.answer(7, with: .routed(1)) == ["basic.ack 8 false"])
    }
}
