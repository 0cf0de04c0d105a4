// The outbox's tables in the application's database, and the statements over them.

import Foundation
import GRDB
import Leveret
import LeveretTasks

/// A job in the outbox.
struct OutboxRow: Sendable {
    let id: String
    let queue: JobQueue
    let properties: [UInt8]
    let body: [UInt8]

    /// The job's message at a moment: what is to start later waits for what is left.
    func message(now: Instant) throws -> OutgoingMessage {
        let (decoded, isPersistent) = try PropertiesCodec.decode(properties)
        var properties = decoded ?? MessageProperties()
        properties.headers[HeaderName.delay] = nil
        if case .int(let start)? = properties.headers[JobHeader.start], start > now.milliseconds {
            let left = start.subtractingReportingOverflow(now.milliseconds)
            let delay = left.overflow ? Self.delayMax : min(left.partialValue, Self.delayMax)
            properties.headers[HeaderName.delay] = .int(delay)
        }
        return OutgoingMessage(body, to: queue.waiting, properties: properties, persistent: isPersistent)
    }

    /// The broker's longest delay; a worker sends a job that comes too early to wait again.
    private static let delayMax: Int64 = 4_294_967_295
}

enum OutboxTable {
    static let name = "leveret_outbox"

    static func create(in db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE leveret_outbox (
                    seq INTEGER PRIMARY KEY,       -- the order in which jobs reach the broker
                    id TEXT NOT NULL UNIQUE,       -- the job's id
                    job TEXT NOT NULL,             -- what the job is called
                    queue TEXT NOT NULL,           -- the queue of jobs that it goes to
                    properties BLOB NOT NULL,      -- the message's properties, as AMQP 0-9-1 §4.2.6.1 writes them
                    body BLOB NOT NULL,            -- the message's body
                    refused TEXT                   -- why the broker would not have it; such a row stays
                );
                CREATE TABLE leveret_outbox_name (name TEXT NOT NULL);  -- one row: what the broker knows this outbox by
                INSERT INTO leveret_outbox_name VALUES (lower(hex(randomblob(8))));
                """)
    }

    static func outboxName(in db: Database) throws -> String {
        guard let name = try String.fetchOne(db, sql: "SELECT name FROM leveret_outbox_name") else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "leveret_outbox_name has no row")
        }
        return name
    }

    static func insert(_ job: PreparedJob, named name: String, in db: Database) throws {
        let properties = PropertiesCodec.encode(
            job.message.properties, isPersistent: job.message.isPersistent)
        let statement = try db.cachedStatement(
            sql: "INSERT INTO leveret_outbox (id, job, queue, properties, body) VALUES (?, ?, ?, ?, ?)")
        try statement.execute(
            arguments: [job.id.rawValue, name, job.queue.rawValue, Data(properties), Data(job.message.body)])
    }

    /// The oldest rows, as many as one transaction of the broker should have.
    static func oldest(in db: Database, countMax: Int, bytesMax: Int) throws -> [OutboxRow] {
        let statement = try db.cachedStatement(
            sql: """
                SELECT id, queue, properties, body FROM leveret_outbox
                WHERE refused IS NULL ORDER BY seq LIMIT ?
                """)
        let rows = try Row.fetchCursor(statement, arguments: [countMax])
        var found: [OutboxRow] = []
        var bytes = 0
        while bytes < bytesMax, let row = try rows.next() {
            let properties: Data = row[2]
            let body: Data = row[3]
            found.append(
                OutboxRow(
                    id: row[0], queue: JobQueue(row[1]), properties: Array(properties), body: Array(body)))
            bytes += body.count + properties.count
        }
        return found
    }

    static func remove(_ ids: [String], in db: Database) throws {
        let list = JSONText.write(.array(ids.map { .string($0) }))
        let statement = try db.cachedStatement(
            sql: "DELETE FROM leveret_outbox WHERE id IN (SELECT value FROM json_each(?))")
        try statement.execute(arguments: [list])
    }

    static func setAside(_ id: String, because reason: String, in db: Database) throws {
        try db.execute(sql: "UPDATE leveret_outbox SET refused = ? WHERE id = ?", arguments: [reason, id])
    }
}
