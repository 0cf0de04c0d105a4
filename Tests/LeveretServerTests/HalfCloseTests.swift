import Leveret
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import LeveretServer

/// A client that has said all it will.
@Suite struct HalfCloseTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test func `nothing is written between the end of the input and the word that it is closed`() async throws
    {
        var configuration = Broker.Configuration()
        configuration.logger = Self.quiet
        let broker = try Broker(.memory, configuration: configuration)
        try await broker.declareQueue("jobs")
        try Self.hold(broker) { channel, publish in
            try channel.writeInbound(ByteBuffer(string: "SUB jobs as=worker\n"))
            #expect(try Self.said(channel) == "OK worker\n")
            publish()
            // What waits leaves in the turn that follows, when a write may fail.
            channel.pipeline.fireChannelReadComplete()
            #expect(try Self.said(channel) == "")
            channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            #expect(try Self.said(channel).hasPrefix("MSG 1 jobs"))
        }
        try await broker.shutdown()
    }

    @Test func `a client that says no more waits no more, and takes nothing with it`() async throws {
        var configuration = Broker.Configuration()
        configuration.logger = Self.quiet
        let broker = try Broker(.memory, configuration: configuration)
        try await broker.declareQueue("jobs")
        try Self.hold(broker) { channel, publish in
            try channel.writeInbound(ByteBuffer(string: "GET jobs wait=86400000 auto-ack\nPING\n"))
            #expect(try Self.said(channel) == "")
            channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            #expect(try Self.said(channel) == "NIL\nOK\n")
            publish()
        }
        #expect(try await broker.status(of: "jobs").ready == 1)
        try await broker.shutdown()
    }

    /// On one thread, as the loop wants it.
    private static func hold(
        _ broker: Broker, _ body: (EmbeddedChannel, _ publish: () -> Void) throws -> Void
    ) throws {
        let limits = ServerLimits()
        let handler = SniffingHandler(
            ServerParts(
                broker: broker, limits: limits, room: SharedRoom(limits), logger: quiet, tls: TLSIdentity()),
            peer: .local("test"))
        let channel = EmbeddedChannel(handler: handler)
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        let publisher = broker.openConnection(name: "publisher").openSession {}
        try body(channel) {
            var events: [SessionEvent] = []
            let message = Message(exchange: "", routingKey: "jobs", isPersistent: false, body: [65])
            publisher.submit([Submission(1, .publish(message, mandatory: true))], events: &events)
        }
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    private static func said(_ channel: EmbeddedChannel) throws -> String {
        var text = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
        return text
    }
}
