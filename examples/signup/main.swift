// Who signs up gets one mail of welcome: not none, when the program dies between the commit of the user and the
// job's way to the broker, and not two, when it dies on that way. The job is written in the application's own
// transaction; the program kills itself at the two worst moments to show what becomes of it.
//
// The users are in signup.db, the jobs in signup-jobs.db, in the folder where it is run; both begin anew each time.

import Foundation
import GRDB
import Leveret
import LeveretTasks
import LeveretTasksGRDB
import Logging

struct Welcome: Job {
    static let name = "welcome"
    var user: String
}

/// The application: its database, and the broker beside it.
struct Application {
    let broker: Broker
    let jobs: Jobs
    let database: DatabasePool
    let outbox: Outbox

    init() throws {
        broker = try Broker(.file("signup-jobs.db"))
        jobs = Jobs(broker)
        database = try DatabasePool(path: "signup.db")
        outbox = Outbox(jobs, database: database)
        var migrator = DatabaseMigrator()
        migrator.registerMigration("users") { db in
            try db.execute(sql: "CREATE TABLE user (name TEXT PRIMARY KEY)")
            try Outbox.create(in: db)
        }
        try migrator.migrate(database)
    }

    /// The user and the mail of welcome: both or none.
    func signUp(_ name: String) async throws {
        try await database.write { db in
            try outbox.enqueue(Welcome(user: name), in: db)
            try db.execute(sql: "INSERT INTO user VALUES (?)", arguments: [name])
        }
    }

    func waiting() async throws -> [String] {
        try await database.read { db in
            try String.fetchAll(
                db, sql: "SELECT CAST(body AS TEXT) ->> 'user' FROM leveret_outbox ORDER BY seq")
        }
    }

    /// Hands the outbox on, and does the jobs, until nothing is left.
    func work() async throws {
        let worker = try JobWorker(jobs, queues: [.default: 1]) { handlers in
            handlers.add(Welcome.self) { print("  a mail to \($0.user)") }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await outbox.run() }
            group.addTask { try await worker.run() }
            while try await !isDone() { try await Task.sleep(for: .milliseconds(5)) }
            group.cancelAll()
        }
    }

    private func isDone() async throws -> Bool {
        guard try await waiting().isEmpty else { return false }
        let queue = try await broker.queues(matching: JobQueue.default.waiting.rawValue).first
        return queue.map { $0.ready + $0.unacked + $0.delayed == 0 } ?? false
    }
}

/// The life of a program that dies: before its job is handed on, or when it has been, and not yet struck off.
func die(_ moment: String, _ name: String) async throws {
    let application = try Application()
    if moment == "before" {
        try await application.signUp(name)
        _exit(9)
    }
    try await application.database.write { db in
        db.add(function: DatabaseFunction("die", argumentCount: 0) { _ in _exit(9) })
        try db.execute(
            sql: "CREATE TEMP TRIGGER struck_off BEFORE DELETE ON leveret_outbox BEGIN SELECT die(); END")
    }
    try await application.signUp(name)
    try await application.outbox.run()
}

/// Runs this program again, as one that dies.
func runAndDie(_ moment: String, _ name: String) throws {
    let child = Process()
    child.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    child.arguments = [moment, name]
    try child.run()
    child.waitUntilExit()
    print("  it died with \(child.terminationStatus)")
}

func runDemo() async throws {
    for file in ["signup.db", "signup-jobs.db"] {
        for suffix in ["", "-wal", "-shm", "-lock"] {
            try? FileManager.default.removeItem(atPath: file + suffix)
        }
    }
    print("ann signs up, and the program dies before it hands her mail on:")
    try runAndDie("before", "ann")
    print(
        "bob signs up, and the program dies when it has handed on what was there, and not yet struck it off:")
    try runAndDie("between", "bob")

    let application = try Application()
    print("it starts again; in its outbox are \(try await application.waiting().joined(separator: " and ")):")
    do {
        try await application.signUp("ann")
    } catch let error as DatabaseError {
        print("  ann signs up once more, and is refused: \(error.message ?? "")")
    }
    try await application.work()
    try await application.signUp("cid")
    try await application.work()
    let users = try await application.database.read {
        try Int.fetchOne($0, sql: "SELECT count(*) FROM user") ?? 0
    }
    let mails = try await application.broker.status(of: JobQueue.default.completed).ready
    print("\(users) users, \(mails) mails, \(try await application.waiting().count) left in the outbox")
    try await application.broker.shutdown()
}

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.count == 2 {
    try await die(arguments[0], arguments[1])
} else {
    try await runDemo()
}
