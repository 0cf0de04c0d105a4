// A server that can't have its database: one line on standard error that says what to do, an exit status, and
// the file as it was. And a server whose disk is full, whose file is read under load, or that was killed.

import Foundation
import LeveretTestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct ServeRefusalTests {
    /// Files that are no use to a server.
    enum Fault: String, CaseIterable, CustomTestStringConvertible {
        case diary, foreign, newer, folder, noFolder, cut, garbage, exclusive, inUse
        var testDescription: String { rawValue }

        /// The exit status, and what the line must say.
        var expected: (status: Int32, words: [String]) {
            switch self {
            case .diary: (6, ["is not a SQLite database", "name a file that Leveret made"])
            case .foreign:
                (6, ["is the SQLite database of another program", "name a file that Leveret made"])
            case .newer: (6, ["schema version 99", "run a newer Leveret"])
            case .folder: (1, ["is a folder", "name a file in it"])
            case .noFolder: (1, ["does not exist; make it first"])
            case .cut, .garbage: (1, ["is damaged", "restore a backup", ".recover"])
            case .exclusive: (6, ["another program holds the database's lock: end it"])
            case .inUse: (6, ["is in use by process", "stop that broker"])
            }
        }
    }

    /// Runs `leveret serve` on a file that it can't have and checks what it says.
    private func expectRefusal(
        _ path: String, status: Int32, saying words: [String], asNobody: Bool = false,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let leveret = Program.folder.appending(path: "leveret").path()
        let serve = [leveret, "serve", "--db", path, "--listen", "127.0.0.1:0"]
        let nobody = asNobody ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
        let result = try await runProgram("/usr/bin/env", nobody + serve)
        #expect(result.status == status, "\(result.errors)", sourceLocation: sourceLocation)
        #expect(result.output == "", sourceLocation: sourceLocation)
        let lines = result.errors.split(separator: "\n")
        #expect(lines.count == 1, "\(result.errors)", sourceLocation: sourceLocation)
        for word in ["leveret: ", path] + words {
            #expect(result.errors.contains(word), "\(result.errors)", sourceLocation: sourceLocation)
        }
    }

    @Test func `a limit on open files that is too low is named`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        let leveret = Program.folder.appending(path: "leveret").path()
        let serve = "ulimit -n 12; exec '\(leveret)' serve --db '\(path)' --listen 127.0.0.1:0"
        let result = try await runProgram("/bin/sh", ["-c", serve])
        #expect(result.status == 1, "\(result.errors)")
        #expect(
            result.errors.contains("too many files are open; raise the limit (ulimit -n)"), "\(result.errors)"
        )
    }

    @Test func `a server that can't start leaves no new database behind, and keeps the one that was there`()
        async throws
    {
        let folder = try TemporaryFolder()
        let other = try ServerProcess(database: folder.path("other.db"))
        let path = folder.path("new.db")
        let socket = folder.path("other.db")
        for (address, text) in [
            ("127.0.0.1:\(other.port)", "the port is in use"),
            ("tls://127.0.0.1:0", "there is no certificate"),
            ("unix:\(socket)", "that is a file and no socket"),
        ] {
            let serve = ["serve", "--db", path, "--listen", "127.0.0.1:0", "--listen", address]
            let result = try await runProgram("leveret", serve)
            #expect(result.status == 6 && result.errors.contains(text), "\(result.errors)")
            let left = try FileManager.default.contentsOfDirectory(atPath: folder.url.path())
            #expect(left.filter { $0.hasPrefix("new") } == [], "\(address)")
        }
        try make(path)
        let again = ["serve", "--db", path, "--listen", "127.0.0.1:\(other.port)"]
        #expect(try await runProgram("leveret", again).status == 6)
        #expect(try sqlite(path, "select messages from queue_depth", readOnly: true) == "200")
    }

    /// A database with a queue and messages in it.
    private func make(_ path: String) throws {
        let server = try ServerProcess(database: path)
        let socket = try LineSocket(port: server.port)
        _ = try socket.ask("QUEUE jobs")
        for number in 0..<200 {
            _ = try socket.ask(
                "PUB \"\" jobs", body: Array("\(number) \(String(repeating: "x", count: 900))".utf8))
        }
        #expect(server.stop().status == 0)
    }

    @discardableResult
    private func sqlite(_ path: String, _ statements: String, readOnly: Bool = false) throws -> String {
        let arguments = ["sqlite3"] + (readOnly ? ["-readonly"] : []) + [path, statements]
        let result = try Program("/usr/bin/env", arguments).finish()
        #expect(result.errors == "")
        return result.output.trimmingCharacters(in: .newlines)
    }

    /// Overwrites the file from page 3 on, or cuts it there.
    private func damage(_ path: String, cut: Bool) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        let end = try file.seekToEnd()
        if cut {
            try file.truncate(atOffset: 16_384)
        } else {
            try file.seek(toOffset: 16_384)
            try file.write(contentsOf: Data(repeating: 0xFF, count: Int(end) - 16_384))
        }
        try file.close()
    }

    @Test(arguments: Fault.allCases)
    func `a file that a server can't have is refused in one line`(fault: Fault) async throws {
        let folder = try TemporaryFolder()
        var path = folder.path("leveret.db")
        var holder: ServerProcess?
        var locker: Program?
        switch fault {
        case .diary: try Data("dear diary".utf8).write(to: URL(filePath: path))
        case .foreign: try sqlite(path, "CREATE TABLE diary (entry TEXT); PRAGMA application_id = 7")
        case .newer:
            try make(path)
            try sqlite(path, "PRAGMA user_version = 99")
        case .folder:
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        case .noFolder: path = folder.path("nowhere/leveret.db")
        case .cut, .garbage:
            try make(path)
            try damage(path, cut: fault == .cut)
        case .exclusive:
            try make(path)
            let program = try Program("/usr/bin/env", ["sqlite3", path])
            try program.write(
                "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE meta SET value = value; SELECT 'held';\n"
            )
            while let line = program.readLine(), line != "held" {}
            locker = program
        case .inUse: holder = try ServerProcess(database: path)
        }
        let before = fault == .inUse ? nil : try? Data(contentsOf: URL(filePath: path))
        let (status, words) = fault.expected
        try await expectRefusal(path, status: status, saying: words)
        if let before { #expect(try Data(contentsOf: URL(filePath: path)) == before) }
        #expect(!FileManager.default.fileExists(atPath: path + "-lock") || fault == .inUse)
        _ = locker?.finish()
        if let holder {
            #expect(try LineSocket(port: holder.port).ask("QUEUE goes-on").line.hasPrefix("OK"))
            #expect(holder.stop().status == 0)
        }
    }

    // Root may write everywhere, so as root the server is run as somebody else.
    @Test(arguments: ["file", "folder", "unreadable"])
    func `a file or a folder without rights is refused in one line`(what: String) async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        try make(path)
        let isRoot = geteuid() == 0
        func allow(_ mode: Int, _ path: String) throws {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        }
        let others = isRoot ? 0o7 : 0o700
        try allow(what == "folder" ? 0o755 & ~(isRoot ? 0o2 : 0o200) : 0o770 | others, folder.url.path())
        try allow(["file": isRoot ? 0o644 : 0o444, "folder": 0o666, "unreadable": 0o200][what] ?? 0, path)
        let words = [
            "file": ["is read-only", "give the broker the right to write it"],
            "folder": ["the lock file", "give the broker a folder that it may write to"],
            "unreadable": ["can't be read", "give this user the right"],
        ]
        try await expectRefusal(path, status: 1, saying: words[what] ?? [], asNobody: isRoot)
        try allow(0o755, folder.url.path())
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a file system needs root"), arguments: [true, false])
    func `a read-only or a full file system is refused in one line`(isReadOnly: Bool) async throws {
        let folder = try TemporaryFolder()
        let disk = try SmallDisk(at: folder.path("disk"), kibibytes: isReadOnly ? 64 << 10 : 4_096)
        defer { disk.unmount() }
        let path = disk.path + "/leveret.db"
        if isReadOnly {
            try make(path)
            try disk.makeReadOnly()
            try await expectRefusal(path, status: 1, saying: ["is read-only"])
        } else {
            try disk.fill(leavingKibibytes: 16)
            try await expectRefusal(path, status: 1, saying: ["make room"])
        }
    }

    @Test func `a writer's lock held by another program is an alarm, and passes with it`() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        let server = try ServerProcess(database: path)
        let socket = try LineSocket(port: server.port)
        #expect(try socket.ask("QUEUE jobs").line.hasPrefix("OK"))
        let locker = try Program("/usr/bin/env", ["sqlite3", path])
        try locker.write("BEGIN IMMEDIATE; SELECT 'held';\n")
        while let line = locker.readLine(), line != "held" {}
        socket.say("PUB \"\" jobs", body: Array("waits".utf8))
        let alarm = try #require(try socket.waitForNext())
        #expect(alarm.line.hasPrefix("NOTE blocked another program holds the database's lock: end it"))
        _ = locker.finish()
        #expect(try socket.waitForNext()?.line.hasPrefix("NOTE unblocked") == true)
        #expect(try socket.waitForNext()?.line == "OK 1")
        #expect(server.stop().status == 0)
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a file system needs root"))
    func `a server killed on a full disk starts again, and has all that it confirmed`() throws {
        let folder = try TemporaryFolder()
        let disk = try SmallDisk(at: folder.path("disk"), kibibytes: 96 << 10)
        defer { disk.unmount() }
        let path = disk.path + "/leveret.db"
        // The disk is smaller than what is to be free otherwise.
        let anyRoom = ["--disk-free-min", "0"]
        let server = try ServerProcess(database: path, arguments: anyRoom)
        let socket = try LineSocket(port: server.port)
        _ = try socket.ask("QUEUE jobs")
        // With the reserve it is less than what ends the shortage, also if most of it is the log's, which the next
        // start cuts off.
        try disk.fill(leavingKibibytes: 12 << 10)
        let confirmed = try publishUntilRefused(socket)
        #expect(confirmed > 100)
        server.crash()

        let second = try ServerProcess(database: path, arguments: anyRoom)
        let other = try LineSocket(port: second.port)
        let message = try answer(other, "GET jobs")
        #expect(message.body != nil)
        #expect(try answer(other, "ACK \(message.words.dropFirst().first ?? "")").line == "OK")
        #expect(try answer(other, "PUB \"\" jobs {1}\nx").line.contains("506"))
        second.crash()

        try disk.clear()
        let third = try ServerProcess(database: path, arguments: anyRoom)
        let last = try LineSocket(port: third.port)
        let ready = try #require(try last.ask("QUEUE jobs")["ready"].flatMap { Int($0) })
        #expect(ready >= confirmed - 1)
        var published = try answer(last, "PUB \"\" jobs {1}\nx").line
        if published.contains("506") {
            // A file system may count what was removed as free only after a while.
            while try last.waitForNext()?.line.hasPrefix("NOTE unblocked") == false {}
            published = try answer(last, "PUB \"\" jobs {1}\nx").line
        }
        #expect(published == "OK 1")
        #expect(third.stop().status == 0)
    }

    /// Asks, and takes the next line that is no notice.
    private func answer(_ socket: LineSocket, _ request: String) throws -> LineReply {
        socket.say(request)
        while let reply = try socket.waitForNext() {
            if !reply.line.hasPrefix("NOTE ") { return reply }
        }
        throw SocketFailure(description: "no answer to '\(request)'")
    }

    /// Publishes with 50 in flight; returns how many were confirmed before the disk was full.
    private func publishUntilRefused(_ socket: LineSocket) throws -> Int {
        let body = [UInt8](repeating: 120, count: 8_000)
        var confirmed = 0
        var asked = 0
        var isRefused = false
        while asked > 0 || !isRefused {
            while !isRefused, asked < 50 {
                socket.say("PUB \"\" jobs", body: body)
                asked += 1
            }
            let reply = try #require(try socket.waitForNext())
            if reply.line.hasPrefix("NOTE ") { continue }
            asked -= 1
            if reply.line == "OK 1" {
                confirmed += 1
            } else {
                #expect(reply.line.contains("506") && reply.line.contains("the disk of the database is full"))
                isRefused = true
            }
        }
        return confirmed
    }

    @Test func `the file is read by sqlite3 and by --db, under load and after a crash`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        let server = try ServerProcess(database: path)
        let socket = try LineSocket(port: server.port)
        _ = try socket.ask("QUEUE jobs")
        for round in 1...20 {
            for number in 0..<100 { socket.say("PUB \"\" jobs", body: Array("\(number)".utf8)) }
            socket.exchange()
            let depth = try sqlite(
                path, "select messages from queue_depth where queue = 'jobs'", readOnly: true)
            let count = try #require(Int(depth))
            #expect(count >= (round - 1) * 100 && count <= round * 100)
            for _ in 0..<100 { #expect(try socket.waitForNext()?.line == "OK 1") }
        }
        server.crash()
        let queues = try await runProgram(
            "leveret", ["queues", "--db", path, "-o", "json", "--columns", "name,ready"])
        #expect(queues.output == #"{"name":"jobs","ready":2000}"# + "\n", "\(queues.errors)")
        #expect(try sqlite(path, "select * from queue_depth", readOnly: true).hasPrefix("jobs|2000|0|2000|"))
    }
}
