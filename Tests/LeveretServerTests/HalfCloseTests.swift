import Leveret
import LeveretWire
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
        _ = try await Self.hold { channel, publish in
            try channel.writeInbound(ByteBuffer(string: "SUB jobs as=worker\n"))
            #expect(try Self.said(channel) == "OK worker\n")
            publish()
            // What waits leaves in the turn that follows, when a write may fail.
            channel.pipeline.fireChannelReadComplete()
            #expect(try Self.said(channel) == "")
            channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            #expect(try Self.said(channel).hasPrefix("MSG 1 jobs"))
        }
    }

    @Test func `a client that says no more waits no more, and takes nothing with it`() async throws {
        let left = try await Self.hold { channel, publish in
            try channel.writeInbound(ByteBuffer(string: "GET jobs wait=86400000 auto-ack\nPING\n"))
            #expect(try Self.said(channel) == "")
            channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            #expect(try Self.said(channel) == "NIL\nOK\n")
            publish()
        }
        #expect(left == 1)
    }

    @Test(arguments: [
        (
            "GET big auto-ack\nPING\n",
            "NIL\nMSG 1 big \"\" big redelivered=0 deliveries=1 position=1 {3}\nabc\nOK\n"
        ),
        ("QUIT\n", "NIL\nOK\n"),
    ])
    func `a client that says no more waits no more, whatever it asked behind`(
        behind: String, answer: String
    ) async throws {
        let left = try await Self.hold {
            $0.line.heldReplyBytesMax = 1
        } _: { channel, publish in
            try channel.writeInbound(ByteBuffer(string: "PUB \"\" big transient :abc\n"))
            #expect(try Self.said(channel) == "OK 1\n")
            try channel.writeInbound(
                ByteBuffer(string: "GET jobs wait=86400000 auto-ack\n" + behind))
            #expect(try Self.said(channel) == "")
            channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            #expect(try Self.said(channel) == answer)
            publish()
        }
        #expect(left == 1)
    }

    @Test func `a client that says no more and takes nothing waits no more`() async throws {
        let left = try await Self.hold { channel, publish in
            try channel.writeInbound(ByteBuffer(string: "GET jobs wait=86400000 auto-ack\n"))
            channel.isWritable = false
            channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            publish()
            channel.isWritable = true
            channel.pipeline.fireChannelWritabilityChanged()
            #expect(try Self.said(channel) == "NIL\n")
        }
        #expect(left == 1)
    }

    /// Has a client talk to a broker with two queues, and returns how many messages `jobs` is left with. `publish`
    /// sends one there.
    private static func hold(
        _ change: (inout ServerLimits) -> Void = { _ in },
        _ body: (EmbeddedChannel, _ publish: () -> Void) throws -> Void
    ) async throws -> Int {
        var configuration = Broker.Configuration()
        configuration.logger = quiet
        let broker = try Broker(.memory, configuration: configuration)
        for queue in ["jobs", "big"] as [QueueName] { try await broker.declareQueue(queue) }
        try talk(to: broker, change, body)
        let left = try await broker.status(of: "jobs").ready
        try await broker.shutdown()
        return left
    }

    /// On one thread, as the loop wants it.
    private static func talk(
        to broker: Broker, _ change: (inout ServerLimits) -> Void,
        _ body: (EmbeddedChannel, _ publish: () -> Void) throws -> Void
    ) throws {
        var limits = ServerLimits()
        change(&limits)
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
