// A talk in the line protocol: the first byte says how the rest is cut. However it is cut, the same requests
// come of it and the same replies; there is one reply a request, each well-formed; and what MSG shows of a
// message publishes the same message.

import LeveretCore
import LeveretWire
import NIOCore

enum LineCheck {
    /// Small, so that a few bytes reach them.
    fileprivate static let limits: LineLimits = {
        var limits = LineLimits()
        limits.lineBytesMax = 200
        limits.bodyBytesMax = 64
        limits.bodyBytesHardCap = 128
        limits.untaggedWaitingMax = 8
        limits.taggedWaitingMax = 4
        limits.listingsWaitingMax = 2
        limits.heldReplyBytesMax = 256
        limits.batchCountMax = 5
        limits.batchBytesMax = 100
        return limits
    }()

    static func fault(in bytes: [UInt8]) -> String? {
        guard let cut = bytes.first, bytes.count > 1 else { return nil }
        let stream = Array(bytes.dropFirst())
        let whole = Talk.held(in: [stream])
        if let fault = whole.fault { return fault }
        let pieces = Talk.held(in: pieces(of: stream, by: cut))
        if let fault = pieces.fault { return fault }
        if pieces.requests != whole.requests { return "the requests depend on how the bytes are cut" }
        if pieces.finals != whole.finals { return "the replies depend on how the bytes are cut" }
        for message in whole.messages {
            if let fault = fault(in: message) { return fault }
        }
        return nil
    }

    /// Pieces of up to 8 bytes for a small `cut`, two pieces for a larger one.
    private static func pieces(of stream: [UInt8], by cut: UInt8) -> [[UInt8]] {
        if cut < 8 {
            let size = Int(cut) + 1
            return stride(from: 0, to: stream.count, by: size).map {
                Array(stream[$0..<min($0 + size, stream.count)])
            }
        }
        let middle = Int(cut) % stream.count
        return [Array(stream[..<middle]), Array(stream[middle...])]
    }

    /// What MSG shows of a message is sent again as a PUB.
    private static func fault(in message: Message) -> String? {
        var out = ByteBuffer()
        var session = LineSession(version: "0")
        let source = DeliverySource(queue: "q", consumer: nil, autoAck: true)
        let delivery = Delivery(
            source: source, tag: 1, number: 1, message: message, deliveries: 1, failed: 0, deaths: nil)
        session.heard([.delivery(delivery)], out: &out)
        let start = "MSG 1 q ".utf8.count
        let shown = out.readableBytesView.dropFirst(start)
        let marks = Array(" redelivered=0 deliveries=1 position=1".utf8)
        guard let middle = place(of: marks, in: shown) else { return "MSG lacks its numbers" }
        let line = Array("PUB ".utf8) + shown[..<middle] + shown[(middle + marks.count)...]
        var wide = LineLimits()
        wide.lineBytesMax = 1 << 20
        var decoder = LineDecoder(limits: wide)
        decoder.received(ByteBuffer(bytes: line))
        let text = String(decoding: line, as: UTF8.self)
        guard case .request(_, .submit(.publish(let again, _), _)) = decoder.next() else {
            return "what MSG shows is not understood: \(text)"
        }
        return Talk.summary(again, isPersistent: true) == Talk.summary(message, isPersistent: true)
            ? nil : "what MSG shows is another message: \(text)"
    }

    private static func place(of marks: [UInt8], in bytes: ByteBufferView) -> Int? {
        var rest = bytes
        while let start = rest.firstIndex(of: UInt8(ascii: " ")) {
            if bytes[start...].starts(with: marks) { return start }
            rest = bytes[(start + 1)...]
        }
        return nil
    }
}

/// A session, and a broker that answers by rote after every piece of bytes.
private struct Talk {
    /// What was asked.
    var requests: [String] = []
    /// The messages that were published.
    var messages: [Message] = []
    /// First words of the replies that end an answer, without tags, in no order.
    var finals: [String: Int] = [:]
    /// A promise that was broken.
    var fault: String?

    private var session: LineSession
    private var out = ByteBuffer()
    private var sent = ByteBuffer()

    static func held(in pieces: [[UInt8]]) -> Talk {
        var talk = Talk(session: LineSession(limits: LineCheck.limits, version: "0"))
        for piece in pieces {
            talk.session.received(ByteBuffer(bytes: piece))
            talk.run()
        }
        talk.session.inputEnded(out: &talk.out)
        talk.sent.writeBuffer(&talk.out)
        if talk.session.owedReplies != 0 { talk.fault = "a reply is still owed at the end" }
        talk.readReplies()
        return talk
    }

    private init(session: LineSession) { self.session = session }

    private mutating func run() {
        while true {
            var batch: [Submission] = []
            let progress = session.decode(into: &batch, out: &out)
            for submission in batch {
                requests.append(Self.summary(submission.request))
                if case .publish(let message, _) = submission.request { messages.append(message) }
            }
            // Backwards, so that replies wait for each other.
            session.heard(batch.reversed().map { .answer($0.ticket, Self.answer($0.request)) }, out: &out)
            if progress == .password {
                session.passwordRefused(BrokerError(.accessRefused, "no"), out: &out)
            }
            sent.writeBuffer(&out)
            out.clear()
            if progress == .needsBytes || session.isFinished || (progress == .blocked && batch.isEmpty) {
                return
            }
        }
    }

    static func summary(_ request: Request) -> String {
        guard case .publish(let message, let mandatory) = request else { return "\(request)" }
        return summary(message, isPersistent: message.isPersistent) + " \(mandatory)"
    }

    static func summary(_ message: Message, isPersistent: Bool) -> String {
        let properties = PropertiesCodec.encode(message.properties, isPersistent: isPersistent)
        return "\(message.exchange.rawValue) \(message.routingKey) \(properties) \(message.body)"
    }

    private static func answer(_ request: Request) -> Answer {
        switch request {
        case .publish: .routed(1)
        case .get: .empty
        case .consume(let consume): .consuming(consume.tag ?? "made-up")
        case .declareQueue(let queue, _): .declared(queue.name, ready: 0, consumers: 0)
        case .purge, .move, .deleteQueue: .count(7)
        case .peek: .messages([])
        case .transaction(let requests): .committed(requests.map { _ in 1 })
        case .list, .status, .route: .routes([])
        default: .done
        }
    }

    /// Reads all replies; none has a body, since no message was delivered.
    private mutating func readReplies() {
        let text = String(decoding: sent.readableBytesView, as: UTF8.self)
        guard Array(text.utf8) == Array(sent.readableBytesView) else {
            fault = "a reply is not UTF-8"
            return
        }
        guard text.isEmpty || text.utf8.last == UInt8(ascii: "\n") else {
            fault = "a reply has no end"
            return
        }
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for line in lines.dropLast() {
            if line.contains(where: { $0 < 0x20 }) { fault = "a control character is in a reply" }
            var words = line.split(separator: UInt8(ascii: " ")).map { String(Substring($0)) }
            if words.first?.hasPrefix("#") == true { words.removeFirst() }
            switch words.first {
            case "OK", "NIL": finals[words[0], default: 0] += 1
            case "ERR":
                guard words.count > 3, words[1].utf8.count == 3, Int(words[1]) != nil else {
                    fault = "ERR lacks its code, its name or its text"
                    return
                }
                finals[words[0] + words[1], default: 0] += 1
            case "ROW", "TEXT": break
            default: fault = "an unknown reply: \(words.joined(separator: " "))"
            }
        }
    }
}
