// How big files are, how much room the disk has, and giving back what a file has free. Store, its reserve and the
// room ahead of it ask.

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Sizes of files.
enum FileSize {
    /// The size of the file at `path`; 0 when there is none.
    static func bytes(of path: String) -> Int {
        var found = stat()
        return stat(path, &found) == 0 ? Int(found.st_size) : 0
    }

    /// Bytes that are free on the disk of the file at `path`; 0 when nobody knows.
    static func freeBytes(at path: String) -> Int { freeBytesIfKnown(at: path) ?? 0 }

    /// Bytes that are free on the disk of the file at `path`; `nil` when nobody knows.
    static func freeBytesIfKnown(at path: String) -> Int? {
        var room = statvfs()
        return statvfs(path, &room) == 0 ? bytes(of: room) : nil
    }

    /// Bytes that are free on the disk of an open file; 0 when nobody knows.
    static func freeBytes(behind descriptor: Int32) -> Int {
        var room = statvfs()
        return fstatvfs(descriptor, &room) == 0 ? bytes(of: room) : 0
    }

    private static func bytes(of room: statvfs) -> Int {
        let (bytes, isOver) = UInt64(room.f_bavail).multipliedReportingOverflow(by: UInt64(room.f_frsize))
        return isOver ? .max : Int(clamping: bytes)
    }
}

/// Gives the free pages of a file back to the file system.
enum Vacuum {
    /// Pages that one step moves at most: about a millisecond's work.
    private static let stepPages: Int64 = 128

    /// Moves some pages from the file's end into free ones and cuts it off, where more than a quarter of it is
    /// free, or `always`. Returns whether there is more to move.
    static func step(
        _ database: Database, pagesKept: Int, always: Bool = false
    ) throws(StoreFailure) -> Bool {
        let free = try database.number("PRAGMA freelist_count")
        let pages = try database.number("PRAGMA page_count")
        guard free > pagesKept, always || free > pages / 4 else { return false }
        let step = min(stepPages, free - Int64(pagesKept))
        // One step of the statement frees one page.
        try database.prepared("PRAGMA incremental_vacuum(\(step))").run()
        return free - step > pagesKept
    }
}
