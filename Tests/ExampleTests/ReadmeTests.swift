// The README's talk with a server and its look from the shell, as a newcomer would type them. Its Swift is held
// to examples/embedded-queue by TidyTests, which ExampleTests runs.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct ReadmeTests {
    private static let boxes: [[String]] = {
        let readme = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../README.md")
        // Without it there is no box, which the tests say.
        let text = (try? String(contentsOf: readme, encoding: .utf8)) ?? ""
        return text.components(separatedBy: "```\n").map { $0.split(separator: "\n").map(String.init) }
    }()

    /// What the client types, and what the server answers.
    private func talk() throws -> (typed: [String], answers: [String]) {
        let box = try #require(Self.boxes.first { $0.first == "$ nc localhost 5672" })
        let answers = box.dropFirst().filter { line in
            ["OK", "MSG", "NIL", "ERR"].contains { line.hasPrefix($0) } || line == "resize cat.png"
        }
        return (box.dropFirst().filter { !answers.contains($0) }, answers)
    }

    @Test func `the talk goes as it is printed`() async throws {
        let (typed, answers) = try talk()
        #expect(typed.count == 4)
        let said = try await onOwnThread {
            let folder = try TemporaryFolder()
            let server = try ServerProcess(database: folder.path("leveret.db"))
            let nc = try Program("/usr/bin/env", ["nc", "localhost", "\(server.port)"])
            try nc.write((typed + ["QUIT"]).joined(separator: "\n") + "\n")
            return nc.finish().output.split(separator: "\n").map(String.init)
        }
        #expect(said == answers + ["OK"])
    }

    @Test func `the look from the shell and from SQL works beside it`() async throws {
        let box = try #require(Self.boxes.first { $0.contains("leveret queues") })
        let folder = try TemporaryFolder()
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let result = try await onOwnThread {
            let server = try ServerProcess(database: folder.path("leveret.db"))
            let socket = try LineSocket(port: server.port)
            _ = try socket.ask("QUEUE jobs")
            let lines = box.filter { !$0.hasPrefix("PATH=") }
            #expect(lines.count == 4)
            return try Program(
                "/bin/bash", ["-ec", lines.joined(separator: "\n")],
                environment: ["LEVERET_URL": server.url, "PATH": "\(Program.folder.path()):\(path)"],
                folder: folder.url
            ).finish()
        }
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("jobs      1"), "\(result.output)")
        #expect(result.output.contains("resize dog.png"))
        #expect(result.output.contains("jobs|1|0"), "\(result.output)")
    }
}
