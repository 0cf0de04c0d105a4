// What an AMQP client makes the server hold, and how long it may take, with clocks that the test moves.

import Leveret
import LeveretTestSupport
import LeveretWire
import NIOCore
import NIOEmbedded
import Testing

@testable import LeveretServer

@Suite struct AMQPReceivingTests {
    /// Says a publish with a body of `size` bytes, of which `bytes` come.
    private static func beginBody(
        of size: Int, _ bytes: Int, _ client: EmbeddedClient, on channel: UInt16 = 1
    ) {
        client.call(60, 40, .int16(0), .short(""), .short("q"), .octet(0), on: channel)
        client.frame(2, [0, 60, 0, 0] + AMQPItem.int64(UInt64(size)).bytes + [0, 0], on: channel)
        more(bytes, client, on: channel)
    }

    private static func more(_ bytes: Int, _ client: EmbeddedClient, on channel: UInt16 = 1) {
        client.frame(3, [UInt8](repeating: 7, count: bytes), on: channel)
    }

    /// Says the beginning of a frame that is to have `size` octets of body, of which `bytes` come.
    private static func part(_ bytes: Int, of size: Int, _ client: EmbeddedClient) {
        client.say([3, 0, 1] + AMQPItem.int32(UInt32(size)).bytes + [UInt8](repeating: 7, count: bytes))
    }

    private static let heartbeat: [UInt8] = [8, 0, 0, 0, 0, 0, 0, 0xCE]

    @Test func `half a body that no more comes of ends its connection, whatever else is said there`()
        async throws
    {
        try await EmbeddedClient.three { _ in
        } _: { clients throws in
            let client = clients[0]
            try client.open()
            client.call(20, 10, .short(""), on: 2)
            Self.beginBody(of: 100, 40, client)
            #expect(try client.exchange() == ["[2] channel.open-ok ''"])
            client.wait(59)
            // One more byte is another minute; what comes on other channels is nothing to it.
            Self.more(1, client)
            #expect(try client.exchange() == [])
            client.wait(1)
            Self.beginBody(of: 100, 100, client, on: 2)
            #expect(try client.exchange() == [])
            client.wait(59)
            #expect(try client.heardFrames() == [])
            client.wait(1)
            #expect(
                try client.heardFrames() == [
                    "connection.close 501 FRAME_ERROR - 0 bytes in 60 s of a body on channel 1, which was not "
                        + "published; send at least 1 in that time 0 0"
                ])
        }
    }

    @Test func `a large body must keep pace, and what the server does not read has time`() async throws {
        try await EmbeddedClient.three {
            $0.smallRequestBytesMax = 50
        } _: { clients throws in
            let client = clients[0]
            try client.open()
            Self.beginBody(of: 9000, 100, client)
            #expect(try client.exchange() == [])
            Self.more(150, client)
            #expect(try client.exchange() == [])
            client.wait(60)
            // While the client takes nothing, it is not read.
            client.channel.isWritable = false
            client.channel.read()
            client.wait(60)
            client.channel.isWritable = true
            client.channel.pipeline.fireChannelWritabilityChanged()
            client.wait(60)
            #expect(try client.heardFrames() == [])
            Self.more(149, client)
            #expect(try client.exchange() == [])
            client.wait(60)
            #expect(
                try client.heardFrames().first?.hasPrefix(
                    "connection.close 501 FRAME_ERROR - 149 bytes in 60 s of a body on channel 1") == true)
        }
    }

    @Test func `a frame that comes slowly counts as it comes`() async throws {
        try await EmbeddedClient.three {
            $0.smallRequestBytesMax = 50
        } _: { clients throws in
            let client = clients[0]
            try client.open()
            Self.beginBody(of: 9000, 100, client)
            Self.part(0, of: 500, client)
            #expect(try client.exchange() == [])
            for bytes in [150, 150] {
                client.say([UInt8](repeating: 7, count: bytes))
                #expect(try client.exchange() == [])
                client.wait(60)
                #expect(try client.heardFrames() == [])
            }
            // The rest of the frame, and less than is due of the next.
            client.say([UInt8](repeating: 7, count: 200) + [0xCE])
            Self.part(20, of: 500, client)
            #expect(try client.exchange() == [])
            client.wait(60)
            #expect(try client.heardFrames() == [])
            client.say([UInt8](repeating: 7, count: 149))
            #expect(try client.exchange() == [])
            client.wait(60)
            #expect(
                try client.heardFrames().first?.hasPrefix(
                    "connection.close 501 FRAME_ERROR - 149 bytes in 60 s of a body on channel 1") == true)
        }
    }

    @Test func `in an alarm a body that would be too much to keep is not read`() async throws {
        let broker = try Broker(.memory, configuration: .quiet)
        try await broker.declareQueue("q")
        try Self.publishInAlarm(broker)
        #expect(try await broker.status(of: "q").ready == 2)
        try await broker.shutdown()
    }

    private static func publishInAlarm(_ broker: Broker) throws {
        var limits = ServerLimits()
        limits.amqp.heldBytesMax = 2000
        let client = try EmbeddedClient(broker, limits)
        try client.open()
        broker.setAlarm("the test says so", cause: .store)
        #expect(try client.heardFrames() == [])
        beginBody(of: 900, 900, client)
        var reads = client.socket.readCount
        #expect(try client.exchange() == [])
        #expect(client.socket.readCount == reads + 1)
        beginBody(of: 1100, 100, client)
        reads = client.socket.readCount
        #expect(try client.exchange() == [])
        client.wait(600)
        #expect(try client.heardFrames() == [])
        #expect(client.socket.readCount == reads)
        broker.setAlarm(nil, cause: .store)
        #expect(try client.heardFrames() == [])
        #expect(client.socket.readCount == reads + 1)
        more(1000, client)
        client.call(20, 40, .int16(200), .short(""), .int16(0), .int16(0), on: 1)
        #expect(try client.exchange() == ["channel.close-ok"])
        try client.end()
    }

    @Test func `where half-received bodies are too many, the connection that holds the most ends`()
        async throws
    {
        try await EmbeddedClient.three {
            $0.receivingBytesMax = 1000
        } _: { clients throws in
            for client in clients { try client.open() }
            Self.beginBody(of: 900, 300, clients[0])
            Self.beginBody(of: 900, 500, clients[1])
            #expect(try clients[0].exchange() == [] && clients[1].exchange() == [])
            Self.beginBody(of: 900, 300, clients[2])
            #expect(try clients[2].exchange() == [] && clients[0].heardFrames() == [])
            #expect(
                try clients[1].heardFrames().first?.hasPrefix(
                    "connection.close 506 RESOURCE_ERROR - bodies that are being received hold 1000 bytes")
                    == true)
            // What it held is free, and counts for nobody else.
            Self.more(400, clients[0])
            Self.more(600, clients[0])
            #expect(try clients[0].exchange().first?.hasPrefix("connection.close 501") == true)
            Self.more(600, clients[2])
            #expect(try clients[2].exchange() == [])
        }
    }

    @Test func `a client that reads slowly is alive while it says so`() async throws {
        try await EmbeddedClient.three { _ in
        } _: { clients throws in
            let client = clients[0]
            try client.open(heartbeat: 10)
            client.channel.isWritable = false
            client.channel.read()
            let readsBefore = client.socket.readCount
            // It is read twice in each interval, and no more.
            for _ in 0..<20 {
                client.socket.waiting = ByteBuffer(bytes: Self.heartbeat)
                client.wait(5)
            }
            #expect(client.channel.isActive && client.socket.readCount - readsBefore == 20)
            client.wait(21)
            #expect(!client.channel.isActive)
        }
    }

    @Test func `a client that must log in has 30 seconds, not those that its password takes`() async throws {
        let broker = try Broker(.memory, configuration: .quiet)
        try Self.logInLate(broker)
        try await broker.shutdown()
    }

    private static func logInLate(_ broker: Broker) throws {
        var rules = LoginRules()
        rules.areForLocalClients = true
        let peer = Peer("test", isLocal: true, rules, ServerLimits(), now: .uptimeNanoseconds(0))
        let late = try EmbeddedClient(broker, peer: peer)
        late.say(Array("AMQP".utf8) + [0, 0, 9, 1])
        #expect(try late.exchange().first?.hasPrefix("connection.start") == true)
        late.wait(29)
        #expect(late.channel.isActive)
        late.wait(1)
        #expect(!late.channel.isActive)
        let guest = try EmbeddedClient(broker)
        guest.say(Array("AMQP".utf8) + [0, 0, 9, 1])
        _ = try guest.exchange()
        guest.wait(59)
        #expect(guest.channel.isActive)
        guest.wait(1)
        #expect(!guest.channel.isActive)
        for client in [late, guest] { try client.end() }
    }

    @Test func `while a long listing is written, nothing more is read`() async throws {
        let broker = try Broker(.memory, configuration: .quiet)
        for number in 0..<1500 { try await broker.declareQueue(QueueName("q\(number)")) }
        try Self.list(broker)
        try await broker.shutdown()
    }

    private static func list(_ broker: Broker) throws {
        let client = try EmbeddedClient(broker)
        try client.channel.writeInbound(ByteBuffer(string: "LIST queues fields=name\n"))
        client.channel.read()
        #expect(client.socket.readCount == 0)
        let rows = try client.heard()
        #expect(rows.hasSuffix("OK 1500\n") && client.socket.readCount == 1)
        try client.end()
    }
}
