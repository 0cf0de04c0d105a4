// The file stays in shape: a bounded log, room given back, migrations with a copy.

import Foundation
import LeveretCore
import LeveretTestSupport
import Synchronization
import Testing

@testable import Leveret

@Suite struct StoreShapeTests {
    private let kibibyte = String(repeating: "x", count: 1_024)

    private func logBytes(_ store: Store) -> Int { FileSize.bytes(of: store.path + "-wal") }

    /// Inserts and removes a mebibyte at a time; returns how long the log was at most.
    private func load(_ store: Store, mebibytes: Int) throws -> Int {
        var longest = 0
        for round in 0..<mebibytes {
            let numbers = (1...1_024).map { MessageNumber(Int64(round * 1_024 + $0)) }
            _ = try store.apply(.inserting(numbers.map { .text($0, kibibyte) }))
            var batch = WriteBatch()
            batch.removals = ContiguousArray(numbers)
            _ = try store.apply(batch)
            longest = max(longest, logBytes(store))
        }
        return longest
    }

    @Test func `the log stays short under a load that never stops`() throws {
        var fixture = try StoreFixture()
        fixture.options.checkpointBytes = 1 << 20
        fixture.options.logBytesMax = 4 << 20
        try fixture.use { store in
            let longest = try load(store, mebibytes: 40)
            #expect(longest < 10 << 20)
            try #expect(store.numbers() == [])
            try #expect(SQLiteShell.run(store.path, "PRAGMA integrity_check", readOnly: true) == "ok")
        }
    }

    @Test func `commits, reads and checkpoints at once lose nothing`() async throws {
        var fixture = try StoreFixture()
        fixture.options.checkpointBytes = 128 << 10
        fixture.options.logBytesMax = 1 << 20
        let store = try fixture.open().store
        let end = Flag()
        async let looks = readUntil(end, store)
        for round in Int64(0)..<400 {
            var batch = WriteBatch.inserting(
                (1...25).map { .text(MessageNumber(round * 25 + $0), kibibyte) })
            if round >= 20 {
                batch.removals = ContiguousArray((1...25).map { MessageNumber((round - 20) * 25 + $0) })
            }
            _ = try store.apply(batch)
            await Task.yield()
        }
        end.isRaised.store(true, ordering: .relaxed)
        #expect(try await looks > 0)
        #expect(try store.numbers() == (9_501...10_000).map { MessageNumber($0) })
        try #expect(store.number("SELECT value FROM meta WHERE name = 'checkpoints'") > 20)
        try #expect(SQLiteShell.run(store.path, "PRAGMA integrity_check", readOnly: true) == "ok")
        store.close()
        #expect(try fixture.reopened().nextNumber == 10_001)
    }

    private final class Flag: Sendable {
        let isRaised = Atomic(false)
    }

    /// Looks at the queue again and again: what it sees must be of one moment. Returns how often it looked.
    private func readUntil(_ end: Flag, _ store: Store) async throws -> Int {
        var looks = 0
        repeat {
            let numbers = try store.numbers().map(\.rawValue)
            if let first = numbers.first {
                #expect(numbers == Array(first..<first + Int64(numbers.count)))
                #expect(numbers.count <= 500)
            }
            looks += 1
            await Task.yield()
        } while !end.isRaised.load(ordering: .relaxed)
        return looks
    }

    @Test func `a reader that keeps the log long doesn't stop commits, and the log recovers from it`() throws
    {
        var fixture = try StoreFixture()
        fixture.options.checkpointBytes = 1 << 20
        fixture.options.logBytesMax = 4 << 20
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1_000_000, "one")))
            let reader = try SQLiteShell(store.path)
            try reader.send("BEGIN; SELECT count(*) || ' found' FROM message;", awaiting: "1 found")
            let longest = try load(store, mebibytes: 16)
            #expect(longest > 16 << 20)
            reader.end()
            #expect(try load(store, mebibytes: 16) <= longest + 8 << 20)
        }
    }

    @Test func `a lone commit finds room in the log and doesn't make its file longer`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            for number in 1...200 {
                _ = try store.apply(.inserting(.text(MessageNumber(Int64(number)), kibibyte)))
                store.prepareLog()
                let there = logBytes(store)
                _ = try store.apply(.inserting(.text(MessageNumber(Int64(1_000 + number)), kibibyte)))
                #expect(logBytes(store) == there)
            }
            try #expect(SQLiteShell.run(store.path, "PRAGMA integrity_check", readOnly: true) == "ok")
            #expect(try store.numbers().count == 400)
        }
        #expect(try fixture.reopened().nextNumber == 1_201)
    }

    @Test func `a log whose end nobody has written is read back to its last commit`() throws {
        let fixture = try StoreFixture()
        let folder = try TemporaryFolder()
        let copy = folder.path("leveret.db")
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, kibibyte)))
            store.prepareLog()
            #expect(logBytes(store) >= 1 << 20)
            _ = try store.apply(.inserting(.text(2, kibibyte)))
            // As a crash would leave them.
            for suffix in ["", "-wal"] {
                try FileManager.default.copyItem(atPath: store.path + suffix, toPath: copy + suffix)
            }
        }
        let (store, _) = try Store.open(path: copy, options: fixture.options, now: 0, logger: .silent)
        defer { store.close() }
        #expect(try store.numbers() == [1, 2])
    }

    @Test func `the file shrinks in small steps once its messages are gone`() throws {
        var fixture = try StoreFixture()
        fixture.options.freePagesKept = 16
        fixture.options.idleLogBytes = 1
        try fixture.use { store in
            for round in 0..<8 {
                let numbers = (1...1_024).map { MessageNumber(Int64(round * 1_024 + $0)) }
                _ = try store.apply(.inserting(numbers.map { .text($0, kibibyte) }))
            }
            _ = try store.apply(.purging(RangeRemoval(queue: 1, after: 0, through: 9_000)))
            var steps = 1
            while try store.maintain() { steps += 1 }
            #expect(steps > 5)
            try #expect(store.number("PRAGMA freelist_count") <= 16)
            // The log is written back on another thread.
            while store.fileBytes() > 1 << 20 { _ = try store.maintain() }
        }
    }

    @Test func `a purge of large messages goes in slices, so that none of its commits is long`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            let large = String(repeating: "x", count: 1 << 20)
            _ = try store.apply(.inserting((1...40).map { .text(MessageNumber($0), large) }))
            let range = RangeRemoval(queue: 1, after: 0, through: 40)
            #expect(try store.apply(.purging(range)) == [range])
            try #expect(store.numbers().count == 24)
            #expect(try store.apply(.purging(range)) == [range])
            #expect(try store.apply(.purging(range)) == [])
            try #expect(store.numbers() == [])
        }
    }

    // MARK: Migrations

    private let second = "ALTER TABLE queue ADD COLUMN note TEXT; UPDATE queue SET note = 'moved';"

    private func migrate(_ path: String, with migrator: Migrator) throws {
        let queue = try DatabaseQueue(path: path, Database.Options())
        defer { queue.close() }
        try queue.lend { try migrator.run($0, path: path) }
    }

    @Test func `a file is copied before it is migrated`() throws {
        let fixture = try StoreFixture()
        try fixture.use { _ = try $0.apply(.declaring(QueueDefinition("orders"))) }
        try migrate(fixture.path, with: Migrator(migrations: Schema.migrations + [second]))
        let version = Schema.migrations.count
        let look = "SELECT user_version, count(*) FROM queue, pragma_user_version"
        try #expect(SQLiteShell.run(fixture.path, look) == "\(version + 1)|1")
        try #expect(SQLiteShell.run(fixture.path, "SELECT note FROM queue") == "moved")
        try #expect(SQLiteShell.run(fixture.path + "-v\(version)", look) == "\(version)|1")
    }

    @Test func `a migration goes without the copy where that is asked for`() throws {
        let fixture = try StoreFixture()
        try fixture.use { _ in }
        try migrate(
            fixture.path, with: Migrator(migrations: Schema.migrations + [second], copiesBefore: false))
        #expect(!FileManager.default.fileExists(atPath: fixture.path + "-v\(Schema.migrations.count)"))
    }

    @Test func `a migration that fails leaves the file as it was`() throws {
        let fixture = try StoreFixture()
        try fixture.use { _ = try $0.apply(.declaring(QueueDefinition("orders"))) }
        let failing = Migrator(migrations: Schema.migrations + [second + "INSERT INTO nothing VALUES (1);"])
        #expect {
            try migrate(fixture.path, with: failing)
        } throws: {
            ($0 as? BrokerError)?.text.contains("is as it was") == true
        }
        try #expect(fixture.reopened().queues.map(\.definition.name) == ["orders"])
        try #expect(SQLiteShell.run(fixture.path, "SELECT count(*) FROM pragma_table_info('queue')") == "8")
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a file system needs root"))
    func `a migration is refused where there is no room for the copy`() throws {
        let fixture = try StoreFixture()
        let disk = try SmallDisk(at: fixture.path("disk"), kibibytes: 2_048)
        defer { disk.unmount() }
        let path = disk.path + "/leveret.db"
        try Store.open(path: path, options: fixture.options, now: 0, logger: .silent).store.close()
        try disk.fill(leavingKibibytes: 128)
        #expect {
            try migrate(path, with: Migrator(migrations: Schema.migrations + [second]))
        } throws: {
            let error = $0 as? BrokerError
            return error?.code == .resourceError && error?.text.contains("go without the copy") == true
        }
    }

    @Test func `a policy from before they said what they are for is for all`() throws {
        let fixture = try StoreFixture()
        try #expect(SQLiteShell.run(fixture.path, StoreVersion1.sql) == "wal")
        let before = Array(Schema.migrations.prefix(5))
        try migrate(fixture.path, with: Migrator(migrations: before, copiesBefore: false))
        let row = "INSERT INTO policy VALUES ('p', 0, '^orders', 3, x'00000000', NULL)"
        try #expect(SQLiteShell.run(fixture.path, row) == "")
        let policy = Policy("p", pattern: "^orders", priority: 3, definition: [:])
        let inspector = try DatabaseInspector(path: fixture.path)
        try #expect(inspector.policies() == [policy])
        inspector.close()
        let (store, state) = try fixture.open()
        store.close()
        #expect(state.policies == [policy])
    }

    @Test func `a file from before there were users has none, and takes some`() throws {
        let fixture = try StoreFixture()
        let withUsers = try #require(Schema.migrations.firstIndex { $0.contains("CREATE TABLE user ") })
        let before = Array(Schema.migrations.prefix(withUsers))
        try migrate(fixture.path, with: Migrator(migrations: before, copiesBefore: false))
        let inspector = try DatabaseInspector(path: fixture.path)
        #expect(try inspector.users().isEmpty && inspector.permissions().isEmpty)
        #expect(try inspector.topicPermissions().isEmpty)
        inspector.close()
        let user = UserDefinition("app", passwordHash: "x")
        try fixture.use { store in
            var batch = WriteBatch()
            batch.definitions = [.putUser(user)]
            _ = try store.apply(batch)
        }
        #expect(try fixture.reopened().users == [user])
    }

    @Test func `a file from before there were topic permissions keeps its users, and takes some`() throws {
        let fixture = try StoreFixture()
        let withTopics = try #require(Schema.migrations.firstIndex { $0.contains("topic_permission") })
        let before = Array(Schema.migrations.prefix(withTopics))
        try migrate(fixture.path, with: Migrator(migrations: before, copiesBefore: false))
        try #expect(
            SQLiteShell.run(fixture.path, "INSERT INTO user VALUES ('app', 'x', '', NULL, NULL)") == "")
        let topics = TopicPermission("app", exchange: "t", write: "a", read: "b")
        try fixture.use { store in
            var batch = WriteBatch()
            batch.definitions = [.putTopicPermission(topics)]
            _ = try store.apply(batch)
        }
        let state = try fixture.reopened()
        #expect(state.users.map(\.name) == ["app"] && state.topicPermissions == [topics])
    }

    @Test func `a file of the first version opens with all it holds`() throws {
        let fixture = try StoreFixture()
        try #expect(SQLiteShell.run(fixture.path, StoreVersion1.sql) == "wal")
        let (store, state) = try fixture.open()
        defer { store.close() }
        #expect(state.queues.map(\.definition.name) == ["orders"])
        #expect(state.queues.map(\.count) == [2])
        #expect(state.nextNumber == 101)
        #expect(state.nextQueueID == 5)
        let rows = try store.load(.window(4)).rows
        #expect(rows.map { String(decoding: $0.message.body, as: UTF8.self) } == ["own", "shared"])
        #expect(rows.map(\.failed) == [2, 0])
        #expect(rows.map(\.acquired) == [1, 0])
        #expect(rows.map(\.expires) == [Instant(milliseconds: 5_000), .distantFuture])
    }
}
