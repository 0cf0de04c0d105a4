// What operators see of AMQP clients: what they say of themselves, and how their channels stand.

import Leveret
import LeveretTestSupport
import Testing

@testable import LeveretServer

@Suite struct AMQPListingTests {
    /// A client of the user `app` that says who it is.
    private static func client(_ server: LoginServer) throws -> AMQPSocket {
        let client = try AMQPSocket(greeting: server.port)
        try client.expect("connection.start")
        client.startOk(
            user: "app", password: "app's", capabilities: ["connection.blocked"],
            properties: [
                ("product", .text("pika")), ("version", .text("1.3.2")), ("platform", .text("Python 3.11")),
                ("connection_name", .text("worker 7")),
            ])
        try client.expect("connection.tune")
        client.tuneOk()
        client.call(10, 40, .short("/"), .short(""), .octet(0))
        try client.expect("connection.open-ok")
        return client
    }

    @Test func `a connection is listed with what its client says of itself, without channels, too`()
        async throws
    {
        try await LoginServer.with { server in
            let client = try Self.client(server)
            let found = try await server.broker.connections(matching: "worker 7 *")
            let row = try #require(found.first)
            #expect(row.user == "app" && row.virtualHost == "/" && row.sessions == 0 && !row.isBlocked)
            #expect(row.client.protocolName == "AMQP 0-9-1" && row.client.name == "worker 7")
            #expect(row.client.product == "pika" && row.client.version == "1.3.2")
            #expect(row.client.platform == "Python 3.11" && row.client.peer?.hasPrefix("127.0.0.1:") == true)
            let line = try server.client("ops")
            line.say(
                "LIST connections match=\"worker 7 *\" "
                    + "fields=user,protocol,channels,blocked,client_name,product,version,platform")
            #expect(
                try line.replies(2) == [
                    #"ROW {"user":"app","protocol":"AMQP 0-9-1","channels":0,"blocked":false,"client_name":"worker 7","#
                        + #""product":"pika","version":"1.3.2","platform":"Python 3.11"}"#,
                    "OK 1",
                ])
            #expect(try line.ask("LIST channels match=nobody").line == "OK 0")
            #expect(try server.client("app").ask("LIST channels").line.hasPrefix("ERR 403 ACCESS_REFUSED"))
            server.broker.setAlarm("the test says so", cause: .store)
            client.openChannel(1)
            try client.expect("channel.open-ok")
            try client.expect("connection.blocked")
            #expect(try await server.broker.connections(matching: "worker 7 *")[0].isBlocked)
            #expect(try await !server.broker.connections(matching: "embedded")[0].isBlocked)
        }
    }

    @Test func `a channel is listed with its mode, prefetch, and what is not settled`() async throws {
        try await LoginServer.with { server in
            let client = try Self.client(server)
            client.openChannel(1)
            try client.expect("channel.open-ok")
            client.openChannel(5)
            try client.expect("[5] channel.open-ok")
            try client.haveQueue("app.q", durable: true)
            client.qos(3)
            try client.expect("basic.qos-ok")
            client.qos(10, global: true)
            try client.expect("basic.qos-ok")
            client.consume("app.q", as: "t")
            try client.expect("basic.consume-ok t")
            client.publish("x", to: "app.q", on: 5)
            try client.expect("basic.deliver t 1")
            client.selectTx()
            try client.expect("tx.select-ok")
            client.ack(1)
            client.publish("y", to: "app.q")
            client.selectConfirms(on: 5)
            try client.expect("[5] confirm.select-ok")
            let rows = try await server.broker.sessions(matching: "worker 7 *")
            #expect(rows.map(\.notes.channel) == [1, 5])
            let (first, fifth) = (try #require(rows.first), try #require(rows.last))
            #expect(first.user == "app" && first.virtualHost == "/" && first.consumers == 1)
            #expect(first.notes.mode == .transaction && first.notes.uncommitted == 2 && first.unacked == 1)
            #expect(first.notes.prefetch == 3 && first.prefetch == 10)
            #expect(fifth.notes.mode == .confirm && fifth.notes.unconfirmed == 0 && fifth.consumers == 0)
            let consumer = try #require(try await server.broker.consumers(matching: "app.q").first)
            #expect(
                consumer.channel == 1 && consumer.user == "app" && consumer.connection == first.connection)
            let line = try server.client("ops")
            line.say("LIST channels match=\"worker 7 *\" fields=channel,mode,uncommitted,held_up")
            #expect(
                try line.replies(3) == [
                    #"ROW {"channel":1,"mode":"tx","uncommitted":2,"held_up":false}"#,
                    #"ROW {"channel":5,"mode":"confirm","uncommitted":0,"held_up":false}"#, "OK 2",
                ])
        }
    }

    @Test func `publishes that wait for the end of an alarm are seen`() async throws {
        try await LoginServer.with { server in
            let client = try Self.client(server)
            client.openChannel(1)
            try client.expect("channel.open-ok")
            try client.haveQueue("app.q")
            client.selectConfirms()
            try client.expect("confirm.select-ok")
            server.broker.setAlarm("the test says so", cause: .store)
            try client.expect("connection.blocked")
            client.publish("x", to: "app.q")
            client.send()
            // The publish comes when it comes.
            var isHeldUp = false
            while !isHeldUp {
                isHeldUp = try await server.broker.sessions(matching: "worker*").first?.notes.isHeldUp == true
            }
            server.broker.setAlarm(nil, cause: .store)
            try client.expect("connection.unblocked")
            try client.expect("basic.ack 1 false")
            #expect(try await server.broker.sessions(matching: "worker*").first?.notes.isHeldUp == false)
        }
    }

    @Test func `an operator closes an AMQP connection by its name, with a reason`() async throws {
        try await LoginServer.with { server in
            let client = try Self.client(server)
            let line = try server.client("ops")
            #expect(try line.ask("KILL connection \"worker 7\" reason=\"stuck since noon\"").line == "OK 1")
            #expect(
                try client.next() == "connection.close 320 CONNECTION_FORCED - stuck since noon 0 0")
            client.call(10, 51)
            #expect(try client.next() == "closed")
        }
    }
}
