// The AMQP session makes the same of its bytes however they are cut.

import LeveretCore
import LeveretTestSupport
import LeveretWire
import NIOCore
import Testing

/// Keeps what is said.
private final class Recording: AMQPSpeaker {
    var frameBytesMax = 4096
    var bytes = Array("AMQP".utf8) + [0, 0, 9, 1]

    func say(_ bytes: [UInt8]) { self.bytes += bytes }
}

/// Drives a session with a broker that answers by rote, and notes all that comes of it.
private struct AMQPTalk {
    var session = AMQPSession(version: "0.0")
    var out = ByteBuffer()
    var said: [String] = []

    mutating func send(_ bytes: ArraySlice<UInt8>) {
        session.received(ByteBuffer(bytes: bytes))
        var submissions: [Submission] = []
        while true {
            let step = session.step(into: &submissions, out: &out)
            switch step {
            case .needsBytes, .blocked: return
            case .submit(let channel):
                said += submissions.map { Self.text(of: $0) }
                let answers = submissions.map { SessionEvent.answer($0.ticket, Self.answer($0.request)) }
                submissions = []
                session.heard(answers, on: channel, out: &out)
            case .openChannel: said.append("\(step)")
            case .closeChannel(let channel):
                said.append("\(step)")
                session.closed(channel, out: &out)
            case .login(let login): session.loggedIn(as: login.user, out: &out)
            case .openHost(let host): session.opened(host, nil, out: &out)
            case .closeAll: session.closedAll(out: &out)
            }
        }
    }

    private static func text(of submission: Submission) -> String {
        guard case .publish(let message, let mandatory) = submission.request else {
            return described(submission)
        }
        let properties = message.properties.map { described($0) } ?? "none"
        return
            "\(submission.ticket) \(message.exchange) \(message.routingKey) \(mandatory) \(message.isPersistent) "
            + "\(message.body.count) \(message.body.hashValue) \(properties)"
    }

    private static func answer(_ request: Request) -> Answer {
        switch request {
        case .publish: .routed(1)
        case .get: .empty
        case .consume(let consume): .consuming(consume.tag ?? "made-up")
        case .declareQueue(let queue, _): .declared(queue.name, ready: 0, consumers: 0)
        case .purge, .deleteQueue: .count(7)
        case .transaction(let requests): .committed(requests.map { _ in 1 })
        default: .done
        }
    }
}

@Suite struct AMQPSplitTests {
    /// A bit of everything: methods, a body in several frames, an empty one, properties, heartbeats, two channels.
    private static var conversation: [UInt8] {
        let client = Recording()
        client.startOk()
        client.tuneOk(frameMax: 4096)
        client.call(10, 40, .short("/"), .short(""), .octet(0))
        for channel in [1, 2] as [UInt16] { client.call(20, 10, .short(""), on: channel) }
        client.call(
            50, 10, .int16(0), .short("q"), .octet(2), .table([("x-max-length", .int(9))]), on: 1)
        client.call(85, 10, .octet(0), on: 1)
        client.publish("hello", to: "q")
        client.frame(8, [], on: 0)
        client.publish("", to: "q", properties: [0x80, 0, 1, 0x61], on: 2)
        client.publish(String(repeating: "x", count: 4200), to: "q", mandatory: true)
        client.call(60, 80, .int64(1), .octet(1), on: 2)
        client.call(60, 70, .int16(0), .short("q"), .octet(0), on: 1)
        client.call(20, 40, .int16(200), .short(""), .int32(0), on: 2)
        client.call(10, 50, .int16(200), .short(""), .int32(0))
        return client.bytes
    }

    private static func talk(
        _ pieces: [ArraySlice<UInt8>]
    ) -> (said: [String], out: [UInt8], isFinished: Bool) {
        var talk = AMQPTalk()
        for piece in pieces { talk.send(piece) }
        return (talk.said, Array(talk.out.readableBytesView), talk.session.isFinished)
    }

    @Test func `any split of the bytes gives the same requests and answers`() {
        let bytes = Self.conversation
        // Confirms are told together where they come together, so the whole is what one byte at a time gives.
        let whole = Self.talk(bytes.indices.map { bytes[$0...$0] })
        #expect(whole.isFinished)
        #expect(whole.said.count == 9)
        for cut in stride(from: 1, to: bytes.count, by: 3) {
            let cutOnce = Self.talk([bytes[..<cut], bytes[cut...]])
            #expect(cutOnce.said == whole.said, "cut at \(cut)")
            #expect(cutOnce.isFinished)
        }
    }

    @Test func `the bytes of a split conversation come out the same, too`() {
        let bytes = Self.conversation
        let whole = Self.talk(bytes.indices.map { bytes[$0...$0] })
        for size in [2, 3, 5, 7, 8, 9, 64, 1000] {
            let pieces = stride(from: 0, to: bytes.count, by: size).map {
                bytes[$0..<min(bytes.count, $0 + size)]
            }
            let split = Self.talk(pieces)
            #expect(split.said == whole.said)
            #expect(split.out == whole.out, "in pieces of \(size)")
        }
    }
}
