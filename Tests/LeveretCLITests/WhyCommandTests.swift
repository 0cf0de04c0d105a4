// `leveret why` against a real server names each cause that can be made from outside. The sentences and facts of all of
// them are held to by the tests of the core.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct WhyCommandTests {
    private let shell: Shell

    init() throws { shell = try Shell() }

    private func reasons(_ queue: String, in shell: Shell? = nil) async throws -> [Substring] {
        let why = ["why", queue, "-o", "csv", "--columns", "reason"]
        return try await (shell ?? self.shell).run(why).output.split(separator: "\n").dropFirst().map { $0 }
    }

    /// A client that may hold one message of a queue.
    private func worker(_ queue: String, _ name: String) throws -> LineSocket {
        let worker = try LineSocket(port: shell.server.port)
        #expect(try worker.ask("SUB \(queue) as=\(name) prefetch=1").line == "OK \(name)")
        return worker
    }

    @Test func `nothing has come, publishes go elsewhere, and nobody takes what comes`() async throws {
        try await shell.run(["queue", "declare", "q"])
        #expect(try await reasons("q") == ["empty", "unbound"])
        try await shell.run(["bind", "q", "amq.topic", "order.#"])
        try await shell.run(["publish", "amq.topic", "orders.new", "x"])
        #expect(try await reasons("q") == ["empty", "elsewhere"])
        try await shell.run(["publish", "amq.topic", "order.new", "x"])
        #expect(try await reasons("q") == ["no_consumer"])
        try await shell.run(["pause", "q"])
        #expect(try await reasons("q") == ["paused", "no_consumer"])
    }

    @Test func `consumers hold all they may, a single active one or any`() async throws {
        for (queue, options) in [("q", []), ("single", ["--single-active"])] {
            try await shell.run(["queue", "declare", queue] + options)
            try await shell.run(["publish", "", queue, "x", "--count", "3"])
        }
        let one = try worker("q", "one")
        #expect(try one.waitForNext()?.words.first == "MSG")
        #expect(try await reasons("q") == ["prefetch"])
        let workers = [try worker("single", "first"), try worker("single", "second")]
        #expect(try workers[0].waitForNext()?.words.first == "MSG")
        #expect(try await reasons("single") == ["prefetch", "stand_by"])
    }

    @Test func `all is delayed, expired, rejected, or the queue is full`() async throws {
        for (queue, options) in [
            ("late", []), ("short", ["--ttl", "1"]),
            ("small", ["--max-length", "1", "--overflow", "reject-publish"]),
        ] { try await shell.run(["queue", "declare", queue] + options) }
        try await shell.run(["publish", "", "late", "x", "--delay", "3600000"])
        #expect(try await reasons("late") == ["empty", "delayed"])
        try await shell.run(["publish", "", "short", "x"])
        let ready = ["queues", "short", "-o", "csv", "--columns", "ready"]
        while try await shell.run(ready).output != "ready\n0\n" {}
        #expect(try await reasons("short") == ["empty", "expiring"])
        try await shell.run(["publish", "", "small", "x"])
        #expect(try await reasons("small") == ["no_consumer", "full"])
        let client = try LineSocket(port: shell.server.port)
        #expect(try client.ask("GET small").words.first == "MSG")
        #expect(try client.ask("REJECT 1 error=bad").line == "OK")
        #expect(try await reasons("small") == ["empty", "failing"])
    }

    @Test func `publishers are held up by an alarm, which is named`() async throws {
        let shell = try Shell(["--disk-free-min", "1024T"])
        try await shell.run(["queue", "declare", "q"])
        #expect(try await reasons("q", in: shell) == ["empty", "unbound", "alarm"])
        let text = try await shell.run(["why", "q"]).output
        #expect(text.contains("publishes are refused: less than 1,024 TiB are free"), "\(text)")
    }
}
