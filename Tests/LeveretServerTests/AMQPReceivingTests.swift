// What an AMQP client makes the server hold, and how long it may take, with clocks that the test moves.

import Leveret
import LeveretTestSupport
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

    private static let heartbeat: [UInt8] = [8, 0, 0, 0, 0, 0, 0, 0xCE]

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
