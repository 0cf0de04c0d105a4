// Rows by priority and place: what is read, removed and counted of one priority.

import LeveretCore
import Testing

@testable import Leveret

@Suite struct StoreOrderTests {
    private static func row(
        _ number: MessageNumber, _ priority: UInt8, place: MessageNumber? = nil,
        expires: Instant = .distantFuture
    ) -> InsertRow {
        InsertRow(
            number: number, place: place, queue: 1, message: .text("\(number.rawValue)"), priority: priority,
            entered: Instant(milliseconds: number.rawValue), expires: expires)
    }

    private static let rows = [
        row(1, 0), row(2, 9, expires: 500), row(3, 0, expires: 400), row(4, 9), row(5, 9, place: 8),
        row(6, 9),
    ]

    private func filled() throws -> StoreFixture {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(
                .declaring(QueueDefinition("jobs", arguments: ["x-max-priority": .int(9)])))
            _ = try store.apply(.inserting(Self.rows))
        }
        return fixture
    }

    private func request(_ kind: LoadRequest.Kind, _ priority: UInt8, countMax: Int = 10) -> LoadRequest {
        LoadRequest(
            queue: 1, kind: kind, priority: priority, countMax: countMax, bytesMax: 1 << 20, epoch: 0,
            barrier: 0)
    }

    @Test func `a window is read by place, within one priority`() throws {
        try filled().use { store in
            let high = try store.load(request(.window(after: 0), 9)).rows
            #expect(high.map(\.number) == [2, 4, 6, 5])
            #expect(high.map(\.place) == [2, 4, 6, 8])
            #expect(high.allSatisfy { $0.priority == 9 && $0.version == 1 })
            try #expect(store.load(request(.window(after: 6), 9)).rows.map(\.number) == [5])
            try #expect(store.load(request(.window(after: 0), 0)).rows.map(\.number) == [1, 3])
            try #expect(store.load(request(.window(after: 0), 5)).rows.isEmpty)
        }
    }

    @Test func `expired copies are found within one priority`() throws {
        try filled().use { store in
            let low = try store.load(request(.expired(after: 0, by: 600), 0))
            #expect(low.rows.map(\.number) == [3])
            #expect(low.nextExpiry == .distantFuture)
            let high = try store.load(request(.expired(after: 0, by: 450), 9))
            #expect(high.rows.isEmpty)
            #expect(high.nextExpiry == 500)
        }
    }

    @Test func `a range removes one priority only`() throws {
        try filled().use { store in
            let range = RangeRemoval(queue: 1, after: 2, through: 7, priority: 9)
            try #expect(store.apply(.purging(range)).isEmpty)
            try #expect(store.numbers() == [1, 2, 3, 5])
        }
    }

    @Test func `a queue is counted by priority at the next open`() throws {
        let levels = try filled().reopened().queues.first?.levels.sorted { $0.priority > $1.priority }
        #expect(
            levels == [
                RecoveredLevel(priority: 9, count: 4, bytes: 4, nextExpiry: 400, oldest: 2),
                RecoveredLevel(priority: 0, count: 2, bytes: 2, nextExpiry: 400, oldest: 1),
            ])
    }

    @Test func `spilled and stored copies of one priority are read in one order`() throws {
        try filled().use { store in
            var spilled = Self.row(7, 9)
            spilled.isSpilled = true
            _ = try store.apply(.inserting(spilled))
            let all = try store.load(request(.window(after: 0), 9)).rows
            #expect(all.map(\.number) == [2, 4, 6, 7, 5])
            let first = try store.load(request(.window(after: 0), 9, countMax: 4)).rows
            #expect(first.map(\.number) == [2, 4, 6, 7])
        }
    }
}
