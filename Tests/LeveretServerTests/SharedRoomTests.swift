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
    @Test func `a large body waits unread until there is room, and small ones go on`() async throws {
        let half = String(repeating: "x", count: 40)
        let begin = "PUB \"\" a {80}\n" + half
        try await EmbeddedClient.three {
            $0.receivingBytesMax = 100
            $0.smallRequestBytesMax = 50
        } _: { clients throws in
            let (first, second, third) = (clients[0], clients[1], clients[2])
            #expect(try first.say(begin) == "" && first.socket.readCount == 1)
            #expect(try second.say(begin) == "" && second.socket.readCount == 0)
            #expect(try third.say("PUB \"\" a {5}\nsmall\n") == "OK 0\n" && third.socket.readCount == 1)
            // Waiting its turn is no silence of the client's.
            second.channel.embeddedEventLoop.advanceTime(by: .hours(1))
            #expect(try second.heard() == "" && second.socket.readCount == 0)
            #expect(try first.say(half + "\n") == "OK 0\n")
            #expect(try second.heard() == "" && second.socket.readCount == 1)
            #expect(try second.say(half + "\n") == "OK 0\n")
        }
    }

    @Test func `half a body that is left lying gives its room to the next`() async throws {
        try await EmbeddedClient.three {
            $0.receivingBytesMax = 100
            $0.smallRequestBytesMax = 50
        } _: { clients throws in
            #expect(try clients[0].say("PUB \"\" a {80}\nhalf") == "")
            // It is the third's turn when the second has left.
            #expect(try clients[1].say("PUB \"\" a {80}\nhalf") == "" && clients[1].socket.readCount == 0)
            #expect(try clients[2].say("PUB \"\" a {80}\nhalf") == "" && clients[2].socket.readCount == 0)
            try clients[1].end()
            clients[0].channel.embeddedEventLoop.advanceTime(by: .seconds(60))
            #expect(try clients[0].heard().hasPrefix("ERR 501 FRAME_ERROR no bytes for 60 s"))
            #expect(try clients[2].heard() == "" && clients[2].socket.readCount == 1)
        }
    }

    @Test func `a large body that comes too slowly gives its room to the next, one that keeps pace does not`()
        async throws
    {
        try await EmbeddedClient.three {
            $0.receivingBytesMax = 10_000
            $0.smallRequestBytesMax = 50
        } _: { clients throws in
            func minute(_ client: EmbeddedClient, _ bytes: Int) throws -> String {
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
            #expect(try minute(clients[0], 150) == "" && clients[1].socket.readCount == 0)
            let refusal = try minute(clients[0], 149)
            #expect(
                refusal.hasPrefix(
                    "ERR 501 FRAME_ERROR 149 bytes in 60 s of a large request, which was not run"))
            #expect(refusal.contains("send at least 150 in that time; closing"))
            // The next one's time begins with its turn. Of what is shorter, no less than 50 bytes.
            #expect(try clients[1].heard() == "" && clients[1].socket.readCount == 1)
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
        let owners = (0..<4).map { _ in EmbeddedClient.Socket() }
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
        try await EmbeddedClient.three {
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
