// What batches do to stored messages: holds, purges in slices, shared bodies, the spill file, expiry.

import LeveretCore
import Testing

@testable import Leveret

@Suite struct StoreChangesTests {
    // MARK: Holds

    private func held(
        _ number: MessageNumber, by consumer: String?, failed: Int32, acquired: Int32
    ) -> WriteBatch {
        var batch = WriteBatch()
        batch.counters = [
            CounterUpdate(
                number: number, failed: failed, acquired: acquired, heldBy: consumer, heldSince: 50
            )
        ]
        return batch
    }

    @Test func `a message that was held at a crash is ready and counts as failed`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.declaring(QueueDefinition("orders")))
            _ = try store.apply(.inserting(.text(1, "held"), .text(2, "free"), .text(3, "returned")))
            _ = try store.apply(held(1, by: "worker/a", failed: 2, acquired: 3))
            _ = try store.apply(held(3, by: "worker/a", failed: 0, acquired: 1))
            _ = try store.apply(held(3, by: nil, failed: 1, acquired: 1))
        }
        try fixture.use { store in
            let rows = try store.load(.window()).rows
            #expect(rows.map(\.failed) == [3, 0, 1])
            #expect(rows.map(\.acquired) == [3, 0, 1])
            #expect(rows.map(\.hasHeldRow) == [true, false, true])
            #expect(try store.number("SELECT count(*) FROM unacked") == 0)
        }
        try fixture.use { try #expect($0.load(.window()).rows.map(\.failed) == [3, 0, 1]) }
    }

    @Test func `the hold goes with its message`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, "one"), .text(2, "two")))
            _ = try store.apply(held(1, by: "worker/a", failed: 0, acquired: 1))
            _ = try store.apply(held(99, by: "worker/a", failed: 0, acquired: 1))
            #expect(try store.number("SELECT count(*) FROM held") == 1)
            _ = try store.apply(.removing(1))
            #expect(try store.number("SELECT count(*) FROM held") == 0)
        }
    }

    // MARK: Purges

    @Test func `a range takes its own queue's messages only, in slices`() throws {
        var fixture = try StoreFixture()
        fixture.options.rangeRowsMax = 10
        try fixture.use { store in
            _ = try store.apply(
                .inserting((1...60).map { .text(MessageNumber($0), "x", queue: $0 % 2 == 0 ? 2 : 1) }))
            let range = RangeRemoval(queue: 1, after: 5, through: 50)
            var ranges = [range]
            var slices = 0
            while !ranges.isEmpty {
                var batch = WriteBatch()
                batch.ranges = ranges
                ranges = try store.apply(batch)
                slices += 1
            }
            #expect(slices == 3)
            #expect(try store.numbers(1) == [1, 3, 5, 51, 53, 55, 57, 59])
            #expect(try store.numbers(2).count == 30)
        }
    }

    @Test func `ranges of one batch share its room`() throws {
        var fixture = try StoreFixture()
        fixture.options.rangeRowsMax = 10
        try fixture.use { store in
            _ = try store.apply(
                .inserting((1...30).map { .text(MessageNumber($0), "x", queue: $0 > 8 ? 2 : 1) }))
            let first = RangeRemoval(queue: 1, after: 0, through: 30)
            let second = RangeRemoval(queue: 2, after: 0, through: 30)
            let third = RangeRemoval(queue: 3, after: 0, through: 30)
            #expect(try store.apply(.purging(first, second, third)) == [second, third])
            #expect(try store.numbers(1) == [])
            #expect(try store.numbers(2).count == 20)
        }
    }

    @Test func `messages of a deleted queue are told at the next open`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.declaring(QueueDefinition("orders")))
            _ = try store.apply(.inserting(.text(1, "one"), .text(2, "two", queue: 8)))
            var batch = WriteBatch()
            batch.definitions = [.deleteQueue(1)]
            _ = try store.apply(batch)
        }
        let state = try fixture.reopened()
        #expect(state.orphans == [1, 8])
        #expect(state.nextQueueID == 9)
    }

    @Test func `numbers go on behind what was reserved`() throws {
        let fixture = try StoreFixture()
        var batch = WriteBatch.inserting(.text(1, "one"))
        batch.reserveThrough = 500
        let store = try fixture.open().store
        _ = try store.apply(batch)
        store.close()
        #expect(try fixture.reopened().nextNumber == 501)
    }

    // MARK: Shared bodies

    @Test(arguments: [MessageRows.sharedBodyBytesMin - 1, MessageRows.sharedBodyBytesMin])
    func `a body that copies share is stored once when it is large, and goes with the last copy`(
        size: Int
    ) throws {
        let message = Message(exchange: "", routingKey: "k", body: [UInt8](repeating: 7, count: size))
        let rows = (10...13).map { number in
            InsertRow(
                number: MessageNumber(number), queue: 1, message: number == 10 ? nil : message, entered: 0,
                sharedBody: 10
            )
        }
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(rows))
            let isShared: Int64 = size >= MessageRows.sharedBodyBytesMin ? 1 : 0
            #expect(try store.number("SELECT count(*) FROM body") == isShared)
            #expect(
                try store.load(.window()).rows.map(\.message.body) == [
                    message.body, message.body, message.body,
                ])
            _ = try store.apply(.removing(13, 11))
            #expect(try store.number("SELECT count(*) FROM body") == isShared)
            #expect(try store.load(.window()).rows.map(\.message.body) == [message.body])
            _ = try store.apply(.purging(RangeRemoval(queue: 1, after: 0, through: 20)))
            #expect(try store.number("SELECT count(*) FROM body") == 0)
        }
    }

    // MARK: The spill file

    @Test func `spilled messages stand among the stored ones, in their order`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(
                .inserting((1...9).map { .text(MessageNumber($0), "\($0)", spilled: $0 % 3 != 0) }))
            let rows = try store.load(.window()).rows
            #expect(rows.map(\.number) == [1, 2, 3, 4, 5, 6, 7, 8, 9])
            #expect(rows.map(\.isSpilled) == [true, true, false, true, true, false, true, true, false])
            #expect(try store.load(.window(after: 2, countMax: 3)).rows.map(\.number) == [3, 4, 5])
            #expect(try store.load(.window(bytesMax: 3)).rows.map(\.number) == [1, 2, 3, 4])
            #expect(try store.load(.numbers([9, 1, 4])).rows.map(\.number) == [1, 4, 9])
            var batch = WriteBatch.removing(3)
            batch.spillRemovals = [1, 2]
            _ = try store.apply(batch)
            #expect(try store.numbers() == [4, 5, 6, 7, 8, 9])
            _ = try store.apply(.purging(RangeRemoval(queue: 1, after: 0, through: 7)))
            #expect(try store.numbers() == [8, 9])
        }
        try fixture.use { try #expect($0.numbers() == [9]) }
    }

    @Test func `a batch that failed after its spilled rows were written can be applied again`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(1, "in the way")))
            #expect(throws: StoreFailure.self) {
                _ = try store.apply(.inserting(.text(1, "twice"), .text(2, "relief", spilled: true)))
            }
            _ = try store.apply(.inserting(.text(2, "relief", spilled: true), .text(3, "three")))
            #expect(try store.numbers() == [1, 2, 3])
        }
    }

    // MARK: Expiry

    @Test func `expired copies come in order of their numbers, and the next expiry is told`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            let expiries: [Instant] = [900, 100, .distantFuture, 300, 200, 100, 800]
            _ = try store.apply(
                .inserting(
                    expiries.enumerated().map {
                        .text(
                            MessageNumber(Int64($0.offset + 1)), "x", spilled: $0.offset == 4,
                            expires: $0.element)
                    }
                )
            )
            let all = try store.load(.expired(by: 300))
            #expect(all.rows.map(\.number) == [2, 4, 5, 6])
            #expect(all.nextExpiry == 800)
            let cut = try store.load(.expired(by: 300, countMax: 2))
            #expect(cut.rows.map(\.number) == [2, 4])
            #expect(cut.nextExpiry == 100)
            let rest = try store.load(.expired(after: 6, by: 300))
            #expect(rest.rows.isEmpty)
            #expect(rest.nextExpiry == 800)
            #expect(try store.load(.expired(2, by: 300)).nextExpiry == .distantFuture)
        }
    }

    @Test func `many expired copies are found without sorting them`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(
                .inserting((1...30_000).map { .text(MessageNumber($0), "", expires: $0 % 10 == 0 ? 999 : 5) })
            )
            let result = try store.load(.expired(after: 8, by: 10, countMax: 4))
            #expect(result.rows.map(\.number) == [9, 11, 12, 13])
            #expect(result.nextExpiry == 5)
        }
    }

    @Test func `the first expiry of a queue is known at the next open`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.declaring(QueueDefinition("a"), QueueDefinition("b")))
            _ = try store.apply(
                .inserting(.text(1, "x", expires: 700), .text(2, "x", expires: 600), .text(3, "x")))
        }
        #expect(try fixture.reopened().queues.map(\.levels.first?.nextExpiry) == [600, nil])
    }
}
