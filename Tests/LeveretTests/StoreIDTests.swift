// Ids in runs: what was remembered is found however runs are merged, what ended goes, and nothing else is known.

import LeveretCore
import LeveretTestSupport
import Testing

@testable import Leveret

@Suite struct StoreIDTests {
    private static let scopes: [DedupScope] = [
        .queue(1), .queue(2), .exchange("events", in: .default), .exchange("events", in: 2),
    ]

    /// A store whose runs take four ids.
    private func fixture() throws -> StoreFixture {
        var fixture = try StoreFixture()
        fixture.options.idsPerRun = 4
        return fixture
    }

    private func batch(_ ids: [StoredID], now: Instant = 0) -> WriteBatch {
        var batch = WriteBatch()
        batch.ids = ids
        batch.idsEndedBy = now
        return batch
    }

    private func id(_ id: String, _ scope: DedupScope = .queue(1), expires: Instant = 9_000) -> StoredID {
        StoredID(key: DedupKey(scope: scope, id: id), expires: expires)
    }

    private func find(_ keys: [DedupKey], in store: Store) throws -> [DedupKey: Instant] {
        let found = try store.load(
            LoadRequest(
                queue: 0, kind: .ids(keys), countMax: keys.count, bytesMax: .max, epoch: 0, barrier: 0)
        ).ids
        return Dictionary(uniqueKeysWithValues: found.map { ($0.key, $0.expires) })
    }

    @Test(arguments: [1, 2, 3, 4])
    func `ids are known until they end, over merges and restarts, and others are not`(seed: UInt64) throws {
        let fixture = try fixture()
        var random = SplitMix64(seed: seed)
        var known: [DedupKey: Instant] = [:]
        var now: Instant = 1_000
        for round in 0..<12 {
            try fixture.use { store in
                for _ in 0..<40 {
                    now = now.advanced(byMilliseconds: 10)
                    var ids: [StoredID] = []
                    for _ in 0..<Int.random(in: 1...30, using: &random) {
                        let next = id(
                            "\(Int.random(in: 0..<4_000, using: &random))",
                            Self.scopes.randomElement(using: &random) ?? .queue(1),
                            expires: now.advanced(byMilliseconds: .random(in: 1...2_000, using: &random)))
                        guard known[next.key] ?? 0 <= now else { continue }
                        known[next.key] = next.expires
                        ids.append(next)
                    }
                    _ = try store.apply(batch(ids, now: now))
                }
                let all = Self.scopes.flatMap { scope in
                    (0..<4_000).map { DedupKey(scope: scope, id: "\($0)") }
                }
                let found = try find(all, in: store).filter { $0.value > now }
                let right = known.filter { $0.value > now }
                let wrong = found.filter { right[$0.key] != $0.value }
                #expect(found.count == right.count && wrong.isEmpty, "round \(round)")
                // What ended is gone but for what waits for the next merge.
                #expect(try store.number("SELECT count(*) FROM dedup_id") < 8_000)
                #expect(try store.number("SELECT count(*) FROM dedup_run") < 3 * 32)
            }
        }
        #expect(try SQLiteShell.run(fixture.path, "PRAGMA integrity_check") == "ok")
    }

    @Test func `full runs have filters, and merged ones are gone with their rows`() throws {
        let fixture = try fixture()
        try fixture.use { store in
            for number in 0..<32 { _ = try store.apply(batch((0..<4).map { id("\($0 * 32 + number)") })) }
            #expect(try store.number("SELECT count(*) FROM dedup_run WHERE filter IS NULL") == 0)
            for number in 0..<8 { _ = try store.apply(batch([id("more \(number)")])) }
            #expect(try store.number("SELECT max(count) FROM dedup_run WHERE filter IS NOT NULL") == 128)
            #expect(try store.number("SELECT count(*) FROM dedup_run") == 3)
            #expect(try store.number("SELECT count(*) FROM dedup_id") == 136)
            #expect(try store.number("SELECT count(*) FROM dedup WHERE scope = 'queue 1'") == 136)
        }
    }

    @Test func `ids that grow are merged in few steps, and one id of many scopes is removed`() throws {
        let fixture = try fixture()
        try fixture.use { store in
            let many = (1...200).map { id("same", .queue(QueueID($0)), expires: 50) }
            _ = try store.apply(batch(many, now: 10))
            for number in 0..<300 {
                _ = try store.apply(batch([id("\(1_000 + number)")], now: 100))
            }
            #expect(try store.number("SELECT count(*) FROM dedup_id WHERE expires = 50") == 0)
            #expect(try store.number("SELECT count(*) FROM dedup_id") == 300)
            #expect(try store.number("SELECT count(*) FROM dedup_run") < 50)
            let keys = (0..<300).map { id("\(1_000 + $0)").key }
            let found = try find(keys, in: store)
            #expect(found.count == 300)
        }
    }

    @Test func `scopes with names of all kinds are known again`() throws {
        let fixture = try fixture()
        let scopes: [DedupScope] = [
            .exchange("\u{301}x", in: .default), .exchange("\u{FE0F}", in: 7),
            .exchange("a exchange b", in: 2),
            .exchange("", in: .default), .queue(5),
        ]
        try fixture.use { _ = try $0.apply(batch(scopes.map { id("a", $0) })) }
        let state = try fixture.reopened()
        #expect(state.dedupScopes == scopes)
    }

    @Test func `a scope that is forgotten knows nothing, and begins anew`() throws {
        let fixture = try fixture()
        try fixture.use { store in
            let scope = DedupScope.exchange("events", in: .default)
            let keys = ["a", "b"].map { DedupKey(scope: scope, id: $0) }
            _ = try store.apply(batch([id("a", scope), id("b", scope), id("a", .queue(1))]))
            var forgetting = batch([id("b", scope, expires: 7_000)])
            forgetting.definitions = [.forgetIDs(scope)]
            _ = try store.apply(forgetting)
            #expect(try find(keys, in: store) == [keys[1]: 7_000])
            let other = DedupKey(scope: .queue(1), id: "a")
            #expect(try find([other], in: store) == [other: 9_000])
        }
        let state = try fixture.reopened()
        #expect(state.idsEnd == 9_000)
    }

    @Test func `a commit that fails leaves the ids as they were`() throws {
        let fixture = try fixture()
        try fixture.use { store in
            _ = try store.apply(batch((0..<6).map { id("\($0)") }))
            var failing = batch((6..<30).map { id("\($0)") })
            failing.inserts = [.text(1, "one"), .text(1, "again")]
            #expect(throws: StoreFailure.self) { _ = try store.apply(failing) }
            let keys = (0..<40).map { id("\($0)").key }
            #expect(try find(keys, in: store).count == 6)
            _ = try store.apply(batch((6..<40).map { id("\($0)") }))
            #expect(try find(keys, in: store).count == 40)
        }
    }

    @Test func `what a crash left of a merge is removed`() throws {
        let fixture = try fixture()
        try fixture.use { _ = try $0.apply(batch([id("a"), id("b")])) }
        let half = "INSERT INTO dedup_id SELECT 7, id, scope, expires FROM dedup_id"
        #expect(try SQLiteShell.run(fixture.path, half) == "")
        try fixture.use { store in
            _ = try store.apply(batch([id("c")]))
            #expect(try store.number("SELECT count(*) FROM dedup_id WHERE run = 7") == 0)
            let keys = ["a", "b", "c"].map { id($0).key }
            #expect(try find(keys, in: store).count == 3)
        }
    }

    @Test func `a damaged filter is not believed`() throws {
        let fixture = try fixture()
        try fixture.use { _ = try $0.apply(batch((0..<4).map { id("\($0)") })) }
        let damage = "UPDATE dedup_run SET filter = x'00'"
        #expect(try SQLiteShell.run(fixture.path, damage) == "")
        try fixture.use { store in
            let keys = (0..<4).map { id("\($0)").key }
            let found = try find(keys, in: store)
            #expect(found.count == 4)
        }
    }

    @Test func `runs that count more ids than there can be are merged all the same`() throws {
        let fixture = try fixture()
        try fixture.use { _ = try $0.apply(batch([id("a")])) }
        let damage = """
            INSERT INTO dedup_run SELECT value, 9223372036854775807, 9000, NULL FROM generate_series(10, 50);
            """
        #expect(try SQLiteShell.run(fixture.path, damage) == "")
        try fixture.use { store in
            _ = try store.apply(batch([id("b")]))
            #expect(try store.number("SELECT count(*) FROM dedup_run") < 20)
            #expect(try find([id("a").key, id("b").key], in: store).count == 2)
        }
    }

    @Test func `ids of a file from before are known`() throws {
        let fixture = try fixture()
        let queue = try DatabaseQueue(path: fixture.path, Database.Options())
        let withRuns = try #require(Schema.migrations.firstIndex { $0.contains("dedup_run") })
        let before = Migrator(migrations: Array(Schema.migrations.prefix(withRuns)), copiesBefore: false)
        try queue.lend { try before.run($0, path: fixture.path) }
        queue.close()
        let rows = """
            INSERT INTO dedup VALUES ('queue 1', 'a', 5000), ('queue 1', 'b', 6000), ('exchange events', 'a', 7000)
            """
        #expect(try SQLiteShell.run(fixture.path, rows) == "")
        let state = try fixture.reopened()
        #expect(state.idsEnd == 7_000)
        #expect(Set(state.dedupScopes) == [.queue(1), .exchange("events", in: .default)])
        try fixture.use { store in
            let keys = [id("a").key, id("b").key, id("c").key]
            let found = try find(keys, in: store)
            #expect(found == [keys[0]: 5_000, keys[1]: 6_000])
        }
    }

    @Test func `a filter holds what was put into it, and little else`() throws {
        var filter = IDFilter(count: 10_000)
        for number in 0..<10_000 { filter.insert(IDFilter.Place("\(number)", scope: 3)) }
        let stored = try #require(IDFilter(filter.bytes))
        let right = (0..<10_000).count { stored.mayHold(IDFilter.Place("\($0)", scope: 3)) }
        let wrong = (0..<10_000).count { stored.mayHold(IDFilter.Place("\($0)", scope: 4)) }
        #expect(right == 10_000 && wrong < 200)
        #expect(IDFilter([]) == nil && IDFilter([1, 2, 3]) == nil)
    }
}
