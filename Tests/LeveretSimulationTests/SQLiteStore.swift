// The real store under the simulation, on a file of its own. A crash is closing it: what a commit has said is
// in the file, and there is nothing else to lose.

import Foundation
import LeveretCore
import LeveretTestSupport
import Logging

@testable import Leveret

/// SQLite behind the simulator's door.
final class SQLiteStore: SimulatedStore {
    private let folder: TemporaryFolder
    private let options: StoreOptions
    private var store: Store?

    init(rangeRowsMax: Int) throws {
        folder = try TemporaryFolder()
        var options = StoreOptions()
        options.durability = .normal
        options.reserveBytes = 0
        options.checkpointBytes = 1 << 20
        options.rangeRowsMax = rangeRowsMax
        options.idsPerRun = 2
        self.options = options
    }

    deinit { store?.close() }

    private func opened() throws -> Store {
        guard let store else { throw Violation("the store is closed") }
        return store
    }

    func apply(_ batch: WriteBatch) throws -> [RangeRemoval] { try opened().apply(batch) }

    func load(_ request: LoadRequest) throws -> LoadResult { try opened().load(request) }

    func search(_ search: Search) throws -> SearchFound {
        try opened().search(SearchBounds(CoreLimits())).answer(search)
    }

    func reopen() throws -> RecoveredState {
        store?.close()
        let quiet = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        let (opened, state) = try Store.open(
            path: folder.path("leveret.db"), options: options, now: 0, logger: quiet)
        store = opened
        return state
    }

    func copies() throws -> [StoredCopy] {
        let orphans = try opened().writer.access { database throws(StoreFailure) in
            try database.number("SELECT count(*) FROM held WHERE message NOT IN (SELECT id FROM message)")
        }
        guard orphans == 0 else { throw Violation("\(orphans) rows of held have no message") }
        return try opened().writer.access { database throws(StoreFailure) in
            let statement = try database.prepared(
                """
                SELECT m.id, m.queue, m.failed, coalesce(h.acquired, 0), h.consumer IS NOT NULL, m.expires,
                    m.place, m.priority, m.due, m.version
                FROM message AS m LEFT JOIN held AS h ON h.message = m.id ORDER BY m.id
                """)
            defer { statement.reset() }
            var copies: [StoredCopy] = []
            while try statement.next() {
                copies.append(
                    StoredCopy(
                        number: MessageNumber(statement.int(0)), queue: QueueID(statement.int(1)),
                        failed: Int32(statement.int(2)), acquired: Int32(statement.int(3)),
                        isHeld: statement.int(4) != 0,
                        expires: statement.isNull(5)
                            ? .distantFuture : Instant(milliseconds: statement.int(5)),
                        place: MessageNumber(statement.int(6)),
                        priority: statement.isNull(7) ? nil : UInt8(statement.int(7)),
                        due: statement.isNull(8) ? nil : Instant(milliseconds: statement.int(8)),
                        version: Int(statement.int(9))))
            }
            return copies
        }
    }
}
