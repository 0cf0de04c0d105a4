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
