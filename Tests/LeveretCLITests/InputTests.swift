// What commands read: how much of it at most, and what they say of it; and what is said of long work that ends early.

import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct InputTests {
    /// Lines of a file that holds this text.
    private func lines(_ text: String, lineBytesMax: Int) throws -> (lines: [String], failure: Failure?) {
        let folder = try TemporaryFolder()
        let path = folder.path("input")
        try Data(text.utf8).write(to: URL(filePath: path))
        let descriptor = try Input.begin(path)
        defer { Input.finish(descriptor) }
        var input = InputLines(descriptor, named: "'input'", lineBytesMax: lineBytesMax)
        var found: [String] = []
        do throws(Failure) {
            while let line = try input.next() { found.append(String(decoding: line, as: UTF8.self)) }
        } catch {
            return (found, error)
        }
        return (found, nil)
    }

    @Test func `a line without end is not read on for ever`() throws {
        let long = String(repeating: "x", count: 600_000)
        let both = try lines("one\n\(long)\n", lineBytesMax: 300_000)
        #expect(both.lines == ["one"])
        #expect(both.failure?.text.hasPrefix("line 2 of 'input' has more than 300000 bytes") == true)
        #expect(try lines("one\n\(long)\n", lineBytesMax: 1_000_000).lines == ["one", long])
    }

    @Test func `a file that can be no body is not read to its end`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        try await shell.run(["publish", "", "q", "one"])
        for command in [["publish", "", "q"], ["msg", "edit", "q", "1"]] {
            let result = try await shell.run(command + ["--file", "/dev/zero"], status: 1)
            #expect(result.errors.contains("'/dev/zero' has more than 134217728 bytes"), "\(result.errors)")
        }
        #expect(
            try await shell.run(["import", "/dev/zero"], status: 1).errors.contains("line 1 of '/dev/zero'"))
        #expect(try await shell.run(["peek", "q", "--body", "raw"]).output == "one\n")
    }

    @Test func `what is wrong with a file to import is told by its place`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        for (text, says) in [
            (#"{"body":"x"}"#, "line 1 is no message: it must be an object with 'queue'"),
            (#"{"queue":"q"}"#, "line 1 is no message"),
            ("{\"queues\":[\n  {\"name\":\"a\"} \"x\"]}", "is no JSON (line 2, column 16)"),
            ("{\"queues\":[", "is no JSON (line 1, column 12)"),
        ] {
            let result = try await shell.run(["import", "-"], input: text, status: 1)
            #expect(result.errors.contains(says), "\(text): \(result.errors)")
        }
        let marked = "\u{FEFF}" + #"{"queue":"q","body":"x"}"# + "\n"
        #expect(try await shell.run(["import", "-"], input: marked).output.hasPrefix("1 message imported"))
        let definitions = "\u{FEFF}" + #"{"queues":[{"name":"a","durable":true}]}"#
        #expect(try await shell.run(["import", "-"], input: definitions).output == "1 queue there\n")
    }

    @Test(arguments: [
        (
            CommandStatus.unreachable, 0,
            "gone; 0 messages moved before, and up to 1,000 more in the batch under way"
        ),
        (.unreachable, 2, "gone; 2,000 messages moved before, and up to 1,000 more in the batch under way"),
        (.refused, 2, "gone; 2,000 messages moved in the batches before"), (.refused, 0, "gone"),
    ])
    func `long work that fails says how much was done`(
        status: CommandStatus, batches: Int, says: String
    ) throws {
        var done = 0
        var work = Batches(of: "message", limit: nil)
        let failure = #expect(throws: Failure.self) {
            try work.run("moved") { count throws(Failure) in
                if done == batches { throw Failure(status, "gone") }
                done += 1
                return "\(count)"
            }
        }
        #expect(failure?.status == status && failure?.text == says)
    }

    @Test(arguments: [
        ("none.pem", 5, "LEVERET_CA: the file"), (".", 1, "LEVERET_CA: "),
        ("empty.pem", 1, "holds no certificate in PEM"),
        ("pipe.pem", 1, "is a pipe or a socket"),
    ])
    func `an authority's file that is no good is named`(
        name: String, status: Int32, says: String
    ) async throws {
        let folder = try TemporaryFolder()
        try Data().write(to: URL(filePath: folder.path("empty.pem")))
        mkfifo(folder.path("pipe.pem"), 0o600)
        let result = try await leveret(
            ["status", "--url", "leverets://127.0.0.1:1"], environment: ["LEVERET_CA": folder.path(name)])
        #expect(result.status == status && result.errors.contains(says), "\(result.errors)")
    }

    @Test func `a server that wants certificates of its clients says so to a command`() async throws {
        let folder = try TemporaryFolder()
        let certificates = try TestCertificates()
        let pair = try certificates.pair("server")
        let server = try ServerProcess(
            database: folder.path("leveret.db"),
            arguments: [
                "--tls-certificate", pair.certificate, "--tls-key", pair.key, "--tls-clients", "required",
                "--tls-client-ca", certificates.authority,
            ])
        let result = try await leveret(
            ["status", "--url", "leverets://localhost:\(server.port)"],
            environment: ["LEVERET_CA": certificates.authority])
        #expect(
            result.status == 3 && result.errors.contains("it wants a certificate of its clients"),
            "\(result.errors)")
    }

    @Test func `Ctrl-C while a definitions file comes is not its end`() async throws {
        let shell = try Shell()
        let definitions = #"{"queues":[{"name":"q","vhost":"/","durable":true,"arguments":{}}]}"#
        let run = try shell.start(["import", "-"])
        // More than a pipe holds: once it is written, the command reads and listens.
        try run.write(definitions + String(repeating: " \n", count: 200_000))
        run.kill(SIGINT)
        let ended = run.finish()
        #expect(ended.status == SIGINT && ended.errors == "leveret: interrupted; nothing was imported\n")
        #expect(try await shell.run(["queues", "-o", "csv", "--columns", "name"]).output == "name\n")
    }
}
