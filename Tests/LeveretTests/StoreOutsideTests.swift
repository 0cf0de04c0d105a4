// Other programs on the file, and damage: the broker notices, says so, and goes on where it can.

import Foundation
import LeveretCore
import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10))) struct StoreOutsideTests {
    private let kibibyte = String(repeating: "x", count: 1_024)

    @Test func `looking at an open file a second time doesn't cost SQLite its locks`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, "one")))
            #expect(throws: BrokerError.self) { try fixture.open() }
            try DatabaseInspector(path: store.path).close()
            // A program that may write removes the log when it takes itself for the last one.
            try #expect(SQLiteShell.run(store.path, "SELECT count(*) FROM message") == "1")
            #expect(FileManager.default.fileExists(atPath: store.path + "-wal"))
            _ = try store.apply(.inserting(.text(2, "two")))
            try #expect(SQLiteShell.run(store.path, "SELECT count(*) FROM message", readOnly: true) == "2")
        }
    }

    @Test func `nothing is confirmed once the file has been deleted`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, "one")))
            try FileManager.default.removeItem(atPath: store.path)
            #expect {
                _ = try store.apply(.inserting(.text(2, "two")))
            } throws: {
                ($0 as? StoreFailure)?.text.contains("has been deleted") == true
            }
        }
    }

    @Test(arguments: [["", "-lock"], ["", "-lock", "-wal"], ["", "-wal"], [""]])
    func `a log that is gone after a crash is an alarm`(kept: [String]) throws {
        let fixture = try StoreFixture()
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, "one")))
            for ending in kept {
                try FileManager.default.copyItem(atPath: store.path + ending, toPath: path + ending)
            }
        }
        let store = try Store.open(path: path, options: StoreOptions(), now: 0, logger: .silent).store
        #expect(store.warnings.texts == (kept == ["", "-lock"] ? [StoreWarning.missingLog.text] : []))
        store.close()
        // An orderly end leaves nothing to ask after.
        let again = try Store.open(path: path, options: StoreOptions(), now: 0, logger: .silent).store
        #expect(again.warnings.texts == [])
        again.close()
    }

    @Test func `a write by another program is noticed, a read isn't one`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, "one")))
            try #expect(SQLiteShell.run(store.path, "SELECT count(*) FROM message") == "1")
            try #expect(SQLiteShell.run(store.path, "VACUUM INTO '\(fixture.path("copy.db"))'") == "")
            _ = try store.apply(.inserting(.text(2, "two")))
            #expect(store.warnings.texts == [])
            try #expect(SQLiteShell.run(store.path, "DELETE FROM message WHERE id = 1") == "")
            _ = try store.apply(.inserting(.text(3, "three")))
            #expect(store.warnings.texts == [StoreWarning.foreignWrite.text])
        }
    }

    @Test func `a reader outside that keeps the log long is an alarm until it ends`() throws {
        var fixture = try StoreFixture()
        fixture.options.checkpointBytes = 1 << 20
        fixture.options.logBytesMax = 4 << 20
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1_000_000, "one")))
            let reader = try SQLiteShell(store.path)
            try reader.send("BEGIN; SELECT count(*) || ' found' FROM message;", awaiting: "1 found")
            var number: Int64 = 0
            while !store.warnings.contains(.pinnedLog) {
                let rows = (1...100).map { InsertRow.text(MessageNumber(number + $0), kibibyte) }
                number += 100
                _ = try store.apply(.inserting(rows))
            }
            reader.end()
            while store.warnings.contains(.pinnedLog) { _ = try store.maintain() }
            #expect(store.warnings.texts == [])
        }
    }

    @Test func `a foreign write is an alarm that refuses nothing`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("q")
        try await broker.publish("one", to: "q")
        var events = broker.events().makeAsyncIterator()
        try #expect(SQLiteShell.run(fixture.path, "INSERT INTO meta VALUES ('note', 1)") == "")
        try await broker.publish("two", to: "q")
        #expect(await events.next() == .alarmRaised(StoreWarning.foreignWrite.text))
        #expect(try await broker.status().alarms == [StoreWarning.foreignWrite.text])
        try await broker.publish("three", to: "q")
        #expect(try await broker.status(of: "q").ready == 3)
        try await broker.shutdown()
    }

    @Test func `a damaged page met while running is an alarm, and other queues go on`() async throws {
        var fixture = try BrokerFixture()
        fixture.configuration.limits.windowCountMax = 16
        try await fill(fixture)
        try damage(fixture.path)
        let broker = try fixture.open()
        var events = broker.events().makeAsyncIterator()
        let reading = Task {
            while let message = try await broker.get("bad", wait: .seconds(3_600)) {
                message.ackWithoutWaiting()
            }
        }
        #expect(await events.next() == .alarmRaised(StoreWarning.unreadable.text))
        #expect(try await broker.get("good")?.text?.hasPrefix("good") == true)
        #expect(try await broker.status().alarms == [StoreWarning.unreadable.text])
        try await broker.publish("still here", to: "good")
        reading.cancel()
        _ = await reading.result
        try await broker.shutdown()
    }

    /// Two queues, in pages of their own; the table's last page, which a start reads, is the good one's.
    private func fill(_ fixture: borrowing BrokerFixture) async throws {
        let broker = try fixture.open()
        for queue in ["bad", "good"] as [QueueName] {
            try await broker.declareQueue(queue)
            let body = "\(queue) " + String(repeating: "x", count: 20_000)
            try await broker.publish(batch: (0..<50).map { _ in OutgoingMessage(body, to: queue) })
        }
        try await broker.shutdown()
    }

    /// Overwrites pages of the table that hold messages of the queue `bad`, but not those at its head.
    private func damage(_ path: String) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        defer { try? file.close() }  // what matters is written
        let content = try #require(try file.readToEnd())
        var hits = 0
        for page in stride(from: 0, to: content.count, by: Schema.pageBytes) {
            let bytes = content[page..<min(page + Schema.pageBytes, content.count)]
            // A leaf of a table that begins a message of that queue.
            guard bytes.first == 13, bytes.firstRange(of: Data("bad xxx".utf8)) != nil,
                bytes.firstRange(of: Data("good xxx".utf8)) == nil
            else { continue }
            hits += 1
            guard hits > 10 else { continue }
            try file.seek(toOffset: UInt64(page))
            try file.write(contentsOf: Data(repeating: 0xEE, count: Schema.pageBytes))
        }
        #expect(hits > 15)
    }
}
