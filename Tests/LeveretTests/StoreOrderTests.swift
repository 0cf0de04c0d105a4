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

@Suite struct StoreDelayTests {
    private static func row(_ number: MessageNumber, due: Instant, spilled: Bool = false) -> InsertRow {
        InsertRow(
            number: number, place: 0, queue: 1, message: .text("\(number.rawValue)"), isSpilled: spilled,
            due: due, entered: 0)
    }

    private func request(
        after: DueKey = DueKey(0, 0), by: Instant, from: MessageNumber = 0, countMax: Int = 10
    ) -> LoadRequest {
        LoadRequest(
            queue: 1, kind: .due(after: after, by: by, from: from), countMax: countMax, bytesMax: 1 << 20,
            epoch: 0, barrier: 0)
    }

    private func filled() throws -> StoreFixture {
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.declaring(QueueDefinition("jobs")))
            _ = try store.apply(
                .inserting(
                    .text(1, "ready"), Self.row(2, due: 300), Self.row(3, due: 100), Self.row(4, due: 200),
                    Self.row(5, due: 200), Self.row(6, due: 900)))
        }
        return fixture
    }

    @Test func `delayed copies are read by due time, and stand in no window`() throws {
        try filled().use { store in
            let all = try store.load(request(by: 400))
            #expect(all.rows.map(\.number) == [3, 4, 5, 2])
            #expect(all.rows.map(\.due) == [100, 200, 200, 300])
            #expect(all.nextDue == 900)
            let cut = try store.load(request(after: DueKey(100, 3), by: 400, countMax: 1))
            #expect(cut.rows.map(\.number) == [4])
            #expect(cut.nextDue == 200)
            let rest = try store.load(request(after: DueKey(200, 4), by: 400, from: 5))
            #expect(rest.rows.map(\.number) == [5])
            try #expect(store.numbers() == [1])
        }
    }

    @Test func `a copy that is due stands at its place`() throws {
        try filled().use { store in
            var batch = WriteBatch()
            batch.places = [
                PlaceUpdate(number: 2, place: 7, due: nil, entered: 300, expires: 800),
                PlaceUpdate(number: 1, place: -1, due: 950, entered: 1, expires: .distantFuture, version: 2),
            ]
            _ = try store.apply(batch)
            let rows = try store.load(.window()).rows
            #expect(rows.map(\.number) == [2])
            #expect(rows.first?.place == 7)
            #expect(rows.first?.expires == 800)
            let delayed = try store.load(request(after: DueKey(900, 6), by: 1_000)).rows
            #expect(delayed.map(\.number) == [1])
            #expect(delayed.first?.place == -1)
            #expect(delayed.first?.version == 2)
        }
    }

    @Test func `copies asked for by number all come, wherever they stand`() throws {
        try filled().use { store in
            // What was due late stands behind what was published after it.
            let late = InsertRow(
                number: 7, place: 20, queue: 1, message: .text("late"), isSpilled: false, entered: 0)
            _ = try store.apply(.inserting(late, .text(8, "8"), .text(9, "spilled", spilled: true)))
            var request = LoadRequest.numbers([8, 7])
            request.countMax = 2
            try #expect(store.load(request).rows.map(\.number) == [7, 8])
        }
    }

    @Test func `spilled and stored copies are read in one order of due times`() throws {
        try filled().use { store in
            _ = try store.apply(
                .inserting(Self.row(8, due: 150, spilled: true), Self.row(9, due: 950, spilled: true)))
            let first = try store.load(request(by: 400, countMax: 3))
            #expect(first.rows.map(\.number) == [3, 8, 4])
            #expect(first.nextDue == 200)
        }
    }

    @Test func `delayed copies are counted apart at the next open, and by people`() throws {
        let fixture = try filled()
        let queue = try #require(try fixture.reopened().queues.first)
        #expect(queue.count == 1)
        #expect(queue.delayed == 5)
        #expect(queue.nextDue == 100)
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        #expect(try inspector.queue("jobs").ready == 1)
        #expect(try inspector.queue("jobs").delayed == 5)
        #expect(try inspector.peek(Peek("jobs")).map(\.number) == [1])
        #expect(try inspector.peek(Peek("jobs", state: .delayed)).map(\.number) == [3, 4, 5, 2, 6])
        let depth = "SELECT ready, delayed, messages FROM queue_depth"
        try #expect(SQLiteShell.run(fixture.path, depth) == "1|5|6")
        try #expect(SQLiteShell.run(fixture.path, "SELECT count(*) FROM delayed") == "5")
    }

    @Test func `what is written after a delayed copy is not delayed`() throws {
        let fixture = try filled()
        try fixture.use { store in
            _ = try store.apply(.inserting(.text(7, "ready"), Self.row(8, due: 500), .text(9, "ready")))
            _ = try store.apply(.inserting(.text(10, "ready")))
        }
        let due = "SELECT id FROM message WHERE place > 0 AND due IS NOT NULL"
        try #expect(SQLiteShell.run(fixture.path, due) == "")
        try #expect(SQLiteShell.run(fixture.path, "SELECT count(*) FROM delayed") == "6")
    }

    @Test func `a purge leaves what is delayed, the end of a queue does not`() throws {
        try filled().use { store in
            _ = try store.apply(.purging(RangeRemoval(queue: 1, after: 0, through: 100)))
            #expect(try store.load(request(by: 1_000)).rows.count == 5)
            _ = try store.apply(.purging(RangeRemoval(queue: 1, after: MessageNumber(.min), through: 100)))
            #expect(try store.load(request(by: 1_000)).rows.isEmpty)
        }
    }
}
