// Relief for memory: transient messages that don't fit into it, in a second database that is made when it is
// first needed and deleted at open and close. Nothing in it survives, so nothing is synced.

import LeveretCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The file `leveret.db-spill`.
final class SpillFile: Sendable {
    private let path: String
    /// The connections once the file exists. The lock guards the variable only, no work on the file.
    private let connections = Mutex<Connections?>(nil)

    private struct Connections {
        var writer: DatabaseQueue
        var readers: ReaderPool
        var roomAhead: RoomAhead
    }

    /// Where the file is; `nil` as long as nothing was ever spilled.
    var pathIfThere: String? { connections.withLock { $0 == nil ? nil : path } }

    /// The connection that writes, once the file exists. Writer thread only.
    var writer: DatabaseQueue? { connections.withLock { $0?.writer } }

    /// Removes what an earlier broker left.
    init(besideDatabase database: String) {
        path = database + "-spill"
        removeFiles()
    }

    /// Applies what of the batch concerns spilled copies, as one transaction. Writer thread only.
    func apply(_ batch: WriteBatch, rangeRowsMax: Int) throws(StoreFailure) -> [RangeRemoval] {
        var open = connections.withLock { $0 }
        if open == nil {
            guard batch.inserts.contains(where: { $0.isSpilled && $0.message != nil }) else { return [] }
            open = try create()
        }
        guard let open else { return [] }
        guard
            !batch.spillRemovals.isEmpty || !batch.ranges.isEmpty || !batch.counters.isEmpty
                || !batch.places.isEmpty || !batch.contents.isEmpty
                || batch.inserts.contains(where: \.isSpilled)
        else { return [] }
        return try open.writer.access { database throws(StoreFailure) in
            try database.transaction { () throws(StoreFailure) in
                let rows = MessageRows(database: database)
                try rows.insert(batch.inserts, spilled: true)
                try rows.update(batch.counters)
                try rows.update(batch.places)
                try rows.update(batch.contents)
                try rows.remove(batch.spillRemovals)
                let unfinished = try rows.remove(batch.ranges, countMax: rangeRowsMax)
                try open.roomAhead.claim(in: database)
                return unfinished
            }
        }
    }

    /// What the request finds here; `nil` as long as nothing was ever spilled.
    func load(_ request: LoadRequest) throws(StoreFailure) -> LoadedPart? {
        guard let readers = connections.withLock({ $0?.readers }) else { return nil }
        return try readers.snapshot { database throws(StoreFailure) in
            try LoadedPart(request, from: MessageReader(database: database, isSpill: true))
        }
    }

    /// Which of `keys` messages in the spill file have.
    func find(_ keys: [DedupKey]) throws(StoreFailure) -> [StoredID] {
        guard let readers = connections.withLock({ $0?.readers }) else { return [] }
        return try readers.snapshot { database throws(StoreFailure) in
            try IDRows(database: database).findQueued(keys)
        }
    }

    /// One small step of giving free pages back. Writer thread only.
    func maintain() throws(StoreFailure) -> Bool {
        guard let writer else { return false }
        return try writer.access { database throws(StoreFailure) in
            try Vacuum.step(database, pagesKept: 0)
        }
    }

    /// Closes and removes the file.
    func close() {
        let open = connections.withLock { connections in
            defer { connections = nil }
            return connections
        }
        open?.readers.close()
        open?.writer.close()
        open?.roomAhead.close()
        removeFiles()
    }

    private func create() throws(StoreFailure) -> Connections {
        removeFiles()  // what an attempt without enough room has left
        let options = Database.Options(
            busyMilliseconds: Schema.busyMilliseconds,
            preparation: Schema.creation + Schema.preparation(synchronous: "OFF", cacheKiB: 1024))
        let writer = try DatabaseQueue(path: path, options)
        try writer.access { database throws(StoreFailure) in
            try database.transaction { () throws(StoreFailure) in
                try database.runScript(Schema.spillTables)
            }
            RoomAhead.prepare(database)
        }
        let open = Connections(
            writer: writer, readers: ReaderPool(path: path), roomAhead: RoomAhead(path: path))
        connections.withLock { $0 = open }
        return open
    }

    private func removeFiles() {
        for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) }
    }
}
