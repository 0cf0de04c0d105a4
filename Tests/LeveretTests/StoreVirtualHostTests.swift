// Virtual hosts in the file: what each holds is found again, goes with it, and is there after a migration.

import LeveretCore
import Testing

@testable import Leveret

@Suite struct StoreVirtualHostTests {
    private let binding = Binding(source: "events", target: .queue("orders"), routingKey: "k")
    private let policy = Policy("short", pattern: "^o", definition: ["x-max-length": 9])

    /// Two virtual hosts that have the same names in them.
    private func filled() throws -> StoreFixture {
        let fixture = try StoreFixture()
        try fixture.use { store in
            var batch = WriteBatch.inserting(.text(1, "here", queue: 1), .text(2, "there", queue: 2))
            batch.definitions = [
                .putVirtualHost(2, "shop", VirtualHostLimits()),
                .putVirtualHost(2, "shop", VirtualHostLimits(queuesMax: 3, connectionsMax: 0)),
            ]
            for (number, vhost) in [1, 2].enumerated().map({ ($0.offset, VirtualHostID($0.element)) }) {
                batch.definitions += [
                    .putQueue(QueueID(Int64(number + 1)), QueueDefinition("orders"), in: vhost),
                    .putExchange(ExchangeDefinition("events"), in: vhost), .putBinding(binding, in: vhost),
                    .putPolicy(policy, in: vhost),
                    .pauseQueue(QueueID(Int64(number + 1)), since: 5),
                ]
                batch.ids.append(
                    StoredID(key: DedupKey(scope: .exchange("events", in: vhost), id: "a"), expires: 9_000))
            }
            batch.reserveThrough = 100
            _ = try store.apply(batch)
        }
        return fixture
    }

    private func names(_ host: RecoveredVirtualHost) -> [String] {
        host.queues.map(\.definition.name.rawValue) + host.exchanges.map(\.name.rawValue)
            + host.bindings.map(\.source.rawValue) + host.policies.map(\.name)
    }

    @Test func `what each holds is found again`() throws {
        let state = try filled().reopened()
        #expect(state.virtualHosts.map(\.id) == [1, 2] && state.virtualHosts.map(\.name) == ["/", "shop"])
        #expect(state.virtualHosts.map(\.limits) == [.init(), .init(queuesMax: 3, connectionsMax: 0)])
        for host in state.virtualHosts { #expect(names(host) == ["orders", "events", "events", "short"]) }
        #expect(state.virtualHosts.map { $0.queues.map(\.count) } == [[1], [1]])
        #expect(Set(state.dedupScopes) == [.exchange("events", in: 1), .exchange("events", in: 2)])
    }

    @Test func `what is deleted takes its own along and leaves its messages to ranges`() throws {
        let fixture = try filled()
        try fixture.use { store in
            var batch = WriteBatch()
            batch.definitions = [.deleteVirtualHost(2), .forgetIDs(.exchange("events", in: 2))]
            _ = try store.apply(batch)
        }
        let state = try fixture.reopened()
        #expect(state.virtualHosts.map(names) == [["orders", "events", "events", "short"]])
        #expect(state.orphans == [2] && state.dedupScopes == [.exchange("events", in: 1)])
        #expect(try SQLiteShell.run(fixture.path, "SELECT count(*) FROM paused") == "1")
    }

    @Test func `single things are removed from their own virtual host only`() throws {
        let fixture = try filled()
        try fixture.use { store in
            var batch = WriteBatch()
            batch.definitions = [
                .deleteBinding(binding, in: 2), .deletePolicy("short", isOperator: false, in: 1),
                .deleteExchange("events", in: 2), .deleteQueue(1),
            ]
            _ = try store.apply(batch)
        }
        let state = try fixture.reopened()
        #expect(state.virtualHosts.map(names) == [["events", "events"], ["orders", "short"]])
    }

    @Test func `views say of which a queue is`() throws {
        let fixture = try filled()
        let depth =
            "SELECT queue, ready, vhost FROM queue_depth; SELECT queue, vhost FROM message_view ORDER BY id"
        #expect(
            try SQLiteShell.run(fixture.path, depth) == "orders|1|/\norders|1|shop\norders|/\norders|shop")
        for view in ["dead_letters", "delayed", "unacked"] {
            #expect(try SQLiteShell.run(fixture.path, "SELECT count(vhost) FROM \(view)") == "0")
        }
    }

    @Test func `a file from before opens with everything in the first, policies too`() throws {
        let fixture = try StoreFixture()
        #expect(try SQLiteShell.run(fixture.path, StoreVersion1.sql) == "wal")
        let queue = try DatabaseQueue(path: fixture.path, Database.Options())
        let before = Migrator(migrations: Array(Schema.migrations.prefix(6)), copiesBefore: false)
        try queue.lend { try before.run($0, path: fixture.path) }
        queue.close()
        let row = "INSERT INTO policy VALUES ('p', 1, '^orders', 3, x'00000000', NULL, 'queues')"
        #expect(try SQLiteShell.run(fixture.path, row) == "")
        let policy = Policy(
            "p", pattern: "^orders", appliesTo: .queues, priority: 3, isOperator: true, definition: [:])
        // A reader knows both.
        let inspector = try DatabaseInspector(path: fixture.path)
        #expect(try inspector.policies() == [policy] && inspector.virtualHosts().map(\.queues) == [1])
        inspector.close()
        let state = try fixture.reopened()
        #expect(state.virtualHosts.map(\.name) == ["/"] && state.policies == [policy])
        #expect(state.queues.map(\.definition.name) == ["orders"] && state.queues.map(\.count) == [2])
        let look = "SELECT vhost, queue, ready FROM queue_depth"
        #expect(try SQLiteShell.run(fixture.path, look) == "/|orders|2")
        #expect(try SQLiteShell.run(fixture.path, "PRAGMA integrity_check") == "ok")
    }

    @Test func `a reader sees one virtual host, or refuses one that is not there`() throws {
        let fixture = try filled()
        let inspector = try DatabaseInspector(path: fixture.path, virtualHost: "shop")
        defer { inspector.close() }
        #expect(try inspector.queues().map(\.ready) == [1])
        #expect(try inspector.queue("orders").policy == "short")
        let body = try inspector.peek(Peek("orders")).first?.message.body
        #expect(body.map { String(decoding: $0, as: UTF8.self) } == "there")
        #expect(try inspector.exchanges().map(\.bindings) == [1] && inspector.bindings() == [binding])
        let found = try inspector.virtualHosts()
        #expect(found.map(\.name) == ["/", "shop"] && found.map(\.ready) == [1, 1])
        let other = try DatabaseInspector(path: fixture.path, virtualHost: "none")
        defer { other.close() }
        let error = #expect(throws: BrokerError.self) { try other.queues() }
        #expect(error?.code == .notFound && error?.text.hasPrefix("no vhost 'none' in database") == true)
        let unknown = #expect(throws: BrokerError.self) { try inspector.queue("x") }
        #expect(unknown?.text.hasPrefix("no queue 'x' in vhost 'shop' of database") == true)
    }

    @Test func `verify holds each against its own, and what has no virtual host is damage`() throws {
        let fixture = try filled()
        func faults() throws -> [DatabaseFault.Kind] {
            let inspector = try DatabaseInspector(path: fixture.path)
            defer { inspector.close() }
            return try inspector.verify().faults.map(\.kind)
        }
        #expect(try faults() == [])
        let leading = "UPDATE exchange SET name = 'other' WHERE vhost = 2"
        #expect(try SQLiteShell.run(fixture.path, leading) == "")
        #expect(try faults() == [.bindingDangling, .dedupOrphaned])
        #expect(try SQLiteShell.run(fixture.path, "DELETE FROM vhost WHERE id = 2") == "")
        #expect(try faults().contains(.definitions))
        let error = #expect(throws: BrokerError.self) { try fixture.reopened() }
        #expect(error?.text.contains("there is no vhost 2") == true)
    }
}
