import InMemoryLogging
import Leveret
import LeveretServer
import LeveretTestSupport
import Logging
import Testing

/// Many clients, and clients that misbehave while others go on.
@Suite struct LoadTests {
    @Test func `thousands of connections are served, and one past the limit is told so`() async throws {
        try await withServer({ $0.connectionsMax = 2000 }) { port in
            let sockets = try (0..<2000).map { _ in try LineSocket(port: port) }
            #expect(try sockets[0].ask("QUEUE jobs").words.first == "OK")
            for socket in sockets { socket.say("PUB \"\" jobs transient :x") }
            for socket in sockets { #expect(try socket.waitForNext()?.line == "OK 1") }
            let last = try LineSocket(port: port)
            #expect(try last.waitForNext()?.line.hasPrefix("ERR 506 RESOURCE_ERROR 2000 connections") == true)
            #expect(try sockets[1999].ask("PURGE jobs").line == "OK 2000")
        }
    }

    @Test func `a flood of requests whose replies nobody reads holds up no one else`() async throws {
        try await withServer({ $0.outputBytesMax = 1 << 16 }) { port in
            let flood = try LineSocket(port: port)
            let other = try LineSocket(port: port)
            #expect(try flood.ask("QUEUE jobs").words.first == "OK")
            let count = 100_000
            flood.sayRaw(String(repeating: "PUB \"\" jobs transient :x\n", count: count))
            for _ in 0..<20 {
                flood.sendWhatGoes()
                #expect(try other.ask("PING").line == "OK")
            }
            for _ in 0..<count { #expect(try flood.waitForNext()?.line == "OK 1") }
            #expect(try other.ask("PURGE jobs").line == "OK \(count)")
        }
    }

    @Test func `a slow reader does not slow down the others on its exchange`() async throws {
        try await withServer { port in
            let (slow, quick, publisher) = try (
                LineSocket(port: port), LineSocket(port: port), LineSocket(port: port)
            )
            for (socket, name) in [(slow, "slow"), (quick, "quick")] {
                #expect(try socket.ask("QUEUE \(name)").words.first == "OK")
                #expect(try socket.ask("BIND \(name) amq.fanout").line == "OK")
                #expect(try socket.ask("SUB \(name) prefetch=0 auto-ack").words.first == "OK")
            }
            let body = [UInt8](repeating: 1, count: 50_000)
            for _ in 0..<400 {
                #expect(try publisher.ask("PUB amq.fanout k transient", body: body).line == "OK 2")
                #expect(try quick.waitForNext()?.body?.count == body.count)
            }
            var position = 0
            for _ in 0..<400 {
                let message = try slow.waitForNext()
                let next = message?["position"].flatMap { Int($0) } ?? 0
                #expect(message?.body?.count == body.count && next > position)
                position = next
            }
        }
    }

    @Test func `later requests run while a GET waits, their replies in order, tagged ones at once`()
        async throws
    {
        try await withServer { port in
            let socket = try LineSocket(port: port)
            let other = try LineSocket(port: port)
            #expect(try socket.ask("QUEUE jobs").words.first == "OK")
            socket.say("GET jobs wait=60000 auto-ack")
            socket.say("QUEUE other")
            socket.say("PUB \"\" other :x")
            #expect(
                try socket.ask("#t STAT other").line.hasPrefix("#t ROW {\"name\":\"other\",\"ready\":1")
                    == true)
            #expect(try socket.waitForNext()?.line == "#t OK 1")
            #expect(try other.ask("PUB \"\" jobs :y").line == "OK 1")
            let replies = try socket.replies(3)
            #expect(replies[0].hasPrefix("MSG 1 jobs") && replies[0].hasSuffix("\ny"))
            #expect(replies[1...] == ["OK other ready=0 consumers=0", "OK 1"])
        }
    }

    @Test func `the log has a line for what matters and none for messages`() async throws {
        let memory = InMemoryLogHandler()
        let logger = Logger(label: "test") { _ in memory }
        var quiet = Broker.Configuration()
        quiet.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let broker = try Broker(.memory, configuration: quiet)
        var configuration = ServerConfiguration()
        configuration.addresses = [ListenAddress(port: 0)]
        configuration.limits.connectionsMax = 1
        let server = Server(broker: broker, configuration: configuration, logger: logger)
        let port = UInt16(try await server.start()[0].port ?? 0)
        try Self.talk(port)
        try await server.stop()
        try await broker.shutdown()
        let lines = memory.entries.map { "\($0.level) \($0.message)" }
        #expect(lines.first == "info listening" && lines.last == "info stopped")
        let inner = Set(lines.dropFirst().dropLast())
        #expect(lines.count <= 6, "\(lines)")
        #expect(inner.contains("warning connection refused: too many are open"))
        #expect(inner.contains("info connection closed"))
    }

    private static func talk(_ port: UInt16) throws {
        let socket = try LineSocket(port: port)
        #expect(try socket.ask("QUEUE jobs").words.first == "OK")
        for _ in 0..<500 {
            #expect(try socket.ask("PUB \"\" jobs :x").line == "OK 1")
            #expect(try socket.ask("GET jobs auto-ack").words.first == "MSG")
            #expect(try socket.ask("FROB").words[1] == "503")
        }
        let second = try LineSocket(port: port)
        #expect(try second.waitForNext()?.words[1] == "506")
        #expect(try socket.ask("PING {x}").words[1] == "501")
        #expect(try socket.waitForNext() == nil)
    }
}
