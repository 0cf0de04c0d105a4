// Opens a database file: takes its lock, looks what it is, migrates it, recovers what it holds. Every way in
// which that can fail has an error that names the file and says what to do.

import Foundation
import GRDB
import GRDBSQLite
import LeveretCore
import Logging

extension Store {
    /// Opens the file at `path`, made when it does not exist; without a path, a file of its own in the system's
    /// temporary folder that is not synced and goes with the store.
    ///
    /// Throws 405 when another broker has the file, 406 when it is not Leveret's or of a newer version, 403 when
    /// it can't be written, 506 when there is no room, 541 when it is damaged.
    static func open(
        path: String?, options: StoreOptions, now: Instant, logger: Logger
    ) throws(BrokerError) -> (store: Store, state: RecoveredState) {
        guard let path else { return try openPrivate(options: options, logger: logger) }
        try DatabaseFile.checkPath(path)
        let lock = try LockFile(database: path)
        do {
            let synchronous = options.durability == .full ? "FULL" : "NORMAL"
            return try open(path, synchronous, options, lock, privateFolder: nil, logger)
        } catch {
            lock.release()
            throw error
        }
    }

    private static func openPrivate(
        options: StoreOptions, logger: Logger
    ) throws(BrokerError) -> (store: Store, state: RecoveredState) {
        let folder = FileManager.default.temporaryDirectory.appending(path: "leveret-\(UUID().uuidString)")
            .path()
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw BrokerError(
                .accessRefused,
                "the folder for temporary files can't be written: \(error.localizedDescription); set TMPDIR to one that can"
            )
        }
        var options = options
        options.reserveBytes = 0
        let path = folder + "/leveret.db"
        do {
            let lock = try LockFile(database: path)
            return try open(path, "OFF", options, lock, privateFolder: folder, logger)
        } catch {
            try? FileManager.default.removeItem(atPath: folder)  // the error that matters is thrown
            throw error
        }
    }

    private static func open(
        _ path: String, _ synchronous: String, _ options: StoreOptions, _ lock: LockFile,
        privateFolder: String?,
        _ logger: Logger
    ) throws(BrokerError) -> (store: Store, state: RecoveredState) {
        let spill = SpillFile(besideDatabase: path)
        let log = LogLength()
        do {
            let writer = try connect(path, label: "writer", synchronous: synchronous, cacheKiB: 4096)
            var opened: Result<RecoveredState, BrokerError> = .success(RecoveredState())
            writer.writeWithoutTransaction { database in
                opened = Result { () throws(BrokerError) in try recover(database, path, options) }
                log.follow(database)
            }
            let state: RecoveredState
            do { state = try opened.get() } catch {
                try? writer.close()  // the error that matters is thrown
                throw error
            }
            // NORMAL spares the checkpointer's own small commits a sync; checkpoints are synced all the same.
            let beside = try connect(
                path, label: "checkpointer", synchronous: synchronous == "OFF" ? "OFF" : "NORMAL",
                cacheKiB: 256
            )
            let pin = try connect(path, label: "pin", synchronous: synchronous, cacheKiB: 256)
            logger.info(
                "database opened",
                metadata: [
                    "path": "\(path)", "queues": "\(state.queues.count)",
                    "messages": "\(state.queues.reduce(0) { $0 + $1.count })",
                    "sqlite": "\(String(cString: sqlite3_libversion()))",
                ]
            )
            let checkpointer = Checkpointer(
                writer: writer, beside: beside, pin: pin, log: log, options: options, logger: logger
            )
            let store = Store(
                path: path, options: options, writer: writer, checkpointer: checkpointer, spill: spill,
                readers: ReaderPool(path: path),
                reserve: ReserveFile(besideDatabase: path, bytes: options.reserveBytes), lock: lock,
                privateFolder: privateFolder
            )
            return (store, state)
        } catch let failure as StoreFailure {
            throw failure.brokerError(on: path)
        } catch let error as BrokerError {
            throw error
        } catch {
            throw BrokerError(.internalError, "database '\(path)' can't be opened: \(error)")
        }
    }

    private static func connect(
        _ path: String, label: String, synchronous: String, cacheKiB: Int
    ) throws(StoreFailure) -> DatabaseQueue {
        do {
            var configuration = Schema.configuration(label: label)
            configuration.prepareDatabase { database in
                try database.execute(sql: Schema.preparation(synchronous: synchronous, cacheKiB: cacheKiB))
                try database.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            }
            return try DatabaseQueue(path: path, configuration: configuration)
        } catch {
            throw StoreFailure(error)
        }
    }

    private static func recover(
        _ database: Database, _ path: String, _ options: StoreOptions
    ) throws(BrokerError) -> RecoveredState {
        var migrator = Migrator()
        migrator.copiesBefore = options.copyBeforeMigration
        try migrator.run(database, path: path)
        do {
            let recovery = Recovery(database: database)
            try recovery.releaseHeld()
            return try recovery.state()
        } catch {
            throw error.brokerError(on: path)
        }
    }
}
