// How a connection begins, as clients depend on it: greeting, login and tuning, and what has no place behind them.

import LeveretTestSupport
import Testing

@Suite struct AMQPHandshakeTests {
    /// A client that has been greeted.
    private static func greeted(_ port: UInt16) throws -> AMQPSocket {
        let client = try AMQPSocket(greeting: port)
        try client.expect("connection.start 0 9 table of ")
        return client
    }

    @Test func `a client hears of both mechanisms, and its locale is its own affair`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(greeting: port)
            #expect(try client.next().hasSuffix(" AMQPLAIN PLAIN en_US"))
            client.call(10, 11, .table([]), .short("PLAIN"), .long("\0guest\0guest"), .short("tlh"))
            #expect(try client.next() == "connection.tune 2047 131072 60")
        }
    }

    @Test func `AMQPLAIN's response is the inside of a table`() async throws {
        try await withServer { port in
            let client = try Self.greeted(port)
            let table = AMQPItem.table([("LOGIN", .text("guest")), ("PASSWORD", .text("guest"))]).bytes
            client.startOk(
                password: String(decoding: table.dropFirst(4), as: UTF8.self), mechanism: "AMQPLAIN")
            try client.expect("connection.tune")
        }
    }

    @Test(arguments: [
        (
            "SCRAM", "x",
            "503 COMMAND_INVALID - unknown authentication mechanism 'SCRAM'; use one of AMQPLAIN PLAIN"
        ),
        (
            "EXTERNAL", "",
            "503 COMMAND_INVALID - unknown authentication mechanism 'EXTERNAL'; use one of AMQPLAIN PLAIN"
        ),
        ("AMQPLAIN", "nonsense", "502 SYNTAX_ERROR - the response is none of mechanism AMQPLAIN"),
    ])
    func `a mechanism that is not there, or a response that is none, is refused in words`(
        mechanism: String, response: String, words: String
    ) async throws {
        try await withServer { port in
            let client = try Self.greeted(port)
            client.startOk(password: response, mechanism: mechanism)
            #expect(try client.next() == "connection.close \(words) 10 11")
        }
    }

    @Test(arguments: [[1, 1, 0, 9], [1, 1, 9, 1], [0, 1, 0, 0], [3, 1, 0, 0]] as [[UInt8]])
    func `a protocol header that is not ours is answered with ours`(version: [UInt8]) async throws {
        try await withServer { port in
            let client = try AMQPSocket(greeting: port, header: Array("AMQP".utf8) + version)
            #expect(try client.next() == "protocol 0 0 9 1")
            #expect(try client.next() == "closed")
        }
    }

    @Test(arguments: [0, 600] as [UInt16])
    func `the heartbeat is the client's word, above what was proposed, too`(seconds: UInt16) async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port, heartbeat: seconds)
            try client.haveQueue("q")
        }
    }

    @Test func `a method of the handshake has no place in a running connection`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            client.startOk()
            #expect(
                try client.next()
                    == "connection.close 504 CHANNEL_ERROR - unexpected method in connection state running 10 11"
            )
        }
    }
}
