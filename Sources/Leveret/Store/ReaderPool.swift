// Read-only connections to one file, lent to whoever loads. As many as are in use at once; two are kept.

import LeveretCore
import Synchronization

/// Lends read-only connections.
final class ReaderPool: Sendable {
    private static let idleMax = 2

    private let path: String
    /// Connections that nobody uses.
    private let idle = Mutex<[DatabaseQueue]>([])

    init(path: String) { self.path = path }

    /// Lends a connection inside a read transaction.
    func snapshot<T>(_ work: (Database) throws(StoreFailure) -> T) throws(StoreFailure) -> T {
        let kept = idle.withLock { $0.popLast() }
        let reader = if let kept { kept } else { try open() }
        let result = Result { () throws(StoreFailure) -> T in try reader.snapshot(work) }
        let isKept = idle.withLock { idle in
            guard idle.count < Self.idleMax else { return false }
            idle.append(reader)
            return true
        }
        if !isKept { reader.close() }
        return try result.get()
    }

    /// Closes the connections that nobody uses.
    func close() {
        let readers = idle.withLock { idle in
            defer { idle = [] }
            return idle
        }
        for reader in readers { reader.close() }
    }

    private func open() throws(StoreFailure) -> DatabaseQueue {
        let options = Database.Options(
            isReadOnly: true, busyMilliseconds: Schema.busyMilliseconds,
            preparation: "PRAGMA cache_size = -1024")
        return try DatabaseQueue(path: path, options)
    }
}
