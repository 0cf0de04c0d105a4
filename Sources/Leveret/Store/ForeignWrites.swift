// Whether somebody else writes to the database while it is open, who may contradict what the broker has in memory.
// Store asks in each of its transactions.

import Synchronization

/// Notices that another connection has committed. Writer's connection only, inside a transaction.
final class ForeignWrites: Sendable {
    private let version = Mutex<Int64?>(nil)  // guards what SQLite said last

    /// Begins anew: a transaction that SQLite has taken back looks like somebody else's.
    func forget() { version.withLock { $0 = nil } }

    /// Whether somebody else has committed since the last call.
    func hasWritten(to database: Database) throws(StoreFailure) -> Bool {
        let found = try database.number("PRAGMA data_version")
        return version.withLock { version in
            defer { version = found }
            return version.map { $0 != found } ?? false
        }
    }
}
