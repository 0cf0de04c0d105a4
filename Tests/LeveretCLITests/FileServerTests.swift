// Commands that change a database file which no server has, an export from a server whose file can't be seen, and
// sockets that systemd hands over.

import Foundation
import LeveretServer
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct FileServerTests {
    @Test func `what a crash left is changed without a server`() async throws {
        let shell = try Shell()
        for queue in ["jobs", "dead"] { try await shell.run(["queue", "declare", queue]) }
        try await shell.run(["publish", "", "jobs", "hello", "--count", "3"])
        let refused = try await leveret(["purge", "jobs", "--yes", "--db", shell.database])
        #expect(refused.status == 6)
        #expect(
            refused.errors.contains("is in use by process \(shell.server.program.id)"), "\(refused.errors)")
        shell.server.crash()
        func run(_ arguments: [String], status: Int32 = 0) async throws -> ProgramResult {
            let result = try await leveret(arguments + ["--db", shell.database])
            #expect(result.status == status, "\(arguments): \(result.errors)")
            return result
        }
        #expect(try await run(["move", "jobs", "dead", "-n", "1"]).output.contains("1 message moved"))
        #expect(try await run(["get", "jobs", "--ack", "--body", "raw"]).output.hasPrefix("hello"))
        #expect(try await run(["publish", "", "nowhere", "x", "--mandatory"], status: 1).output == "")
        // It leaves nothing behind, and no lock.
        let names = try FileManager.default.contentsOfDirectory(atPath: shell.folder.url.path())
        #expect(!names.contains { $0.hasSuffix("-lock") || $0.hasSuffix("-wal") }, "\(names)")
        let left = try await run(["queues", "--columns", "name,ready", "-o", "csv"])
        #expect(left.output == "name,ready\ndead,1\njobs,1\n")
    }

    @Test func `a file that isn't there is not made`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("none.db")
        #expect(try await leveret(["purge", "jobs", "--yes", "--db", path]).status == 5)
        #expect(!FileManager.default.fileExists(atPath: path))
        let both = ["purge", "jobs", "--yes", "--db", path, "--url", "leveret://127.0.0.1:1"]
        #expect(try await leveret(both).status == 2)
    }

    @Test func `messages are exported from a server whose file can't be seen, page by page`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs", "--max-priority", "3"])
        try await shell.run(["queue", "declare", "passing", "--transient"])
        let lines = (0..<2500).map { "\($0)\n" }.joined()
        try await shell.run(["publish", "", "jobs", "--lines"], input: lines)
        try await shell.run(["publish", "", "jobs", "later", "--delay", "3600000", "-H", "n=5"])
        let socket = try LineSocket(port: shell.server.port)
        for priority in [1, 3] {
            #expect(try socket.ask("PUB \"\" jobs priority=\(priority) :p\(priority)").line == "OK 1")
        }
        #expect(try socket.ask("PUB \"\" passing transient", body: [0xFF, 0]).line == "OK 1")
        #expect(try socket.ask("GET jobs").line.contains("priority=3"))
        let whole = try await shell.run(["export", "--all"]).output
        // An address that doesn't say that it is this machine.
        let elsewhere = ["--url", "leveret://0.0.0.0:\(shell.server.port)"]
        #expect(try await shell.run(["verify"] + elsewhere, status: 1).errors.contains("on another machine"))
        let paged = try await shell.run(["export", "--all"] + elsewhere).output
        func settled(_ text: String) -> [String] {
            text.split(separator: "\n").filter { !$0.contains(#""queue":"passing""#) }.map(String.init)
                .sorted()
        }
        #expect(settled(paged) == settled(whole) && settled(paged).count == 2503)
        #expect(paged.contains(#"{"queue":"passing","exchange":"","key":"passing","#))
        #expect(paged.contains(#""body64":"/wA=""#))
        #expect(try await shell.run(["export", "--messages", "none"] + elsewhere, status: 5).output == "")
    }

    @Test func `sockets are those that systemd meant for this process`() throws {
        func sockets(_ variables: [String: String]) throws(Failure) -> [InheritedSocket] {
            try SocketActivation.sockets(environment: { variables[$0] }, process: 7)
        }
        #expect(try sockets([:]) == [])
        #expect(try sockets(["LISTEN_FDS": "1", "LISTEN_PID": "8"]) == [])
        #expect(try sockets(["LISTEN_FDS": "0", "LISTEN_PID": "7"]) == [])
        #expect(
            try sockets(["LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "leveret.socket:tls"])
                == [InheritedSocket(descriptor: 3), InheritedSocket(descriptor: 4, isTLSOnly: true)])
        #expect(throws: Failure.self) { try sockets(["LISTEN_FDS": "many", "LISTEN_PID": "7"]) }
        #expect(throws: Failure.self) { try sockets(["LISTEN_FDS": "-1", "LISTEN_PID": "7"]) }
    }
}
