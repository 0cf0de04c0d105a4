// The file can be read by others while a broker has it open: by sqlite3, and by DatabaseInspector.

import Foundation
import LeveretCore
import LeveretTestSupport
import Testing

@testable import Leveret

@Suite struct StoreInspectorTests {
    /// A queue with three ready messages, one of them dead-lettered, and one that is held.
    private func fill(_ store: Store) throws {
        var batch = WriteBatch.declaring(QueueDefinition("orders"), QueueDefinition("empty"))
        batch.definitions += [
            .putExchange(ExchangeDefinition("events", type: .topic), in: .default),
            .putBinding(
                Binding(source: "events", target: .queue("orders"), routingKey: "#"), in: .default),
        ]
        _ = try store.apply(batch)
        var properties = MessageProperties()
        properties.headers = ["tenant": .string("a")]
        let shared = Message(
            exchange: "events", routingKey: "k", properties: properties,
            body: [UInt8](repeating: 65, count: 600))
        let death = Death(
            queue: "empty", reason: .rejected, count: 2, exchange: "events", routingKeys: ["k"], time: 1_000
        )
        let deaths = DeathHistory(
            deaths: [death], originQueue: "empty", firstReason: .rejected, firstExchange: "events",
            firstTime: 500,
            lastTime: 1_000, errorText: "it broke"
        )
        _ = try store.apply(
            .inserting(
                .text(1, "one"), .text(2, "held"),
                InsertRow(number: 3, queue: 1, message: shared, entered: 1_500, sharedBody: 3),
                InsertRow(number: 4, queue: 1, message: .text("dead"), entered: 4, deaths: deaths),
                .text(5, "long gone", expires: 10)
            )
        )
        var held = WriteBatch()
        held.counters = [
            CounterUpdate(number: 2, failed: 1, acquired: 3, heldBy: "worker/a", heldSince: 2_000)
        ]
        _ = try store.apply(held)
    }

    @Test(arguments: [
        (
            "SELECT * FROM queue_depth",
            "empty|0|0|0|0||0|/\norders|4|1|5|620|1970-01-01T00:00:00.001Z|0|/"
        ),
        (
            "SELECT id, queue, origin, reason, error, first_death, death_count, CAST(body AS TEXT) FROM dead_letters",
            "4|orders|empty|rejected|it broke|1970-01-01T00:00:00.500Z|2|dead"
        ),
        (
            "SELECT id, queue, consumer, since, deliveries, failed FROM unacked",
            "2|orders|worker/a|1970-01-01T00:00:02.000Z|3|1"
        ),
        (
            "SELECT id, state, entered, length(body), headers FROM message_view WHERE id IN (2, 3)",
            "2|unacked|1970-01-01T00:00:00.002Z|4|\n3|ready|1970-01-01T00:00:01.500Z|600|{\"tenant\":\"a\"}"
        ),
        ("SELECT count(*) FROM delayed", "0"),
    ])
    func `sqlite3 reads the views while the broker runs`(query: String, answer: String) throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            try fill(store)
            try #expect(SQLiteShell.run(store.path, query, readOnly: true) == answer)
        }
    }

    @Test(arguments: [true, false])
    func `the inspector shows queues and messages, beside a broker and after it`(isRunning: Bool) throws {
        let fixture = try StoreFixture()
        let store = try fixture.open().store
        try fill(store)
        if !isRunning { store.close() }
        defer { if isRunning { store.close() } }
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        try #expect(inspector.queues().map(\.definition.name) == ["empty", "orders"])
        let orders = try inspector.queue("orders")
        #expect(orders.ready == 4)
        #expect(orders.unacked == 1)
        #expect(orders.readyBytes == 616)
        #expect(orders.oldest == 1)
        try #expect(inspector.queue("empty").ready == 0)
        try #expect(inspector.bindings().map(\.routingKey) == ["#"])
        try #expect(inspector.exchanges().map(\.bindings) == [1])
        let ready = try inspector.peek(Peek("orders"))
        #expect(ready.map(\.number) == [1, 3, 4])
        #expect(ready.map(\.message.body.count) == [3, 600, 4])
        #expect(ready.last?.deaths?.originQueue == "empty")
        try #expect(inspector.peek(Peek("orders", from: 2, countMax: 1)).map(\.number) == [3])
        let unacked = try inspector.peek(Peek("orders", state: .unacked))
        #expect(unacked.map(\.number) == [2])
        #expect(unacked.first?.heldBy == "worker/a")
        #expect(unacked.map(\.deliveries) == [3])
        #expect(unacked.first?.heldSince == 2_000)
        #expect { _ = try inspector.queue("none") } throws: { ($0 as? BrokerError)?.code == .notFound }
        #expect { _ = try inspector.peek(Peek("none")) } throws: { ($0 as? BrokerError)?.code == .notFound }
    }

    @Test func `the inspector sees what is committed after it was opened`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            try fill(store)
            let inspector = try DatabaseInspector(path: store.path)
            defer { inspector.close() }
            try #expect(inspector.queue("orders").ready == 4)
            _ = try store.apply(.removing(1))
            try #expect(inspector.queue("orders").ready == 3)
        }
    }

    @Test func `the inspector counts on though a size is less than none`() throws {
        let fixture = try StoreFixture()
        try fixture.use { try fill($0) }
        let damage = "UPDATE message SET size = -9223372036854775808, place = -2 WHERE id = 2"
        #expect(try SQLiteShell.run(fixture.path, damage) == "")
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        #expect(try inspector.queue("orders").unacked == 1)
    }

    @Test func `the inspector refuses what is no database of Leveret's`() throws {
        let fixture = try StoreFixture()
        #expect {
            _ = try DatabaseInspector(path: fixture.path)
        } throws: {
            ($0 as? BrokerError)?.code == .notFound
        }
        #expect {
            _ = try DatabaseInspector(path: fixture.path(""))
        } throws: {
            ($0 as? BrokerError)?.text.contains("is a folder") == true
        }
        try Data("diary".utf8).write(to: URL(filePath: fixture.path("diary")))
        #expect {
            _ = try DatabaseInspector(path: fixture.path("diary"))
        } throws: {
            ($0 as? BrokerError)?.text.contains("is not a SQLite database") == true
        }
        try #expect(SQLiteShell.run(fixture.path("other.db"), "CREATE TABLE t (a)") == "")
        #expect {
            _ = try DatabaseInspector(path: fixture.path("other.db"))
        } throws: {
            ($0 as? BrokerError)?.text.contains("of another program") == true
        }
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a file system needs root"))
    func `the inspector says what it needs where it can't write beside the file`() throws {
        let fixture = try StoreFixture()
        let disk = try SmallDisk(at: fixture.path("disk"), kibibytes: 4_096)
        defer { disk.unmount() }
        let path = disk.path + "/leveret.db"
        let store = try Store.open(path: path, options: fixture.options, now: 0, logger: .silent).store
        try fill(store)
        store.close()
        try disk.makeReadOnly()
        do {
            let inspector = try DatabaseInspector(path: path)
            inspector.close()
        } catch {
            #expect(error.code == .accessRefused)
            #expect(error.text.contains("needs the right to write"))
        }
    }
}
