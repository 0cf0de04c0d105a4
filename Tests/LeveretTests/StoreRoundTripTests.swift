// Every field of a message, its counters and its history come back as they went in, whatever they hold.

import LeveretCore
import Testing

@testable import Leveret

@Suite struct StoreRoundTripTests {
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `every field of a message comes back`(seed: UInt64) throws {
        var random = Random(seed: seed)
        let rows = (1...40).map { random.row(MessageNumber(Int64($0) * 3)) }
        let fixture = try StoreFixture()
        try fixture.use { store in
            _ = try store.apply(.inserting(rows))
            let loaded = try store.load(.window()).rows
            #expect(loaded.count == rows.count)
            for (loaded, row) in zip(loaded, rows) { expectEqual(loaded, row) }
        }
        try fixture.use { store in
            let asked = rows.map(\.number).shuffled(using: &random)
            let loaded = try store.load(.numbers(asked + [1, 1_000])).rows
            #expect(loaded.count == rows.count)
            for (loaded, row) in zip(loaded, rows) { expectEqual(loaded, row) }
        }
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func `a bare row has all but its message`(seed: UInt64) throws {
        var random = Random(seed: seed)
        let rows = (1...40).map { random.row(MessageNumber(Int64($0) * 3)) }
        try StoreFixture().use { store in
            _ = try store.apply(.inserting(rows))
            var request = LoadRequest.window()
            let whole = try store.load(request).rows
            request.isBare = true
            let bare = try store.load(request).rows
            #expect(bare.count == rows.count)
            for (bare, whole) in zip(bare, whole) {
                #expect(bare.isBare && bare.message.body.isEmpty && bare.message.properties == nil)
                #expect(bare.bodyBytes == whole.message.body.count)
                #expect(bare.number == whole.number && bare.place == whole.place && bare.due == whole.due)
                #expect(bare.priority == whole.priority && bare.version == whole.version)
                #expect(bare.entered == whole.entered && bare.expires == whole.expires)
                #expect(bare.failed == whole.failed && bare.acquired == whole.acquired)
                #expect(bare.deaths == whole.deaths && bare.isSpilled == whole.isSpilled)
            }
        }
    }

    @Test func `definitions come back as they were declared`() throws {
        let arguments: FieldTable = [
            "x-message-ttl": .int(1_000), "note": .string("äöü"), "t": .table(["a": .void]),
        ]
        let queue = QueueDefinition("orders", durable: true, autoDelete: true, arguments: arguments)
        let exchange = ExchangeDefinition(
            "events", type: .topic, durable: true, autoDelete: true, internal: true, arguments: arguments
        )
        let bindings = [
            Binding(source: "events", target: .queue("orders"), routingKey: "#", arguments: arguments),
            Binding(source: "events", target: .queue("orders"), routingKey: "#"),
            Binding(source: "amq.topic", target: .exchange("events"), routingKey: "a.*"),
        ]
        var batch = WriteBatch()
        batch.definitions =
            [.putQueue(7, queue, in: .default), .putExchange(exchange, in: .default)]
            + bindings.map { .putBinding($0, in: .default) }
        let fixture = try StoreFixture()
        try fixture.use { _ = try $0.apply(batch) }
        let state = try fixture.reopened()
        #expect(state.queues.map(\.definition) == [queue])
        #expect(state.queues.map(\.id) == [7])
        #expect(state.exchanges == [exchange])
        #expect(state.bindings == bindings)
    }

    @Test func `users and permissions come back as they were set, and go with their user`() throws {
        let app = UserDefinition(
            "app", passwordHash: "$scrypt$", tags: ["a", "b"], limits: UserLimits(connectionsMax: 5))
        let other = UserDefinition("äpp", passwordHash: "", limits: UserLimits(sessionsMax: 0))
        let permission = UserPermission("app", configure: "^a", write: "", read: ".*")
        let topics = TopicPermission("app", exchange: "t", write: "^{username}", read: "")
        var batch = WriteBatch()
        batch.definitions = [
            .putUser(UserDefinition("app", passwordHash: "old")), .putUser(app), .putUser(other),
            .putPermission(UserPermission("app", configure: "", write: "", read: "")),
            .putPermission(permission),
            .putPermission(UserPermission("äpp", in: "/", configure: "", write: "", read: "x")),
            .deletePermission("äpp", in: "/"),
            .putTopicPermission(TopicPermission("app", exchange: "t", write: "", read: "")),
            .putTopicPermission(topics),
            .putTopicPermission(TopicPermission("app", exchange: "u", write: "", read: "")),
            .deleteTopicPermission("app", in: "/", exchange: "u"),
        ]
        let fixture = try StoreFixture()
        try fixture.use { _ = try $0.apply(batch) }
        let state = try fixture.reopened()
        #expect(state.users == [app, other] && state.permissions == [permission])
        #expect(state.topicPermissions == [topics])
        let inspector = try DatabaseInspector(path: fixture.path)
        #expect(try inspector.users() == [app, other] && inspector.permissions() == [permission])
        #expect(try inspector.topicPermissions() == [topics])
        inspector.close()
        batch.definitions = [.deleteUser("app")]
        try fixture.use { _ = try $0.apply(batch) }
        let after = try fixture.reopened()
        #expect(after.users == [other] && after.permissions.isEmpty && after.topicPermissions.isEmpty)
    }

    @Test func `deleted definitions stay away, and their ids are not given out again`() throws {
        let fixture = try StoreFixture()
        try fixture.use { store in
            var batch = WriteBatch()
            let binding = Binding(source: "events", target: .queue("orders"), routingKey: "a")
            batch.definitions = [
                .putQueue(9, QueueDefinition("orders"), in: .default),
                .putExchange(ExchangeDefinition("events"), in: .default),
                .putBinding(binding, in: .default),
            ]
            _ = try store.apply(batch)
            batch.definitions = [
                .deleteBinding(binding, in: .default), .deleteExchange("events", in: .default),
                .deleteQueue(9),
            ]
            _ = try store.apply(batch)
        }
        let state = try fixture.reopened()
        #expect(state.queues.isEmpty && state.exchanges.isEmpty && state.bindings.isEmpty)
        #expect(state.nextQueueID == 10)
    }

    private func expectEqual(
        _ loaded: LoadedRow, _ row: InsertRow, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        guard let message = row.message else { return }
        #expect(loaded.number == row.number, sourceLocation: sourceLocation)
        #expect(loaded.message.exchange == message.exchange, sourceLocation: sourceLocation)
        #expect(loaded.message.routingKey == message.routingKey, sourceLocation: sourceLocation)
        #expect(loaded.message.properties == message.properties, sourceLocation: sourceLocation)
        #expect(loaded.message.isPersistent == message.isPersistent, sourceLocation: sourceLocation)
        #expect(loaded.message.body == message.body, sourceLocation: sourceLocation)
        #expect(loaded.entered == row.entered, sourceLocation: sourceLocation)
        #expect(loaded.expires == row.expires, sourceLocation: sourceLocation)
        #expect(loaded.failed == row.failed, sourceLocation: sourceLocation)
        #expect(loaded.acquired == row.acquired, sourceLocation: sourceLocation)
        #expect(loaded.hasHeldRow == (row.acquired > 0), sourceLocation: sourceLocation)
        #expect(loaded.deaths == row.deaths, sourceLocation: sourceLocation)
        #expect(!loaded.isSpilled, sourceLocation: sourceLocation)
    }
}

/// Chance by seed (SplitMix64), and rows made by it.
struct Random: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func flip() -> Bool { Bool.random(using: &self) }

    mutating func text() -> String {
        let texts = [
            "", "a", "order.created", "äöü ✓", "zero\0inside", String(repeating: "long ", count: 40),
        ]
        return texts[Int.random(in: 0..<texts.count, using: &self)]
    }

    mutating func bytes() -> [UInt8] {
        let counts = [0, 1, 100, 512, 513, 9_000, 70_000]
        let count = counts[Int.random(in: 0..<counts.count, using: &self)]
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    mutating func properties() -> MessageProperties? {
        guard flip() else { return nil }
        var properties = MessageProperties()
        properties.messageID = "id"
        if flip() { properties.contentType = text() }
        if flip() { properties.correlationID = text() }
        if flip() { properties.priority = UInt8.random(in: 0...255, using: &self) }
        if flip() { properties.timestamp = Int64.random(in: 0...(.max), using: &self) }
        if flip() {
            properties.headers = ["a": .int(1), "b": .string("x"), "c": .array([.bool(true), .void])]
        }
        return properties
    }

    mutating func deaths() -> DeathHistory? {
        guard flip() else { return nil }
        let death = Death(
            queue: "orders", reason: .rejected, count: 3, exchange: "events", routingKeys: ["a", "b"],
            time: 5,
            originalExpiration: flip() ? "100" : nil
        )
        return DeathHistory(
            deaths: [death], originQueue: "orders", firstReason: .expired, firstExchange: "first",
            firstTime: 4,
            lastTime: 6, errorText: flip() ? "it broke: \"so\"" : nil
        )
    }

    mutating func row(_ number: MessageNumber) -> InsertRow {
        let message = Message(
            exchange: ExchangeName(text()), routingKey: text(), properties: properties(),
            isPersistent: flip(),
            body: bytes()
        )
        return InsertRow(
            number: number, queue: 1, message: message,
            entered: Instant(milliseconds: Int64.random(in: 0...1_000_000, using: &self)),
            expires: flip()
                ? .distantFuture : Instant(milliseconds: Int64.random(in: 0...1_000_000, using: &self)),
            failed: Int32.random(in: 0...9, using: &self), acquired: flip() ? 0 : 4, deaths: deaths()
        )
    }
}
