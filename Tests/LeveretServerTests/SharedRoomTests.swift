import InMemoryLogging
import Leveret
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import LeveretServer

/// What connections share of the server's memory, with clocks that the test moves.
@Suite struct SharedRoomTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Counts how often the socket would be read.
    private final class Reads: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        private(set) var count = 0

        func read(context: ChannelHandlerContext) {
            count += 1
            context.read()
        }
    }

    /// One client.
    private struct Client {
        let channel: EmbeddedChannel
        let reads = Reads()

        init(_ broker: Broker, _ limits: ServerLimits, _ room: SharedRoom) throws {
            let handler = SniffingHandler(
                ServerParts(broker: broker, limits: limits, room: room, logger: quiet, tls: TLSIdentity()),
                peer: .local("test"))
            channel = EmbeddedChannel(handlers: [reads, handler])
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

        func end() throws { _ = try channel.finish(acceptAlreadyClosed: true) }
    }

    private static func withClients(
        _ change: (inout ServerLimits) -> Void, _ body: ([Client]) throws -> Void
    ) async throws {
        var configuration = Broker.Configuration()
        configuration.logger = quiet
        let broker = try Broker(.memory, configuration: configuration)
        var limits = ServerLimits()
        change(&limits)
        try hold(broker, limits, body)
        try await broker.shutdown()
    }

    /// On one thread, as the loops want it.
    private static func hold(
        _ broker: Broker, _ limits: ServerLimits, _ body: ([Client]) throws -> Void
    ) throws {
        let room = SharedRoom(limits)
        let clients = try (0..<3).map { _ in try Client(broker, limits, room) }
        try body(clients)
        for client in clients { try client.end() }
    }

    @Test func `a large body waits unread until there is room, and small ones go on`() async throws {
        let half = String(repeating: "x", count: 40)
        let begin = "PUB \"\" a {80}\n" + half
        try await Self.withClients {
            $0.receivingBytesMax = 100
            $0.smallRequestBytesMax = 50
        } _: { clients throws in
            let (first, second, third) = (clients[0], clients[1], clients[2])
            #expect(try first.say(begin) == "" && first.reads.count == 1)
            #expect(try second.say(begin) == "" && second.reads.count == 0)
            #expect(try third.say("PUB \"\" a {5}\nsmall\n") == "OK 0\n" && third.reads.count == 1)
            // Waiting its turn is no silence of the client's.
            second.channel.embeddedEventLoop.advanceTime(by: .hours(1))
            #expect(try second.heard() == "" && second.reads.count == 0)
            #expect(try first.say(half + "\n") == "OK 0\n")
            #expect(try second.heard() == "" && second.reads.count == 1)
            #expect(try second.say(half + "\n") == "OK 0\n")
        }
    }

    @Test func `half a body that is left lying gives its room to the next`() async throws {
        try await Self.withClients {
            $0.receivingBytesMax = 100
            $0.smallRequestBytesMax = 50
        } _: { clients throws in
            #expect(try clients[0].say("PUB \"\" a {80}\nhalf") == "")
            // It is the third's turn when the second has left.
            #expect(try clients[1].say("PUB \"\" a {80}\nhalf") == "" && clients[1].reads.count == 0)
            #expect(try clients[2].say("PUB \"\" a {80}\nhalf") == "" && clients[2].reads.count == 0)
            try clients[1].end()
            clients[0].channel.embeddedEventLoop.advanceTime(by: .seconds(60))
            #expect(try clients[0].heard().hasPrefix("ERR 501 FRAME_ERROR no bytes for 60 s"))
            #expect(try clients[2].heard() == "" && clients[2].reads.count == 1)
        }
    }

    @Test func `a large body that comes too slowly gives its room to the next, one that keeps pace does not`()
        async throws
    {
        try await Self.withClients {
            $0.receivingBytesMax = 10_000
            $0.smallRequestBytesMax = 50
        } _: { clients throws in
            func minute(_ client: Client, _ bytes: Int) throws -> String {
                var said = ""
                for third in 0..<3 {
                    said += try client.say(String(repeating: "x", count: (bytes + third) / 3))
                    client.channel.embeddedEventLoop.advanceTime(by: .seconds(20))
                }
                return try said + client.heard()
            }
            let begin = "PUB \"\" a {9000}\n"
            // A sixtieth of the whole request in each minute.
            #expect(try clients[0].say(begin) == "" && clients[1].say(begin) == "")
            #expect(try minute(clients[0], 150) == "")
            #expect(try minute(clients[0], 1000) == "")
            #expect(try minute(clients[0], 150) == "" && clients[1].reads.count == 0)
            let refusal = try minute(clients[0], 149)
            #expect(
                refusal.hasPrefix(
                    "ERR 501 FRAME_ERROR 149 bytes in 60 s of a large request, which was not run"))
            #expect(refusal.contains("send at least 150 in that time; closing"))
            // The next one's time begins with its turn. Of what is shorter, no less than 50 bytes.
            #expect(try clients[1].heard() == "" && clients[1].reads.count == 1)
            #expect(
                try clients[1].say(String(repeating: "x", count: 9000) + "\nPUB \"\" a {120}\n") == "OK 0\n")
            #expect(try minute(clients[1], 50) == "" && minute(clients[1], 50) == "")
            #expect(try minute(clients[1], 20).hasPrefix("ERR 501 FRAME_ERROR 20 bytes in 60 s"))
        }
    }

    @Test func `room is given in the order in which it was asked for`() {
        var limits = ServerLimits()
        limits.receivingBytesMax = 100
        let room = SharedRoom(limits)
        let owners = (0..<4).map { _ in Reads() }
        let granted = Mutex<[Int]>([])
        func take(_ bytes: Int, _ number: Int) -> Bool {
            room.take(bytes, for: ObjectIdentifier(owners[number])) { granted.withLock { $0.append(number) } }
        }
        #expect(take(60, 0))
        #expect(!take(1000, 1))
        // There would be room, but another was first.
        #expect(!take(20, 2))
        #expect(!take(20, 3))
        room.leave(ObjectIdentifier(owners[0]))
        #expect(granted.withLock { $0 } == [1], "one that is too large is received alone")
        room.leave(ObjectIdentifier(owners[2]))
        room.leave(ObjectIdentifier(owners[1]))
        #expect(granted.withLock { $0 } == [1, 3])
        room.leave(ObjectIdentifier(owners[3]))
        #expect(take(100, 0))
    }

    @Test func `open transactions share room, and one too many is refused at its commit`() async throws {
        let publish = "PUB \"\" a {600}\n" + String(repeating: "x", count: 600) + "\n"
        try await Self.withClients {
            $0.openTransactionBytesMax = 1000
        } _: { clients throws in
            #expect(try clients[0].say("BEGIN\n" + publish) == "OK\nOK queued\n")
            #expect(try clients[1].say("BEGIN\n" + publish) == "OK\nOK queued\n")
            #expect(try clients[1].say("PING\n" + publish).hasPrefix("OK\nERR 503 COMMAND_INVALID"))
            #expect(try clients[1].say("COMMIT\n").hasPrefix("ERR 506 RESOURCE_ERROR open transactions hold"))
            // The connection that is gone held the room.
            try clients[0].end()
            #expect(try clients[1].say("BEGIN\n" + publish) == "OK\nOK queued\n")
            #expect(try clients[1].say("COMMIT\n") == "OK 0\n")
        }
    }

    @Test func `refused connections make one line a second, with their number`() throws {
        let memory = InMemoryLogHandler()
        let log = RefusalLog(logger: Logger(label: "test") { _ in memory })
        let loop = EmbeddedEventLoop()
        for _ in 0..<5 { log.refused(limit: 1, on: loop) }
        #expect(memory.entries.count == 1)
        loop.advanceTime(by: .seconds(1))
        #expect(memory.entries.map { $0.metadata["refused"] } == ["1", "4"])
        loop.advanceTime(by: .seconds(10))
        #expect(memory.entries.count == 2)
        log.refused(limit: 1, on: loop)
        #expect(memory.entries.count == 3)
    }
}
