// Writes the log back into the database file, beside the commits where that is safe. Store tells it of each
// commit; it works on its own connection, and on a thread for each round.
//
// SQLite before 3.51.3 can damage a database when a checkpoint on one connection meets a commit on another that
// starts the log anew. A commit starts the log anew only where all of it has been written back, so:
//   1. a checkpoint beside commits runs while a snapshot from before the log's last commit is held open: it
//      can't write back the whole log, so no commit starts it anew meanwhile;
//   2. what is left of the log is written back, and the log started anew, under the writer's lock;
//   3. there is one checkpoint at a time.

import CSQLite
import Logging
import Synchronization

/// Keeps the log of one database short.
final class Checkpointer: Sendable {
    private let writer: DatabaseQueue
    private let beside: DatabaseQueue
    private let readers: ReaderPool
    private let options: StoreOptions
    private let logger: Logger
    private let log: LogLength
    private let warnings: StoreWarnings
    private let isBusy = Atomic(false)
    /// Raised when a round has ended. Only one waits at a time: the writer, and who closes after it.
    private let roundEnded = Signal()
    /// Pages in the log when the last round ended: what a foreign reader kept from being written back.
    private let pagesLeft = Atomic(0)

    init(
        writer: DatabaseQueue, beside: DatabaseQueue, readers: ReaderPool, log: LogLength,
        warnings: StoreWarnings, options: StoreOptions, logger: Logger
    ) {
        self.writer = writer
        self.beside = beside
        self.readers = readers
        self.log = log
        self.warnings = warnings
        self.options = options
        self.logger = logger
    }

    /// A batch was committed: starts a round where the log has grown long, and waits for it where the log has
    /// grown too long. Writer thread only.
    func committed() {
        let grown = (log.pages - pagesLeft.load(ordering: .relaxed)) * Schema.pageBytes
        guard grown >= options.checkpointBytes else { return }
        start(truncating: false)
        if grown >= options.logBytesMax { waitForRound() }
    }

    /// There is nothing to commit: starts a round that leaves an empty log, where that is worth it.
    func rest() {
        let left = pagesLeft.load(ordering: .relaxed)
        guard FileSize.bytes(of: beside.path + "-wal") >= options.idleLogBytes else { return }
        if left == 0 || warnings.contains(.pinnedLog)
            || (log.pages - left) * Schema.pageBytes >= options.idleLogBytes
        {
            start(truncating: true)
        }
    }

    /// Waits for a round under way and closes the connection.
    func close() {
        waitForRound()
        beside.close()
    }

    private func start(truncating: Bool) {
        guard !isBusy.exchange(true, ordering: .acquiring) else { return }
        let isStarted = startWorkerThread("leveret-log") { [self] in
            beside.lend { round($0, truncating) }
            isBusy.store(false, ordering: .releasing)
            roundEnded.raise()
        }
        // Without room for a thread the next commit tries again.
        if !isStarted { isBusy.store(false, ordering: .relaxed) }
    }

    private func waitForRound() {
        while isBusy.load(ordering: .acquiring) { roundEnded.wait() }
    }

    private func round(_ database: Database, _ truncating: Bool) {
        do {
            // The second pass takes what was committed during the first, which leaves little for the lock.
            try writeBackBeside(database)
            try writeBackBeside(database)
            try writeBackUnderLock(truncating)
        } catch {
            logger.warning("checkpoint failed and will be tried again", metadata: ["reason": "\(error.text)"])
        }
    }

    private func writeBackBeside(_ database: Database) throws(StoreFailure) {
        try readers.snapshot { snapshot throws(StoreFailure) in
            _ = try snapshot.number("SELECT value FROM meta WHERE name = 'checkpoints'")
            // The commit that the snapshot doesn't see.
            try writer.access { database throws(StoreFailure) in
                try database.run("UPDATE meta SET value = value + 1 WHERE name = 'checkpoints'")
            }
            try database.run("PRAGMA wal_checkpoint(PASSIVE)")
        }
    }

    private func writeBackUnderLock(_ truncating: Bool) throws(StoreFailure) {
        let isTooLong = log.pages * Schema.pageBytes >= options.logBytesMax
        try writer.access { database throws(StoreFailure) in
            // Readers may still use the log. Commits wait for them only where it has grown too long.
            sqlite3_busy_timeout(database.sqliteConnection, isTooLong ? 200 : 0)
            defer { sqlite3_busy_timeout(database.sqliteConnection, Schema.busyMilliseconds) }
            let kind = truncating ? "TRUNCATE" : "RESTART"
            let wasBusy = try database.number("PRAGMA wal_checkpoint(\(kind))") != 0
            if !wasBusy { log.pages = 0 }
        }
        pagesLeft.store(log.pages, ordering: .relaxed)
        if isTooLong, log.pages > 0 { warnings.set(.pinnedLog) } else { warnings.clear(.pinnedLog) }
    }
}

/// How many pages the log holds, as SQLite says after each commit of the writer.
final class LogLength: Sendable {
    private let count = Atomic(0)

    /// Pages from the log's start.
    var pages: Int {
        get { count.load(ordering: .relaxed) }
        set { count.store(newValue, ordering: .relaxed) }
    }

    /// The same in bytes: each page has a header in the log, and so has the log.
    var bytes: Int { 32 + pages * (24 + Schema.pageBytes) }

    /// Listens to the commits of `database`, which must not outlive this object.
    func follow(_ database: Database) {
        sqlite3_wal_hook(
            database.sqliteConnection,
            { context, _, _, pages in
                guard let context else { return SQLITE_OK }
                Unmanaged<LogLength>.fromOpaque(context).takeUnretainedValue().pages = Int(pages)
                return SQLITE_OK
            },
            Unmanaged.passUnretained(self).toOpaque()
        )
    }
}
