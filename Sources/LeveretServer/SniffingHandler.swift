// Looks at the first bytes of a connection, puts the handler of that protocol in its place, and goes. Other
// protocols on the same port get their branch here.

import Leveret
import LeveretWire
import Logging
import NIOCore

/// What a client speaks, as its first bytes tell.
enum SniffedProtocol: Equatable {
    case line
    case amqp
    case tls
    case http
    /// More bytes are needed.
    case undecided

    private static let methods = [
        "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE",
    ]

    /// Reads the first bytes of a connection.
    init(_ bytes: ByteBufferView, lineBytesMax: Int) {
        if bytes.first == 0x16 {
            self = .tls
        } else if bytes.starts(with: "AMQP".utf8) {
            self = .amqp
        } else if "AMQP".utf8.starts(with: bytes) {
            self = .undecided
        } else if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
            self = Self.isRequestLine(bytes[..<end]) ? .http : .line
        } else {
            let mayBeHTTP = Self.methods.map { "\($0) /".utf8 }
                .contains { bytes.starts(with: $0) || $0.starts(with: bytes) }
            self = mayBeHTTP && bytes.count <= lineBytesMax ? .undecided : .line
        }
    }

    private static func isRequestLine(_ line: ByteBufferView) -> Bool {
        let words = String(decoding: line, as: UTF8.self).split(whereSeparator: { $0 == " " || $0 == "\r" })
        guard words.count == 3, let last = words.last else { return false }
        return last.hasPrefix("HTTP/1.") && methods.contains(String(words[0]))
    }
}

/// The first handler of every connection.
final class SniffingHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// RFC 8446 §6: a fatal alert, handshake_failure, so that a client blames the protocol, not the network.
    private static let tlsAlert: [UInt8] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28]

    private let broker: Broker
    private let limits: ServerLimits
    private let room: SharedRoom
    private let logger: Logger
    private var bytes = ByteBuffer()
    private var deadline: Scheduled<Void>?

    init(broker: Broker, limits: ServerLimits, room: SharedRoom, logger: Logger) {
        self.broker = broker
        self.limits = limits
        self.room = room
        self.logger = logger
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        bytes.writeBuffer(&incoming)
        switch SniffedProtocol(bytes.readableBytesView, lineBytesMax: limits.line.lineBytesMax) {
        case .undecided: waitForMore(context)
        case .line: handOver(context)
        case .amqp:
            farewell(
                context, "AMQP",
                ByteBuffer(
                    string:
                        "ERR 540 NOT_IMPLEMENTED AMQP is not spoken here yet; send HELP for the line protocol\n"
                ))
        case .tls:
            farewell(context, "TLS", ByteBuffer(bytes: Self.tlsAlert))
        case .http:
            let text = "this port speaks the line protocol, not HTTP; try HELP with nc"
            let head = "HTTP/1.0 501 Not Implemented\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
            farewell(context, "HTTP", ByteBuffer(string: head + text + "\n"))
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is DrainEvent: context.close(promise: nil)
        case ChannelEvent.inputClosed: handOver(context, then: event)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func waitForMore(_ context: ChannelHandlerContext) {
        guard deadline == nil else { return }
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(Int64(limits.stalledSeconds)))
        { [self] in
            let text = "no bytes for \(limits.stalledSeconds) s within a request, which was not run; closing"
            let error = BrokerError(.frameError, text)
            farewell(context, "nothing known", ByteBuffer(string: "ERR \(error)\n"))
        }
    }

    private func handOver(_ context: ChannelHandlerContext, then event: Any? = nil) {
        let handler = LineHandler(
            broker: broker, limits: limits, room: room, logger: logger,
            peer: context.channel.remoteAddress?.description ?? "?"
        )
        replace(context, with: handler)
        context.fireChannelRead(wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        if let event { context.fireUserInboundEventTriggered(event) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func farewell(_ context: ChannelHandlerContext, _ spoken: String, _ answer: ByteBuffer) {
        let peer = context.channel.remoteAddress?.description ?? "?"
        logger.info(
            "connection closed: it does not speak the line protocol",
            metadata: [
                "peer": "\(peer)", "protocol": "\(spoken)",
            ])
        replace(context, with: FarewellHandler(answer))
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func replace(_ context: ChannelHandlerContext, with handler: some ChannelHandler) {
        do {
            try context.pipeline.syncOperations.addHandler(handler, position: .after(self))
        } catch {
            context.close(promise: nil)
        }
    }
}

/// Says one thing and closes: what it says must reach the client, so the client's own bytes are read and
/// dropped until it has closed, for a second at most.
final class FarewellHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let text: ByteBuffer

    init(_ text: ByteBuffer) { self.text = text }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { speak(context) }
    }

    func channelActive(context: ChannelHandlerContext) { speak(context) }

    private func speak(_ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(text), promise: nil)
        context.close(mode: .output, promise: nil)
        context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) { context.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { context.close(promise: nil) }
        if event is DrainEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
