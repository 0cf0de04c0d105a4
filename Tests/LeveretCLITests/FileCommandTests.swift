// `backup` and `verify` as a person uses them. What they find and copy is tested in LeveretTests.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct FileCommandTests {
    @Test func `a copy opens as a database, with what was confirmed`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        try await shell.run(["publish", "", "q", "x", "--count", "500"])
        let copy = shell.folder.path("copy.db")
        let backup = try await shell.run(["backup", copy])
        #expect(backup.output.hasPrefix("'\(copy)' is a copy of '\(shell.database)', checked: "))
        try await shell.run(["purge", "q", "--yes"])
        let server = try ServerProcess(database: copy)
        let queues = try await leveret(
            ["queues", "-o", "csv", "--columns", "name,ready"], environment: ["LEVERET_URL": server.url])
        #expect(queues.output == "name,ready\nq,500\n")
        #expect(server.stop().status == 0)
    }

    @Test func `what can't be copied is refused with its status`() async throws {
        let shell = try Shell()
        let copy = shell.folder.path("copy.db")
        try await shell.run(["backup", copy])
        #expect(try await shell.run(["backup", copy], status: 6).errors.contains("--force"))
        try await shell.run(["backup", copy, "--force"])
        #expect(
            try await shell.run(["backup", shell.database, "--force"], status: 6).errors.contains("itself"))
        #expect(try await shell.run(["backup", "/nowhere/x.db"], status: 1).errors.contains("make it first"))
        let none = try await leveret(["backup", copy, "--db", shell.folder.path("none.db")])
        #expect(none.status == 5 && none.errors.contains("none.db"))
        let nobody = try await leveret(["backup", copy, "--url", "leveret://127.0.0.1:1"])
        #expect(nobody.status == 3 && nobody.errors.contains("--db FILE"))
    }

    @Test func `a database with a fault is status 1 and each fault a row`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        #expect(try await shell.run(["verify"]).output.contains("is sound: 0 messages in 1 queue, "))
        #expect(try await shell.run(["verify", "-o", "json"]).output == "")
        #expect(shell.server.stop().status == 0)
        let planted = try await shell.script(
            "sqlite3 leveret.db \"INSERT INTO paused VALUES (9, 1); INSERT INTO body VALUES (5, 'x')\"")
        #expect(planted.output == "")
        let verify = try await leveret([
            "verify", "--db", shell.database, "-o", "csv", "--columns", "fault,count",
        ])
        #expect(verify.status == 1)
        #expect(verify.output == "fault,count\nbody_orphaned,1\npause_orphaned,1\n")
        #expect(verify.errors.contains("2 kinds of fault"))
    }
}
