// What goes in comes out: batches applied, loaded, and found again after the store was closed.

import Foundation
import LeveretCore
import Testing

@testable import Leveret

@Suite struct StoreTests {
    @Test func `a message is found by a load and after a restart`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            #expect(try store.apply(.declaring(QueueDefinition("orders"))) == [])
            #expect(try store.apply(.inserting(.text(1, "one"), .text(2, "two"))) == [])
            let rows = try store.load(.window()).rows
            #expect(rows.map(\.number) == [1, 2])
            #expect(rows.map { String(decoding: $0.message.body, as: UTF8.self) } == ["one", "two"])
        }
        let state = try fixture.reopened()
        #expect(state.queues.map(\.definition.name) == ["orders"])
        #expect(state.queues.map(\.count) == [2])
        #expect(state.queues.map(\.levels.first?.bytes) == [6])
        #expect(state.queues.map(\.levels.first?.oldest) == [1])
        #expect(state.nextNumber == 3)
        #expect(state.nextQueueID == 2)
    }

    @Test func `a removed message is gone`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting((1...10).map { .text(MessageNumber($0), "body") }))
            _ = try store.apply(.removing(7, 2, 3, 9, 2, 40))
            #expect(try store.numbers() == [1, 4, 5, 6, 8, 10])
        }
    }

    @Test func `a cancelled insert leaves no row`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            var cancelled = InsertRow.text(2, "never")
            cancelled.message = nil
            _ = try store.apply(.inserting(.text(1, "one"), cancelled, .text(3, "three")))
            #expect(try store.numbers() == [1, 3])
        }
    }

    @Test func `a store without a path works and leaves nothing behind`() throws {
        let (store, state) = try Store.open(path: nil, options: StoreOptions(), now: 0, logger: .silent)
        #expect(state.queues.isEmpty)
        _ = try store.apply(.inserting(.text(1, "one")))
        #expect(try store.numbers() == [1])
        let folder = URL(filePath: store.path).deletingLastPathComponent().path()
        #expect(FileManager.default.fileExists(atPath: folder))
        store.close()
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test func `files that are made are this user's alone, a database that is there keeps its rights`() throws
    {
        func rights(_ name: String, _ fixture: borrowing StoreFixture) throws -> Int {
            let facts = try FileManager.default.attributesOfItem(atPath: fixture.path(name))
            return try #require(facts[.posixPermissions] as? Int)
        }
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, "one"), .text(2, "relief", spilled: true)))
            let names = try FileManager.default.contentsOfDirectory(atPath: fixture.path(""))
            #expect(names.count == 8, "\(names)")
            for name in names { #expect(try rights(name, fixture) == 0o600, "\(name)") }
        }
        chmod(fixture.path, 0o640)
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(3, "three")))
            for name in ["leveret.db", "leveret.db-wal", "leveret.db-shm"] {
                #expect(try rights(name, fixture) == 0o640, "\(name)")
            }
            #expect(try rights("leveret.db-lock", fixture) == 0o600)
        }
        // One that a link leads to is no other.
        let link = fixture.path("link.db")
        try FileManager.default.createSymbolicLink(
            atPath: link, withDestinationPath: fixture.path("there.db"))
        try Store.open(path: link, options: fixture.options, now: 0, logger: .silent).store.close()
        #expect(try rights("there.db", fixture) == 0o600)
    }

    @Test func `what the store keeps beside the database is not beside a link to it`() throws {
        let fixture = try StoreFixture()
        let files = FileManager.default
        try files.createDirectory(atPath: fixture.path("links"), withIntermediateDirectories: false)
        let link = fixture.path("links/leveret.db")
        try files.createSymbolicLink(atPath: link, withDestinationPath: "../leveret.db")
        let store = try Store.open(path: link, options: fixture.options, now: 0, logger: .silent).store
        defer { store.close() }
        var batch = WriteBatch.inserting(.text(1, "one"), .text(2, "relief", spilled: true))
        batch.reserveThrough = 2
        _ = try store.apply(batch)
        #expect(try files.contentsOfDirectory(atPath: fixture.path("links")) == ["leveret.db"])
        #expect(files.fileExists(atPath: fixture.path + "-spill"))
        #expect(files.fileExists(atPath: fixture.path + "-reserve"))
        let bytes = FileSize.bytes(of: fixture.path) + FileSize.bytes(of: fixture.path + "-wal")
        #expect(store.fileBytes() == bytes)
        let inspector = try DatabaseInspector(path: link)
        defer { inspector.close() }
        #expect(inspector.fileBytes == bytes)
        // Who has it open has still to make the queue.
        try #expect(inspector.verify().faults.isEmpty)
    }

    @Test func `a closed store leaves the database file alone in its folder`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, "one"), .text(2, "relief", spilled: true)))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path("")) == ["leveret.db"])
    }
}
