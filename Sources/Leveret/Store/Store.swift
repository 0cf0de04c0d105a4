// The database file behind a broker: applies the core's batches, reads what the core asks for, and keeps the
// file in shape. The Broker's writer thread applies, its readers load. It decides nothing about messages.
//
//     leveret.db            messages and definitions    leveret.db-wal, -shm   SQLite's log and its index
//     leveret.db-lock       who has the file open       leveret.db-spill       relief for transient messages
//     leveret.db-reserve    room given up on a full disk
//
// Three kinds of connections: the writer's, whose queue is the lock that keeps commits and log-resetting
// checkpoints apart; the checkpointer's; and read-only ones for loads.

import LeveretCore
import Logging
import Synchronization

/// One open database file.
final class Store: Sendable {
    let path: String
    let options: StoreOptions
    let writer: DatabaseQueue
    let checkpointer: Checkpointer
    let spill: SpillFile
    private let readers: ReaderPool
    let reserve: ReserveFile
    let warnings: StoreWarnings
    private let lock: LockFile
    private let foreign: ForeignWrites
    private let roomAhead: RoomAhead
    private let logRoom: LogRoom?
    /// The runs of ids as the last commit left them; `nil` before the first, and after one that failed. And the last
    /// number of one, since filters are known by these.
    private let idRuns = Mutex<(runs: IDRuns?, last: Int64)>((nil, 0))
    private let idFilters = IDFilters()
    /// The folder of a store without a path, removed when it closes.
    private let privateFolder: String?

    init(
        path: String, options: StoreOptions, writer: DatabaseQueue, checkpointer: Checkpointer,
        spill: SpillFile, readers: ReaderPool, reserve: ReserveFile, warnings: StoreWarnings,
        foreign: ForeignWrites, logRoom: LogRoom?, lock: LockFile, privateFolder: String?
    ) {
        self.path = path
        self.options = options
        self.writer = writer
        self.checkpointer = checkpointer
        self.spill = spill
        self.readers = readers
        self.reserve = reserve
        self.warnings = warnings
        self.foreign = foreign
        roomAhead = RoomAhead(path: path)
        self.logRoom = logRoom
        self.lock = lock
        self.privateFolder = privateFolder
    }

    // MARK: Writing

    /// Commits the batch as one transaction, after what of it belongs in the spill file. Returns the ranges that
    /// it didn't finish. When it throws, nothing is committed but what a repetition does again without harm:
    /// spilled rows and, on a full disk, removals by range. The same batch may be applied again.
    ///
    /// A full disk is met in this order (Store+Room.swift): the logs are written back and cut off, the reserve is
    /// given up, and ranges are worked off in slices that fit: those of the batch, and those of the one that is
    /// `waiting`, since a purge makes room. Removals by number are not taken out of a batch: each may belong
    /// to an insert (a dead letter, a move, a transaction), and half of such a pair would lose or double a
    /// message.
    func apply(
        _ batch: WriteBatch, waiting: WriteBatch = WriteBatch()
    ) throws(StoreFailure) -> [RangeRemoval] {
        do { return try commit(batch) } catch  where error.kind == .full {}
        shrinkLogs()
        do { return try commit(batch) } catch  where error.kind == .full {}
        reserve.release()
        do { return try commit(batch) } catch  where error.kind == .full {
            guard makeRoom(for: batch, waiting) else { throw error }
        }
        return try commit(batch)
    }

    func commit(_ batch: WriteBatch) throws(StoreFailure) -> [RangeRemoval] {
        var unfinished = try spill.apply(batch, rangeRowsMax: options.rangeRowsMax)
        let left: [RangeRemoval]
        // Out of its place while it changes: there it stays `nil` when the transaction fails.
        var ids = batch.ids.isEmpty ? nil : idRuns.withLock { $0.runs.take() }
        do {
            left = try writer.access { database throws(StoreFailure) in
                try database.transaction { () throws(StoreFailure) in
                    if try foreign.hasWritten(to: database) { warnings.set(.foreignWrite) }
                    let left = try write(batch, to: database)
                    if !batch.ids.isEmpty { ids = try write(batch, consume ids, to: database) }
                    try roomAhead.checkName()
                    try roomAhead.claim(in: database)
                    return left
                }
            }
        } catch {
            if error.kind != .busy { foreign.forget() }
            throw error
        }
        if let ids { idRuns.withLock { $0 = (ids, ids.lastNumber) } }
        for range in left where !unfinished.contains(range) { unfinished.append(range) }
        checkpointer.committed()
        return unfinished
    }

    /// Makes the commits to come cheaper, if that is due: for when there is nothing to commit. Writer thread only.
    func prepareLog() {
        guard let logRoom, logRoom.isScarce else { return }
        writer.lend { logRoom.makeRoom(in: $0) }
    }

    private func write(_ batch: WriteBatch, to database: Database) throws(StoreFailure) -> [RangeRemoval] {
        try DefinitionRows(database: database).apply(batch.definitions)
        let rows = MessageRows(database: database)
        try rows.insert(batch.inserts, spilled: false)
        try rows.update(batch.counters)
        try rows.update(batch.places)
        try rows.update(batch.contents)
        try rows.remove(batch.removals)
        let unfinished = try rows.remove(batch.ranges, countMax: options.rangeRowsMax)
        if let through = batch.reserveThrough { try setReserved(through, in: database) }
        return unfinished
    }

    private func write(
        _ batch: WriteBatch, _ ids: consuming IDRuns?, to database: Database
    ) throws(StoreFailure) -> IDRuns {
        var runs =
            if let ids { ids } else {
                try IDRuns(reading: database, runCount: options.idsPerRun, last: idRuns.withLock { $0.last })
            }
        try runs.put(batch.ids, in: database)
        // An id is merged once or twice in its life, and removed as often.
        try runs.work(rowCount: 6 * batch.ids.count + 64, now: batch.idsEndedBy ?? 0, in: database)
        return runs
    }

    private func setReserved(_ through: MessageNumber, in database: Database) throws(StoreFailure) {
        let statement = try database.prepared("UPDATE meta SET value = ?1 WHERE name = 'reserved_through'")
        statement.bind(1, through.rawValue)
        try statement.run()
    }

    // MARK: Reading

    /// The stored copies that `request` asks for, those of the database and of the spill file by number.
    func load(_ request: LoadRequest) throws(StoreFailure) -> LoadResult {
        if case .ids(let keys) = request.kind { return try find(keys, request) }
        let stored = try readers.snapshot { database throws(StoreFailure) in
            try LoadedPart(request, from: MessageReader(database: database, isSpill: false))
        }
        guard let spilled = try spill.load(request) else { return stored.result(of: request) }
        return stored.merged(with: spilled, request).result(of: request)
    }

    private func find(_ keys: [DedupKey], _ request: LoadRequest) throws(StoreFailure) -> LoadResult {
        var result = LoadResult(request: request, rows: [])
        result.ids = try readers.snapshot { database throws(StoreFailure) in
            let rows = IDRows(database: database)
            return try rows.findQueued(keys) + rows.findTimed(keys, idFilters)
        }
        result.ids += try spill.find(keys)
        return result
    }

    /// A search of everything that is stored, on connections of its own.
    func search(_ bounds: SearchBounds) -> StoreSearch {
        StoreSearch(bounds: bounds, path: path, spillPath: spill.pathIfThere)
    }

    /// Bytes that are free on its disk; `nil` when nobody knows.
    func diskFreeBytes() -> Int? { FileSize.freeBytesIfKnown(at: path) }

    /// Bytes of the database file and its write-ahead log.
    func fileBytes() -> Int { FileSize.bytes(of: path) + FileSize.bytes(of: path + "-wal") }

    // MARK: Keeping in shape

    /// One small step of what an idle store has to do: gives free pages back to the file system, writes the log
    /// back, restores the reserve file. Returns whether there is more to do. Writer thread only.
    func maintain() throws(StoreFailure) -> Bool {
        guard shortage == nil else { return try regainRoom() }
        reserve.restore()
        let hasMore = try writer.access { database throws(StoreFailure) in
            try Vacuum.step(database, pagesKept: options.freePagesKept)
        }
        if !hasMore { checkpointer.rest() }
        return try spill.maintain() || hasMore
    }

    /// Ends the store. No other call may be under way or follow.
    func close() {
        checkpointer.close()
        readers.close()
        spill.close()
        // What can't be written back now is in the log, and the next open finds it there.
        try? writer.access { database throws(StoreFailure) in
            try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
        }
        writer.close()
        roomAhead.close()
        reserve.remove()
        lock.release()
        if let privateFolder { Files.removeFolder(privateFolder) }
    }
}
