// Looks at a path before SQLite does, to say more clearly what is wrong with it. Called by Store.open and
// DatabaseInspector. It never opens the file: closing any descriptor of a file drops all locks that the process
// has on it (POSIX), those of SQLite included, and a foreign program could then remove the log in use.

import LeveretCore

/// Checks of the path of a database.
enum DatabaseFile {
    /// Throws when no database can be opened or made at `path`.
    static func checkPath(_ path: String) throws(BrokerError) {
        guard Files.exists(path) else {
            let folder = Files.folder(of: path)
            guard Files.isFolder(folder) else {
                throw BrokerError(
                    .invalidPath, "folder '\(folder)' of database '\(path)' does not exist; make it first"
                )
            }
            return
        }
        try checkReadable(path)
        guard Files.isWritable(path) else {
            throw BrokerError(
                .accessRefused,
                "database '\(path)' is read-only: give the broker the right to write it, or only read it: "
                    + "'leveret queues --db \(path)'"
            )
        }
    }

    /// Throws when the file at `path` can't be read.
    static func checkReadable(_ path: String) throws(BrokerError) {
        if Files.isFolder(path) {
            throw BrokerError(
                .invalidPath,
                "database '\(path)' is a folder; name a file in it, such as '\(path)/leveret.db'"
            )
        }
        if Files.isNoRegularFile(path) {
            throw BrokerError(
                .invalidPath,
                "database '\(path)' is not a regular file but a device, pipe or socket; name another file"
            )
        }
        guard Files.isReadable(path) else {
            throw BrokerError(
                .accessRefused,
                "database '\(path)' can't be read: give this user the right to read and write it"
            )
        }
    }

    /// What SQLite means by `SQLITE_NOTADB`.
    static func isNoDatabase(_ path: String) -> BrokerError {
        BrokerError(
            .preconditionFailed,
            "'\(path)' is not a SQLite database; name a file that Leveret made"
        )
    }
}
