// Keeps SQLite's log longer than what stands in it. A sync of bytes that made their file longer waits for the
// journal of the file system, too, and takes more than twice as long as one of bytes that were overwritten. So
// zeros are written behind the log's end while there is nothing to commit. SQLite takes them for what they are, the
// remains of an earlier log: it knows its own pages by their checksums.

import CSQLite
import Synchronization

/// Room in the log of one database. Called by the writer thread only.
final class LogRoom: Sendable {
    /// How much is written at once: as much as is there already, within these.
    private static let stepBytes = (1 << 20)...(4 << 20)
    /// Room for a commit or two of single messages.
    private static let bytesAhead = 128 << 10
    /// On a disk with less than this, room is for messages.
    private static let bytesFree = 256 << 20

    private let path: String
    private let log: LogLength
    /// How long the log was, and its file at least, at the last look.
    private let bytesUsed = Atomic(0)
    private let bytesThere = Atomic(0)

    init(path: String, log: LogLength) {
        self.path = path
        self.log = log
    }

    /// Whether the next commit may make the file longer. Costs next to nothing.
    var isScarce: Bool {
        let used = log.bytes
        // A log that has become shorter may have been cut off.
        if used < bytesUsed.exchange(used, ordering: .relaxed) { bytesThere.store(0, ordering: .relaxed) }
        return used + Self.bytesAhead > bytesThere.load(ordering: .relaxed)
    }

    /// Makes the file longer, if it has to be, and syncs it. What fails is no harm. `database` is the writer's.
    func makeRoom(in database: Database) {
        var found: UnsafeMutablePointer<sqlite3_file>?
        let code = sqlite3_file_control(
            database.sqliteConnection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &found)
        guard code == SQLITE_OK, let file = found, let methods = file.pointee.pMethods?.pointee else {
            return
        }
        var length: sqlite3_int64 = 0
        guard methods.xFileSize(file, &length) == SQLITE_OK, length > 0 else { return }
        bytesThere.store(Int(length), ordering: .relaxed)
        guard log.bytes + Self.bytesAhead > length, FileSize.freeBytes(at: path) >= Self.bytesFree else {
            return
        }
        let step = min(max(Int(length), Self.stepBytes.lowerBound), Self.stepBytes.upperBound)
        let zeros = [UInt8](repeating: 0, count: 64 << 10)  // SQLite writes less than 128 KiB at a time
        var end = length
        while end < length + sqlite3_int64(step),
            methods.xWrite(file, zeros, Int32(zeros.count), end) == SQLITE_OK
        {
            end += sqlite3_int64(zeros.count)
        }
        _ = methods.xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY)
        bytesThere.store(Int(end), ordering: .relaxed)
    }
}
