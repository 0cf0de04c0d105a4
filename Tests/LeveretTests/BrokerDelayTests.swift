// Delays and retries through the Swift API, on a file and across restarts.

import Leveret
import LeveretTestSupport
import Synchronization
import Testing

/// A clock that tests move.
private final class Hands: Sendable {
    private let milliseconds = Atomic<Int64>(1_000_000)

    var clock: BrokerClock {
        BrokerClock(pollMilliseconds: 1) { [self] in
            Instant(milliseconds: milliseconds.load(ordering: .relaxed))
        }
    }

    func advance(_ by: Int64) { milliseconds.add(by, ordering: .relaxed) }
}

@Suite struct BrokerDelayTests {
    private func configuration(_ hands: Hands) -> Broker.Configuration {
        var configuration = Broker.Configuration()
        configuration.clock = hands.clock
        return configuration
    }

    private static func message(_ text: String, _ delay: Duration) -> OutgoingMessage {
        OutgoingMessage(text, to: "mails" as QueueName).delayed(by: delay)
    }

    @Test func `what was due while the broker was down comes at start, in order of due times`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        let hands = Hands()
        let first = try Broker(.file(path), configuration: configuration(hands))
        try await first.declareQueue("mails")
        try await first.publish(Self.message("third", .seconds(30)))
        try await first.publish(Self.message("first", .seconds(10)))
        try await first.publish(Self.message("far", .seconds(3_600)))
        try await first.publish(Self.message("second", .seconds(20)))
        let waiting = try await first.peek("mails", state: .delayed)
        #expect(waiting.map(\.number) == [2, 4, 1, 3])
        #expect(waiting.allSatisfy { $0.state == .delayed && $0.due != nil })
        try await first.shutdown()

        hands.advance(60_000)
        let second = try Broker(.file(path), configuration: configuration(hands))
        for text in ["first", "second", "third"] {
            #expect(try await second.get("mails", wait: .seconds(60), autoAck: true)?.text == text)
        }
        #expect(try await second.status(of: "mails").delayed == 1)
        try await second.shutdown()
    }

    @Test func `a delayed message can be cancelled and made ready at once`() async throws {
        let broker = try Broker(.memory)
        try await broker.declareQueue("mails")
        try await broker.publish(Self.message("a", .seconds(3_600)))
        try await broker.publish(Self.message("b", .seconds(3_600)))
        try await broker.cancelMessage(at: 1, in: "mails")
        try await broker.delayMessage(at: 2, in: "mails", by: .zero, ifVersion: 1)
        #expect(try await broker.get("mails", wait: .seconds(60), autoAck: true)?.text == "b")
        await #expect(throws: BrokerError.self) { try await broker.cancelMessage(at: 1, in: "mails") }
        try await broker.shutdown()
    }

    @Test func `an edited message is as it was edited after a restart`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        let body = String(repeating: "long enough to be shared ", count: 40)
        let first = try Broker(.file(path))
        for queue in ["a", "b"] as [QueueName] {
            try await first.declareQueue(queue)
            try await first.bind(queue, to: "amq.fanout", routingKey: "")
        }
        try await first.publish(body, to: "amq.fanout", routingKey: "")
        let message = try #require(try await first.peek("a").first)
        var edit = MessageEdit("a", message.number)
        edit.version = message.version
        edit.body = Array("short".utf8)
        edit.headers = ["by": .string("me")]
        try await first.edit(edit)
        await #expect(throws: BrokerError.self) { try await first.edit(edit) }
        try await first.shutdown()

        let second = try Broker(.file(path))
        let edited = try #require(try await second.get("a", autoAck: true))
        #expect(edited.text == "short")
        #expect(edited.properties?.headers == ["by": .string("me")])
        #expect(try await second.get("b", autoAck: true)?.text == body)
        try await second.shutdown()
    }

    @Test func `a retry that waits survives a restart, with its place and its failures`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        let hands = Hands()
        let first = try Broker(.file(path), configuration: configuration(hands))
        try await first.declareQueue("mails")
        for text in ["a", "b", "c"] { try await first.publish(text, to: "mails") }
        let a = try #require(try await first.get("mails"))
        let b = try #require(try await first.get("mails"))
        try await b.reject(requeue: true, delay: .seconds(10))
        try await a.nack()
        try await first.shutdown()

        let second = try Broker(.file(path), configuration: configuration(hands))
        let info = try await second.status(of: "mails")
        #expect(info.ready == 2)
        #expect(info.delayed == 1)
        hands.advance(10_000)
        while try await second.status(of: "mails").delayed > 0 { await Task.yield() }
        for text in ["a", "b", "c"] {
            let message = try #require(try await second.get("mails", autoAck: true))
            #expect(message.text == text)
            #expect(message.delivery.failed == (text == "b" ? 1 : 0))
        }
        try await second.shutdown()
    }
}
