// Each fault that `verify` knows is planted, and nothing else is found; a sound file and a busy broker have none.

import Foundation
import LeveretCore
import LeveretTestSupport
import Testing

@testable import Leveret

@Suite struct DatabaseVerifyTests {
    /// A file with a bit of everything, closed in good order.
    private func fill(_ fixture: borrowing StoreFixture) throws {
        try fixture.use { store in
            var batch = WriteBatch.declaring(
                QueueDefinition("orders"), QueueDefinition("urgent", arguments: ["x-max-priority": 5]))
            batch.definitions += [
                .putExchange(ExchangeDefinition("events", type: .topic), in: .default),
                .putBinding(
                    Binding(source: "events", target: .queue("orders"), routingKey: "#"), in: .default),
                .putBinding(
                    Binding(source: "amq.topic", target: .exchange("events"), routingKey: "#"), in: .default),
                .putPolicy(Policy("short", pattern: "^o", definition: ["x-max-length": 9]), in: .default),
                .pauseQueue(1, since: 5), .putUser(UserDefinition("app", passwordHash: "x")),
                .putPermission(UserPermission("app", configure: "", write: "", read: "")),
                .putTopicPermission(TopicPermission("app", exchange: "events", write: "", read: "")),
            ]
            batch.reserveThrough = 100
            _ = try store.apply(batch)
            var properties = MessageProperties()
            properties.headers = ["tenant": .string("a")]
            let shared = Message(
                exchange: "events", routingKey: "k", properties: properties,
                body: [UInt8](repeating: 65, count: 600))
            let death = Death(
                queue: "orders", reason: .rejected, count: 2, exchange: "events", routingKeys: ["k"],
                time: 1_000)
            let deaths = DeathHistory(
                deaths: [death], originQueue: "orders", firstReason: .rejected, firstExchange: "events",
                firstTime: 500, lastTime: 1_000, errorText: "it broke")
            var urgent = InsertRow(number: 4, queue: 2, message: .text("now"), entered: 4)
            urgent.priority = 3
            var later = InsertRow(
                number: 5, place: 0, queue: 1, message: .text("later"), due: 9_000, entered: 5)
            later.version = 2
            _ = try store.apply(
                .inserting(
                    .text(1, "one"),
                    InsertRow(number: 2, queue: 1, message: shared, entered: 2, sharedBody: 2),
                    InsertRow(number: 3, queue: 1, message: .text("dead"), entered: 3, deaths: deaths),
                    urgent,
                    later, .text(6, "")))
            var held = WriteBatch()
            held.counters = [
                CounterUpdate(number: 1, failed: 1, acquired: 3, heldBy: "worker/a", heldSince: 2_000)
            ]
            held.ids = [
                StoredID(key: DedupKey(scope: .exchange("events", in: .default), id: "a"), expires: 5_000)
            ]
            _ = try store.apply(held)
        }
    }

    @Test func `a sound file has no fault`() throws {
        let fixture = try StoreFixture()
        try fill(fixture)
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        let found = try inspector.verify()
        #expect(found.faults == [])
        #expect(found.messages == 6 && found.queues == 2 && found.bytes > 0)
    }

    private static let plants: [(sql: String, kind: DatabaseFault.Kind, says: String)] = [
        ("UPDATE message SET queue = 77 WHERE id = 6", .queueMissing, "doesn't exist: 6"),
        (
            "UPDATE message SET place = 1 WHERE id = 3", .placeShared,
            "one place, of which a broker may not see one: 1 and 3"
        ),
        ("UPDATE message SET place = -1, due = 5 WHERE id = 3", .placeShared, "1 and 3"),
        ("UPDATE message SET due = 5 WHERE id = 3", .placeWrong, ": 3"),
        ("UPDATE message SET place = 9 WHERE id = 5", .placeWrong, ": 5"),
        ("UPDATE message SET priority = NULL WHERE id = 4", .priorityWrong, ": 4"),
        ("UPDATE message SET priority = 1 WHERE id = 1", .priorityWrong, ": 1"),
        ("UPDATE message SET body = NULL WHERE id = 1", .bodyMissing, ": 1"),
        ("INSERT INTO body VALUES (50, 'x')", .bodyOrphaned, ": 50"),
        ("UPDATE message SET size = 4 WHERE id = 1", .sizeWrong, ": 1"),
        ("UPDATE message SET properties = x'ff' WHERE id = 2", .contents, ": 2 ("),
        ("UPDATE message SET headers = '[' WHERE id = 2", .contents, ": 2 ("),
        ("UPDATE message SET deaths = '{}' WHERE id = 3", .contents, ": 3 ("),
        ("INSERT INTO held VALUES (60, 1, NULL, NULL, 1)", .heldOrphaned, ": 60"),
        ("UPDATE held SET queue = 2", .heldOrphaned, ": 1"),
        ("DELETE FROM exchange", .bindingDangling, "exchange 'events' to queue 'orders'"),
        ("UPDATE binding SET target = 'gone' WHERE target_kind = 'queue'", .bindingDangling, "'gone'"),
        ("INSERT INTO dedup_scope (scope) VALUES ('queue 9')", .dedupOrphaned, ": queue 9"),
        ("INSERT INTO paused VALUES (9, 1)", .pauseOrphaned, ": 9"),
        ("DELETE FROM user", .permissionOrphaned, ": 'app' in '/'"),
        ("UPDATE permission SET vhost = 'gone'", .permissionOrphaned, ": 'app' in 'gone'"),
        (
            "UPDATE topic_permission SET user = 'b'", .topicPermissionOrphaned,
            ": 'b' in '/' for exchange 'events'"
        ),
        ("UPDATE message SET failed = -1 WHERE id = 1", .numbers, "message 1"),
        ("UPDATE message SET entered = 'noon' WHERE id = 1", .numbers, "message 1"),
        ("UPDATE meta SET value = 3 WHERE name = 'reserved_through'", .numbers, "message 6, above"),
        ("UPDATE meta SET value = 1 WHERE name = 'last_queue'", .numbers, "queue 2, above"),
        ("UPDATE exchange SET type = 'magic'", .definitions, "its type is 'magic'"),
        ("UPDATE queue SET arguments = x'ff' WHERE id = 1", .definitions, "queue 'orders'"),
        ("UPDATE policy SET definition = x'ff'", .definitions, "policy 'short'"),
    ]

    @Test(arguments: plants.indices)
    func `a fault is found by its kind, with what to do`(index: Int) throws {
        let plant = Self.plants[index]
        let fixture = try StoreFixture()
        try fill(fixture)
        #expect(try SQLiteShell.run(fixture.path, plant.sql) == "")
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        let faults = try inspector.verify().faults
        let fault = try #require(faults.first { $0.kind == plant.kind }, "\(plant.sql): \(faults)")
        #expect(fault.text.contains(plant.says), "\(plant.sql): \(fault.text)")
        #expect(fault.count > 0 && !fault.advice.isEmpty)
    }

    @Test func `every kind of fault is planted`() {
        let planted = Set(Self.plants.map(\.kind)).union([.pages])
        #expect(planted == Set(DatabaseFault.Kind.allCases))
    }

    @Test func `many faults of a kind are counted and the first few named`() throws {
        let fixture = try StoreFixture()
        try fill(fixture)
        let rows = (10...20).map { "(\($0), 'x')" }.joined(separator: ", ")
        #expect(try SQLiteShell.run(fixture.path, "INSERT INTO body VALUES \(rows)") == "")
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        let fault = try #require(try inspector.verify().faults.first)
        #expect(fault.count == 11)
        #expect(fault.text.hasSuffix(": 10, 11, 12, 13, 14 and 6 more"))
    }

    @Test func `what a broker is about to tidy up is no fault beside it`() throws {
        let fixture = try StoreFixture()
        try fill(fixture)
        #expect(try SQLiteShell.run(fixture.path, "UPDATE message SET queue = 77 WHERE id = 6") == "")
        let inspector = try DatabaseInspector(path: fixture.path)
        defer { inspector.close() }
        #expect(try inspector.verify().faults.map(\.kind) == [.queueMissing])
        try Data("1".utf8).write(to: URL(filePath: fixture.path + "-lock"))
        #expect(try inspector.verify().faults == [])
    }

    @Test func `nothing is found beside a broker at work`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        let broker = try Broker(.file(path))
        try await broker.declareQueue("dead")
        try await broker.declareQueue(
            "jobs",
            arguments: [
                "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-max-priority": 3,
            ])
        try await broker.declareExchange("all", type: .fanout)
        for queue in ["dead", "jobs"] as [QueueName] { try await broker.bind(queue, to: "all") }
        try await withThrowingTaskGroup { group in
            group.addTask {
                var number = 0
                while !Task.isCancelled {
                    number += 1
                    var properties = MessageProperties()
                    properties.priority = UInt8(number % 4)
                    properties.headers = ["n": .int(Int64(number))]
                    try await broker.publish(
                        [UInt8](repeating: 65, count: 700), to: "all", routingKey: "k", properties: properties
                    )
                }
            }
            group.addTask {
                var number = 0
                while !Task.isCancelled {
                    number += 1
                    guard let message = try await broker.get("jobs") else { continue }
                    if number % 3 == 0 {
                        try await message.reject(requeue: number % 2 == 0)
                    } else {
                        try await message.ack()
                    }
                }
            }
            let inspector = try DatabaseInspector(path: path)
            defer { inspector.close() }
            for _ in 0..<20 { #expect(try inspector.verify().faults == []) }
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError),
                    !(error is PublishCancelled)
                {
                    throw error
                }
            }
        }
        try await broker.shutdown()
        let inspector = try DatabaseInspector(path: path)
        defer { inspector.close() }
        #expect(try inspector.verify().faults == [])
    }
}
