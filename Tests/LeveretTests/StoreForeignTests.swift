// Another program changes rows under a broker that runs. What it does to the messages is its own fault, and an alarm says
// so; but the broker answers every request, and so does the next one on the file, or it says why it does not start.

import LeveretTestSupport
import Testing

@testable import Leveret
@testable import LeveretCore

@Suite(.timeLimit(.minutes(10)))
struct StoreForeignTests {
    private static let columns = [
        "priority", "priority", "place", "place", "size", "due", "expires", "entered", "failed", "version",
        "body_id",
        "queue", "headers", "properties", "deaths", "body", "exchange", "routing_key", "origin",
    ]
    private static let values = [
        "NULL", "-1", "0", "1", "5", "255", "256", "999999", "9223372036854775807", "-9223372036854775808",
        "1.5",
        "1e300", "'x'", "''", "x''", "x'00'", "x'FF00FF'", "'{\"deaths\":[]}'", "zeroblob(100)",
    ]

    /// A broker that keeps little in memory, with messages of every kind.
    private func filled(_ fixture: borrowing BrokerFixture, _ arguments: FieldTable) async throws -> Broker {
        let broker = try fixture.open()
        for name in ["jobs", "other"] as [QueueName] {
            try await broker.declareQueue(name, arguments: arguments)
        }
        var batch: [OutgoingMessage] = []
        for index in 0..<30 {
            var message = OutgoingMessage("\(index)", to: "jobs")
            message.properties = MessageProperties()
            message.properties?.priority = UInt8(index % 10)
            if index % 7 == 3 { message.properties?.expiration = "3600000" }
            batch.append(index % 7 == 5 ? message.delayed(by: .seconds(3_600)) : message)
        }
        _ = try await broker.publish(batch: batch)
        return broker
    }

    private func fixture() throws -> BrokerFixture {
        var fixture = try BrokerFixture()
        fixture.configuration.limits.windowCountMax = 4
        fixture.configuration.limits.windowCountMin = 2
        return fixture
    }

    /// Changes rows with another program; what SQLite refuses is not changed.
    private func damage(_ path: String, _ statements: [String]) throws {
        _ = try SQLiteShell.run(path, "PRAGMA busy_timeout = 10000; " + statements.joined(separator: "; "))
    }

    /// Asks for something; only that there is an answer matters.
    private func ask(_ request: Int, _ position: MessageNumber, _ broker: Broker) async throws {
        do {
            switch request {
            case 0, 1, 2: try await broker.get("jobs")?.ack()
            case 3: try await broker.get("jobs")?.nack()
            case 4: try await broker.get("jobs")?.reject()
            case 5: _ = try await broker.peek("jobs", state: .delayed)
            case 6: _ = try await broker.peek("jobs", where: "size > 0", state: nil)
            case 7: try await broker.cancelMessage(at: position, in: "jobs")
            case 8: try await broker.delayMessage(at: position, in: "jobs", by: .zero)
            case 9:
                var edit = MessageEdit("jobs", position)
                edit.body = [65]
                try await broker.edit(edit)
            case 10: try await broker.move(from: "jobs", to: "other", count: 2)
            case 11: try await broker.move(from: "other", to: "jobs", where: "size > 0")
            case 12: _ = try await broker.why("jobs")
            case 13: try await broker.publish("new", to: "jobs")
            case 14: _ = try await broker.peek("jobs", count: 100)
            case 15:
                var move = Move(from: "jobs", to: .queue("other"))
                move.position = position
                try await broker.move(move)
            default: _ = try await broker.status(of: "jobs")
            }
        } catch is BrokerError {}
    }

    /// Takes what is there: a row that was moved to another place may come again, but not for ever.
    private func drain(_ broker: Broker) async throws {
        for queue in ["jobs", "other"] as [QueueName] {
            var count = 0
            while let message = try await broker.get(queue), count < 1_000 {
                count += 1
                try await message.ack()
            }
            #expect(count < 1_000)
            _ = try await broker.status(of: queue)
            _ = try await broker.purge(queue)
        }
    }

    /// Damages what is in the file while the broker is asked for this and that.
    private func damage(_ path: String, under broker: Broker, _ random: inout SplitMix64) async throws {
        for _ in 0..<3 {
            var statements: [String] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let column = Self.columns.randomElement(using: &random) ?? ""
                let value = Self.values.randomElement(using: &random) ?? ""
                let row = Int.random(in: 1...35, using: &random)
                let rows = Int.random(in: 0..<4, using: &random) == 0 ? "> \(row)" : "= \(row)"
                statements.append("UPDATE message SET \(column) = \(value) WHERE id \(rows)")
            }
            if Int.random(in: 0..<6, using: &random) == 0 {
                statements.append("DELETE FROM message WHERE id % 3 = 0")
            }
            try damage(path, statements)
            for _ in 0..<8 {
                let position = MessageNumber(Int64.random(in: 1...35, using: &random))
                try await ask(Int.random(in: 0..<17, using: &random), position, broker)
            }
        }
    }

    @Test(arguments: 0..<40)
    func `whatever another program writes into messages, every request is answered`(
        seed: UInt64
    ) async throws {
        var random = SplitMix64(seed: seed)
        let fixture = try fixture()
        let isPrioritized = Bool.random(using: &random)
        let broker = try await filled(fixture, isPrioritized ? ["x-max-priority": .int(9)] : [:])
        try await damage(fixture.path, under: broker, &random)
        try await broker.publish("one more", to: "other")
        #expect(try await broker.status().alarms.contains(StoreWarning.foreignWrite.text))
        if Bool.random(using: &random) { try await drain(broker) }
        try await broker.shutdown()
        let next: Broker
        do { next = try fixture.open() } catch {
            // Sizes that have no sum.
            return #expect(error.text.contains("integer overflow"))
        }
        try await drain(next)
        try await next.shutdown()
    }

    @Test(arguments: ["256", "999999", "-1", "'x'", "NULL"])
    func `a priority from outside keeps no GET waiting`(priority: String) async throws {
        let fixture = try fixture()
        let broker = try fixture.open()
        try await broker.declareQueue("jobs", arguments: ["x-max-priority": .int(9)])
        for index in 1...5 { try await broker.publish("\(index)", to: "jobs") }
        // The one that is not in memory.
        try damage(fixture.path, ["UPDATE message SET priority = \(priority) WHERE id = 5"])
        try? await broker.cancelMessage(at: 5, in: "jobs")  // found or not
        for index in 1...4 { #expect(try await broker.get("jobs", autoAck: true)?.text == "\(index)") }
        #expect(try await broker.get("jobs") == nil)
        try await broker.shutdown()
    }
}
