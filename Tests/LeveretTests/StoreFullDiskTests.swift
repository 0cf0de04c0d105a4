// A whole broker on a disk that fills up: what it refuses, what goes on, what is there afterwards.

import LeveretCore
import LeveretTestSupport
import Synchronization
import Testing

@testable import Leveret

@Suite(.enabled(if: SmallDisk.isPossible, "mounting a file system needs root"), .timeLimit(.minutes(10)))
struct StoreFullDiskTests {
    private let body = String(repeating: "x", count: 4_000)

    /// Publishes to `q` from eight tasks until each is refused; returns what was confirmed.
    private func publishUntilRefused(
        _ broker: Broker, _ name: String, persistent: Bool = true
    ) async throws -> Set<String> {
        try await withThrowingTaskGroup(of: Set<String>.self) { group in
            for publisher in 0..<8 {
                group.addTask {
                    var confirmed: Set<String> = []
                    for number in 0..<100_000 {
                        let text = "\(name) \(publisher) \(number) \(body)"
                        do {
                            try await broker.publish(text, to: "q", persistent: persistent)
                            confirmed.insert(text)
                        } catch {
                            let error = try #require(error as? BrokerError)
                            #expect(error.code == .resourceError)
                            #expect(
                                error.text.contains("publishes are refused: the disk of the database is full")
                            )
                            return confirmed
                        }
                    }
                    Issue.record("the disk took everything")
                    return confirmed
                }
            }
            return try await group.reduce(into: []) { $0.formUnion($1) }
        }
    }

    /// Takes everything out of `q`.
    private func drain(_ broker: Broker) async throws -> Set<String> {
        var found: Set<String> = []
        while let message = try await broker.get("q") {
            let isNew = found.insert(message.text ?? "").inserted
            #expect(isNew)
            message.ackWithoutWaiting()
        }
        return found
    }

    private func fixture() throws -> BrokerFixture {
        var fixture = try BrokerFixture()
        fixture.configuration.store.reserveBytes = 4 << 20
        return fixture
    }

    @Test
    func `a full disk refuses publishes, acks go on, nothing confirmed is lost, and it passes by itself`()
        async throws
    {
        let fixture = try fixture()
        let disk = try SmallDisk(at: fixture.path + "-disk", kibibytes: 48 << 10)
        defer { disk.unmount() }
        let path = disk.path + "/leveret.db"
        let broker = try Broker(.file(path), configuration: fixture.configuration)
        try await broker.declareQueue("q")
        try disk.fill(leavingKibibytes: 16 << 10)
        var confirmed = try await publishUntilRefused(broker, "first")
        #expect(confirmed.count > 100)
        #expect(
            try await broker.status().alarms.contains { $0.hasPrefix("the disk of the database is full") })

        // Acks are answered, so what they took is gone for good.
        for _ in 0..<50 {
            let message = try #require(try await broker.get("q"))
            try await message.ack()
            confirmed.remove(try #require(message.text))
        }
        await #expect(throws: BrokerError.self) { try await broker.publish("no", to: "q") }

        try disk.clear()
        try await eventually { try await broker.status().alarms.isEmpty }
        try await broker.publish("again", to: "q")
        confirmed.insert("again")
        try await broker.shutdown()
        let second = try Broker(.file(path), configuration: fixture.configuration)
        #expect(try await drain(second) == confirmed)
        try await second.shutdown()
    }

    @Test func `a broker ends and starts on a full disk, and a consumer that empties the queue makes room`()
        async throws
    {
        let fixture = try fixture()
        let disk = try SmallDisk(at: fixture.path + "-disk", kibibytes: 32 << 10)
        defer { disk.unmount() }
        let path = disk.path + "/leveret.db"
        let broker = try Broker(.file(path), configuration: fixture.configuration)
        try await broker.declareQueue("q")
        var confirmed = try await publishUntilRefused(broker, "first")
        try await broker.shutdown()
        let second = try Broker(.file(path), configuration: fixture.configuration)
        confirmed.formUnion(try await publishUntilRefused(second, "second"))
        #expect(try await drain(second) == confirmed)
        try await eventually { try await second.status().alarms.isEmpty }
        try await second.publish("again", to: "q")
        #expect(try await drain(second) == ["again"])
        try await second.shutdown()
    }

    @Test(arguments: [false, true])
    func `transient messages that fill the disk make room when they are gone`(isPurged: Bool) async throws {
        var fixture = try fixture()
        fixture.configuration.limits.messageBytesMax = 1 << 20
        fixture.configuration.limits.windowBytesMax = 256 << 10
        fixture.configuration.limits.gatheredBytesMax = 1 << 20
        let disk = try SmallDisk(at: fixture.path + "-disk", kibibytes: 48 << 10)
        defer { disk.unmount() }
        let broker = try Broker(.file(disk.path + "/leveret.db"), configuration: fixture.configuration)
        try await broker.declareQueue("q")
        let confirmed = try await publishUntilRefused(broker, "first", persistent: false)
        #expect(confirmed.count > 1_000)
        if isPurged {
            #expect(try await broker.purge("q") == confirmed.count)
        } else {
            #expect(try await drain(broker) == confirmed)
        }
        try await eventually { try await broker.status().alarms.isEmpty }
        try await broker.publish("again", to: "q")
        #expect(try await drain(broker) == ["again"])
        try await broker.shutdown()
    }

    @Test func `a purge makes room for what waits`() async throws {
        let fixture = try fixture()
        let disk = try SmallDisk(at: fixture.path + "-disk", kibibytes: 48 << 10)
        defer { disk.unmount() }
        let broker = try Broker(.file(disk.path + "/leveret.db"), configuration: fixture.configuration)
        try await broker.declareQueue("q")
        try await broker.declareQueue("large")
        try await broker.publish(batch: (0..<4_000).map { _ in OutgoingMessage(body, to: "q") })
        // More than the room that is left, the reserve included.
        let large = (0..<2_200).map { _ in OutgoingMessage(body + body, to: "large") }
        let waiting = Task { try await broker.publish(batch: large) }
        try await eventually { try await !broker.status().alarms.isEmpty }
        #expect(try await broker.purge("q") == 4_000)
        #expect(try await waiting.value.count == 2_200)
        #expect(try await broker.status(of: "large").ready == 2_200)
        try await broker.shutdown()
    }
}
