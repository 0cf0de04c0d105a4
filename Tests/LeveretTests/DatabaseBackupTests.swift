// A backup is whole, and of one moment, whatever the broker does meanwhile.

import Foundation
import LeveretTestSupport
import Testing

@testable import Leveret

@Suite struct DatabaseBackupTests {
    /// Numbers of the messages in a queue, as a broker finds them.
    private func bodies(_ path: String, _ queue: QueueName) async throws -> [String] {
        let broker = try Broker(.file(path))
        var bodies: [String] = []
        while let message = try await broker.get(queue) {
            bodies.append(message.text ?? "")
            try await message.ack()
        }
        try await broker.shutdown()
        return bodies
    }

    @Test func `a backup under load has all that was confirmed before, and nothing by halves`() async throws {
        let folder = try TemporaryFolder()
        let (path, copy) = (folder.path("leveret.db"), folder.path("copy.db"))
        let broker = try Broker(.file(path))
        try await broker.declareQueue("jobs")
        for number in 1...200 { try await broker.publish(String(number), to: "jobs") }
        try await withThrowingTaskGroup { group in
            group.addTask {
                var number = 200
                while !Task.isCancelled {
                    number += 1
                    try await broker.publish(String(number), to: "jobs")
                }
            }
            group.addTask {
                let inspector = try DatabaseInspector(path: path)
                defer { inspector.close() }
                var steps = 0
                let bytes = try inspector.backUp(to: copy) { progress in
                    steps += 1
                    return progress.bytesDone <= progress.bytesTotal
                }
                #expect(bytes == FileSize.bytes(of: copy) && steps > 0)
            }
            _ = try await group.next()
            group.cancelAll()
            // The publish that the end of the other has met.
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError),
                    !(error is PublishCancelled)
                {
                    throw error
                }
            }
        }
        try await broker.shutdown()
        #expect(!Files.exists(copy + "-wal"))
        let found = try await bodies(copy, "jobs")
        #expect(found.count >= 200)
        #expect(found == (1...found.count).map { String($0) })
    }

    @Test func `a copy is sound, for this user alone, and replaces an older one only when told, as that was`()
        throws
    {
        let fixture = try StoreFixture()
        try fixture.use { _ = try $0.apply(.declaring(QueueDefinition("q"))) }
        let copy = fixture.path("copy.db")
        chmod(fixture.path, 0o644)
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        _ = try inspector.backUp(to: copy)
        var found = stat()
        #expect(stat(copy, &found) == 0 && found.st_mode & 0o777 == 0o600)
        #expect(
            throws: BrokerError(
                .preconditionFailed, "file '\(copy)' exists; name another, or replace it with --force")
        ) {
            try inspector.backUp(to: copy)
        }
        chmod(copy, 0o640)
        _ = try inspector.backUp(to: copy, replacing: true)
        #expect(stat(copy, &found) == 0 && found.st_mode & 0o777 == 0o640)
        #expect(try DatabaseInspector(path: copy).verify().faults == [])
    }

    @Test func `a backup that is given up leaves nothing, and the older one as it was`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.declaring(QueueDefinition("q")))
            let body = String(repeating: "x", count: 8_000)
            _ = try store.apply(.inserting((1...300).map { .text(MessageNumber($0), body) }))
        }
        let copy = fixture.path("copy.db")
        try Data("older".utf8).write(to: URL(filePath: copy))
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        var steps = 0
        let bytes = try inspector.backUp(to: copy, replacing: true) { progress in
            steps += 1
            return progress.bytesDone == 0
        }
        #expect(bytes == nil && steps == 1)
        let folder = URL(filePath: copy).deletingLastPathComponent().path()
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(names.contains("copy.db") && names.allSatisfy { !$0.contains("-part") })
        #expect(try String(contentsOfFile: copy, encoding: .utf8) == "older")
    }

    @Test func `what can't be a copy is refused by name`() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open().store
        defer { store.close() }
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        try FileManager.default.createDirectory(
            atPath: fixture.path("folder"), withIntermediateDirectories: true)
        try Data("x".utf8).write(to: URL(filePath: fixture.path("other.db")))
        try Data("x".utf8).write(to: URL(filePath: fixture.path("other.db-wal")))
        for (path, code, says) in [
            (fixture.path, ReplyCode.preconditionFailed, "is the database itself"),
            (fixture.path + "-wal", .preconditionFailed, "is what the database itself keeps beside it"),
            (fixture.path + "-lock", .preconditionFailed, "is what the database itself keeps beside it"),
            (fixture.path("no/copy.db"), .invalidPath, "does not exist; make it first"),
            (fixture.path("folder"), .invalidPath, "is no regular file"), ("", .invalidPath, "has no name"),
            (fixture.path("other.db"), .preconditionFailed, "was not closed"),
        ] {
            let error = #expect(throws: BrokerError.self) { try inspector.backUp(to: path, replacing: true) }
            #expect(error?.code == code && error?.text.contains(says) == true, "\(String(describing: error))")
        }
    }

    @Test func `a damaged database makes no copy`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.declaring(QueueDefinition("q")))
            _ = try store.apply(
                .inserting((1...400).map { .text(MessageNumber($0), String(repeating: "x", count: 500)) }))
        }
        let root = try SQLiteShell.run(
            fixture.path, "SELECT rootpage FROM sqlite_schema WHERE name = 'message_place'")
        let page = try #require(UInt64(root))
        let file = try FileHandle(forUpdating: URL(filePath: fixture.path))
        try file.seek(toOffset: (page - 1) * 8192)
        try file.write(contentsOf: Data(repeating: 0xff, count: 8192))
        try file.close()
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        let error = #expect(throws: BrokerError.self) { try inspector.backUp(to: fixture.path("copy.db")) }
        #expect(error?.text.contains("'leveret verify' says") == true, "\(String(describing: error))")
        #expect(!Files.exists(fixture.path("copy.db")))
        #expect(try inspector.verify().faults.contains { $0.kind == .pages })
    }
}
