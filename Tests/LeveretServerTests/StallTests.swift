import Leveret
import LeveretTestSupport
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import LeveretServer

/// Silence, with a clock that the test moves.
@Suite struct StallTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A connection on a loop whose time stands still, to a broker with so many queues.
    private static func withChannel(
        queues: Int = 0, _ body: (EmbeddedChannel) throws -> Void
    ) async throws {
        var configuration = Broker.Configuration()
        configuration.logger = quiet
        let broker = try Broker(.memory, configuration: configuration)
        for number in 0..<queues { try await broker.declareQueue(QueueName("q\(number)")) }
        try hold(broker, body)
        try await broker.shutdown()
    }

    /// On one thread, as the loop wants it.
    private static func hold(_ broker: Broker, _ body: (EmbeddedChannel) throws -> Void) throws {
        let limits = ServerLimits()
        let handler = SniffingHandler(
            ServerParts(
                broker: broker, limits: limits, room: SharedRoom(limits), logger: quiet, tls: TLSIdentity()),
            peer: .local("test"))
        let channel = EmbeddedChannel(handler: handler)
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        try body(channel)
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    private static func said(_ channel: EmbeddedChannel) throws -> String {
        var text = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
        return text
    }

    @Test(arguments: ["PUB \"\" jo", "PUB \"\" jobs {100}\nhalf", "FROB {9}\nhalf", "PUB \"\" jobs {3}\nabc"])
    func `60 seconds of silence within a request close it, one second less does not`(
        half: String
    ) async throws {
        try await Self.withChannel { channel in
            try channel.writeInbound(ByteBuffer(string: "PING\n" + half))
            #expect(try Self.said(channel) == "OK\n")
            channel.embeddedEventLoop.advanceTime(by: .seconds(59))
            #expect(try Self.said(channel) == "")
            // A byte begins the minute anew.
            try channel.writeInbound(ByteBuffer(string: half.hasSuffix("abc") ? "\r" : "x"))
            channel.embeddedEventLoop.advanceTime(by: .seconds(59))
            #expect(try Self.said(channel) == "" && channel.isActive)
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            #expect(
                try Self.said(channel).hasPrefix("ERR 501 FRAME_ERROR no bytes for 60 s within a request"))
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            #expect(!channel.isActive)
        }
    }

    @Test func `a client that the server does not read is not silent`() async throws {
        try await Self.withChannel { channel in
            try channel.writeInbound(ByteBuffer(string: "PING\nPUB \"\" jo"))
            channel.isWritable = false
            channel.read()
            channel.embeddedEventLoop.advanceTime(by: .hours(1))
            #expect(try Self.said(channel) == "OK\n" && channel.isActive)
            channel.isWritable = true
            channel.pipeline.fireChannelWritabilityChanged()
            channel.embeddedEventLoop.advanceTime(by: .seconds(59))
            #expect(try Self.said(channel) == "" && channel.isActive)
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            #expect(try Self.said(channel).hasPrefix("ERR 501 FRAME_ERROR no bytes for 60 s"))
        }
    }

    @Test func `a client that takes its time with a long listing is not silent`() async throws {
        try await Self.withChannel(queues: 1500) { channel in
            try channel.writeInbound(ByteBuffer(string: "LIST queues fields=name\nPING\n"))
            channel.isWritable = false
            channel.read()
            channel.embeddedEventLoop.advanceTime(by: .seconds(61))
            channel.isWritable = true
            channel.pipeline.fireChannelWritabilityChanged()
            channel.embeddedEventLoop.run()
            #expect(try Self.said(channel).hasSuffix("OK 1500\nOK\n"))
        }
    }

    /// Keeps the frames of an AMQP client that logs in and wants heartbeats.
    private final class Frames: AMQPSpeaker {
        let frameBytesMax = 4096
        var bytes = Array("AMQP".utf8) + [0, 0, 9, 1]

        init(heartbeat: UInt16) {
            startOk()
            tuneOk(heartbeat: heartbeat)
            call(10, 40, .short("/"), .short(""), .octet(0))
        }

        func say(_ bytes: [UInt8]) { self.bytes += bytes }
    }

    @Test(arguments: [true, false])
    func
        `an AMQP client that takes nothing and says nothing is silent, one that the server does not read is not`(
            isWritable: Bool
        ) async throws
    {
        try await Self.withChannel { channel in
            try channel.writeInbound(ByteBuffer(bytes: Frames(heartbeat: 10).bytes))
            channel.embeddedEventLoop.advanceTime(by: .seconds(19))
            #expect(channel.isActive)
            try channel.writeInbound(ByteBuffer(bytes: [8, 0, 0, 0, 0, 0, 0, 0xCE]))
            channel.isWritable = false
            channel.read()
            channel.isWritable = isWritable
            channel.embeddedEventLoop.advanceTime(by: .seconds(19))
            #expect(channel.isActive)
            channel.embeddedEventLoop.advanceTime(by: .seconds(2))
            #expect(channel.isActive == isWritable)
        }
    }

    @Test func `between requests a client may be silent for ever`() async throws {
        try await Self.withChannel { channel in
            channel.embeddedEventLoop.advanceTime(by: .hours(1000))
            try channel.writeInbound(ByteBuffer(string: "PING\n"))
            channel.embeddedEventLoop.advanceTime(by: .hours(1000))
            try channel.writeInbound(ByteBuffer(string: "PI"))
            channel.embeddedEventLoop.advanceTime(by: .seconds(59))
            try channel.writeInbound(ByteBuffer(string: "NG\n"))
            #expect(try Self.said(channel) == "OK\nOK\n" && channel.isActive)
        }
    }

    @Test func `a connection that is closed is not kept until its timers end`() async throws {
        try await Self.withChannel { channel in
            try channel.writeInbound(ByteBuffer(string: "PING\n"))
            weak var handler: LineHandler?
            handler = try channel.pipeline.syncOperations.handler(type: LineHandler.self)
            #expect(handler != nil)
            try channel.writeInbound(ByteBuffer(string: "QUIT\n"))
            channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            channel.embeddedEventLoop.run()
            #expect(!channel.isActive && handler == nil)
        }
    }

    @Test(arguments: ["AMQ", "GE", "POST /"])
    func `a client that may be speaking another protocol is given as long`(half: String) async throws {
        try await Self.withChannel { channel in
            try channel.writeInbound(ByteBuffer(string: half))
            channel.embeddedEventLoop.advanceTime(by: .seconds(59))
            #expect(try channel.isActive && Self.said(channel) == "")
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            #expect(
                try Self.said(channel).hasPrefix("ERR 501 FRAME_ERROR no bytes for 60 s within a request"))
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            #expect(!channel.isActive)
        }
    }

    @Test(arguments: [
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}("),
        ("AMQP\u{0}\u{0}\u{9}\u{1}", "\u{1}\u{0}\u{0}\u{0}\u{0}\u{1}"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.0 501 Not Implemented\r\n"),
        ("POST /api HTTP/1.0\n", "HTTP/1.0 501 Not Implemented\r\n"), ("PING HTTP/1.1\n", "ERR 502"),
        ("AMQX\n", "ERR 503"), ("A\n", "ERR 503"),
    ])
    func `the first bytes, one by one, tell what a client speaks`(said: String, answer: String) async throws {
        try await Self.withChannel { channel in
            for byte in said.utf8 where channel.isActive {
                try channel.writeInbound(ByteBuffer(bytes: [byte]))
            }
            #expect(try Self.said(channel).hasPrefix(answer))
        }
    }
}
