// What an alarm does to AMQP clients, and what they do meanwhile.

import Leveret
import LeveretServer
import LeveretTestSupport
import Testing

@Suite struct AMQPAlarmTests {
    /// The server's own looks at the machine clear no alarm of the test's cause.
    private static func withBroker(_ body: (Broker, UInt16) throws -> Void) async throws {
        let broker = try Broker(.memory, configuration: .quiet)
        var configuration = ServerConfiguration()
        configuration.addresses = [ListenAddress(port: 0)]
        let server = Server(
            broker: broker, configuration: configuration, logger: Broker.Configuration.quiet.logger)
        let port = UInt16(try await server.start()[0].port ?? 0)
        let result = Result { try body(broker, port) }
        try await server.stop()
        try await broker.shutdown()
        try result.get()
    }

    @Test func `a channel that is opened after an alarm hears of its end`() async throws {
        try await Self.withBroker { broker, port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            broker.setAlarm("the test says so", cause: .store)
            #expect(try client.next() == "connection.blocked the test says so")
            client.closeChannel(1)
            #expect(try client.next() == "channel.close-ok")
            client.openChannel(1)
            #expect(try client.next() == "channel.open-ok ''")
            client.closeChannel(1)
            #expect(try client.next() == "channel.close-ok")
            broker.setAlarm(nil, cause: .store)
            client.openChannel(1)
            #expect(try client.next() == "channel.open-ok ''")
            #expect(try client.next() == "connection.unblocked")
            client.publish("after", to: "q")
            client.get("q")
            #expect(try client.next() == "basic.get-ok 1 false '' q 0 {10 0 2} after")
        }
    }

    @Test func `publishes wait for the end of an alarm, and acks don't`() async throws {
        try await Self.withBroker { broker, port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q", durable: true)
            client.publish("before", to: "q")
            client.selectConfirms()
            try client.expect("confirm.select-ok")
            client.get("q")
            try client.expect("basic.get-ok 1")

            broker.setAlarm("the test says so", cause: .store)
            #expect(try client.next() == "connection.blocked the test says so")
            let late = try AMQPSocket(port: port)
            #expect(try late.next() == "connection.blocked the test says so")
            client.publish("meanwhile", to: "q")
            client.ack(1)
            client.send()
            let line = try LineSocket(port: port)
            // The ack goes past the publish: after it nothing is held, and nothing is ready.
            while try line.ask("PEEK q state=unacked").line != "OK 0" { _ = try line.waitForNext() }
            late.get("q")
            #expect(try late.next() == "basic.get-empty ''")

            broker.setAlarm(nil, cause: .store)
            #expect(try client.next() == "connection.unblocked")
            #expect(try client.next() == "basic.ack 1 false")
            #expect(try late.next() == "connection.unblocked")
            late.get("q")
            #expect(try late.next() == "basic.get-ok 1 false '' q 0 {10 0 2} meanwhile")
        }
    }
}
