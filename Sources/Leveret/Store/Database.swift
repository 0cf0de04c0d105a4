// Connections to SQLite files. A `Database` is one connection; a `DatabaseQueue` lends it to one caller after
// the other. What runs on them is in Connection.swift and beyond.

import CSQLite
import Synchronization

/// One connection and its prepared statements. Whoever has it has it alone.
final class Database {
    /// How a connection is opened.
    struct Options {
        /// Opens a file that is there, for reading.
        var isReadOnly = false
        /// Opens no file: all is in memory, and the path means nothing.
        var isInMemory = false
        /// How long a statement waits for another program's lock.
        var busyMilliseconds: Int32 = 0
        /// Statements that are run at once.
        var preparation = ""
    }

    /// SQLite's handle.
    let sqliteConnection: OpaquePointer
    private var statements: [String: OpaquePointer] = [:]
    private var isClosed = false

    init(path: String, _ options: Options) throws(StoreFailure) {
        var opened: OpaquePointer?
        let access = options.isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        // A path is a path: `:memory:` and `file:` URIs mean something else to SQLite.
        let name = options.isInMemory ? ":memory:" : path.hasPrefix("/") ? path : "./" + path
        // SQLite would have it readable by all; what it keeps beside a file gets the rights of that.
        if !options.isReadOnly, !options.isInMemory { Files.make(path) }
        let code = sqlite3_open_v2(name, &opened, access | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let opened else {
            defer { sqlite3_close(opened) }
            throw StoreFailure(connection: opened)
        }
        sqliteConnection = opened
        sqlite3_busy_timeout(sqliteConnection, options.busyMilliseconds)
        try runScript(options.preparation)
    }

    deinit { close() }

    /// Closes the file. Nothing else may follow.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close(sqliteConnection)
    }

    /// True between BEGIN and COMMIT or ROLLBACK.
    var isInsideTransaction: Bool { sqlite3_get_autocommit(sqliteConnection) == 0 }

    /// The statement, prepared when it is asked for first.
    func prepared(_ sql: String) throws(StoreFailure) -> Prepared {
        if let statement = statements[sql] {
            sqlite3_reset(statement)
            return Prepared(statement)
        }
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(
            sqliteConnection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement else { throw StoreFailure(connection: sqliteConnection) }
        statements[sql] = statement
        return Prepared(statement)
    }

    /// Runs one statement that nothing is bound to.
    func run(_ sql: String) throws(StoreFailure) { try prepared(sql).run() }

    /// Runs statements that run once, such as a migration.
    func runScript(_ sql: String) throws(StoreFailure) {
        guard sqlite3_exec(sqliteConnection, sql, nil, nil, nil) == SQLITE_OK else {
            throw StoreFailure(connection: sqliteConnection)
        }
    }
}

extension Database {
    /// Copies the whole database over that of `target`.
    func backUp(to target: Database) throws(StoreFailure) {
        let backup = sqlite3_backup_init(target.sqliteConnection, "main", sqliteConnection, "main")
        guard let backup else { throw StoreFailure(connection: target.sqliteConnection) }
        sqlite3_backup_step(backup, -1)
        // What a step found wrong is said here, and by the connection.
        guard sqlite3_backup_finish(backup) == SQLITE_OK else {
            throw StoreFailure(connection: target.sqliteConnection)
        }
    }

    /// The first column of the first row as a number; 0 when there is none.
    func number(_ sql: String) throws(StoreFailure) -> Int64 {
        let statement = try prepared(sql)
        defer { statement.reset() }
        return try statement.next() ? statement.int(0) : 0
    }

    /// Runs `work` as one transaction: all of it is committed, or nothing.
    func transaction<T>(_ work: () throws(StoreFailure) -> T) throws(StoreFailure) -> T {
        if isInsideTransaction { try run("ROLLBACK") }  // an earlier one that could not be ended
        try run("BEGIN IMMEDIATE")
        do {
            let result = try work()
            try run("COMMIT")
            return result
        } catch {
            // SQLite ends the transaction by itself on some errors; the first error is the one that matters.
            if isInsideTransaction { try? run("ROLLBACK") }
            throw error
        }
    }
}

/// A connection that callers on any thread borrow, one after the other.
///
/// Why `@unchecked Sendable` holds: `database` is touched under `lock` only. A `Mutex` around it would do without, but
/// takes no closure that is not `sending`, and `work` uses what its caller has.
final class DatabaseQueue: @unchecked Sendable {
    /// Where the file is.
    let path: String
    private let lock = Mutex(())  // guards the connection; hands itself over to who waits longest
    private let database: Database

    init(path: String, _ options: Database.Options) throws(StoreFailure) {
        self.path = path
        database = try Database(path: path, options)
    }

    /// Lends the connection. A transaction that `work` leaves open stays open.
    func lend<T, Failure>(_ work: (Database) throws(Failure) -> T) throws(Failure) -> T {
        var result: Result<T, Failure>?
        lock.withLock { _ in
            result = Result { () throws(Failure) -> T in try work(database) }
        }
        guard let result else { preconditionFailure("a lock was held and its work not done") }
        return try result.get()
    }

    /// Closes the connection. No call may follow.
    func close() { lend { $0.close() } }

    /// Lends the connection. A transaction that `work` leaves open is rolled back.
    func access<T>(_ work: (Database) throws(StoreFailure) -> T) throws(StoreFailure) -> T {
        try lend { database throws(StoreFailure) in
            let result = Result { () throws(StoreFailure) -> T in try work(database) }
            // A COMMIT that failed leaves its transaction open; what it held is tried again by whoever asked.
            if database.isInsideTransaction { try? database.run("ROLLBACK") }
            return try result.get()
        }
    }

    /// Lends the connection inside a read transaction: all that `work` sees is of one moment.
    func snapshot<T>(_ work: (Database) throws(StoreFailure) -> T) throws(StoreFailure) -> T {
        try access { database throws(StoreFailure) in
            try database.run("BEGIN")
            let result = Result { () throws(StoreFailure) -> T in try work(database) }
            try database.run("COMMIT")
            return try result.get()
        }
    }
}
