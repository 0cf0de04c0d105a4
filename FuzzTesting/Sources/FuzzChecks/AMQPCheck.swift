// An AMQP connection that has been opened, with channel 1: the first byte says how the rest is cut. However it is
// cut, the same requests come of it, on the same channels, and the same end; and every frame that is written is whole.

import LeveretCore
import LeveretWire
import NIOCore

enum AMQPCheck {
    /// Small, so that a few bytes reach them.
    private static let limits: AMQPLimits = {
        var limits = AMQPLimits()
        limits.channelsMax = 3
        limits.bodyBytesMax = 64
        limits.transactionCountMax = 3
        limits.batchCountMax = 5
        limits.batchBytesMax = 100
        return limits
    }()

    /// Protocol header, start-ok, tune-ok, open and channel.open, as a client says them.
    private static let opening: [UInt8] = {
        var bytes = Array("AMQP".utf8) + [0, 0, 9, 1]
        func frame(_ payload: [UInt8], _ channel: UInt8 = 0) {
            bytes += [1, 0, channel, 0, 0, 0, UInt8(payload.count)] + payload + [0xCE]
        }
        let response = Array("\0guest\0guest".utf8)
        frame(
            [0, 10, 0, 11, 0, 0, 0, 0, 5] + "PLAIN".utf8 + [0, 0, 0, UInt8(response.count)] + response
                + [5] + "en_US".utf8)
        frame([0, 10, 0, 31, 0, 3, 0, 2, 0, 0, 0, 0])
        frame([0, 10, 0, 40, 1, 0x2F, 0, 0])
        frame([0, 20, 0, 10, 0], 1)
        return bytes
    }()

    static func fault(in bytes: [UInt8]) -> String? {
        guard let cut = bytes.first, bytes.count > 1 else { return nil }
        let stream = Array(bytes.dropFirst())
        let whole = Talk(of: [stream])
        if let fault = whole.fault { return fault }
        let size = cut < 8 ? Int(cut) + 1 : max(1, Int(cut) % stream.count)
        let pieces = Talk(
            of: stride(from: 0, to: stream.count, by: size).map {
                Array(stream[$0..<min($0 + size, stream.count)])
            })
        if let fault = pieces.fault { return fault }
        if pieces.requests != whole.requests { return "the requests depend on how the bytes are cut" }
        return pieces.isFinished == whole.isFinished ? nil : "the end depends on how the bytes are cut"
    }

    /// A talk with a broker that answers by rote.
    private struct Talk {
        var session = AMQPSession(limits: AMQPCheck.limits, version: "0")
        var out = ByteBuffer()
        var requests: [String] = []
        var isFinished: Bool { session.isFinished }

        init(of pieces: [[UInt8]]) {
            take(AMQPCheck.opening)
            for piece in pieces { take(piece) }
        }

        private mutating func take(_ bytes: [UInt8]) {
            session.received(ByteBuffer(bytes: bytes))
            var submissions: [Submission] = []
            while true {
                switch session.step(into: &submissions, out: &out) {
                case .needsBytes, .blocked: return
                case .submit(let channel):
                    requests += submissions.map { "\(channel) \($0.ticket) \(Self.summary($0.request))" }
                    let answers = submissions.map { SessionEvent.answer($0.ticket, Self.answer($0.request)) }
                    submissions = []
                    session.heard(answers, on: channel, out: &out)
                case .openChannel(let channel): requests.append("open \(channel)")
                case .closeChannel(let channel):
                    requests.append("close \(channel)")
                    session.closed(channel, out: &out)
                case .login(let login): session.loggedIn(as: login.user, out: &out)
                case .openHost(let host): session.opened(host, nil, out: &out)
                case .closeAll: session.closedAll(out: &out)
                }
            }
        }

        private static func summary(_ request: Request) -> String {
            guard case .publish(let message, let mandatory) = request else { return "\(request)" }
            return
                "\(message.exchange) \(message.routingKey) \(mandatory) \(message.isPersistent) \(message.body)"
        }

        /// Only what is waited for is refused: behind a publish or an ack the client has gone on, more or less far.
        private static func answer(_ request: Request) -> Answer {
            switch request {
            case .publish(let message, let isMandatory):
                isMandatory ? .unroutable(message) : .routed(1)
            case .get: .empty
            case .consume(let consume): .consuming(consume.tag ?? "made-up")
            case .declareQueue(let queue, let isPassive):
                isPassive
                    ? .refused(BrokerError(.notFound, "no queue"))
                    : .declared(queue.name, ready: 0, consumers: 0)
            case .declareReplyQueue: .declared("amq.rabbitmq.reply-to.made-up", ready: 0, consumers: 0)
            case .purge, .deleteQueue: .count(7)
            case .transaction(let requests): .committed(requests.map { _ in 0 })
            default: .done
            }
        }

        /// What is wrong with what was written.
        var fault: String? {
            var out = out
            while out.readableBytes > 0 {
                guard let type: UInt8 = out.getInteger(at: out.readerIndex), [1, 2, 3, 8].contains(type),
                    let size: UInt32 = out.getInteger(at: out.readerIndex + 3),
                    let end: UInt8 = out.getInteger(at: out.readerIndex + 7 + Int(size)), end == 0xCE
                else { return "a frame was written that is none" }
                out.moveReaderIndex(forwardBy: Int(size) + 8)
            }
            return nil
        }
    }
}
