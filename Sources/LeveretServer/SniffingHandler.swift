// Looks at the first bytes of a connection, puts the handler of that protocol in its place, and goes. Other
// protocols on the same port get their branch here. Where the first bytes are TLS, what comes out of it is sniffed
// in its turn, so every protocol is spoken inside TLS as outside.

import Leveret
import LeveretWire
import Logging
import NIOCore
import NIOSSL
import NIOTLS

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

/// What all connections of a server work with.
struct ServerParts: Sendable {
    let broker: Broker
    let limits: ServerLimits
    let room: SharedRoom
    let logger: Logger
    /// What TLS is spoken with, where it is.
    let tls: TLSIdentity
    let desk: PasswordDesk

    init(
        broker: Broker, limits: ServerLimits, room: SharedRoom, logger: Logger, tls: TLSIdentity,
        passwordCost: PasswordHash.Cost = .standard
    ) {
        self.broker = broker
        self.limits = limits
        self.room = room
        self.logger = logger
        self.tls = tls
        desk = PasswordDesk(broker: broker, cost: passwordCost)
    }
}

/// The first handler of every connection.
final class SniffingHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// What the bytes are that it sees.
    enum Layer {
        /// The socket's, of a listener for everything.
        case open
        /// The socket's, of a listener for TLS.
        case tlsOnly
        /// What TLS has deciphered; nothing comes before the handshake is done.
        case insideTLS
    }

    /// RFC 8446 §6: a fatal alert, handshake_failure, so that a client blames the protocol, not the network.
    private static let tlsAlert: [UInt8] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28]

    private let parts: ServerParts
    private let layer: Layer
    private var peer: Peer
    private var isHandshaking: Bool
    private var bytes = ByteBuffer()
    private var deadline: Scheduled<Void>?
    /// Closes the connection of a client that must log in and says nothing.
    private var loginTimer: Scheduled<Void>?

    init(_ parts: ServerParts, layer: Layer = .open, peer: Peer) {
        self.parts = parts
        self.layer = layer
        self.peer = peer
        isHandshaking = layer == .insideTLS
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if peer.mustLogIn {
            loginTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: peer.loginDeadline) {
                context.close(promise: nil)
            }
        }
        guard isHandshaking else { return }
        deadline = context.eventLoop.assumeIsolated().scheduleTask(
            in: .seconds(Int64(parts.limits.stalledSeconds))
        ) {
            [self] in
            handshakeFailed(context, "it took longer than \(parts.limits.stalledSeconds) s")
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
        loginTimer?.cancel()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        bytes.writeBuffer(&incoming)
        let spoken = SniffedProtocol(bytes.readableBytesView, lineBytesMax: parts.limits.line.lineBytesMax)
        if layer == .tlsOnly, spoken != .tls { return sendAway(context) }
        switch spoken {
        case .undecided: waitForMore(context)
        case .line: handOver(context)
        case .amqp: handOver(context)
        case .tls:
            guard layer != .insideTLS, let identity = parts.tls.current else {
                return farewell(context, "TLS", ByteBuffer(bytes: Self.tlsAlert))
            }
            startTLS(context, identity)
        case .http:
            let text = "this port speaks the line protocol, not HTTP; try HELP with nc"
            let head = "HTTP/1.0 501 Not Implemented\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
            farewell(context, "HTTP", ByteBuffer(string: head + text + "\n"))
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is DrainEvent: context.close(promise: nil)
        case ChannelEvent.inputClosed where isHandshaking: context.close(promise: nil)
        case ChannelEvent.inputClosed: handOver(context, then: event)
        case TLSUserEvent.handshakeCompleted:
            isHandshaking = false
            deadline?.cancel()
            deadline = nil
            peer = peer.withCertificate(for: Self.certificateName(context))
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isHandshaking {
            handshakeFailed(context, TLSFailure.text(error))
        } else {
            context.close(promise: nil)
        }
    }

    // MARK: TLS

    private func startTLS(_ context: ChannelHandlerContext, _ identity: NIOSSLContext) {
        let inside = SniffingHandler(parts, layer: .insideTLS, peer: peer.insideTLS)
        do {
            let pipeline = context.pipeline.syncOperations
            try pipeline.addHandler(inside, position: .after(self))
            try pipeline.addHandler(NIOSSLServerHandler(context: identity), position: .after(self))
        } catch {
            return context.close(promise: nil)
        }
        context.fireChannelRead(wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    /// Whom the client's certificate is for. One that TLS has not verified would have ended the handshake.
    private static func certificateName(_ context: ChannelHandlerContext) -> String? {
        // Without TLS, or with bytes that can't be had, there is no certificate.
        guard let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate(),
            let bytes = try? certificate.toDERBytes()
        else { return nil }
        return CertificateSubject.commonName(of: bytes)
    }

    private func handshakeFailed(_ context: ChannelHandlerContext, _ why: String) {
        isHandshaking = false
        parts.logger.info("TLS handshake failed", metadata: ["peer": "\(peer.name)", "error": "\(why)"])
        context.close(promise: nil)
    }

    private func sendAway(_ context: ChannelHandlerContext) {
        let error = BrokerError(
            .notAllowed, "only TLS is spoken here; connect with TLS, or to another address")
        farewell(context, "something else than TLS", ByteBuffer(string: "ERR \(error)\n"))
    }

    // MARK: the others

    private func waitForMore(_ context: ChannelHandlerContext) {
        guard deadline == nil else { return }
        deadline = context.eventLoop.assumeIsolated().scheduleTask(
            in: .seconds(Int64(parts.limits.stalledSeconds))
        ) {
            [self] in
            let text =
                "no bytes for \(parts.limits.stalledSeconds) s within a request, which was not run; closing"
            let error = BrokerError(.frameError, text)
            farewell(context, "nothing known", ByteBuffer(string: "ERR \(error)\n"))
        }
    }

    private func handOver(_ context: ChannelHandlerContext, then event: Any? = nil) {
        if bytes.readableBytesView.starts(with: "AMQP".utf8) {
            replace(context, with: AMQPHandler(parts, peer: peer))
        } else {
            replace(context, with: LineHandler(parts, peer: peer))
        }
        context.fireChannelRead(wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        if let event { context.fireUserInboundEventTriggered(event) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func farewell(_ context: ChannelHandlerContext, _ spoken: String, _ answer: ByteBuffer) {
        parts.logger.info(
            "connection closed: it does not speak the line protocol",
            metadata: ["peer": "\(peer.name)", "protocol": "\(spoken)"])
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
