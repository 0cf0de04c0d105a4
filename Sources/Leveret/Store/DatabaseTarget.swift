// Which files may be written beside a database: a slip of the name must not cost the database itself, nor what SQLite
// and the broker keep beside it. For backup and export.

package import LeveretCore

extension DatabaseInspector {
    /// What a database keeps beside it, by what stands behind its name.
    private static let suffixes = ["-wal", "-shm", "-journal", "-lock", "-reserve", "-spill"]

    /// What tells the file at `path` from every other on this machine, as in `BrokerStatus.databaseID`; `nil` where
    /// there is none.
    package static func fileID(of path: String) -> String? { Files.id(of: path) }

    /// Checks that a file may be written.
    ///
    /// - Parameters:
    ///   - file: Where it would be.
    ///   - database: The database that what is written comes from, if that has a file.
    ///   - replacing: An older file there is to be replaced.
    /// - Throws: 406 for a file that is there, unless `replacing`, and always for a database that is in use or not
    ///   closed, for `database` itself, and for what a database keeps beside it; 402 for a path that can't be a file.
    package static func checkTarget(
        _ file: String, of database: String?, replacing: Bool
    ) throws(BrokerError) {
        guard !file.isEmpty else {
            throw BrokerError(.invalidPath, "the file to write has no name; name one")
        }
        let folder = Files.folder(of: file)
        guard Files.isFolder(folder) else {
            throw BrokerError(.invalidPath, "folder '\(folder)' of '\(file)' does not exist; make it first")
        }
        for suffix in suffixes
        where file.hasSuffix(suffix) && Files.exists(String(file.dropLast(suffix.count))) {
            throw BrokerError(
                .preconditionFailed,
                "'\(file)' is what the database itself keeps beside it; name another file")
        }
        guard Files.exists(file) else { return }
        if Files.isFolder(file) || Files.isNoRegularFile(file) {
            throw BrokerError(.invalidPath, "'\(file)' is no regular file; name one that is, or a new one")
        }
        if let database, Files.isSame(file, database) {
            throw BrokerError(.preconditionFailed, "'\(file)' is the database itself; name another file")
        }
        // Its log would be taken for that of the new file, and ruin it.
        if Files.exists(file + "-lock") || FileSize.bytes(of: file + "-wal") > 0 {
            throw BrokerError(
                .preconditionFailed,
                "'\(file)' is a database that is in use or was not closed ('\(file)-lock' or '-wal' is there); name "
                    + "another file")
        }
        guard replacing else {
            throw BrokerError(
                .preconditionFailed, "file '\(file)' exists; name another, or replace it with --force")
        }
    }
}
