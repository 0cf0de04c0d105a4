// What fails half-way is as if it had never begun, and succeeds when it is tried again.

import CSQLite
import Foundation
import LeveretCore
import LeveretTestSupport
import Testing

@testable import Leveret

@Suite struct StoreFaultTests {
    /// Everything the database holds, as text.
    private func dump(_ store: Store) throws -> String {
        try store.writer.lend { database in
            try [
                "message", "body", "held", "queue", "exchange", "binding", "meta", "dedup_scope", "dedup_run",
                "dedup_id",
            ].map { table in
                let columns = try database.prepared(
                    "SELECT group_concat('quote(' || name || ')', '||') FROM pragma_table_info('\(table)')")
                defer { columns.reset() }
                guard try columns.next() else { return "" }
                let rows = try database.prepared("SELECT \(columns.text(0)) FROM \(table) ORDER BY 1")
                var text = table
                while try rows.next() { text += "\n" + rows.text(0) }
                return text
            }.joined(separator: "\n")
        }
    }

    /// A batch of everything.
    private var batch: WriteBatch {
        let shared = Message(exchange: "e", routingKey: "k", body: [UInt8](repeating: 1, count: 1_000))
        var batch = WriteBatch()
        batch.definitions = [
            .putExchange(ExchangeDefinition("events"), in: .default),
            .putQueue(2, QueueDefinition("dead"), in: .default),
            .putBinding(Binding(source: "events", target: .queue("dead")), in: .default),
        ]
        batch.inserts = [
            .text(11, "plain"),
            InsertRow(number: 12, queue: 1, message: shared, entered: 0, sharedBody: 12),
            InsertRow(number: 13, queue: 2, message: shared, entered: 0, acquired: 2, sharedBody: 12),
        ]
        batch.counters = [
            CounterUpdate(number: 4, failed: 3, acquired: 4, heldBy: "worker/a", heldSince: 9)
        ]
        batch.places = [
            PlaceUpdate(number: 5, place: -5, due: 8_000, entered: 5, expires: .distantFuture, version: 2)
        ]
        batch.contents = [ContentUpdate(number: 8, message: .text("edited"))]
        batch.removals = [1, 2, 9]
        batch.ranges = [RangeRemoval(queue: 1, after: 4, through: 7)]
        batch.ids = [StoredID(key: DedupKey(scope: .queue(1), id: "a"), expires: 9_000)]
        batch.idsEndedBy = 0
        batch.reserveThrough = 1_000
        return batch
    }

    @Test func `a batch that is interrupted anywhere leaves nothing behind and can be applied again`() throws
    {
        let fixture = try StoreFixture()
        let countdown = Countdown()
        var failures = 0
        try fixture.use { store in
            _ = try store.apply(.declaring(QueueDefinition("orders")))
            _ = try store.apply(.inserting((1...10).map { .text(MessageNumber($0), "\($0)") }))
            countdown.attach(to: store.writer)
            let before = try dump(store)
            while true {
                countdown.left = failures + 1
                do {
                    _ = try store.apply(batch)
                    break
                } catch {
                    failures += 1
                }
                countdown.left = .max
                #expect(try dump(store) == before, "after \(failures) steps")
            }
            countdown.left = .max
            try expectApplied(store)
        }
        #expect(failures > 100)
        try fixture.use { store in
            try #expect(store.load(.numbers([4])).rows.map(\.failed) == [4])
            try expectApplied(store, failed: 4)
        }
    }

    /// All of the batch is there.
    private func expectApplied(_ store: Store, failed: Int32 = 3) throws {
        try #expect(store.numbers(1) == [3, 4, 8, 10, 11, 12])
        try #expect(store.numbers(2) == [13])
        let rows = try store.load(.numbers([4, 5, 8])).rows
        #expect(rows.map(\.due) == [nil, 8_000, nil] && rows.map(\.version) == [1, 2, 1])
        #expect(rows[0].failed == failed && rows[2].message.body == Array("edited".utf8))
        let key = batch.ids[0].key
        let request = LoadRequest(
            queue: 1, kind: .ids([key]), countMax: 1, bytesMax: 1, epoch: 0, barrier: 0)
        try #expect(store.load(request).ids.map(\.expires) == [9_000])
    }

    @Test(
        .enabled(if: SmallDisk.isPossible, "mounting a file system needs root"),
        arguments: [0, 40, 80, 120, 160, 240, 320, 480, 640, 1_280])
    func `a batch for which there was little room is applied once there is more`(kibibytes: Int) throws {
        try withSmallDisk { disk, store in
            _ = try store.apply(.declaring(QueueDefinition("orders")))
            _ = try store.apply(.inserting((1...10).map { .text(MessageNumber($0), "\($0)") }))
            var batch = self.batch
            let body = String(repeating: "x", count: 600_000)
            batch.inserts.append(.text(14, body, queue: 3))
            batch.inserts.append(.text(15, body, queue: 3, spilled: true))
            try disk.fill(leavingKibibytes: kibibytes)
            #expect {
                _ = try store.apply(batch)
            } throws: {
                ($0 as? StoreFailure)?.kind == .full
            }
            try disk.clear()
            _ = try store.apply(batch)
            try expectApplied(store)
            try #expect(store.numbers(3) == [14, 15])
        }
    }

    @Test func `a batch for which there are no pages left is refused as full and can be applied again`()
        throws
    {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, "one")))
            let pages = try store.number("PRAGMA page_count")
            _ = try store.number("PRAGMA max_page_count = \(pages + 2)")
            let before = try dump(store)
            let large = WriteBatch.inserting(
                (2...20).map { .text(MessageNumber($0), String(repeating: "x", count: 10_000)) }
            )
            #expect {
                _ = try store.apply(large)
            } throws: {
                ($0 as? StoreFailure)?.kind == .full
            }
            try #expect(dump(store) == before)
            _ = try store.number("PRAGMA max_page_count = 100000")
            _ = try store.apply(large)
            try #expect(store.numbers().count == 20)
        }
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a file system needs root"))
    func `a full disk loses nothing that was committed, and is over when there is room`() async throws {
        let fixture = try StoreFixture()
        let disk = try SmallDisk(at: fixture.path("disk"), kibibytes: 8_192)
        defer { disk.unmount() }
        let path = disk.path + "/leveret.db"
        let store = try Store.open(path: path, options: fixture.options, now: 0, logger: .silent).store
        try disk.fill(leavingKibibytes: 3_000)
        var committed: [MessageNumber] = []
        let refused = try fillUp(store, &committed)
        #expect(committed.count > 50)
        try #expect(store.numbers() == committed)
        #expect(!FileManager.default.fileExists(atPath: path + "-reserve"))

        try disk.clear()
        // As the writer does: the log may need what is left until it has been emptied beside.
        for batch in refused { try await eventually { (try? store.apply(batch)) != nil } }
        committed += refused.flatMap { $0.inserts.map(\.number) }
        try #expect(store.numbers() == committed)
        while try store.maintain() {}
        #expect(FileManager.default.fileExists(atPath: path + "-reserve"))
        store.close()
        let second = try Store.open(path: path, options: fixture.options, now: 0, logger: .silent).store
        try #expect(second.numbers() == committed)
        second.close()
    }

    @Test(
        .enabled(if: SmallDisk.isPossible, "mounting a file system needs root"), arguments: [false, true])
    func `a purge gets through on a full disk, even in a batch that doesn't, and makes room for it`(
        isSpilled: Bool
    ) throws {
        try withSmallDisk { _, store in
            var committed: [MessageNumber] = []
            var batch = try #require(try fillUp(store, &committed, spilled: isSpilled).first)
            let last = try #require(committed.last)
            batch.ranges = [RangeRemoval(queue: 1, after: 0, through: last)]
            var attempts = 0
            while attempts < 10 {
                attempts += 1
                if (try? store.apply(batch)) != nil { break }
            }
            #expect(attempts < 10)
            try #expect(store.numbers() == batch.inserts.map(\.number))
        }
    }

    @Test(
        .enabled(if: SmallDisk.isPossible, "mounting a file system needs root"), arguments: [1, 40],
        [false, true])
    func `a purge that waits behind a batch for which there is no room is worked off first`(
        bodyKibibytes: Int, isSpilled: Bool
    ) throws {
        try withSmallDisk(kibibytes: 16_384) { _, store in
            var committed: [MessageNumber] = []
            _ = try fillUp(store, &committed, bodyKibibytes: bodyKibibytes, spilled: isSpilled)
            let last = try #require(committed.last)
            let large = WriteBatch.inserting(
                (1...40).map {
                    .text(MessageNumber(last.rawValue + 1_000 + $0), String(repeating: "y", count: 100_000))
                }
            )
            #expect(throws: StoreFailure.self) { try store.apply(large) }
            _ = try store.apply(large, waiting: .purging(RangeRemoval(queue: 1, after: 0, through: last)))
            try #expect(store.numbers() == large.inserts.map(\.number))
        }
    }

    @Test
    func `a purge that is worked off first spares what leaves its queue in a batch that waits for room`()
        throws
    {
        func delay(_ number: MessageNumber) -> PlaceUpdate {
            let place = MessageNumber(-number.rawValue)
            return PlaceUpdate(number: number, place: place, due: 5_000, entered: 0, expires: .distantFuture)
        }
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(
                .inserting((1...10).map { .text(MessageNumber($0), String(repeating: "x", count: 4_000)) }))
            let pages = try store.number("PRAGMA page_count")
            _ = try store.number("PRAGMA max_page_count = \(pages)")
            var batch = WriteBatch.inserting(
                (11...60).map { .text(MessageNumber($0), String(repeating: "y", count: 10_000), queue: 2) })
            batch.removals = [2]
            batch.places = [delay(3)]
            batch.ranges = [RangeRemoval(queue: 1, after: 0, through: 5)]
            var waiting = WriteBatch.purging(RangeRemoval(queue: 1, after: 5, through: 10))
            waiting.removals = [7]
            waiting.places = [delay(8)]
            #expect {
                _ = try store.apply(batch, waiting: waiting)
            } throws: {
                ($0 as? StoreFailure)?.kind == .full
            }
            try #expect(store.numbers() == [2, 3, 7, 8])

            _ = try store.number("PRAGMA max_page_count = 100000")
            _ = try store.apply(batch, waiting: waiting)
            try #expect(store.numbers() == [7, 8])
            _ = try store.apply(waiting)
            try #expect(store.numbers().isEmpty)
            try #expect(store.load(.numbers([3, 8])).rows.map(\.due) == [5_000, 5_000])
        }
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a file system needs root"))
    func `a disk with more room than a number can say has room`() throws {
        try withSmallDisk(kibibytes: 15 << 50) { _, store in
            _ = try store.apply(.inserting(.text(1, String(repeating: "x", count: 2 << 20))))
            try #expect(store.numbers() == [1])
        }
    }

    @Test(
        .enabled(if: SmallDisk.isPossible, "mounting a file system needs root"),
        arguments: [40, 60, 80, 100, 120, 140])
    func `a spill file for which there was no room is made once there is`(kibibytes: Int) throws {
        try withSmallDisk(reserveBytes: 0) { disk, store in
            try disk.fill(leavingKibibytes: kibibytes)
            let batch = WriteBatch.inserting(.text(1, String(repeating: "x", count: 1 << 20), spilled: true))
            #expect {
                _ = try store.apply(batch)
            } throws: {
                ($0 as? StoreFailure)?.kind == .full
            }
            try disk.clear()
            _ = try store.apply(batch)
            try #expect(store.numbers() == [1])
        }
    }

    @Test(
        .enabled(if: SmallDisk.isPossible, "mounting a file system needs root"), arguments: [false, true])
    func `on a full disk removals go on, and the room they make ends the shortage`(isSpilled: Bool) throws {
        try withSmallDisk(kibibytes: 16_384, reserveBytes: 1 << 20) { _, store in
            var committed: [MessageNumber] = []
            var number: Int64 = 0
            while store.shortage == nil {
                number += 1
                _ = try store.apply(
                    .inserting(
                        .text(
                            MessageNumber(number), String(repeating: "x", count: 10_000), spilled: isSpilled))
                )
                committed.append(MessageNumber(number))
            }
            #expect(store.shortage?.text.contains("make 2 MiB of room") == true)
            for number in committed.dropLast(10) {
                var batch = WriteBatch()
                if isSpilled { batch.spillRemovals = [number] } else { batch.removals = [number] }
                _ = try store.apply(batch)
            }
            try #expect(store.numbers() == committed.suffix(10))
            while try store.maintain() {}
            #expect(store.shortage == nil)
            #expect(FileManager.default.fileExists(atPath: store.path + "-reserve"))
        }
    }

    /// Runs `body` with a disk of its own and a new store on it.
    private func withSmallDisk(
        kibibytes: Int = 8_192, reserveBytes: Int? = nil, _ body: (SmallDisk, Store) throws -> Void
    ) throws {
        var fixture = try StoreFixture()
        if let reserveBytes { fixture.options.reserveBytes = reserveBytes }
        let disk = try SmallDisk(at: fixture.path("disk"), kibibytes: kibibytes)
        defer { disk.unmount() }
        let path = disk.path + "/leveret.db"
        let store = try Store.open(path: path, options: fixture.options, now: 0, logger: .silent).store
        defer { store.close() }
        try body(disk, store)
    }

    /// Inserts until the disk is full; returns the batch that was refused.
    private func fillUp(
        _ store: Store, _ committed: inout [MessageNumber], bodyKibibytes: Int = 10, spilled: Bool = false
    ) throws -> [WriteBatch] {
        var number: Int64 = 0
        let text = String(repeating: "x", count: bodyKibibytes << 10)
        while number < 100_000 {
            let numbers = (1...10).map { MessageNumber(number + $0) }
            number += 10
            let batch = WriteBatch.inserting(numbers.map { .text($0, text, spilled: spilled) })
            do {
                _ = try store.apply(batch)
                committed += numbers
            } catch {
                #expect(error.kind == .full, "\(error)")
                return [batch]
            }
        }
        Issue.record("the disk took everything")
        return []
    }
}

/// Interrupts the statement of a connection that is under way when so many of SQLite's steps were made inside
/// transactions. A step after a COMMIT has taken effect doesn't count: SQLite asks once more at its end, and would
/// report a failure of what is done.
private final class Countdown {
    var left = Int.max
    private var connection: OpaquePointer?

    func attach(to queue: DatabaseQueue) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        queue.lend { database in
            connection = database.sqliteConnection
            sqlite3_progress_handler(
                database.sqliteConnection, 1,
                { context in
                    guard let context else { return 0 }
                    let countdown = Unmanaged<Countdown>.fromOpaque(context).takeUnretainedValue()
                    guard sqlite3_get_autocommit(countdown.connection) == 0 else { return 0 }
                    countdown.left -= 1
                    return countdown.left == 0 ? 1 : 0
                },
                context
            )
        }
    }
}
