// When alarms begin and end, on numbers that are given, and what they do to clients of a real server.

import Leveret
import LeveretTestSupport
import LeveretWire
import Logging
import Synchronization
import Testing

@testable import LeveretServer

@Suite struct ResourceAlarmTests {
    private static func thresholds(disk: Int = 0, memory: Int = 0) -> AlarmThresholds {
        var thresholds = AlarmThresholds()
        thresholds.diskFreeBytesMin = disk
        thresholds.residentBytesMax = memory
        return thresholds
    }

    /// What of each reading comes, as `+cause` and `-cause`.
    private static func changes(
        _ thresholds: AlarmThresholds, _ readings: [ResourceReading], connectionsMax: Int = 100
    ) -> [String] {
        var watch = ResourceWatch(thresholds)
        return readings.map { reading in
            watch.measured(reading, connectionsMax: connectionsMax)
                .map { "\($0.text == nil ? "-" : "+")\($0.cause)" }.joined(separator: " ")
        }
    }

    @Test func `a disk is low below its limit, and no more with a quarter on top`() {
        let readings = [1_000, 999, 1, 1_249, 1_250, 1_000, 0].map {
            ResourceReading(diskFreeBytes: $0, residentBytes: 0, connections: 0)
        }
        #expect(
            Self.changes(Self.thresholds(disk: 1_000), readings) == [
                "", "+disk", "", "", "-disk", "", "+disk",
            ])
        #expect(Self.changes(Self.thresholds(), readings).allSatisfy { $0.isEmpty })
    }

    @Test func `a disk of which nobody knows anything raises nothing and clears nothing`() {
        let readings = [nil, 1, nil, 2_000].map {
            ResourceReading(diskFreeBytes: $0, residentBytes: 0, connections: 0)
        }
        #expect(Self.changes(Self.thresholds(disk: 1_000), readings) == ["", "+disk", "", "-disk"])
    }

    @Test func `memory is high above its limit, and no more a tenth below`() {
        let readings = [1_000, 1_001, 900, 899, 1_000, 2_000].map {
            ResourceReading(diskFreeBytes: nil, residentBytes: $0, connections: 0)
        }
        #expect(
            Self.changes(Self.thresholds(memory: 1_000), readings) == [
                "", "+memory", "", "-memory", "", "+memory",
            ])
        #expect(Self.changes(Self.thresholds(), readings).allSatisfy { $0.isEmpty })
    }

    @Test(arguments: [
        (100, [99, 100, 91, 90, 100], ["", "+connections", "", "-connections", "+connections"]),
        (1, [0, 1, 0], ["", "+connections", "-connections"]),
    ])
    func `connections are full at their limit, and no more a tenth below`(
        limit: Int, open: [Int], expected: [String]
    ) {
        let readings = open.map { ResourceReading(diskFreeBytes: nil, residentBytes: 0, connections: $0) }
        #expect(Self.changes(Self.thresholds(), readings, connectionsMax: limit) == expected)
    }

    /// What a server is made to believe.
    private final class Machine: Sendable {
        private let facts = Mutex((diskFreeBytes: 1 << 30, residentBytes: 1_000))  // guards the numbers
        private let freed = Mutex(0)  // guards what was freed and is still resident

        var now: (diskFreeBytes: Int?, residentBytes: Int) {
            facts.withLock { ($0.diskFreeBytes, $0.residentBytes) }
        }

        func has(diskFreeBytes: Int = 1 << 30, residentBytes: Int = 1_000) {
            facts.withLock { $0 = (diskFreeBytes, residentBytes) }
        }

        /// Of its resident memory so much is in no use.
        func hasFreed(bytes: Int) { freed.withLock { $0 = bytes } }

        func giveBackMemory() {
            let bytes = freed.withLock { freed in
                defer { freed = 0 }
                return freed
            }
            facts.withLock { $0.residentBytes -= bytes }
        }
    }

    private static func withServer(
        _ change: (inout ServerConfiguration) -> Void, body: (Server, Machine, UInt16) throws -> Void
    ) async throws {
        let quiet = Broker.Configuration.quiet
        let broker = try Broker(.memory, configuration: quiet)
        var configuration = ServerConfiguration()
        configuration.addresses = [ListenAddress(port: 0)]
        change(&configuration)
        let machine = Machine()
        let server = Server(
            broker: broker, configuration: configuration, logger: quiet.logger,
            giveBackMemory: { machine.giveBackMemory() }, measure: { machine.now })
        let port = UInt16(try await server.start()[0].port ?? 0)
        try body(server, machine, port)
        try await server.stop()
        try await broker.shutdown()
    }

    @Test func `a low disk refuses publishes and nothing else, until there is room`() async throws {
        try await Self.withServer {
            $0.alarms.diskFreeBytesMin = 1 << 20
        } body: { server, machine, port in
            let client = try LineSocket(port: port)
            #expect(try client.ask("QUEUE jobs").line.hasPrefix("OK"))
            #expect(try client.ask("PUB \"\" jobs :one").line == "OK 1")
            machine.has(diskFreeBytes: 5)
            server.lookAround()
            let note = try #require(try client.waitForNext())
            #expect(
                note.line.hasPrefix("NOTE blocked less than 1 MiB are free on the disk"), "\(note)")
            #expect(
                try client.ask("PUB \"\" jobs :two").line.hasPrefix(
                    "ERR 506 RESOURCE_ERROR publishes are refused"))
            #expect(try client.ask("STAT").line.contains("\"alarms\":[\"less than 1 MiB are free"))
            _ = try client.waitForNext()
            #expect(try client.ask("QUEUE more").line.hasPrefix("OK"))
            #expect(try client.ask("GET jobs")["deliveries"] == "1")
            #expect(try client.ask("ACK 1").line == "OK")
            machine.has()
            server.lookAround()
            #expect(try client.waitForNext()?.line.hasPrefix("NOTE unblocked") == true)
            #expect(try client.ask("PUB \"\" jobs :three").line == "OK 1")
        }
    }

    @Test func `every limit is in the status`() async throws {
        try await Self.withServer {
            $0.limits.connectionsMax = 7
            $0.limits.line.bodyBytesMax = 1_000
            $0.alarms.diskFreeBytesMin = 1 << 20
        } body: { _, _, port in
            let row = try LineSocket(port: port).ask("STAT fields=limits").line
            #expect(
                row
                    == #"ROW {"limits":{"connections":7,"line_bytes":8192,"body_bytes":1000,"memory_bytes":0,"#
                    + #""disk_free_bytes_min":1048576}}"#)
        }
    }

    @Test func `of two alarms the first that is left still refuses`() async throws {
        try await Self.withServer {
            $0.alarms.diskFreeBytesMin = 1 << 20
            $0.alarms.residentBytesMax = 5_000
        } body: { server, machine, port in
            let client = try LineSocket(port: port)
            #expect(try client.ask("QUEUE jobs").line.hasPrefix("OK"))
            machine.has(diskFreeBytes: 5, residentBytes: 6_000)
            server.lookAround()
            #expect(try client.waitForNext()?.line.hasPrefix("NOTE blocked less than 1 MiB") == true)
            machine.has(residentBytes: 6_000)
            server.lookAround()
            #expect(
                try client.waitForNext()?.line.hasPrefix("NOTE blocked the server has more than 4.9 KiB")
                    == true
            )
            #expect(try client.ask("PUB \"\" jobs :x").line.hasPrefix("ERR 506"))
            machine.has()
            server.lookAround()
            #expect(try client.waitForNext()?.line.hasPrefix("NOTE unblocked") == true)
            #expect(try client.ask("PUB \"\" jobs :x").line == "OK 1")
        }
    }

    @Test func `memory that was freed raises no alarm, and ends one`() async throws {
        try await Self.withServer {
            $0.alarms.residentBytesMax = 5_000
        } body: { server, machine, port in
            let client = try LineSocket(port: port)
            #expect(try client.ask("QUEUE jobs").line.hasPrefix("OK"))
            machine.has(residentBytes: 6_000)
            machine.hasFreed(bytes: 4_000)
            server.lookAround()
            #expect(try client.ask("PUB \"\" jobs :x").line == "OK 1")
            machine.has(residentBytes: 6_000)
            server.lookAround()
            #expect(
                try client.waitForNext()?.line.hasPrefix("NOTE blocked the server has more than 4.9 KiB")
                    == true
            )
            machine.hasFreed(bytes: 4_000)
            // It is not given back at each look: that would cost more than it brings.
            for _ in 0..<10 { server.lookAround() }
            #expect(try client.waitForNext()?.line.hasPrefix("NOTE unblocked") == true)
            #expect(try client.ask("PUB \"\" jobs :x").line == "OK 1")
        }
    }

    @Test func `memory is given back where it is nearly too much, and not at each look`() {
        var watch = ResourceWatch(Self.thresholds(memory: 1_000))
        let isEarly = watch.wantsMemoryBack(residentBytes: 899)
        #expect(!isEarly)
        #expect((0..<21).filter { _ in watch.wantsMemoryBack(residentBytes: 900) } == [0, 10, 20])
        var without = ResourceWatch(Self.thresholds())
        let isWanted = without.wantsMemoryBack(residentBytes: .max)
        #expect(!isWanted)
    }

    @Test func `as many connections as there may be are an alarm that refuses no publish`() async throws {
        try await Self.withServer {
            $0.limits.connectionsMax = 1
        } body: { server, _, port in
            let client = try LineSocket(port: port)
            #expect(try client.ask("QUEUE jobs").line.hasPrefix("OK"))
            server.lookAround()
            #expect(try client.ask("STAT").line.contains("\"alarms\":[\"1 connections are open"))
            _ = try client.waitForNext()
            #expect(try client.ask("PUB \"\" jobs :x").line == "OK 1")
        }
    }
}
