// A database that can't be opened is refused with a text that names the file and says what to do.

import Foundation
import LeveretCore
import LeveretTestSupport
import Testing

@testable import Leveret

@Suite struct StoreErrorTests {
    private func expectRefusal(
        _ code: ReplyCode, saying words: String..., of fixture: borrowing StoreFixture,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do {
            let store = try fixture.open().store
            store.close()
            Issue.record("the database was opened", sourceLocation: sourceLocation)
        } catch {
            #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
            for word in words + [fixture.path] {
                #expect(error.text.contains(word), "\(error)", sourceLocation: sourceLocation)
            }
        }
    }

    private func sql(_ statements: String, _ path: String) throws {
        try #expect(SQLiteShell.run(path, statements) == "")
    }

    @Test func `a folder is no database`() throws {
        let fixture = try StoreFixture()
        try FileManager.default.createDirectory(atPath: fixture.path, withIntermediateDirectories: false)
        expectRefusal(.invalidPath, saying: "is a folder", of: fixture)
    }

    @Test func `a pipe or a device is no database`() throws {
        let fixture = try StoreFixture()
        #expect(mkfifo(fixture.path, 0o600) == 0)
        expectRefusal(.invalidPath, saying: "is not a regular file", of: fixture)
        for path in [fixture.path, "/dev/null"] {
            let error = #expect(throws: BrokerError.self) { _ = try DatabaseInspector(path: path) }
            #expect(error?.text.contains("'\(path)' is not a regular file") == true)
        }
    }

    @Test func `the folder of a database must exist`() throws {
        #expect {
            _ = try Store.open(path: "/nowhere/at/all.db", options: StoreOptions(), now: 0, logger: .silent)
        } throws: {
            ($0 as? BrokerError)?.text.contains("does not exist; make it first") == true
        }
    }

    @Test func `a file that isn't SQLite's is left alone`() throws {
        let fixture = try StoreFixture()
        let content = Data(String(repeating: "a diary. ", count: 2_000).utf8)
        try content.write(to: URL(filePath: fixture.path))
        expectRefusal(.preconditionFailed, saying: "is not a SQLite database", of: fixture)
        #expect(try Data(contentsOf: URL(filePath: fixture.path)) == content)
    }

    @Test func `another program's SQLite database is left alone`() throws {
        let fixture = try StoreFixture()
        try sql("CREATE TABLE diary (entry TEXT); INSERT INTO diary VALUES ('dear');", fixture.path)
        let content = try Data(contentsOf: URL(filePath: fixture.path))
        expectRefusal(.preconditionFailed, saying: "of another program", of: fixture)
        #expect(try Data(contentsOf: URL(filePath: fixture.path)) == content)
    }

    @Test func `a name that means something else to SQLite is a file's name`() throws {
        let path = "file:\(UUID().uuidString)?mode=memory"
        defer { try? FileManager.default.removeItem(atPath: path) }  // what is left is seen by git
        let database = try Database(path: path, Database.Options())
        try database.runScript("CREATE TABLE t (a)")
        database.close()
        #expect(FileManager.default.fileExists(atPath: path))
    }

    @Test func `a newer schema is refused with both versions`() throws {
        let fixture = try StoreFixture()
        try fixture.use { _ in }
        try sql("PRAGMA user_version = 99", fixture.path)
        expectRefusal(
            .preconditionFailed, saying: "schema version 99", "up to \(Schema.migrations.count)",
            "run a newer Leveret", of: fixture
        )
    }

    @Test func `a damaged database is refused`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.declaring(QueueDefinition("orders")))
            _ = try store.apply(.inserting((1...100).map { .text(MessageNumber($0), "body") }))
        }
        let file = try FileHandle(forUpdating: URL(filePath: fixture.path))
        let end = try file.seekToEnd()
        try file.seek(toOffset: UInt64(2 * Schema.pageBytes))
        try file.write(contentsOf: Data(repeating: 0xFF, count: Int(end) - 2 * Schema.pageBytes))
        try file.close()
        expectRefusal(.internalError, saying: "is damaged", "restore a backup", of: fixture)
    }

    @Test func `a second broker that comes by a link is refused, too`() throws {
        let fixture = try StoreFixture()
        let files = FileManager.default
        for (link, target) in [("1.db", "leveret.db"), ("2.db", "1.db"), ("3.db", fixture.path("2.db"))] {
            try files.createSymbolicLink(atPath: fixture.path(link), withDestinationPath: target)
        }
        func open(_ path: String) throws {
            try Store.open(path: path, options: StoreOptions(), now: 0, logger: .silent).store.close()
        }
        _ = try fixture.use { _ in
            #expect { try open(fixture.path("3.db")) } throws: {
                ($0 as? BrokerError)?.code == .resourceLocked
            }
        }
        try open(fixture.path("3.db"))
    }

    @Test func `a second broker is refused with the first one's process`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            expectRefusal(
                .resourceLocked, saying: "in use by process \(ProcessInfo.processInfo.processIdentifier)",
                of: fixture
            )
            _ = try store.apply(.inserting(.text(1, "goes on")))
        }
        try fixture.use { try #expect($0.numbers() == [1]) }
    }

    @Test func `what a crash left behind is no obstacle`() throws {
        let fixture = try StoreFixture()
        try fixture.use { _ = try $0.apply(.inserting(.text(1, "one"))) }
        for suffix in ["-lock", "-spill", "-spill-wal", "-reserve"] {
            try Data("4711\n".utf8).write(to: URL(filePath: fixture.path + suffix))
        }
        try fixture.use { try #expect($0.numbers() == [1]) }
    }

    @Test func `a writer's lock held by another program is told as busy, and passes`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            let other = try SQLiteShell(fixture.path)
            try other.send("BEGIN IMMEDIATE; SELECT 'locked';", awaiting: "locked")
            #expect {
                _ = try store.apply(.inserting(.text(1, "one")))
            } throws: {
                ($0 as? StoreFailure)?.kind == .busy
            }
            try other.send("ROLLBACK; SELECT 'free';", awaiting: "free")
            other.end()
            _ = try store.apply(.inserting(.text(1, "one")))
            #expect(try store.numbers() == [1])
        }
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a file system needs root"))
    func `a read-only file system is refused`() throws {
        let fixture = try StoreFixture()
        let disk = try SmallDisk(at: fixture.path("disk"), kibibytes: 8_192)
        defer { disk.unmount() }
        let path = disk.path + "/leveret.db"
        try Store.open(path: path, options: StoreOptions(), now: 0, logger: .silent).store.close()
        try disk.makeReadOnly()
        #expect {
            _ = try Store.open(path: path, options: StoreOptions(), now: 0, logger: .silent)
        } throws: {
            let error = $0 as? BrokerError
            return error?.code == .accessRefused && error?.text.contains("is read-only") == true
        }
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a file system needs root"))
    func `a full disk at open is told as that`() throws {
        let fixture = try StoreFixture()
        let disk = try SmallDisk(at: fixture.path("disk"), kibibytes: 1_024)
        defer { disk.unmount() }
        try disk.fill(leavingKibibytes: 16)
        #expect {
            _ = try Store.open(
                path: disk.path + "/leveret.db", options: StoreOptions(), now: 0, logger: .silent)
        } throws: {
            let error = $0 as? BrokerError
            return error?.code == .resourceError && error?.text.contains("make room") == true
        }
    }
}
