// Prepared statements, bound and stepped through SQLite's C API, and what SQLite's errors mean. Everything in
// Store/ that runs on a connection goes through here.

import CSQLite

/// A statement of a connection's cache, valid inside the access to the connection that gave it.
struct Prepared {
    private let statement: OpaquePointer

    /// Tells SQLite to copy what is bound, so that it stays bound over the steps to come.
    private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    init(_ statement: OpaquePointer) { self.statement = statement }

    // MARK: Binding

    func bind(_ index: Int32, _ value: Int64) { sqlite3_bind_int64(statement, index, value) }

    func bindNull(_ index: Int32) { sqlite3_bind_null(statement, index) }

    func bind(_ index: Int32, _ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) { bytes in
                _ = sqlite3_bind_text(statement, index, bytes.baseAddress, Int32(bytes.count), Self.copied)
            }
        }
        // An empty string may come without an address, which SQLite takes for NULL.
        if text.isEmpty { sqlite3_bind_text(statement, index, "", 0, Self.copied) }
    }

    /// Binds text that is not empty.
    func bind(_ index: Int32, text: [UInt8]) {
        text.withUnsafeBytes { text in
            let bytes = text.baseAddress?.assumingMemoryBound(to: CChar.self)
            _ = sqlite3_bind_text(statement, index, bytes, Int32(text.count), Self.copied)
        }
    }

    func bind(_ index: Int32, copying bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress, !bytes.isEmpty else {
                _ = sqlite3_bind_zeroblob(statement, index, 0)
                return
            }
            sqlite3_bind_blob(statement, index, start, Int32(bytes.count), Self.copied)
        }
    }

    /// Binds bytes that must stay where they are until the step is done.
    func bind(_ index: Int32, unmoved bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, !bytes.isEmpty else {
            _ = sqlite3_bind_zeroblob(statement, index, 0)
            return
        }
        sqlite3_bind_blob(statement, index, start, Int32(bytes.count), nil)
    }

    // MARK: Stepping

    /// Runs the statement to its end, and makes it ready for the next run also when it fails.
    func run() throws(StoreFailure) {
        while try next() {}
    }

    /// Moves on to the next row; after the last one the statement is ready for the next run.
    func next() throws(StoreFailure) -> Bool {
        let code = sqlite3_step(statement)
        if code == SQLITE_ROW { return true }
        guard code == SQLITE_DONE else {
            let failure = StoreFailure(connection: sqlite3_db_handle(statement))
            sqlite3_reset(statement)
            throw failure
        }
        sqlite3_reset(statement)
        return false
    }

    /// Ends a run before its last row.
    func reset() { sqlite3_reset(statement) }

    // MARK: Reading

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }

    func int(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func text(_ column: Int32) -> String {
        guard let start = sqlite3_column_text(statement, column) else { return "" }
        let count = Int(sqlite3_column_bytes(statement, column))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(statement, column) else { return [] }
        return [UInt8](
            UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
    }

    /// True when the column's bytes are those of `text`: saves making a string for each row of a run.
    func holds(_ column: Int32, _ text: String) -> Bool {
        guard let start = sqlite3_column_text(statement, column) else { return text.isEmpty }
        let bytes = UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))
        return text.utf8.elementsEqual(bytes)
    }
}

extension StoreFailure {
    /// What a connection says of the call that failed.
    init(connection: OpaquePointer?) {
        let code = sqlite3_extended_errcode(connection)
        self.init(
            code: code, systemError: sqlite3_system_errno(connection),
            message: sqlite3_errmsg(connection).map { String(cString: $0) } ?? "unknown error"
        )
    }

    private init(code: Int32, systemError: Int32, message: String) {
        let said = "SQLite reports '\(message)' (\(code))"
        switch code & 0xff {
        case SQLITE_FULL:
            self.init(kind: .full, text: "the disk of the database is full: make room on it")
        case SQLITE_IOERR where systemError == noSpaceLeft:
            self.init(kind: .full, text: "the disk of the database is full: make room on it")
        case SQLITE_BUSY, SQLITE_LOCKED:
            self.init(kind: .busy, text: "another program holds the database's lock: end it; \(said)")
        case SQLITE_CANTOPEN where tooManyFiles.contains(systemError):
            self.init(
                kind: .io,
                text:
                    "the database can't be opened: too many files are open; raise the limit (ulimit -n); \(said)"
            )
        case SQLITE_READONLY, SQLITE_PERM, SQLITE_CANTOPEN:
            self.init(
                kind: .readOnly,
                text: "the database can't be written: check the rights on the file and its folder; \(said)"
            )
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            self.init(
                kind: code & 0xff == SQLITE_CORRUPT ? .corrupt : .notADatabase,
                text: "the database is damaged: restore a backup, or save what can be read with "
                    + "'sqlite3 FILE .recover'; \(said)"
            )
        case SQLITE_NOMEM:
            self.init(kind: .io, text: "the process has no memory left for the database; \(said)")
        case SQLITE_CONSTRAINT:
            self.init(
                kind: .io,
                text:
                    "what is in the database doesn't fit what should be stored: was it changed from outside? \(said)"
            )
        default:
            self.init(kind: .io, text: "the database could not be read or written: check the disk; \(said)")
        }
    }
}

/// `ENOSPC`, the same number on every system that Leveret runs on.
private let noSpaceLeft: Int32 = 28

/// `ENFILE` and `EMFILE`, likewise.
private let tooManyFiles: [Int32] = [23, 24]
