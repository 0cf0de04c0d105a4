// Rows that don't decode: what is refused at the door so that none come to be, and what becomes of one that is there
// all the same.

import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct StoreDamageTests {
    @Test func `what is nested as deep as may be is read back after a restart`() async throws {
        let deep: FieldTable = ["a": (1..<32).reduce(FieldValue.void) { value, _ in .array([value]) }]
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareQueue("q")
        let binding = Binding(source: "amq.headers", target: .queue("q"), arguments: deep)
        try await first.bind(binding)
        var message = OutgoingMessage("deep", to: "q")
        message.properties = MessageProperties()
        message.properties?.headers = deep
        try await first.publish(message)
        try await first.shutdown()

        let second = try fixture.open()
        #expect(try await second.get("q")?.properties?.headers == deep)
        #expect(try await second.bindings().contains(binding))
        try await second.shutdown()
    }

    @Test func `numbers that no broker wrote are kept within their bounds`() async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareQueue("q")
        for text in ["one", "two"] { try await first.publish(text, to: "q") }
        try await first.pause("q")
        try await first.shutdown()
        let damage = """
            UPDATE message SET entered = -9223372036854775808, failed = 4294967296, version = 0 WHERE id = 1;
            UPDATE message SET expires = 9223372036854775807, version = 4294967296 WHERE id = 2;
            UPDATE paused SET since = -9223372036854775808;
            """
        #expect(try SQLiteShell.run(fixture.path, damage) == "")

        let second = try fixture.open()
        #expect(try await second.why("q").first?.text.contains("paused") == true)
        try await second.resume("q")
        let one = try #require(try await second.get("q"))
        #expect(one.delivery.failed == Int(Int32.max))
        #expect(try await second.get("q")?.text == "two")
        try await second.shutdown()
    }

    @Test func `a purge removes what claims to have less than no bytes`() async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareQueue("q")
        for text in ["one", "two"] { try await first.publish(text, to: "q") }
        try await first.shutdown()
        let damage = "UPDATE message SET size = -9223372036854775808 WHERE id = 1"
        #expect(try SQLiteShell.run(fixture.path, damage) == "")

        let second = try fixture.open()
        #expect(try await second.purge("q") == 2)
        try await second.shutdown()
        #expect(try SQLiteShell.run(fixture.path, "SELECT count(*) FROM message") == "0")
    }

    @Test(arguments: [Int64.max, Int64.max / 2 + 1])
    func `an id that nothing could follow is refused`(id: Int64) async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareQueue("q")
        try await first.publish("one", to: "q")
        try await first.shutdown()
        #expect(try SQLiteShell.run(fixture.path, "UPDATE message SET id = \(id)") == "")
        let error = #expect(throws: BrokerError.self) { _ = try fixture.open() }
        #expect(error?.text.contains("message \(id)") == true)
    }

    @Test(arguments: [Int64.max, Int64.max / 2 + 1, 0])
    func `a vhost whose id nothing could follow is refused`(id: Int64) async throws {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.createVirtualHost("shop")
        try await first.shutdown()
        #expect(try SQLiteShell.run(fixture.path, "UPDATE vhost SET id = \(id) WHERE name = 'shop'") == "")
        let error = #expect(throws: BrokerError.self) { _ = try fixture.open() }
        #expect(error?.text.contains("vhost \(id)") == true)
    }

    @Test func `a stored message that doesn't decode is parked, and those beside it are delivered`()
        async throws
    {
        let fixture = try BrokerFixture()
        let first = try fixture.open()
        try await first.declareQueue("q")
        for text in ["one", "properties", "three", "deaths", "five"] {
            try await first.publish(text, to: "q")
        }
        try await first.pause("q")
        try await first.publish(OutgoingMessage("late", to: "q").delayed(by: .seconds(2)))
        try await first.shutdown()
        let damage = """
            UPDATE message SET properties = x'0003' WHERE body IN (CAST('properties' AS BLOB), CAST('late' AS BLOB));
            UPDATE message SET deaths = 'not json' WHERE body = CAST('deaths' AS BLOB);
            """
        #expect(try SQLiteShell.run(fixture.path, damage) == "")

        let second = try fixture.open()
        try await second.resume("q")
        for text in ["one", "three", "five"] {
            #expect(try await second.get("q", wait: .seconds(60))?.text == text)
        }
        var parked: [String?: FieldTable] = [:]
        for _ in 0..<3 {
            let message = try #require(try await second.get(.parked, wait: .seconds(60)))
            #expect(message.delivery.deaths?.errorText?.contains("t decode: ") == true)
            parked[message.text] = message.properties?.headers
        }
        #expect(parked["properties"]?[HeaderName.unreadableProperties] == .bytes([0, 3]))
        #expect(parked["late"]?[HeaderName.unreadableProperties] == .bytes([0, 3]))
        #expect(parked["deaths"]?[HeaderName.unreadableDeaths] == .string("not json"))
        #expect(try await second.get("q") == nil)
        #expect(try await second.status().parked == 3)
        try await second.shutdown()
    }
}
