// What must not come through `where` and SQL: other statements, other tables, functions that make much of little, and
// what runs for ever. Each is refused with the code that says what is wrong, and nothing has changed.

import Foundation
import LeveretTestSupport
import Synchronization
import Testing

@testable import Leveret
@testable import LeveretCore

/// Where Linux shows what files this process has open.
private let openFiles = "/proc/self/fd"

/// A text and what it is refused with.
struct Hostile: CustomTestStringConvertible, Sendable {
    var text: String
    var code: ReplyCode
    /// What the error says.
    var says: String
    var testDescription: String { String(text.prefix(60)) }

    init(_ text: String, _ code: ReplyCode, _ says: String = "") {
        self.text = text
        self.code = code
        self.says = says
    }

    func isSaid(by error: BrokerError?) -> Bool {
        error.map { says.isEmpty || $0.text.contains(says) } ?? false
    }
}

@Suite(.timeLimit(.minutes(10)))
struct HostileQueryTests {
    /// A broker with two queues that a query should not mix up.
    private func broker(_ change: (inout Broker.Configuration) -> Void = { _ in }) async throws -> Broker {
        let broker = try BrokerFixture.inMemory(change)
        try await broker.declareQueue("jobs")
        try await broker.declareQueue("secrets")
        for index in 0..<20 { try await broker.publish("\(index)", to: "jobs" as QueueName) }
        try await broker.publish("secret", to: "secrets" as QueueName)
        return broker
    }

    private func refusal(_ work: () async throws -> Void) async -> BrokerError? {
        do { try await work() } catch { return error as? BrokerError }
        return nil
    }

    /// Takes longer than anybody waits.
    static let endless =
        "SELECT count(*) FROM " + "abcdefghijklm".map { "message \($0)" }.joined(separator: ", ")

    @Test(.enabled(if: FileManager.default.fileExists(atPath: openFiles), "asks the system what is open"))
    func `a second statement leaves no file open`() throws {
        let fixture = try StoreFixture()
        let folder = URL(filePath: fixture.path).deletingLastPathComponent().lastPathComponent
        func open() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: openFiles).count {
                let file = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(openFiles)/\($0)")
                return file?.contains(folder) == true
            }
        }
        try fixture.use { store in
            let search = store.search(SearchBounds(CoreLimits()))
            _ = try search.query("SELECT 1")
            let before = try open()
            for second in ["x", "SELECT 2", "SELECT", "DELETE FROM message"] {
                #expect(throws: BrokerError.self) { try search.query("SELECT 1; \(second)") }
                let peek = Peek("q", countMax: 1, where: "1; \(second)")
                #expect(throws: BrokerError.self) { try search.messages(peek, in: 1, nil, now: 0) }
            }
            try #expect(open() == before)
        }
    }

    static let conditions: [Hostile] = [
        // What leaves its place.
        Hostile("", .syntaxError, "at its end"),
        Hostile("   ", .syntaxError, "at its end"),
        Hostile("-- nothing", .syntaxError, "at its end"),
        Hostile("1)", .syntaxError, "at character 2"),
        Hostile("1) OR (1", .syntaxError, "at character 2"),
        Hostile("1) UNION SELECT id, id, id, id, id FROM message --", .accessRefused, "at character 10"),
        Hostile("1) --", .syntaxError, "at character 2"),
        Hostile("(1", .syntaxError, "at its end"),
        Hostile("1 /*", .syntaxError),
        Hostile("1 /* ) */ ) /*", .syntaxError),
        Hostile("1 ORDER BY size", .syntaxError, "at character 3"),
        Hostile("1 LIMIT 1000000", .syntaxError, "at character 3"),
        Hostile("1 GROUP BY 1", .syntaxError, "at character 3"),
        Hostile("1 UNION SELECT 1", .accessRefused),
        Hostile("1 UNION VALUES (1)", .accessRefused),
        Hostile("1 WINDOW w AS ()", .syntaxError),
        Hostile("1, 2", .syntaxError, "at character 2"),
        Hostile("(1, 2)", .syntaxError),
        Hostile("1;", .syntaxError),
        Hostile("1; DROP TABLE message", .accessRefused),
        Hostile("1; SELECT 2", .accessRefused),
        Hostile("1\0", .syntaxError, "code 0"),
        Hostile("1\0) OR (1", .syntaxError, "code 0"),
        Hostile("'open", .syntaxError, "at character 1"),
        Hostile("\"open", .syntaxError, "at character 1"),
        Hostile("[open", .syntaxError, "at character 1"),
        Hostile("?1 = 1", .syntaxError, "parameter"),
        Hostile(":state = 1", .syntaxError, "parameter"),
        Hostile("$x = @y", .syntaxError, "parameter"),
        // What is no field, and where it stands.
        Hostile("sizee > 5", .syntaxError, "at character 1: no such column: sizee; the fields are position,"),
        Hostile("size > 5 AND \"jobs\" = key", .syntaxError, "at character 14: no such column"),
        Hostile("ä = 'ö' AND nope", .syntaxError, "no such column"),
        Hostile("'ä' = 'ö' AND nope", .syntaxError, "at character 15"),
        Hostile("m.queue = 1", .syntaxError, "no such column"),
        Hostile("message.body", .syntaxError, "no such column"),
        Hostile("main.message.body", .syntaxError, "no such column"),
        Hostile("queue = 2", .syntaxError, "no such column"),
        // What the store's view and SQLite have beside the fields.
        Hostile(
            "leveret_place > 0", .syntaxError, "at character 1: no such column: leveret_place; the fields are"
        ),
        Hostile(
            "size > 1 AND (\"Leveret_Due\" > 0)", .syntaxError, "at character 15: no such column: leveret_due"
        ),
        Hostile("leveret_priority", .syntaxError, "no such column"),
        Hostile("rowid = 1", .syntaxError, "at character 1: no such column: rowid; the fields are position,"),
        Hostile("[OID] = 1", .syntaxError, "at character 1: no such column: oid"),
        Hostile("'rowid' = `_rowid_`", .syntaxError, "at character 11: no such column: _rowid_"),
        // Other rows and tables.
        Hostile("size IN (SELECT size FROM message)", .accessRefused),
        Hostile("size IN message", .accessRefused),
        Hostile("EXISTS (SELECT * FROM sqlite_schema)", .accessRefused),
        Hostile("(SELECT body FROM message WHERE queue = 2) LIKE 'secret'", .accessRefused),
        Hostile("(SELECT password_hash FROM user) > 'a'", .accessRefused),
        Hostile("password_hash > 'a'", .syntaxError, "no such column"),
        Hostile("EXISTS (SELECT 1)", .accessRefused, "no SELECT in it"),
        Hostile("(SELECT count(*) FROM message) > 1", .accessRefused),
        Hostile("EXISTS (SELECT 1 FROM pragma_table_info('message'))", .accessRefused),
        Hostile("EXISTS (SELECT 1 FROM json_each('[1]'))", .accessRefused),
        Hostile("EXISTS (WITH fields AS (SELECT * FROM message) SELECT 1 FROM fields)", .accessRefused),
        Hostile(
            "EXISTS (WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)",
            .accessRefused),
        Hostile("EXISTS (SELECT 1 FROM temp.noted)", .accessRefused),
        Hostile("EXISTS (VALUES (1))", .accessRefused),
        // Functions.
        Hostile("load_extension('/tmp/evil.so')", .accessRefused, "function 'load_extension' is not allowed"),
        Hostile("length(randomblob(1000000000))", .accessRefused, "randomblob"),
        Hostile("length(zeroblob(1000000000))", .accessRefused, "zeroblob"),
        Hostile("length(printf('%.*c', 1000000000, 'x'))", .accessRefused, "printf"),
        Hostile("replace(body, 'a', 'b')", .accessRefused, "replace"),
        Hostile("trim(body, body)", .accessRefused, "trim"),
        Hostile("json_patch(json, json)", .accessRefused, "json_patch"),
        Hostile("last_insert_rowid()", .accessRefused),
        Hostile("sqlite_version()", .accessRefused),
        Hostile("sqlite_compileoption_get(1)", .accessRefused),
        Hostile("fts3_tokenizer('simple')", .accessRefused),
        Hostile("message_properties(body)", .accessRefused, "message_properties"),
        Hostile("random()", .accessRefused),
        Hostile("count(*) > 0", .accessRefused, "'count'"),
        Hostile("sum(size) OVER () > 0", .accessRefused, "'sum'"),
        Hostile("evil(1)", .syntaxError, "no such function: evil; there are"),
        Hostile("body REGEXP 'a'", .syntaxError, "no such function: REGEXP"),
        Hostile("body MATCH 'a'", .accessRefused, "'match'"),
        Hostile("RAISE(ABORT, 'x')", .syntaxError),
        Hostile("json_extract('{', '$.a')", .syntaxError, "malformed JSON; the field json is"),
        Hostile("body COLLATE nothing = 'x'", .syntaxError),
        // Other statements.
        Hostile("DROP TABLE message", .syntaxError),
        Hostile("ATTACH '/tmp/x' AS x", .syntaxError),
        Hostile("PRAGMA user_version", .syntaxError),
        // What grows.
        Hostile(
            String(repeating: "(", count: 3000) + "1" + String(repeating: ")", count: 3000), .syntaxError),
        Hostile(String(repeating: "NOT ", count: 2000) + "1", .syntaxError),
        Hostile("1" + String(repeating: " OR 1", count: 1600), .syntaxError, "too large"),
        Hostile("max(" + String(repeating: "1,", count: 2000) + "1)", .syntaxError, "too many arguments"),
        Hostile("body LIKE '\(String(repeating: "%a", count: 500))'", .syntaxError, "too complex"),
        Hostile("body GLOB '\(String(repeating: "*a", count: 500))'", .syntaxError, "too complex"),
        Hostile("length(\(nested("hex(", 21, "body || 'abcdefgh'")))", .preconditionFailed, "longer than"),
        Hostile(String(repeating: "x", count: 8193), .preconditionFailed, "8193 bytes"),
    ]

    /// `count` calls in each other.
    private static func nested(_ call: String, _ count: Int, _ inner: String) -> String {
        String(repeating: call, count: count) + inner + String(repeating: ")", count: count)
    }

    @Test(arguments: conditions) func `a condition that does more than look at one message is refused`(
        _ hostile: Hostile
    ) async throws {
        let broker = try await broker()
        let peeked = await refusal { _ = try await broker.peek("jobs", where: hostile.text, state: nil) }
        let moved = await refusal { try await broker.move(from: "jobs", to: "secrets", where: hostile.text) }
        #expect(peeked?.code == hostile.code, "\(peeked.map { "\($0)" } ?? "it was answered")")
        #expect(hostile.isSaid(by: peeked), "\(peeked.map { "\($0)" } ?? "")")
        #expect(moved?.code == hostile.code, "\(moved.map { "\($0)" } ?? "it was answered")")
        #expect(try await broker.status(of: "jobs").ready == 20)
        #expect(try await broker.peek("jobs", where: "1").count == 10)
    }

    static let queries: [Hostile] = [
        Hostile("", .syntaxError, "is empty"),
        Hostile(";", .syntaxError, "is empty"),
        Hostile("-- nothing", .syntaxError, "is empty"),
        Hostile("SELECT 1; SELECT 2", .syntaxError, "more than one statement"),
        Hostile("SELECT 1; DELETE FROM message", .accessRefused),
        Hostile("SELECT 1\0", .syntaxError, "code 0"),
        Hostile("SELECT ?", .syntaxError, "parameter"),
        Hostile("SELEKT 1", .syntaxError, "at character 1: near \"SELEKT\""),
        Hostile("SELECT boddy FROM message", .syntaxError, "at character 8: no such column: boddy"),
        Hostile("SELECT * FROM users", .syntaxError, "no such table: users; there are binding,"),
        Hostile("DELETE FROM message", .accessRefused, "nothing is written"),
        Hostile("DELETE FROM message RETURNING *", .accessRefused),
        Hostile("INSERT INTO message (id) VALUES (1)", .accessRefused),
        Hostile("UPDATE message SET place = 0", .accessRefused),
        Hostile("WITH x AS (SELECT 1) DELETE FROM message", .accessRefused),
        Hostile("DROP TABLE message", .accessRefused),
        Hostile("CREATE TABLE x (a)", .accessRefused),
        Hostile("CREATE TEMP TABLE x (a)", .accessRefused),
        Hostile("CREATE TEMP VIEW message AS SELECT 1", .accessRefused),
        Hostile("ALTER TABLE message ADD COLUMN x", .accessRefused),
        Hostile("VACUUM", .accessRefused),
        Hostile("VACUUM INTO '/tmp/leveret-stolen.db'", .accessRefused),
        Hostile("ATTACH '/tmp/leveret-evil.db' AS evil", .accessRefused),
        Hostile("DETACH main", .accessRefused),
        Hostile("PRAGMA user_version = 99", .accessRefused),
        Hostile("SELECT * FROM user", .accessRefused, "table 'user' is not to be read"),
        Hostile("SELECT count(*) FROM main.user", .accessRefused, "table 'user' is not to be read"),
        Hostile("SELECT (SELECT max(password_hash) FROM user) FROM queue", .accessRefused),
        Hostile("SELECT q.name FROM queue AS q JOIN permission AS p", .accessRefused, "'permission'"),
        Hostile("SELECT * FROM topic_permission", .accessRefused, "'topic_permission'"),
        Hostile("PRAGMA writable_schema = 1", .accessRefused),
        Hostile("PRAGMA table_info(message)", .accessRefused),
        Hostile("BEGIN", .accessRefused),
        Hostile("SAVEPOINT x", .accessRefused),
        Hostile("ANALYZE", .accessRefused),
        Hostile("REINDEX", .accessRefused),
        Hostile("EXPLAIN DELETE FROM message", .accessRefused),
        Hostile("EXPLAIN SELECT id FROM message", .accessRefused, "is an EXPLAIN; it must be one SELECT"),
        Hostile("explain query plan SELECT 1", .accessRefused, "is an EXPLAIN; it must be one SELECT"),
        Hostile("SELECT id AS a, size AS a FROM message", .syntaxError, "two columns 'a'; give one of them"),
        Hostile("SELECT * FROM queue JOIN message", .syntaxError, "two columns 'id'"),
        Hostile(
            "SELECT body, 1 AS body64 FROM message", .syntaxError,
            "has columns 'body' and 'body64', as a 'body' that is not text is called; give one of them"),
        Hostile("SELECT * FROM sqlite_schema", .accessRefused, "'sqlite_master'"),
        Hostile("SELECT count(*) FROM sqlite_schema", .accessRefused),
        Hostile("SELECT sql FROM main.sqlite_master", .accessRefused),
        Hostile("SELECT * FROM sqlite_temp_schema", .accessRefused),
        Hostile("SELECT * FROM pragma_database_list", .accessRefused),
        Hostile("SELECT count(*) FROM pragma_database_list", .accessRefused),
        Hostile("SELECT count(*) FROM pragma_table_info('message')", .accessRefused),
        Hostile(
            "WITH message_view AS (SELECT sql FROM sqlite_schema) SELECT * FROM message_view", .accessRefused),
        Hostile("SELECT load_extension('/tmp/evil.so')", .accessRefused, "load_extension"),
        Hostile("SELECT hex(randomblob(100000000))", .accessRefused),
        Hostile("SELECT zeroblob(1000000000)", .accessRefused),
        Hostile("SELECT printf('%1000000000d', 1)", .accessRefused),
        Hostile("SELECT writefile('/tmp/x', 'y')", .syntaxError, "no such function"),
        Hostile("SELECT readfile('/etc/passwd')", .syntaxError),
        Hostile(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
            .accessRefused, "at character 1: WITH is not allowed"),
        Hostile(
            "WITH a AS (SELECT 1 AS x), b AS (SELECT p.x FROM a p, a q), c AS (SELECT p.x FROM b p, b q) SELECT * FROM c",
            .accessRefused, "WITH"),
        Hostile(
            nested("SELECT x+x+x+x+x+x+x+x+x+x AS x FROM (", 12, "SELECT id AS x FROM message"),
            .preconditionFailed, "may unfold"),
        Hostile(nested("SELECT *, * FROM (", 12, "SELECT 1"), .preconditionFailed, "may unfold"),
        Hostile("SELECT " + String(repeating: "1,", count: 3000) + "1", .syntaxError, "too many columns"),
        Hostile(
            (0..<20).map { "SELECT \($0)" }.joined(separator: " UNION ALL "), .syntaxError, "too many terms"),
        Hostile(
            "SELECT a.id FROM message AS a, message AS b, message AS c, message AS d", .resourceError, "LIMIT"
        ),
    ]

    @Test(arguments: queries) func `a query that does more than read is refused`(
        _ hostile: Hostile
    ) async throws {
        let broker = try await broker()
        let error = await refusal { _ = try await broker.query(hostile.text) }
        #expect(error?.code == hostile.code, "\(error.map { "\($0)" } ?? "it was answered")")
        #expect(hostile.isSaid(by: error), "\(error.map { "\($0)" } ?? "")")
        #expect(try await broker.query("SELECT count(*) FROM message").rows == [[.int(21)]])
    }

    @Test func `what takes too long is stopped and says so, and the next is answered`() async throws {
        let broker = try await broker { $0.limits.queryMillisecondsMax = 50 }
        let error = await refusal { _ = try await broker.query(Self.endless) }
        #expect(error?.code == .resourceError)
        #expect(error?.text.contains("was stopped after 50 ms; narrow it") == true)
        #expect(try await broker.query("SELECT 1").rows == [[.int(1)]])
    }

    @Test func `a condition that takes too long is stopped`() async throws {
        let broker = try await broker { $0.limits.queryMillisecondsMax = 0 }
        let error = await refusal { _ = try await broker.peek("jobs", where: "body LIKE '%x%'") }
        #expect(error?.text.contains("where was stopped after 0 ms") == true)
    }

    @Test func `functions that take long look at the time by themselves`() async throws {
        let broker = try await broker { $0.limits.queryMillisecondsMax = 0 }
        for sql in ["SELECT 'a' LIKE 'b'", "SELECT 'a' GLOB 'b'", "SELECT instr('a', 'b')"] {
            let error = await refusal { _ = try await broker.query(sql) }
            #expect(error?.text.contains("was stopped after 0 ms") == true, "\(sql)")
        }
    }

    @Test func `a pattern that takes long on a long text is refused`() async throws {
        let broker = try await broker()
        try await broker.publish(String(repeating: "a", count: 300_000), to: "jobs" as QueueName)
        let set = String(repeating: "b", count: 240)
        let error = await refusal { _ = try await broker.peek("jobs", where: "body GLOB '*[\(set)]'") }
        #expect(error?.text.contains("a pattern of 243 bytes takes too long on a text of 300000") == true)
        let long = await refusal {
            _ = try await broker.query("SELECT 'a' LIKE '\(String(repeating: "b", count: 257))'")
        }
        #expect(long?.text.contains("pattern too complex: it has more than 256 bytes") == true)
    }

    @Test func `patterns match as SQLite's do`() async throws {
        let broker = try await broker()
        let sql = """
            SELECT 'aXb' LIKE 'A_b', 'ab' LIKE 'a_b', 'a%' LIKE 'a!%' ESCAPE '!', 'ab' LIKE 'a!%' ESCAPE '!',
                NULL LIKE 'a', 5 LIKE '5', 'abc' GLOB 'a[bx]*', 'Abc' GLOB 'a*', 'ä' LIKE '_'
            """
        let row = try await broker.query(sql).rows.first
        #expect(
            row == [
                .int(1), .int(0), .int(1), .int(0), .void, .int(1), .int(1), .int(0), .int(1),
            ])
    }

    @Test func `one row is bounded as many are`() async throws {
        let broker = try await broker { $0.limits.queryBytesMax = 100 }
        let wide = "SELECT " + (0..<10).map { "'0123456789' AS c\($0)" }.joined(separator: ", ")
        let error = await refusal { _ = try await broker.query(wide) }
        #expect(error?.code == .resourceError)
        #expect(error?.text.contains("100 bytes; give it a LIMIT, or fewer columns") == true)
        // A control character is six in JSON.
        for (count, isAllowed) in [(16, true), (17, false)] {
            let controls = Array(repeating: "1", count: count).joined(separator: ",")
            let refused = await refusal { _ = try await broker.query("SELECT char(\(controls))") }
            #expect((refused == nil) == isAllowed)
        }
    }

    @Test func `sessions take turns with their searches`() {
        var turns = SearchTurns()
        for (number, session) in [UInt64]([1, 1, 1, 2, 2, 3]).enumerated() {
            turns.add(
                Search(
                    number: UInt64(number), session: SessionID(session), kind: .query(""),
                    now: 0,
                    barrier: 0))
        }
        var order: [UInt64] = []
        while let next = turns.next() { order.append(next.session.rawValue) }
        #expect(order == [1, 2, 3, 1, 2, 1])
    }

    @Test func `what takes too much memory is stopped`() async throws {
        let broker = try await broker { $0.limits.queryMemoryMax = 1 << 20 }
        let sql = """
            SELECT count(*) FROM (
                SELECT DISTINCT a.id || b.id || c.id || d.id || e.id
                FROM message a, message b, message c, message d, message e
            )
            """
        let error = await refusal { _ = try await broker.query(sql) }
        #expect(error?.code == .resourceError)
        #expect(error?.text.contains("takes more than 1048576 bytes") == true)
    }

    @Test func `a shutdown does not wait for a query`() async throws {
        let broker = try await broker { $0.limits.queryMillisecondsMax = 3_600_000 }
        async let answer = refusal { _ = try await broker.query(Self.endless) }
        await yieldOften()
        try await broker.shutdown()
        #expect(await answer?.code == .connectionForced)
    }

    @Test(arguments: [true, false]) func `a query ends with the session or connection that asked`(
        closesConnection: Bool
    ) async throws {
        let broker = try await broker { $0.limits.queryMillisecondsMax = 3_600_000 }
        let connection = broker.openConnection(name: "impatient")
        let session = connection.openSession {}
        var events: [SessionEvent] = []
        session.submit([Submission(1, .query(Self.endless))], events: &events)
        while broker.engine.searcher.running.load(ordering: .relaxed) == 0 { await Task.yield() }
        if closesConnection { connection.close() } else { session.close() }
        #expect(try await broker.query("SELECT 1").rows == [[.int(1)]])
    }

    @Test func `bodies of up to 1 MiB are looked into, and longer ones are null`() async throws {
        let broker = try await broker()
        let longest = [UInt8](repeating: 97, count: 1 << 20)
        try await broker.publish(longest, to: "jobs" as QueueName)
        try await broker.publish(longest + [98], to: "jobs" as QueueName)
        #expect(try await broker.peek("jobs", where: "length(body) = 1048576").map(\.number) == [22])
        #expect(try await broker.peek("jobs", where: "body IS NULL").map(\.message.body.count) == [1_048_577])
        #expect(try await broker.peek("jobs", where: "instr(body, 'aaaab') > 0 AND size > 100").isEmpty)
        let error = await refusal { _ = try await broker.query("SELECT hex(body) FROM message") }
        #expect(error?.code == .preconditionFailed)
    }

    @Test func `whatever is asked, it is answered or refused, and nothing changes`() async throws {
        let broker = try await broker { $0.limits.queryMillisecondsMax = 200 }
        var random = SplitMix64(seed: 4)
        let texts = Self.conditions.map(\.text) + Self.queries.map(\.text)
        let pieces = texts.filter { $0.count < 200 }.flatMap { $0.split(separator: " ").map(String.init) }
        for _ in 0..<500 {
            let count = Int.random(in: 1...12, using: &random)
            let text = (0..<count).map { _ in pieces.randomElement(using: &random) ?? "" }.joined(
                separator: " ")
            let allowed: Set<ReplyCode?> = [
                nil, .syntaxError, .accessRefused, .preconditionFailed, .resourceError,
            ]
            let peeked = await refusal { _ = try await broker.peek("jobs", where: text) }
            #expect(allowed.contains(peeked?.code), "\(text)")
            let asked = await refusal { _ = try await broker.query(text) }
            #expect(allowed.contains(asked?.code), "\(text)")
        }
        #expect(try await broker.query("SELECT count(*) FROM message").rows == [[.int(21)]])
        #expect(try await broker.status(of: "jobs").ready == 20)
    }
}
