// The broker's time: anchored to the wall clock when it opens, and monotonic from there.

import LeveretTestSupport
import Synchronization
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10)))
struct BrokerClockTests {
    /// A wall clock that is set by hand, and a count of milliseconds that only goes on.
    private final class Clocks: Sendable {
        let wall = Atomic<Int64>(1_700_000_000_000)
        let monotonic = Atomic<Int64>(5_000)

        func clock() -> BrokerClock {
            var clock = BrokerClock.anchored(
                wall: { wall.load(ordering: .relaxed) },
                monotonic: { [self] in monotonic.load(ordering: .relaxed) })
            clock.pollMilliseconds = 1
            return clock
        }

        func pass(milliseconds count: Int64) {
            wall.add(count, ordering: .relaxed)
            monotonic.add(count, ordering: .relaxed)
        }
    }

    @Test func `time begins at the wall clock and does not follow its jumps`() {
        let clocks = Clocks()
        let clock = clocks.clock()
        #expect(clock.now() == Instant(milliseconds: 1_700_000_000_000))
        clocks.pass(milliseconds: 10)
        clocks.wall.add(86_400_000, ordering: .relaxed)
        #expect(clock.now() == Instant(milliseconds: 1_700_000_000_010))
        clocks.wall.add(-172_800_000, ordering: .relaxed)
        #expect(clock.now() == Instant(milliseconds: 1_700_000_000_010))
    }

    @Test func `the system's clock never goes back`() {
        let clock = BrokerClock.system()
        var last = clock.now()
        for _ in 0..<10_000 {
            let now = clock.now()
            if now < last { Issue.record("\(now) after \(last)") }
            last = now
        }
    }

    @Test func `a jump of the wall clock expires nothing, the time that passes does`() async throws {
        let clocks = Clocks()
        let broker = try BrokerFixture.inMemory { $0.clock = clocks.clock() }
        try await broker.declareQueue("q", arguments: ["x-message-ttl": .int(1_000)])
        try await broker.publish("x", to: "q")
        clocks.wall.add(86_400_000, ordering: .relaxed)
        clocks.pass(milliseconds: 999)
        #expect(try await broker.status(of: "q").ready == 1)
        clocks.pass(milliseconds: 1)
        try await eventually { try await broker.status(of: "q").ready == 0 }
        try await broker.shutdown()
    }

    @Test func `at the next open the wall clock counts anew, and positions grow all the same`() async throws {
        var fixture = try BrokerFixture()
        let clocks = Clocks()
        fixture.configuration.clock = clocks.clock()
        let first = try fixture.open()
        try await first.declareQueue("short", arguments: ["x-message-ttl": .int(3_600_000)])
        try await first.declareQueue("long")
        try await first.publish("a", to: "short")
        try await first.publish("b", to: "long")
        try await first.shutdown()

        clocks.wall.add(-86_400_000, ordering: .relaxed)  // somebody set the clock back
        fixture.configuration.clock = clocks.clock()
        let second = try fixture.open()
        #expect(try await second.status(of: "short").ready == 1)
        let old = try #require(try await second.get("long"))
        try await old.nack()
        try await second.publish("c", to: "long")
        #expect(try await second.peek("long").map(\.number).sorted() == second.peek("long").map(\.number))
        #expect(try await second.peek("long").count == 2)
        try await second.shutdown()

        clocks.wall.add(2 * 86_400_000, ordering: .relaxed)  // and forward again
        fixture.configuration.clock = clocks.clock()
        let third = try fixture.open()
        #expect(try await third.get("short") == nil)
        #expect(try await third.status(of: "long").ready == 2)
        try await third.shutdown()
    }
}
