import Leveret
import LeveretServer
import LeveretTestSupport
import Logging
import Testing

@Suite struct ServerTests {
    @Test func `requests sent all at once are answered in their order`() async throws {
        try await withServer { port in
            let socket = try LineSocket(port: port)
            socket.say("QUEUE jobs")
            for number in 0..<20_000 { socket.say("PUB \"\" jobs", body: Array("job \(number)".utf8)) }
            socket.say("PING")
            #expect(try socket.waitForNext()?.line == "OK jobs ready=0 consumers=0")
            for _ in 0..<20_000 { #expect(try socket.waitForNext()?.line == "OK 1") }
            #expect(try socket.waitForNext()?.line == "OK")
            for number in 0..<3 {
                #expect(try socket.ask("GET jobs auto-ack").body == Array("job \(number)".utf8))
            }
        }
    }

    @Test func `a server that can't listen leaves its broker as it was`() async throws {
        try await withServer { port in
            let broker = try Broker(.memory, configuration: .quiet)
            var configuration = ServerConfiguration()
            configuration.addresses = [ListenAddress(port: 0), ListenAddress(port: Int(port))]
            let server = Server(
                broker: broker, configuration: configuration, logger: Broker.Configuration.quiet.logger)
            let error = await #expect(throws: BrokerError.self) { _ = try await server.start() }
            #expect(error?.code == .resourceLocked)
            try await broker.declareQueue("jobs")
            try await broker.publish("still here", to: "jobs")
            try await server.stop()
            #expect(try await broker.get("jobs")?.text == "still here")
            try await broker.shutdown()
        }
    }

    @Test func `one client's message reaches the other, and leaves when it is acked`() async throws {
        try await withServer { port in
            let worker = try LineSocket(port: port)
            let client = try LineSocket(port: port)
            #expect(try worker.ask("QUEUE jobs").line == "OK jobs ready=0 consumers=0")
            #expect(try worker.ask("SUB jobs as=w").line == "OK w")
            #expect(try client.ask("PUB \"\" jobs transient :hello").line == "OK 1")
            let message = try worker.waitForNext()
            #expect(message?.line == "MSG 1 jobs \"\" jobs redelivered=0 deliveries=1 position=1 sub=w {5}")
            #expect(message?.body == Array("hello".utf8))
            #expect(try worker.ask("ACK 1").line == "OK")
            #expect(try client.ask("PURGE jobs").line == "OK 0")
        }
    }

    @Test func `a client that goes away gives back what it held`() async throws {
        try await withServer { port in
            let client = try LineSocket(port: port)
            #expect(try client.ask("QUEUE jobs").words.first == "OK")
            #expect(try client.ask("PUB \"\" jobs :x").line == "OK 1")
            do {
                let worker = try LineSocket(port: port)
                #expect(try worker.ask("GET jobs")["deliveries"] == "1")
            }
            let again = try client.ask("GET jobs wait=60000")
            #expect(again["redelivered"] == "1" && again["deliveries"] == "2")
        }
    }

    @Test func `a transaction of a connection that is lost does nothing`() async throws {
        try await withServer { port in
            let client = try LineSocket(port: port)
            #expect(try client.ask("QUEUE jobs").words.first == "OK")
            #expect(try client.ask("PUB \"\" jobs :first").line == "OK 1")
            do {
                let worker = try LineSocket(port: port)
                #expect(try worker.ask("GET jobs")["deliveries"] == "1")
                #expect(try worker.ask("BEGIN").line == "OK")
                #expect(try worker.ask("PUB \"\" jobs :second").line == "OK queued")
                #expect(try worker.ask("ACK 1").line == "OK queued")
            }
            #expect(try client.ask("GET jobs wait=60000")["deliveries"] == "2")
            #expect(try client.ask("GET jobs").line == "NIL")
        }
    }

    @Test func `a client that goes away in the middle of a body disturbs nobody`() async throws {
        try await withServer { port in
            let client = try LineSocket(port: port)
            #expect(try client.ask("QUEUE jobs").words.first == "OK")
            for _ in 0..<50 {
                let other = try LineSocket(port: port)
                other.say("PUB \"\" jobs {1000000}")
                other.say("not all of it")
                other.exchange()
            }
            #expect(try client.ask("PUB \"\" jobs :x").line == "OK 1")
            #expect(try client.ask("PURGE jobs").line == "OK 1")
        }
    }

    @Test func `what a client asked is answered after it has closed its side`() async throws {
        try await withServer { port in
            let socket = try LineSocket(port: port)
            socket.say("QUEUE jobs")
            socket.say("GET jobs wait=100")
            socket.say("QUIT")
            #expect(try socket.replies(4) == ["OK jobs ready=0 consumers=0", "NIL", "OK", "closed"])
        }
    }

    @Test func `one connection too many is told so and the others go on`() async throws {
        try await withServer({ $0.connectionsMax = 2 }) { port in
            let first = try LineSocket(port: port)
            #expect(try first.ask("PING").line == "OK")
            let second = try LineSocket(port: port)
            #expect(try second.ask("PING").line == "OK")
            let third = try LineSocket(port: port)
            #expect(try third.waitForNext()?.line.hasPrefix("ERR 506 RESOURCE_ERROR 2 connections") == true)
            #expect(try third.waitForNext() == nil)
            #expect(try first.ask("PING").line == "OK")
        }
    }

    @Test func `a subscriber that never reads gets no more than its share, and others go on`() async throws {
        try await withServer { port in
            let silent = try LineSocket(port: port)
            #expect(try silent.ask("QUEUE jobs").words.first == "OK")
            #expect(try silent.ask("SUB jobs prefetch=0").words.first == "OK")
            let body = [UInt8](repeating: 7, count: 100_000)
            let client = try LineSocket(port: port)
            for _ in 0..<400 { #expect(try client.ask("PUB \"\" jobs transient", body: body).line == "OK 1") }
            // 40 MB: far more than the sockets hold. What was not sent comes once it reads.
            for _ in 0..<400 { #expect(try silent.waitForNext()?.body?.count == 100_000) }
        }
    }

    @Test func `a client that never reads its replies is not read for ever`() async throws {
        try await withServer { port in
            let socket = try LineSocket(port: port)
            let client = try LineSocket(port: port)
            for _ in 0..<5000 { socket.say("HELP") }
            for _ in 0..<50 { socket.sendWhatGoes() }
            #expect(try client.ask("PING").line == "OK")
            for _ in 0..<5000 {
                while try socket.waitForNext()?.line.hasPrefix("TEXT ") == true {}
            }
            #expect(try socket.ask("PING").line == "OK")
        }
    }

    @Test func `a shutdown answers what was asked, tells who waits, and closes`() async throws {
        try await withServer { port, server in
            let waiting = try LineSocket(port: port)
            #expect(try waiting.ask("QUEUE jobs").words.first == "OK")
            #expect(try waiting.ask("PUB \"\" jobs :x").line == "OK 1")
            #expect(try waiting.ask("GET jobs").words.first == "MSG")
            waiting.say("GET jobs wait=3600000")
            waiting.say("#p PING")
            #expect(try waiting.waitForNext()?.line == "#p OK")
            try await server.stop()
            #expect(
                try waiting.replies(3) == [
                    "NOTE draining the server is shutting down; what you hold goes back", "NIL", "closed",
                ]
            )
        }
    }

    @Test func `what AMQP clients hold at a shutdown has not failed`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("a.db")
        var broker = try Broker(.file(path), configuration: .quiet)
        var configuration = ServerConfiguration()
        configuration.addresses = [ListenAddress(port: 0)]
        let server = Server(
            broker: broker, configuration: configuration, logger: Broker.Configuration.quiet.logger)
        let client = try AMQPSocket(port: UInt16(try await server.start()[0].port ?? 0))
        client.openChannel(2)
        try client.expect("[2] channel.open-ok")
        client.call(90, 10, on: 2)
        try client.expect("[2] tx.select-ok")
        for (queue, limit, channel) in [("none", 0, 1), ("five", 5, 2)] as [(String, Int32, UInt16)] {
            try client.haveQueue(queue, durable: true, [("x-delivery-limit", .int(limit))])
            client.publish("x", to: queue)
            client.get(queue, on: channel)
            _ = try client.next()
        }
        // Its transaction is not to settle it any more.
        client.ack(1, on: 2)
        try await server.stop()
        #expect(try client.next().hasPrefix("connection.close 320 CONNECTION_FORCED"))
        try await broker.shutdown()

        broker = try Broker(.file(path), configuration: .quiet)
        let rows = try await broker.query("SELECT queue, state, failed FROM message_view ORDER BY id").rows
        #expect(
            rows == [
                [.string("none"), .string("ready"), .int(0)], [.string("five"), .string("ready"), .int(0)],
            ])
        try await broker.shutdown()
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n", "HTTP/1.0 501 Not Imp"),
        ("AMQ\n", "ERR 503 COMMAND_INVALID unknown verb"), ("GET /\n", "ERR 404 NOT_FOUND"), ("P", "closed"),
    ])
    func `the first bytes tell what a client speaks`(said: String, answer: String) async throws {
        try await withServer { port in
            let socket = try LineSocket(port: port)
            socket.sayRaw(said)
            if answer == "closed" {
                socket.sayRaw("ING\n")
                #expect(try socket.waitForNext()?.line == "OK")
            } else {
                #expect(try socket.waitForNext()?.line.hasPrefix(answer) == true)
            }
        }
    }

    @Test func `a port in use is refused by name and says what to do`() async throws {
        try await withServer { port in
            var configuration = ServerConfiguration()
            configuration.addresses = [ListenAddress(port: 0), ListenAddress(port: Int(port))]
            let broker = try Broker(.memory)
            let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let second = Server(broker: broker, configuration: configuration, logger: quiet)
            let error = await #expect(throws: BrokerError.self) { _ = try await second.start() }
            #expect(error?.text.contains("127.0.0.1:\(port): the port is in use") == true)
            try await broker.shutdown()
        }
    }

    @Test(arguments: [
        ("127.0.0.1:5672", ListenAddress()), ("[::1]:1", ListenAddress(host: "::1", port: 1)),
        ("0", ListenAddress(port: 0)), ("a:65536", nil), ("::1:5", nil), (":5", nil), ("a:", nil),
        ("a:-1", nil),
    ])
    func `listen addresses are read as they are written`(text: String, address: ListenAddress?) {
        #expect(ListenAddress(text) == address)
    }
}

@Suite struct KillTests {
    @Test func `a killed connection is told why, gives back what it held, and is closed`() async throws {
        try await withServer { port in
            let worker = try LineSocket(port: port)
            #expect(try worker.ask("HELLO name=worker").words.first == "OK")
            #expect(try worker.ask("QUEUE jobs").words.first == "OK")
            #expect(try worker.ask("SUB jobs as=w").line == "OK w")
            let client = try LineSocket(port: port)
            #expect(try client.ask("PUB \"\" jobs :x").line == "OK 1")
            #expect(try worker.waitForNext()?.words.first == "MSG")
            client.say("LIST connections match=worker* fields=id,unacked")
            let row = try client.waitForNext()?.line ?? ""
            let id = try #require(row.firstMatch(of: /"id":(\d+),"unacked":1}/)?.1)
            #expect(try client.waitForNext()?.line == "OK 1")
            #expect(try client.ask("KILL connection \(id) reason=\"stuck\\n since noon\"").line == "OK 1")
            #expect(try worker.waitForNext()?.line == "NOTE killed stuck? since noon")
            #expect(try worker.waitForNext() == nil)
            let again = try client.ask("GET jobs wait=60000")
            #expect(again["redelivered"] == "1")
        }
    }

    @Test func `a client that does not read is killed all the same`() async throws {
        try await withServer { port in
            let deaf = try LineSocket(port: port)
            #expect(try deaf.ask("HELLO name=deaf").words.first == "OK")
            #expect(try deaf.ask("QUEUE jobs").words.first == "OK")
            #expect(try deaf.ask("SUB jobs prefetch=0").words.first == "OK")
            let client = try LineSocket(port: port)
            let body = [UInt8](repeating: 1, count: 4 << 20)
            for _ in 0..<8 { #expect(try client.ask("PUB \"\" jobs", body: body).line == "OK 1") }
            #expect(try client.ask("KILL connection deaf").line == "OK 1")
            #expect(try client.ask("GET jobs wait=60000").words.first == "MSG")
        }
    }

    @Test func `what can't be killed is refused`() async throws {
        try await withServer { port in
            let client = try LineSocket(port: port)
            let refusals = [
                (
                    "KILL connection 99999",
                    "ERR 404 NOT_FOUND no connection has the number or the name '99999'; "
                ),
                (
                    "KILL connection embedded",
                    "ERR 403 ACCESS_REFUSED connection 'embedded' is of the program "
                ),
                ("KILL queue jobs", "ERR 502 SYNTAX_ERROR KILL knows connection, not 'queue'; "),
            ]
            for (request, reply) in refusals {
                let line = try client.ask(request).line
                #expect(line.hasPrefix(reply), "\(line)")
            }
        }
    }

    @Test func `a connection may kill itself`() async throws {
        try await withServer { port in
            let client = try LineSocket(port: port)
            #expect(try client.ask("HELLO name=me").words.first == "OK")
            client.say("LIST connections match=me* fields=id")
            let id = try #require((try client.waitForNext()?.line ?? "").firstMatch(of: /"id":(\d+)}/)?.1)
            #expect(try client.waitForNext()?.line == "OK 1")
            #expect(try client.ask("KILL connection \(id)").line == "OK 1")
            #expect(try client.waitForNext()?.line == "NOTE killed an operator closed this connection")
            #expect(try client.waitForNext() == nil)
        }
    }
}
