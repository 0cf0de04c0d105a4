// Clients of a server without sockets, on loops whose time the test moves.

import Leveret
import LeveretTestSupport
import Logging
import NIOCore
import NIOEmbedded

@testable import LeveretServer

/// One client.
final class EmbeddedClient: AMQPSpeaker {
    /// Where the socket would be. Counts how often it would be read.
    final class Socket: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        private(set) var readCount = 0
        /// What lies in the socket until it is read.
        var waiting: ByteBuffer?

        func read(context: ChannelHandlerContext) {
            readCount += 1
            guard let bytes = waiting.take() else { return context.read() }
            context.fireChannelRead(NIOAny(bytes))
            context.fireChannelReadComplete()
            context.channel.read()
        }
    }

    let channel: EmbeddedChannel
    let socket = Socket()
    let frameBytesMax = 4096
    /// What an AMQP client says next.
    private var said: [UInt8] = []

    init(
        _ broker: Broker, _ limits: ServerLimits = ServerLimits(), _ room: SharedRoom? = nil,
        peer: Peer = .local("test")
    ) throws {
        let quiet = Broker.Configuration.quiet.logger
        let parts = ServerParts(
            broker: broker, limits: limits, room: room ?? SharedRoom(limits), logger: quiet,
            tls: TLSIdentity())
        channel = EmbeddedChannel(handlers: [socket, SniffingHandler(parts, peer: peer)])
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    }

    /// Sends, and has the server look for more.
    func say(_ text: String) throws -> String {
        try channel.writeInbound(ByteBuffer(string: text))
        channel.read()
        return try heard()
    }

    func heard() throws -> String {
        channel.embeddedEventLoop.run()
        var text = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
        return text
    }

    func say(_ bytes: [UInt8]) { said += bytes }

    /// Sends what was said in AMQP's frames, has the server look for more, and returns what came back.
    func exchange() throws -> [String] {
        try channel.writeInbound(ByteBuffer(bytes: said))
        said = []
        channel.read()
        return try heardFrames()
    }

    func heardFrames() throws -> [String] {
        channel.embeddedEventLoop.run()
        var bytes: [UInt8] = []
        while let more = try channel.readOutbound(as: ByteBuffer.self) { bytes += more.readableBytesView }
        var texts: [String] = []
        while let text = try AMQPText.take(from: &bytes) { texts.append(text) }
        return texts
    }

    /// Says all that comes before channel 1 is open.
    func open(heartbeat: UInt16 = 0) throws {
        say(Array("AMQP".utf8) + [0, 0, 9, 1])
        startOk()
        tuneOk(heartbeat: heartbeat)
        call(10, 40, .short("/"), .short(""), .octet(0))
        call(20, 10, .short(""), on: 1)
        _ = try exchange()
    }

    /// Goes on by so many seconds.
    func wait(_ seconds: Int64) { channel.embeddedEventLoop.advanceTime(by: .seconds(seconds)) }

    func end() throws { _ = try channel.finish(acceptAlreadyClosed: true) }

    /// Three clients of a server that they share.
    static func three(
        _ change: (inout ServerLimits) -> Void, _ body: ([EmbeddedClient]) throws -> Void
    ) async throws {
        var limits = ServerLimits()
        change(&limits)
        let broker = try Broker(.memory, configuration: .quiet)
        try hold(broker, limits, body)
        try await broker.shutdown()
    }

    /// On one thread, as the loops want it.
    private static func hold(
        _ broker: Broker, _ limits: ServerLimits, _ body: ([EmbeddedClient]) throws -> Void
    ) throws {
        let room = SharedRoom(limits)
        let clients = try (0..<3).map { _ in try EmbeddedClient(broker, limits, room) }
        try body(clients)
        for client in clients { try client.end() }
    }
}
