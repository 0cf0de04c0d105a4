// Brings a database file to the schema that this version of Leveret writes. Called by Store.open before
// anything else is read.

import LeveretCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Runs the migrations that a file lacks, each as one transaction, after a copy of the file.
struct Migrator {
    /// What leads from version n to n + 1; `Schema.migrations` but in tests.
    var migrations = Schema.migrations
    var copiesBefore = true

    /// Migrates the database at `path`, open as `database`. Throws when the file isn't Leveret's, comes from a
    /// newer version or can't be copied or migrated; then it is as it was.
    func run(_ database: Database, path: String) throws(BrokerError) {
        let version = try version(of: database, path: path)
        guard version < migrations.count else { return }
        if version > 0, copiesBefore { try copy(database, path: path, version: version) }
        for next in version..<migrations.count {
            do {
                try database.transaction { () throws(StoreFailure) in
                    try database.runScript(migrations[next])
                    try database.runScript(
                        "PRAGMA application_id = \(Schema.applicationID); PRAGMA user_version = \(next + 1)"
                    )
                }
            } catch {
                throw BrokerError(
                    error.brokerError.code,
                    "database '\(path)' could not be migrated to schema version \(next + 1) and is as it was: "
                        + error.text
                )
            }
        }
    }

    /// True for a file without tables. Throws when the file isn't Leveret's or of a newer version.
    func isEmpty(_ database: Database, path: String) throws(BrokerError) -> Bool {
        try version(of: database, path: path) == 0
    }

    /// Throws when a reader of this version can't make sense of the file.
    func check(_ database: Database, path: String) throws(BrokerError) {
        guard try version(of: database, path: path) > 0 else {
            throw BrokerError(.preconditionFailed, "database '\(path)' is empty; start a broker on it first")
        }
    }

    /// The schema's version; 0 is an empty file.
    private func version(of database: Database, path: String) throws(BrokerError) -> Int {
        let (application, version, tables) = try numbers(of: database, path: path)
        let isEmpty = application == 0 && version == 0 && tables == 0
        guard application == Schema.applicationID || isEmpty else {
            throw BrokerError(
                .preconditionFailed,
                "'\(path)' is the SQLite database of another program; name a file that Leveret made"
            )
        }
        guard version <= migrations.count else {
            throw BrokerError(
                .preconditionFailed,
                "database '\(path)' has schema version \(version), this Leveret knows versions up to "
                    + "\(migrations.count); run a newer Leveret, or restore the copy from before the migration"
            )
        }
        return Int(version)
    }

    private func numbers(
        of database: Database, path: String
    ) throws(BrokerError) -> (application: Int64, version: Int64, tables: Int64) {
        do {
            return (
                try database.number("PRAGMA application_id"), try database.number("PRAGMA user_version"),
                try database.number("SELECT count(*) FROM sqlite_schema")
            )
        } catch {
            throw error.brokerError(on: path)
        }
    }

    private func copy(_ database: Database, path: String, version: Int) throws(BrokerError) {
        let copy = "\(path)-v\(version)"
        let needed: Int64
        do throws(StoreFailure) {
            try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
            needed = try database.number("PRAGMA page_count") * database.number("PRAGMA page_size")
        } catch {
            throw error.brokerError(on: path)
        }
        let room = FileSize.freeBytes(at: path)
        guard room > needed * 2 else {
            throw BrokerError(
                .resourceError,
                "no room to copy database '\(path)' before its migration: \(needed * 2) bytes are needed, \(room) "
                    + "are free; make room, or go without the copy"
            )
        }
        // By SQLite itself: a copy of the file would have to open and close it, which drops SQLite's locks.
        do throws(StoreFailure) { try write(database, to: copy + "-part") } catch {
            throw error.brokerError(on: path)
        }
        // Under its name only once it is whole.
        guard rename(copy + "-part", copy) == 0 else {
            throw BrokerError(
                .resourceError,
                "database '\(path)' could not be copied to '\(copy)' before migrating: "
                    + String(cString: strerror(errno))
            )
        }
    }
}

extension Migrator {
    private func write(_ database: Database, to copy: String) throws(StoreFailure) {
        unlink(copy)
        do throws(StoreFailure) {
            let target = try Database(path: copy, Database.Options())
            defer { target.close() }
            try database.backUp(to: target)
        } catch {
            unlink(copy)  // half a copy helps nobody
            throw error
        }
    }
}

extension StoreFailure {
    /// The failure of opening the database at `path`.
    func brokerError(on path: String) -> BrokerError {
        guard kind != .notADatabase else { return DatabaseFile.isNoDatabase(path) }
        return BrokerError(brokerError.code, "database '\(path)' can't be opened: \(text)")
    }
}
