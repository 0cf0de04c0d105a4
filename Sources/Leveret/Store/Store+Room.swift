// What a store does about a full disk. Called by Store.apply and Store.maintain.
//
// A write-ahead log needs room to make room: a removal is appended to the log before a page is free, and the log
// can be cut off only when all of it is written back, which may make the database file longer. So
//   1. whatever a commit adds to the database, or to the spill file, is claimed in the file system before it is
//      committed: the log can always be written back and cut off, which frees all that it takes up;
//   2. the reserve file holds room for the log of what comes next. From when it is given up until it is set aside
//      again publishes are refused, so that its room is for acks and purges;
//   3. purges are worked off in slices as small as it takes, the log is cut off after each, and pages that are
//      free are given back to the file system.

import CSQLite
import LeveretCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

extension Store {
    /// Rows of the first slice of a purge on a full disk.
    private static let sliceRowsMax = 1_000
    /// Slices in one go, after which the batch is tried again.
    private static let slicesMax = 64

    /// Why no more messages should be taken, while the reserve is given up.
    var shortage: StoreFailure? {
        guard reserve.isMissing else { return nil }
        return StoreFailure(
            kind: .full,
            text: "the disk of the database is full: make \(reserve.bytesNeeded >> 20) MiB of room on it"
        )
    }

    /// Where there may be room: the database, and the spill file once there is one.
    private var files: [DatabaseQueue] { [writer, spill.writer].compactMap { $0 } }

    /// Writes the logs back and cuts them off.
    func shrinkLogs() {
        for file in files {
            // Room is what is being looked for; where none is found, the batch fails again and says so.
            try? file.access { database throws(StoreFailure) in
                try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
            }
        }
    }

    /// Removes what it can of the ranges of both batches. Returns whether it removed anything.
    func makeRoom(for batch: WriteBatch, _ waiting: WriteBatch) -> Bool {
        let spared = batch.leaving.union(waiting.leaving)
        let removed = files.map { remove(batch.ranges + waiting.ranges, sparing: spared, from: $0) }
        guard removed.contains(true) else { return false }
        var steps = 0
        while steps < Self.slicesMax, (try? giveRoomBack()) == true { steps += 1 }
        return true
    }

    /// Removes in slices what it can of the ranges. Returns whether it removed anything.
    private func remove(
        _ ranges: [RangeRemoval], sparing spared: Set<MessageNumber>, from file: DatabaseQueue
    ) -> Bool {
        var left = ranges
        var rows = Self.sliceRowsMax
        var slices = 0
        while !left.isEmpty, rows > 0, slices < Self.slicesMax {
            do {
                left = try removeSlice(of: left, sparing: spared, rows: rows, from: file)
                slices += 1
            } catch  where error.kind == .full {
                rows /= 4
            } catch {
                break  // the caller tries the batch again, and hears of it there
            }
            shrinkLogs()
        }
        return slices > 0
    }

    /// One transaction that removes at most `rows` of the ranges. Returns what is left of them.
    private func removeSlice(
        of ranges: [RangeRemoval], sparing spared: Set<MessageNumber>, rows: Int, from file: DatabaseQueue
    ) throws(StoreFailure) -> [RangeRemoval] {
        try file.access { database throws(StoreFailure) in
            try database.transaction { () throws(StoreFailure) in
                try MessageRows(database: database).remove(ranges, sparing: spared, countMax: rows)
            }
        }
    }

    /// Tries to get enough room for the reserve. Returns whether there is more to do at once.
    func regainRoom() throws(StoreFailure) -> Bool {
        shrinkLogs()
        reserve.restore()
        guard reserve.isMissing else { return true }
        return try giveRoomBack()
    }

    /// Cuts some free pages off the files. Returns whether there are more.
    private func giveRoomBack() throws(StoreFailure) -> Bool {
        defer { shrinkLogs() }
        var hasMore = false
        for file in files {
            let isCut = try file.access { database throws(StoreFailure) in
                try Vacuum.step(database, pagesKept: 0, always: true)
            }
            if isCut { hasMore = true }
        }
        return hasMore
    }
}

extension WriteBatch {
    /// Stored copies that it takes from where they stand, by their numbers: each may stand elsewhere once it is
    /// committed, and until then this is all that there is of it.
    fileprivate var leaving: Set<MessageNumber> { Set(removals).union(places.map(\.number)) }
}

/// Room in the file system for the pages of one file that stand in its log only.
///
/// It keeps a descriptor of the file open and closes it after SQLite's connections: closing one earlier would
/// drop the locks that SQLite has on the file.
final class RoomAhead: Sendable {
    /// The database file grows and shrinks by this much, so that most commits claim nothing.
    private static let chunkBytes = 1 << 20
    /// What is left for other files when the last is claimed.
    private static let bytesLeft = 128 << 10

    private let descriptor: Int32

    /// For the file at `path`, which exists.
    init(path: String) {
        descriptor = open(path, O_RDWR | O_CLOEXEC)
    }

    /// Tells a connection not to cut the file shorter than to a whole chunk.
    static func prepare(_ database: Database) {
        var bytes = Int32(chunkBytes)
        sqlite3_file_control(database.sqliteConnection, "main", SQLITE_FCNTL_CHUNK_SIZE, &bytes)
    }

    /// Fails where the file has lost its name: what is written to it would be gone when the broker ends.
    func checkName() throws(StoreFailure) {
        var file = stat()
        guard fstat(descriptor, &file) != 0 || file.st_nlink > 0 else {
            throw StoreFailure(
                kind: .io,
                text: "the database file has been deleted and nothing more can be stored: save what matters "
                    + "over the broker, then restart it")
        }
    }

    /// Makes the file as long as the transaction under way needs it to be; fails as full where there is no room.
    func claim(in database: Database) throws(StoreFailure) {
        let pages = Int(try database.number("PRAGMA page_count"))
        let bytes = (pages * Schema.pageBytes + Self.chunkBytes - 1) / Self.chunkBytes * Self.chunkBytes
        var file = stat()
        guard fstat(descriptor, &file) == 0, Int(file.st_size) < bytes else { return }
        let missing = bytes - Int(file.st_size)
        // Asked first, because a claim that fails half-way would take what is left.
        guard FileSize.freeBytes(behind: descriptor) >= missing + Self.bytesLeft,
            extend(from: Int(file.st_size), by: missing)
        else {
            throw StoreFailure(kind: .full, text: "the disk of the database is full: make room on it")
        }
    }

    private func extend(from there: Int, by bytes: Int) -> Bool {
        #if os(Linux)
        return posix_fallocate(descriptor, off_t(there), off_t(bytes)) == 0
        #else
        return true  // the log's way back is not secured there
        #endif
    }

    /// After SQLite has closed the file.
    func close() {
        if descriptor >= 0 { _ = systemClose(descriptor) }
    }
}

/// `close` of the C library, which a method's name hides.
private func systemClose(_ descriptor: Int32) -> Int32 { close(descriptor) }
