// A store on a file of its own, and short words for what tests put into it.

import Foundation
import LeveretCore
import LeveretTestSupport
import Logging

@testable import Leveret

/// A folder with a database file in it, and what is needed to open it again and again.
struct StoreFixture: ~Copyable {
    private let folder: TemporaryFolder
    var options = StoreOptions()

    var path: String { folder.path("leveret.db") }

    init() throws {
        folder = try TemporaryFolder()
        options.reserveBytes = 64 << 10
    }

    func path(_ name: String) -> String { folder.path(name) }

    func open() throws(BrokerError) -> (store: Store, state: RecoveredState) {
        try Store.open(path: path, options: options, now: 0, logger: .silent)
    }

    /// Opens the file, lends the store and closes it.
    func use<T>(_ work: (Store) throws -> T) throws -> T {
        let store = try open().store
        defer { store.close() }
        return try work(store)
    }

    /// Opens the file and closes it at once: what it recovered.
    func reopened() throws -> RecoveredState {
        let (store, state) = try open()
        store.close()
        return state
    }
}

extension RecoveredState {
    /// Those of all virtual hosts.
    var queues: [RecoveredQueue] { virtualHosts.flatMap(\.queues) }
    var exchanges: [ExchangeDefinition] { virtualHosts.flatMap(\.exchanges) }
    var bindings: [Binding] { virtualHosts.flatMap(\.bindings) }
    var policies: [Policy] { virtualHosts.flatMap(\.policies) }
}

extension Logger {
    static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

extension Message {
    static func text(_ text: String, key: String = "key", exchange: ExchangeName = "") -> Message {
        Message(exchange: exchange, routingKey: key, body: Array(text.utf8))
    }
}

extension InsertRow {
    static func text(
        _ number: MessageNumber, _ text: String, queue: QueueID = 1, spilled: Bool = false,
        expires: Instant = .distantFuture
    ) -> InsertRow {
        InsertRow(
            number: number, queue: queue, message: .text(text), isSpilled: spilled,
            entered: Instant(milliseconds: number.rawValue), expires: expires
        )
    }
}

extension WriteBatch {
    static func declaring(_ queues: QueueDefinition...) -> WriteBatch {
        var batch = WriteBatch()
        batch.definitions = queues.enumerated().map {
            .putQueue(QueueID(Int64($0.offset + 1)), $0.element, in: .default)
        }
        return batch
    }

    static func inserting(_ rows: InsertRow...) -> WriteBatch { inserting(rows) }

    static func inserting(_ rows: [InsertRow]) -> WriteBatch {
        var batch = WriteBatch()
        batch.inserts = ContiguousArray(rows)
        return batch
    }

    static func removing(_ numbers: MessageNumber...) -> WriteBatch {
        var batch = WriteBatch()
        batch.removals = ContiguousArray(numbers)
        return batch
    }

    static func purging(_ ranges: RangeRemoval...) -> WriteBatch {
        var batch = WriteBatch()
        batch.ranges = ranges
        return batch
    }
}

extension LoadRequest {
    static func window(
        _ queue: QueueID = 1, after: MessageNumber = 0, countMax: Int = 1_000, bytesMax: Int = 1 << 20
    ) -> LoadRequest {
        LoadRequest(
            queue: queue, kind: .window(after: after), countMax: countMax, bytesMax: bytesMax, epoch: 0,
            barrier: 0
        )
    }

    static func expired(
        _ queue: QueueID = 1, after: MessageNumber = 0, by: Instant, countMax: Int = 1_000
    ) -> LoadRequest {
        LoadRequest(
            queue: queue, kind: .expired(after: after, by: by), countMax: countMax, bytesMax: 1 << 20,
            epoch: 0,
            barrier: 0
        )
    }

    static func numbers(_ numbers: [MessageNumber], queue: QueueID = 1) -> LoadRequest {
        LoadRequest(
            queue: queue, kind: .numbers(numbers), countMax: 1_000, bytesMax: 1 << 20, epoch: 0, barrier: 0
        )
    }
}

extension Store {
    /// The numbers in a queue, in order.
    func numbers(_ queue: QueueID = 1) throws -> [MessageNumber] {
        try load(.window(queue, countMax: 1_000_000, bytesMax: 1 << 30)).rows.map(\.number)
    }

    /// A single number that SQL gives on the writer's connection.
    func number(_ sql: String) throws -> Int64 {
        try writer.access { database throws(StoreFailure) in try database.number(sql) }
    }
}
