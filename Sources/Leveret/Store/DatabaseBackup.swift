// A copy of a database file while a broker writes to it, through SQLite's online backup. All steps read one
// snapshot of the write-ahead log: the writer is never held up, and nothing that it commits meanwhile makes the
// copy begin anew. The copy gets its name only when it is whole and has been looked through.

import CSQLite
public import LeveretCore

/// How far a backup has come.
public struct BackupProgress: Sendable, Hashable {
    /// Bytes that have been copied.
    public var bytesDone: Int
    /// Bytes of the whole database.
    public var bytesTotal: Int
}

extension DatabaseInspector {
    /// Pages in one step: a MiB.
    private static let pagesInStep: Int32 = 128

    /// Copies the database, as it is at one moment, to a new file: everything that was confirmed before the call is in
    /// it. The copy is one file without a log, and has passed SQLite's quick check. Only this user may read it, unless
    /// it replaces a file: then it has the rights of that.
    ///
    /// While it runs the write-ahead log can't be emptied. When it fails or is stopped, nothing is left of it.
    ///
    /// - Parameters:
    ///   - file: Where the copy goes.
    ///   - replacing: An older file there is replaced, at the end and at once.
    ///   - each: Hears after each MiB how far it has come; the copy is given up when it returns false.
    /// - Returns: The copy's size in bytes, or `nil` where it was given up.
    /// - Throws: 406 for a file that is there, unless `replacing`, and always for the database itself or one that is
    ///   not closed; 402 for a path that can't be a file, 506 when there is no room, 541 when the database is damaged.
    public func backUp(
        to file: String, replacing: Bool = false, each: (BackupProgress) -> Bool = { _ in true }
    ) throws(BrokerError) -> Int? {
        try Self.checkTarget(file, of: path, replacing: replacing)
        let part = "\(file)-part\(Files.processNumber)"
        Files.remove(part)
        defer {
            Files.remove(part)
            Files.remove(part + "-journal")
        }
        do throws(StoreFailure) {
            let target = try Database(path: part, Database.Options())
            defer { target.close() }
            Files.copyRights(to: part, from: file)
            let isWhole = try reader.snapshot { database throws(StoreFailure) in
                try copy(database, to: target, in: Files.folder(of: file), each)
            }
            guard isWhole else { return nil }
            // The original's log is not the copy's: a copy without one can be moved and read anywhere.
            try target.run("PRAGMA journal_mode = DELETE")
            try Self.check(target)
        } catch {
            throw BrokerError(
                error.brokerError.code,
                "database '\(path)' could not be copied to '\(file)', nothing is left of the copy: \(error.text)"
            )
        }
        if let reason = Files.rename(part, to: file) {
            throw BrokerError(
                .accessRefused,
                "the copy of '\(path)' could not be named '\(file)': \(reason); give this user the right to write there"
            )
        }
        return FileSize.bytes(of: file)
    }

    /// Copies page by page; false when it was given up.
    private func copy(
        _ database: Database, to target: Database, in folder: String, _ each: (BackupProgress) -> Bool
    ) throws(StoreFailure) -> Bool {
        _ = try database.number("SELECT count(*) FROM sqlite_schema")  // from here on it is one moment
        let pageBytes = Int(try database.number("PRAGMA page_size"))
        let total = Int(try database.number("PRAGMA page_count")) * pageBytes
        let room = FileSize.freeBytes(at: folder)
        guard room > total else {
            throw StoreFailure(
                kind: .full,
                text: "\(total) bytes are needed and \(room) are free; make room, or copy to another disk")
        }
        let backup = sqlite3_backup_init(
            target.sqliteConnection, "main", database.sqliteConnection, "main")
        guard let backup else { throw StoreFailure(connection: target.sqliteConnection) }
        var code = SQLITE_OK
        var goesOn = true
        while code == SQLITE_OK, goesOn {
            code = sqlite3_backup_step(backup, Self.pagesInStep)
            let left = Int(sqlite3_backup_remaining(backup)) * pageBytes
            goesOn = each(BackupProgress(bytesDone: total - left, bytesTotal: total))
        }
        // What a step found wrong is said here, and by the connection.
        guard sqlite3_backup_finish(backup) == SQLITE_OK else {
            throw StoreFailure(connection: target.sqliteConnection)
        }
        return code == SQLITE_DONE
    }

    private static func check(_ copy: Database) throws(StoreFailure) {
        let statement = try copy.prepared("PRAGMA quick_check(1)")
        defer { statement.reset() }
        let said = try statement.next() ? statement.text(0) : "nothing"
        guard said == "ok" else {
            throw StoreFailure(
                kind: .corrupt,
                text: "SQLite finds in it '\(said)'; 'leveret verify' says what is wrong with the database")
        }
    }
}
