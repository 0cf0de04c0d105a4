// Jobs in the application's own database: each reaches the broker exactly if its transaction commits, and once.

import Foundation
import GRDB
import Leveret
import LeveretTasks
import LeveretTasksGRDB
import LeveretTestSupport
import Logging
import ServiceLifecycle
import Synchronization
import Testing

private struct Receipt: Job {
    static let name = "receipt"
    var order: Int
}

/// An application with its database and a broker, both in a folder that outlives them.
private struct Application {
    let broker: Broker
    let jobs: Jobs
    let database: any DatabaseWriter
    let outbox: Outbox

    init(in folder: borrowing TemporaryFolder, pool: Bool = true, name: String = "shop.db") throws {
        broker = try Broker(.file(folder.path("jobs.db")))
        jobs = Jobs(broker)
        let path = folder.path(name)
        database = pool ? try DatabasePool(path: path) : try DatabaseQueue(path: path)
        outbox = Outbox(jobs, database: database, logger: Logger(label: "test"))
        var migrator = DatabaseMigrator()
        migrator.registerMigration("shop") { db in
            try db.execute(sql: "CREATE TABLE orders (id INTEGER PRIMARY KEY)")
            try Outbox.create(in: db)
        }
        try migrator.migrate(database)
    }

    /// Orders and their receipts, each in a transaction of its own.
    func order(_ ids: ClosedRange<Int>) async throws {
        for id in ids {
            try await database.write { db in
                try db.execute(sql: "INSERT INTO orders VALUES (?)", arguments: [id])
                try outbox.enqueue(Receipt(order: id), in: db)
            }
        }
    }

    /// Relays while `body` does its part.
    func relaying(while body: () async throws -> Void) async throws {
        let group = ServiceGroup(services: [outbox], logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            do {
                try await body()
            } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    /// Relays until the outbox is empty.
    func relayAll() async throws {
        try await relaying { try await until { try await rows() == 0 } }
    }

    func rows(where condition: String = "refused IS NULL") async throws -> Int {
        try await database.read { db in
            try Int.fetchOne(db, sql: "SELECT count(*) FROM leveret_outbox WHERE \(condition)") ?? 0
        }
    }

    /// The orders whose receipts wait in the broker, in their order there.
    func receipts() async throws -> [Int] {
        guard !(try await broker.queues(matching: JobQueue.default.waiting.rawValue)).isEmpty else {
            return []
        }
        var orders: [Int] = []
        var position: MessageNumber = 0
        while true {
            let page = try await broker.peek(
                JobQueue.default.waiting, state: nil, from: position, count: 1_000)
            for message in page {
                orders.append(try JSONDecoder().decode(Receipt.self, from: Data(message.message.body)).order)
            }
            guard let last = page.last, page.count == 1_000 else { return orders }
            position = MessageNumber(last.number.rawValue + 1)
        }
    }

    func close() async throws {
        try await broker.shutdown()
        try database.close()
    }
}

/// Waits for a condition that other tasks bring about.
private func until(_ condition: () async throws -> Bool) async throws {
    while try await !condition() {
        try Task.checkCancellation()
        await Task.yield()
    }
}

@Suite(.timeLimit(.minutes(10))) struct OutboxTests {
    @Test(arguments: [true, false])
    func `a job reaches the broker when its transaction commits, in the order of the commits`(
        pool: Bool
    ) async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder, pool: pool)
        try await shop.relaying {
            try await shop.order(1...20)
            try await until { try await shop.receipts() == Array(1...20) }
            try await until { try await shop.rows() == 0 }
        }
        try await shop.close()
    }

    @Test func `a rollback leaves nothing, also of a part of a transaction`() async throws {
        struct Failure: Error {}
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        try await shop.relaying {
            await #expect(throws: Failure.self) {
                try await shop.database.write { db in
                    try shop.outbox.enqueue(Receipt(order: 1), in: db)
                    throw Failure()
                }
            }
            try await shop.database.write { db in
                try db.inSavepoint {
                    try shop.outbox.enqueue(Receipt(order: 2), in: db)
                    return .rollback
                }
                try shop.outbox.enqueue(Receipt(order: 3), in: db)
            }
            try await until { try await shop.receipts() == [3] }
            try await until { try await shop.rows() == 0 }
        }
        try await shop.close()
    }

    @Test func `a job that was committed before a crash is taken at the next start, with its id`()
        async throws
    {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        let id = try await shop.database.write { db in try shop.outbox.enqueue(Receipt(order: 1), in: db) }
        try await shop.close()

        let next = try Application(in: folder)
        try await next.relayAll()
        let message = try #require(try await next.broker.peek(JobQueue.default.waiting).first)
        #expect(message.message.properties?.messageID == id.rawValue)
        #expect(message.message.properties?.type == "receipt")
        try await next.close()
    }

    @Test func `a crash between the publish and the removal doubles no job, even one that is done`()
        async throws
    {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        // No row can be removed: as if the process had died before it was.
        try await shop.database.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER crash BEFORE DELETE ON leveret_outbox BEGIN SELECT RAISE(ABORT, 'crash'); END
                    """)
        }
        try await shop.order(1...3)
        try await shop.relaying { try await until { try await shop.receipts() == [1, 2, 3] } }
        #expect(try await shop.rows() == 3)
        // The jobs are done, so the broker no longer has what it could compare with.
        try await shop.broker.purge(JobQueue.default.waiting)
        try await shop.close()

        let next = try Application(in: folder)
        try await next.database.write { try $0.execute(sql: "DROP TRIGGER crash") }
        try await next.order(4...4)
        try await next.relayAll()
        #expect(try await next.receipts() == [4])
        try await next.close()
    }

    @Test func `ten thousand jobs are taken in batches, each a short write, in their order`() async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        try await shop.database.write { db in
            for order in 1...10_000 { try shop.outbox.enqueue(Receipt(order: order), in: db) }
        }
        let removals = Removals()
        shop.database.add(transactionObserver: removals, extent: .databaseLifetime)
        try await shop.relayAll()
        #expect(try await shop.receipts() == Array(1...10_000))
        #expect(removals.counts.reduce(0, +) == 10_000)
        #expect(removals.counts.allSatisfy { $0 <= 500 })
        try await shop.close()
    }

    @Test(arguments: [true, false], ["shop.db", "ein Büro, 100%/shop.db", "link.db"])
    func `what another process commits is noticed`(pool: Bool, name: String) async throws {
        let folder = try TemporaryFolder()
        let elsewhere = folder.path("elsewhere")
        for place in [elsewhere, folder.path("ein Büro, 100%")] {
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
        }
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("link.db"), withDestinationPath: elsewhere + "/shop.db")
        let shop = try Application(in: folder, pool: pool, name: name)
        try await shop.database.write { db in
            try shop.outbox.enqueue(Receipt(order: 7), in: db)
            try db.execute(
                sql: "CREATE TABLE parked AS SELECT * FROM leveret_outbox; DELETE FROM leveret_outbox")
        }
        let path = folder.path(name)
        try await shop.relaying {
            // The relay has seen that there is nothing.
            try await shop.order(1...1)
            try await until { try await shop.receipts() == [1] }
            try await until { try await shop.rows() == 0 }
            let result = try await onOwnThread {
                try Program(
                    "/usr/bin/env",
                    [
                        "sqlite3", "-cmd", ".timeout 5000", path,
                        "INSERT INTO leveret_outbox SELECT * FROM parked",
                    ]
                ).finish()
            }
            #expect(result.status == 0, "\(result.errors)")
            try await until { try await shop.receipts() == [1, 7] }
        }
        try await shop.close()
    }

    @Test func `a job for later waits in the broker for what is left of its time`() async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        let begin = shop.broker.now
        let start = begin.advanced(byMilliseconds: 3_600_000)
        try await shop.database.write { db in
            _ = try shop.outbox.enqueue(Receipt(order: 1), .init(start: .at(start)), in: db)
        }
        try await shop.relayAll()
        let waiting = try #require(
            try await shop.broker.peek(JobQueue.default.waiting, state: .delayed).first)
        let due = try #require(waiting.due)
        // As late as the relay was at most, and never early.
        let passed = shop.broker.now.milliseconds - begin.milliseconds
        #expect(due >= start && due <= start.advanced(byMilliseconds: passed))
        try await shop.close()
    }

    @Test func `a job that the broker would never have is set aside with the reason, and keeps no other`()
        async throws
    {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        try await shop.order(1...3)
        try await shop.database.write { db in
            try db.execute(sql: "UPDATE leveret_outbox SET queue = 'no queue' WHERE seq = 1")
            try db.execute(sql: "UPDATE leveret_outbox SET properties = x'ffff' WHERE seq = 2")
        }
        try await shop.relayAll()
        #expect(try await shop.receipts() == [3])
        #expect(try await shop.rows(where: "refused LIKE '%no name for a queue of jobs%'") == 1)
        #expect(try await shop.rows(where: "seq = 2 AND refused IS NOT NULL") == 1)
        try await shop.close()
    }

    @Test func `where the queue of jobs was deleted, it is declared again`() async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        try await shop.relaying {
            try await shop.order(1...1)
            try await until { try await shop.rows() == 0 }
            try await shop.broker.deleteQueue(JobQueue.default.waiting)
            try await shop.order(2...3)
            try await until { try await shop.rows() == 0 }
        }
        #expect(try await shop.receipts() == [2, 3])
        #expect(try await shop.rows(where: "refused IS NOT NULL") == 0)
        try await shop.close()
    }

    @Test func `two outboxes do not relay one database, and the first goes on`() async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        let second = Outbox(shop.jobs, database: shop.database)
        try await shop.relaying {
            try await shop.order(1...1)
            try await until { try await shop.receipts() == [1] }
            await #expect(throws: BrokerError.self) { try await second.run() }
            try await shop.order(2...2)
            try await until { try await shop.receipts() == [1, 2] }
        }
        try await second.run(until: { try await shop.rows() == 0 })
        try await shop.close()
    }

    @Test func `without its tables an outbox neither takes jobs nor relays`() async throws {
        let broker = try Broker(.memory)
        let database = try DatabaseQueue()
        let outbox = Outbox(Jobs(broker), database: database)
        await #expect(throws: DatabaseError.self) {
            try await database.write { db in _ = try outbox.enqueue(Receipt(order: 1), in: db) }
        }
        await #expect(throws: DatabaseError.self) { try await outbox.run() }
        try await broker.shutdown()
    }

    private static let refused: [Uniqueness] = [
        .key("a", onConflict: .replace), .key("a", onConflict: .reschedule),
        Uniqueness(by: .text("a"), .within(.seconds(1))),
    ]

    @Test(arguments: refused)
    func `a uniqueness that needs more than a publish is refused`(unique: Uniqueness) async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        await #expect(throws: JobError.self) {
            try await shop.database.write { db in
                _ = try shop.outbox.enqueue(Receipt(order: 1), .init(unique: unique), in: db)
            }
        }
        try await shop.close()
    }

    @Test func `of two equal jobs the one that is unique is skipped`() async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        try await shop.database.write { db in
            for _ in 0..<2 {
                _ = try shop.outbox.enqueue(Receipt(order: 1), .init(unique: .whilePending), in: db)
            }
        }
        try await shop.relayAll()
        #expect(try await shop.receipts() == [1])
        try await shop.close()
    }

    @Test func `a shutdown amid a commit ends the relay, and no job is lost or doubled`() async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let other = try DatabaseQueue(path: folder.path("jobs.db"), configuration: configuration)
        try await shop.relaying {
            try await shop.order(1...1)
            try await until { try await shop.rows() == 0 }
            // The broker can't commit what it has taken.
            try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
            try await shop.order(2...2)
            try await until { try await shop.broker.status(of: JobQueue.default.waiting).ready == 2 }
        }
        try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        try other.close()
        try await shop.close()

        let next = try Application(in: folder)
        try await next.relayAll()
        #expect(try await next.receipts() == [1, 2])
        try await next.close()
    }

    /// Has the outbox run until `end` has ended it, which comes once it has taken one job.
    private func run(_ shop: Application, until end: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await shop.outbox.run() }
            try await shop.order(1...1)
            try await until { try await shop.rows() == 0 }
            try await end()
            try await group.waitForAll()
        }
    }

    @Test func `the relay ends with a broker that takes no more, and leaves what waits`() async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        try await run(shop) {
            shop.broker.beginDraining()
            try await shop.order(2...2)
        }
        #expect(try await shop.rows() == 1)
        try await shop.close()
    }

    @Test func `the relay ends with the broker`() async throws {
        let folder = try TemporaryFolder()
        let shop = try Application(in: folder)
        try await run(shop) { try await shop.broker.shutdown() }
        try shop.database.close()
    }

    /// As docs/tasks.md has it.
    @Test func `the article's job is enqueued with its user`() async throws {
        struct Welcome: Job {
            static let name = "welcome"
            var user: String
        }
        struct User: Codable, PersistableRecord {
            var name: String
        }
        let folder = try TemporaryFolder()
        let broker = try Broker(.file(folder.path("jobs.db")))
        let jobs = Jobs(broker)
        let database = try DatabaseQueue(path: folder.path("shop.db"))
        var migrator = DatabaseMigrator()
        migrator.registerMigration("user") { db in try db.create(table: "user") { $0.column("name", .text) } }
        migrator.registerMigration("outbox") { db in try Outbox.create(in: db) }
        try migrator.migrate(database)
        let user = User(name: "ann")

        let outbox = Outbox(jobs, database: database)  // a DatabasePool or DatabaseQueue
        try await database.write { db in
            try user.insert(db)
            try outbox.enqueue(Welcome(user: user.name), in: db)
        }
        let waiting = try await database.read { db in
            try String.fetchOne(db, sql: "SELECT CAST(body AS TEXT) ->> 'user' FROM leveret_outbox")
        }
        #expect(waiting == "ann")
        try await broker.shutdown()
    }
}

extension Outbox {
    /// Relays until a condition holds.
    fileprivate func run(until condition: () async throws -> Bool) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.run() }
            while try await !condition() { await Task.yield() }
            group.cancelAll()
            try await group.waitForAll()
        }
    }
}

/// How many rows of the outbox each transaction removed.
private final class Removals: TransactionObserver, Sendable {
    /// Guards the count of the transaction that is open, and those of the ones before.
    private let state = Mutex<(open: Int, all: [Int])>((0, []))

    var counts: [Int] { state.withLock { $0.all } }

    func observes(eventsOfKind eventKind: DatabaseEventKind) -> Bool {
        if case .delete("leveret_outbox") = eventKind { true } else { false }
    }

    func databaseDidChange(with event: DatabaseEvent) { state.withLock { $0.open += 1 } }

    func databaseDidCommit(_ db: Database) {
        state.withLock { state in
            if state.open > 0 { state.all.append(state.open) }
            state.open = 0
        }
    }

    func databaseDidRollback(_ db: Database) { state.withLock { $0.open = 0 } }
}
