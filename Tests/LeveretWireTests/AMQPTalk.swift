// An AMQP session with a broker that answers by rote, or when it is told to.

import LeveretCore
import LeveretTestSupport
import LeveretWire
import NIOCore

/// Keeps what is said.
final class AMQPRecording: AMQPSpeaker {
    var frameBytesMax = 4096
    var bytes = Array("AMQP".utf8) + [0, 0, 9, 1]

    func say(_ bytes: [UInt8]) { self.bytes += bytes }
}

/// Drives a session with a broker that answers by rote, and notes all that comes of it.
struct AMQPTalk {
    var session = AMQPSession(version: "0.0")
    var out = ByteBuffer()
    var said: [String] = []
    /// What was asked and is not answered, where the broker takes its time.
    var asked: [Submission] = []
    /// Answers every request at once.
    var answersAtOnce = true

    mutating func send(_ bytes: ArraySlice<UInt8>) {
        session.received(ByteBuffer(bytes: bytes))
        var submissions: [Submission] = []
        while true {
            let step = session.step(into: &submissions, out: &out)
            switch step {
            case .needsBytes, .blocked: return
            case .submit(let channel):
                said += submissions.map { Self.text(of: $0) }
                guard answersAtOnce else {
                    asked += submissions
                    submissions = []
                    continue
                }
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

    /// A talk with a client that has opened channel 1, whose broker answers when it is told to.
    static func slow() -> AMQPTalk {
        let client = AMQPRecording()
        client.startOk()
        client.tuneOk()
        client.call(10, 40, .short("/"), .short(""), .octet(0))
        client.call(20, 10, .short(""), on: 1)
        var talk = AMQPTalk()
        talk.answersAtOnce = false
        talk.send(client.bytes[...])
        talk.out.clear()
        return talk
    }

    /// Says more, and returns what comes back.
    mutating func say(_ body: (AMQPRecording) -> Void) throws -> [String] {
        let client = AMQPRecording()
        client.bytes = []
        body(client)
        send(client.bytes[...])
        return try heard()
    }

    /// Answers what was asked, by its place, and returns what comes of it.
    mutating func answer(_ places: Int..., with answer: Answer = .done) throws -> [String] {
        let events = places.map { SessionEvent.answer(asked[$0].ticket, answer) }
        session.heard(events, on: 1, out: &out)
        send([])
        return try heard()
    }

    mutating func heard() throws -> [String] {
        var bytes = Array(out.readableBytesView)
        out.clear()
        var texts: [String] = []
        while let text = try AMQPText.take(from: &bytes) { texts.append(text) }
        return texts
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
