// PEEK and MOVE with a condition, and SQL, through the Swift API: what is seen, also of what is in memory only, held,
// delayed or spilled, and across a restart. HostileQueryTests has what must be refused.

import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct SearchTests {
    private static func message(
        _ text: String, tenant: String? = nil, persistent: Bool = true
    ) -> OutgoingMessage {
        var properties = MessageProperties()
        if let tenant { properties.headers["tenant"] = .string(tenant) }
        return OutgoingMessage(
            text, to: "jobs" as QueueName, properties: tenant == nil ? nil : properties,
            persistent: persistent)
    }

    private func texts(
        _ broker: Broker, _ condition: String, state: Peek.State? = .ready
    ) async throws
        -> [String]
    {
        try await broker.peek("jobs", where: condition, state: state, count: 1000)
            .map { String(decoding: $0.message.body, as: UTF8.self) }
    }

    @Test func `a condition sees every field that a row shows`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("jobs")
        var properties = MessageProperties()
        properties.messageID = "m7"
        properties.priority = 3
        properties.expiration = "3600000"
        properties.headers["tries"] = .int(2)
        try await broker.publish(
            OutgoingMessage(
                "{\"total\": 250, \"city\": \"Rome\"}", to: "jobs" as QueueName, properties: properties))
        for condition in [
            "position = 1", "version = 1", "state = 'ready'", "exchange = ''", "key = 'jobs'",
            "priority = 3", "entered > '2001-01-01T00:00'", "expires > entered", "due IS NULL",
            "deliveries = 0", "failed = 0", "size = 30", "headers ->> 'tries' = 2",
            "properties ->> 'message_id' = 'm7'", "properties ->> 'delivery_mode' = 2", "held_by IS NULL",
            "held_since IS NULL", "origin IS NULL", "reason IS NULL", "error IS NULL", "deaths IS NULL",
            "body LIKE '%rome%'", "instr(body, 'Rome') = 25", "json ->> '$.total' > 200",
            "json_extract(json, '$.city') IN ('Rome', 'Oslo')", "1 -- and that's all",
        ] {
            #expect(try await texts(broker, condition).count == 1, "\(condition)")
            #expect(try await texts(broker, "NOT coalesce((\n\(condition)\n), 0)").isEmpty, "\(condition)")
        }
    }

    @Test func `a dead letter's condition sees why it died`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("jobs")
        try await broker.declareQueue(
            "work",
            arguments: ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": "jobs"])
        try await broker.publish("a", to: "work" as QueueName)
        let taken = try await broker.get("work")
        try await taken?.reject(error: "no such city")
        let condition = """
            origin = 'work' AND reason = 'rejected' AND error LIKE '%city' AND deaths ->> '$[0].queue' = 'work'
            """
        #expect(try await texts(broker, condition) == ["a"])
    }

    @Test func `a body that is no JSON is no error, and is found by its text`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("jobs")
        try await broker.publish("not JSON", to: "jobs" as QueueName)
        try await broker.publish("{\"n\": 1}", to: "jobs" as QueueName)
        try await broker.publish([0xFF, 0x00, 0xFE], to: "jobs" as QueueName)
        #expect(try await texts(broker, "json ->> 'n' = 1") == ["{\"n\": 1}"])
        #expect(try await texts(broker, "body = 'not JSON'") == ["not JSON"])
        #expect(try await broker.peek("jobs", where: "size = 3").map(\.number) == [3])
    }

    @Test func `what was answered before is found, in the same breath`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("jobs")
        let session = broker.openConnection(name: "test").openSession {}
        for round in 1...20 {
            var events: [SessionEvent] = []
            let message = Message(exchange: "", routingKey: "jobs", body: Array("\(round)".utf8))
            session.submit(
                [
                    Submission(1, .publish(message, mandatory: false)),
                    Submission(2, .query("SELECT count(*) FROM message")),
                    Submission(3, .peek(Peek("jobs", countMax: 1000, where: "1"))),
                ], events: &events)
            try await eventually {
                session.drain(into: &events)
                return events.count == 3
            }
            for case .answer(2, .table(let table)) in events { #expect(table.rows == [[.int(Int64(round))]]) }
            for case .answer(3, .messages(let rows)) in events { #expect(rows.count == round) }
        }
        let taken = try await broker.get("jobs")
        try await taken?.ack()
        #expect(try await broker.query("SELECT count(*) FROM message").rows == [[.int(19)]])
    }

    @Test func `a condition sees transient messages, held ones and delayed ones as they are`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("jobs")
        for index in 0..<6 {
            try await broker.publish(Self.message("\(index)", persistent: index % 2 == 0))
        }
        try await broker.publish(Self.message("late").delayed(by: .seconds(3600)))
        try await broker.publish(Self.message("later", persistent: false).delayed(by: .seconds(7200)))
        let first = try await broker.get("jobs")
        let second = try await broker.get("jobs")
        #expect(try await texts(broker, "1") == ["2", "3", "4", "5"])
        #expect(try await texts(broker, "held_by LIKE 'embedded/%'", state: .unacked) == ["0", "1"])
        #expect(try await texts(broker, "deliveries = 1 AND state = 'unacked'", state: nil) == ["0", "1"])
        #expect(try await texts(broker, "due > entered", state: .delayed) == ["late", "later"])
        #expect(
            try await texts(broker, "1", state: nil) == ["2", "3", "4", "5", "0", "1", "late", "later"])
        try await first?.reject(requeue: true)
        try await second?.nack()
        #expect(try await texts(broker, "deliveries = 1") == ["0", "1"])
        #expect(try await texts(broker, "failed = 1") == ["0"])
        #expect(try await texts(broker, "1", state: .unacked).isEmpty)
        #expect(try await broker.peek("jobs", where: "body = '1'").map(\.deliveries) == [1])
    }

    @Test func `a condition sees what has been spilled, and in the order of delivery`() async throws {
        let broker = try BrokerFixture.inMemory {
            $0.limits.windowCountMax = 4
            $0.limits.windowCountMin = 2
        }
        try await broker.declareQueue("jobs", arguments: ["x-max-priority": .int(9)])
        for index in 0..<60 {
            var properties = MessageProperties()
            properties.priority = UInt8(index % 3)
            try await broker.publish(
                OutgoingMessage(
                    "\(index)", to: "jobs" as QueueName, properties: properties, persistent: index % 2 == 0))
        }
        let order = (0..<3).reversed().flatMap { level in (0..<60).filter { $0 % 3 == level }.map { "\($0)" }
        }
        #expect(try await texts(broker, "1") == order)
        #expect(try await texts(broker, "priority = 1") == order.filter { (Int($0) ?? 0) % 3 == 1 })
        #expect(try await broker.peek("jobs", where: "size = 2", count: 3).count == 3)
    }

    @Test func `a condition finds the same after a restart, and in the file alone`() async throws {
        let fixture = try BrokerFixture()
        let broker = try fixture.open()
        try await broker.declareQueue("jobs")
        for index in 0..<10 { try await broker.publish(Self.message("\(index)", tenant: "t\(index % 2)")) }
        let odd = ["1", "3", "5", "7", "9"]
        #expect(try await texts(broker, "headers ->> 'tenant' = 't1'") == odd)
        try await broker.shutdown()

        let inspector = try DatabaseInspector(path: fixture.path)
        let rows = try inspector.peek(Peek("jobs", where: "headers ->> 'tenant' = 't1'"))
        #expect(rows.map { String(decoding: $0.message.body, as: UTF8.self) } == odd)
        #expect(try inspector.peek(Peek("jobs", state: nil, countMax: 100)).count == 10)
        #expect(try inspector.query("SELECT count(*) AS n FROM message").columns == ["n"])
        inspector.close()
        let again = try fixture.open()
        #expect(try await texts(again, "headers ->> 'tenant' = 't1'") == odd)
        try await again.shutdown()
    }

    @Test func `what has expired is not found`() async throws {
        let clock = HandClock()
        let broker = try BrokerFixture.inMemory { $0.clock = clock.clock }
        try await broker.declareQueue("jobs", arguments: ["x-message-ttl": .int(1000)])
        try await broker.publish(Self.message("a"))
        #expect(try await texts(broker, "1") == ["a"])
        clock.advance(milliseconds: 1000)
        #expect(try await texts(broker, "1").isEmpty)
    }

    // MARK: MOVE

    @Test(arguments: [4096, 4]) func `a move takes what meets a condition, in order, and leaves the rest`(
        window: Int
    ) async throws {
        let fixture = try BrokerFixture()
        var configuration = fixture.configuration
        configuration.limits.windowCountMax = window
        configuration.limits.windowCountMin = min(window, 16)
        configuration.limits.sliceCount = 7
        configuration.limits.moveSearchMax = 11
        let broker = try Broker(.file(fixture.path), configuration: configuration)
        try await broker.declareQueue("jobs")
        try await broker.declareQueue("done")
        for index in 0..<100 {
            try await broker.publish(Self.message("\(index)", persistent: index % 5 != 0))
        }
        #expect(try await broker.move(from: "jobs", to: "done", where: "body % 3 = 0", count: 2) == 2)
        #expect(try await broker.move(from: "jobs", to: "done", where: "body % 3 = 0") == 32)
        #expect(try await broker.move(from: "jobs", to: "done", where: "body % 3 = 0") == 0)
        let moved = try await broker.peek("done", count: 1000).map {
            String(decoding: $0.message.body, as: UTF8.self)
        }
        #expect(moved == (0..<100).filter { $0 % 3 == 0 }.map { "\($0)" })
        let kept = (0..<100).filter { $0 % 3 != 0 }.map { "\($0)" }
        #expect(try await texts(broker, "1") == kept)
        #expect(try await broker.status(of: "jobs").ready == 66)
        try await broker.shutdown()

        let again = try Broker(.file(fixture.path), configuration: configuration)
        let durable = kept.filter { (Int($0) ?? 0) % 5 != 0 }
        #expect(try await texts(again, "1") == durable)
        #expect(try await again.status(of: "jobs").ready == durable.count)
        #expect(try await again.status(of: "done").ready == (0..<100).count { $0 % 3 == 0 && $0 % 5 != 0 })
        try await again.shutdown()
    }

    @Test func `a move by condition into the same queue ends, and takes priorities in order`() async throws {
        let broker = try BrokerFixture.inMemory {
            $0.limits.moveSearchMax = 3
            $0.limits.windowCountMax = 4
            $0.limits.windowCountMin = 2
        }
        try await broker.declareQueue("jobs", arguments: ["x-max-priority": .int(2)])
        for index in 0..<20 {
            var properties = MessageProperties()
            properties.priority = UInt8(index % 2)
            try await broker.publish(
                OutgoingMessage("\(index)", to: "jobs" as QueueName, properties: properties))
        }
        #expect(try await broker.move(from: "jobs", to: "jobs", where: "body + 0 >= 0") == 20)
        #expect(try await broker.status(of: "jobs").ready == 20)
        let order = [1, 0].flatMap { level in (0..<20).filter { $0 % 2 == level }.map { "\($0)" } }
        #expect(try await texts(broker, "1") == order)
    }

    @Test func `a move by condition says what is wrong with it, and how many it moved before`() async throws {
        let broker = try BrokerFixture.inMemory()
        try await broker.declareQueue("jobs")
        try await broker.declareQueue(
            "small", arguments: ["x-max-length": 2, "x-overflow": "reject-publish"])
        for index in 0..<5 { try await broker.publish(Self.message("\(index)")) }
        await #expect {
            try await broker.move(from: "jobs", to: "small", where: "bodi = 1")
        } throws: {
            ($0 as? BrokerError)?.text.contains("no such column: bodi") == true
        }
        await #expect {
            try await broker.move(from: "jobs", to: "small", where: "1")
        } throws: {
            ($0 as? BrokerError)?.text.contains("2 messages were moved before") == true
        }
        #expect(try await texts(broker, "1") == ["2", "3", "4"])
    }

    // MARK: SQL

    @Test func `a query answers with its columns and values of every type`() async throws {
        let broker = try BrokerFixture.inMemory()
        let result = try await broker.query("SELECT 1 AS a, 2.5, 'x' AS A, x'FF00' AS b, NULL AS c")
        #expect(result.columns == ["a", "2.5", "A", "b", "c"])
        #expect(result.rows == [[.int(1), .double(2.5), .string("x"), .bytes([0xFF, 0]), .void]])
        for sql in [
            "SELECT * FROM queue_depth", "SELECT * FROM message_view", "SELECT * FROM dead_letters",
            "SELECT * FROM unacked", "SELECT * FROM delayed", "SELECT count(*) FROM policy; -- all",
            "SELECT count(*) FROM (SELECT id FROM message WHERE size > 1) AS some WHERE id IN (SELECT id FROM message)",
            "SELECT value FROM json_each('[1,2]')", "VALUES (1), (2)",
            "SELECT row_number() OVER (ORDER BY name) FROM queue",
        ] {
            _ = try await broker.query(sql)
        }
    }
}
