// A message that ends the broker as soon as it is handed out: kill -9 at each delivery, until it is a dead letter.

import LeveretTestSupport
import Testing

@Suite struct PoisonTests {
    /// Starts a server, lets `act` see a delivery, and kills the server at once. Returns how often the message had
    /// failed, or `nil` once there is none.
    private func failures(
        on database: String, _ act: (LineSocket) throws -> LineReply
    ) throws -> Int? {
        let server = try ServerProcess(database: database)
        defer { server.crash() }
        let socket = try LineSocket(port: server.port)
        for request in [
            "QUEUE dead", "QUEUE jobs delivery-limit=2 dead-letter-exchange=\"\" dead-letter-key=dead",
        ] {
            let reply = try socket.ask(request)
            #expect(reply.line.hasPrefix("OK"), "\(reply)")
        }
        let row = try socket.ask("PEEK jobs")
        // One that failed too often may be seen for a moment before it dies.
        let failed = row.line.firstMatch(of: /"failed":([0-9]+)/).flatMap { Int($0.1) }
        guard let failed, failed <= 2 else { return nil }
        #expect(try socket.waitForNext()?.line == "OK 1")
        let reply = try act(socket)
        #expect(reply.line.hasPrefix("MSG "), "\(reply)")
        return failed
    }

    private func publish(on database: String) throws {
        let server = try ServerProcess(database: database)
        defer { server.crash() }
        let socket = try LineSocket(port: server.port)
        _ = try socket.ask("QUEUE jobs delivery-limit=2 dead-letter-exchange=\"\" dead-letter-key=dead")
        #expect(try socket.ask("PUB \"\" jobs :poison").line == "OK 1")
    }

    @Test(arguments: ["GET jobs", "SUB jobs"])
    func `kill -9 at each delivery makes a message a dead letter in the end`(request: String) async throws {
        try await onOwnThread {
            let folder = try TemporaryFolder()
            let database = folder.path("poison.db")
            try publish(on: database)
            var seen: [Int] = []
            while seen.count < 10 {
                let failed = try failures(on: database) { socket in
                    let reply = try socket.ask(request)
                    return reply.line.hasPrefix("OK") ? try socket.waitForNext() ?? reply : reply
                }
                guard let failed else { break }
                seen.append(failed)
            }
            #expect(seen == [0, 1, 2])
            let server = try ServerProcess(database: database)
            defer { server.crash() }
            let dead = try LineSocket(port: server.port).ask("GET dead wait=60000")
            #expect(dead.line.contains("delivery_limit"), "\(dead)")
        }
    }

    @Test func `kill -9 right at the first delivery counts where the consumer asks for that`() async throws {
        try await onOwnThread {
            let folder = try TemporaryFolder()
            let server = try ServerProcess(database: folder.path("poison.db"))
            let socket = try LineSocket(port: server.port)
            _ = try socket.ask("QUEUE jobs")
            #expect(try socket.ask("SUB jobs as=w count-first").line == "OK w")
            socket.say("PUB \"\" jobs :new")
            var lines: [String] = []
            while lines.count < 2, let reply = try socket.waitForNext() { lines.append(reply.line) }
            #expect(lines.contains { $0.hasPrefix("MSG ") })
            server.crash()
            let next = try ServerProcess(database: folder.path("poison.db"))
            defer { next.crash() }
            let row = try LineSocket(port: next.port).ask("PEEK jobs").line
            #expect(row.contains("\"deliveries\":1,\"failed\":1"), "\(row)")
        }
    }
}
