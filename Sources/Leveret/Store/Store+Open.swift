// Opens a database file: takes its lock, looks what it is, migrates it, recovers what it holds. Every way in
// which that can fail has an error that names the file and says what to do.

import CSQLite
import LeveretCore
import Logging

extension Store {
    /// Opens the file at `path`, made when it does not exist; without a path, a file of its own in the system's
    /// temporary folder that is not synced and goes with the store.
    ///
    /// Throws 405 when another broker has the file, 402 when the path can't be a file, 406 when the file is not
    /// Leveret's or of a newer version, 403 when it can't be written, 506 when there is no room, 541 when it is
    /// damaged.
    static func open(
        path: String?, options: StoreOptions, now: Instant, logger: Logger
    ) throws(BrokerError) -> (store: Store, state: RecoveredState) {
        var opening = Opening(path: path ?? "", options: options, logger: logger)
        if path == nil { try opening.makePrivateFolder() }
        do throws(BrokerError) {
            try DatabaseFile.checkPath(opening.path)
            let lock = try LockFile(database: opening.path)
            // SQLite's own files stand beside the database, too, and not beside a link to it.
            opening.path = lock.database
            do throws(BrokerError) { return try opening.open(lock) } catch {
                lock.release()
                throw error
            }
        } catch {
            opening.removePrivateFolder()
            throw error
        }
    }
}

/// The steps of opening one file.
private struct Opening {
    var path: String
    var options: StoreOptions
    let logger: Logger
    private var privateFolder: String?

    init(path: String, options: StoreOptions, logger: Logger) {
        self.path = path
        self.options = options
        self.logger = logger
    }

    mutating func makePrivateFolder() throws(BrokerError) {
        guard let folder = Files.makeTemporaryFolder() else {
            throw BrokerError(
                .accessRefused,
                "the folder for temporary files '\(Files.temporaryFolder)' can't be written: set TMPDIR to one that can"
            )
        }
        privateFolder = folder
        path = folder + "/leveret.db"
        options.reserveBytes = 0
    }

    func removePrivateFolder() {
        if let privateFolder { Files.removeFolder(privateFolder) }
    }

    func open(_ lock: LockFile) throws(BrokerError) -> (store: Store, state: RecoveredState) {
        let log = LogLength()
        let warnings = StoreWarnings()
        // A log that was left behind is there even when it is empty.
        if lock.wasLeftBehind, FileSize.bytes(of: path) > 0,
            !Files.exists(path + "-wal")
        {
            warnings.set(.missingLog)
        }
        let writer = try connect(cacheKiB: 4096)
        let spill = SpillFile(besideDatabase: path)
        let foreign = ForeignWrites()
        let opened = writer.lend { database in
            log.follow(database)
            return Result { () throws(BrokerError) in
                let isNew = try Migrator().isEmpty(database, path: path)
                let state = try recover(database, foreign)
                if isNew { try settle(database) }
                return state
            }
        }
        let state = try opened.get()
        let readers = ReaderPool(path: path)
        let checkpointer = Checkpointer(
            writer: writer, beside: try connect(cacheKiB: 256), readers: readers,
            log: log, warnings: warnings, options: options, logger: logger
        )
        let store = Store(
            path: path, options: options, writer: writer, checkpointer: checkpointer, spill: spill,
            readers: readers, reserve: ReserveFile(besideDatabase: path, bytes: options.reserveBytes),
            warnings: warnings, foreign: foreign,
            logRoom: synchronous == "FULL" ? LogRoom(path: path, log: log) : nil, lock: lock,
            privateFolder: privateFolder
        )
        let queues = state.virtualHosts.flatMap(\.queues)
        logger.info(
            "database opened",
            metadata: [
                "path": "\(path)", "queues": "\(queues.count)",
                "messages": "\(queues.reduce(0) { $0 + $1.count })",
                "delayed": "\(queues.reduce(0) { $0 + $1.delayed })",
                "sqlite": "\(String(cString: sqlite3_libversion()))",
            ]
        )
        return (store, state)
    }

    private var synchronous: String {
        if privateFolder != nil { "OFF" } else if options.durability == .full { "FULL" } else { "NORMAL" }
    }

    /// Syncs a new file, once for all that went into it: nothing was promised before.
    private func settle(_ database: Database) throws(BrokerError) {
        do {
            try database.runScript("PRAGMA synchronous = \(synchronous); PRAGMA wal_checkpoint(TRUNCATE)")
        } catch {
            throw error.brokerError(on: path)
        }
    }

    private func connect(cacheKiB: Int) throws(BrokerError) -> DatabaseQueue {
        let connection: DatabaseQueue
        do {
            let options = Database.Options(busyMilliseconds: Schema.busyMilliseconds)
            connection = try DatabaseQueue(path: path, options)
        } catch {
            throw error.brokerError(on: path)
        }
        let prepared = connection.lend { database in
            Result { () throws(BrokerError) in
                // Another program's file must be refused before anything in it is changed.
                let isNew = try Migrator().isEmpty(database, path: path)
                do throws(StoreFailure) {
                    if isNew { try database.runScript(Schema.creation) }
                    try database.runScript(
                        Schema.preparation(synchronous: isNew ? "OFF" : synchronous, cacheKiB: cacheKiB))
                    try database.runScript("PRAGMA wal_autocheckpoint = 0")
                } catch {
                    throw error.brokerError(on: path)
                }
                RoomAhead.prepare(database)
            }
        }
        try prepared.get()
        return connection
    }

    private func recover(
        _ database: Database, _ foreign: ForeignWrites
    ) throws(BrokerError) -> RecoveredState {
        var migrator = Migrator()
        migrator.copiesBefore = options.copyBeforeMigration
        try migrator.run(database, path: path)
        do {
            let recovery = Recovery(database: database)
            try recovery.releaseHeld()
            _ = try foreign.hasWritten(to: database)  // what counts is what comes after
            return try recovery.state()
        } catch {
            throw error.brokerError(on: path)
        }
    }
}
