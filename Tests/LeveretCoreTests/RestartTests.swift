// What a broker makes of the rows that another one left behind.

import Testing

@testable import LeveretCore

@Suite struct RestartTests {
    @Test func `a queue that a restart finds too long is shortened though nobody asks`() {
        let before = CoreHarness()
        before.queue("dead")
        before.queue(
            "jobs",
            [
                "x-max-length": .int(2), "x-dead-letter-exchange": .string(""),
                "x-dead-letter-routing-key": .string("dead"),
            ])
        for body in ["a", "b"] { _ = before.publish(body, to: "jobs") }
        for _ in 0..<2 { #expect(before.get("jobs") != nil) }
        for body in ["c", "d"] { _ = before.publish(body, to: "jobs") }
        before.settle()
        let after = before.crashed()
        after.settle()
        #expect(after.info("jobs")?.ready == 2)
        #expect(after.bodies(of: "jobs") == ["c", "d"])
        #expect(after.bodies(of: "dead") == ["a", "b"])
    }

    @Test func `what has expired since costs no live message its place after a restart`() {
        let before = CoreHarness()
        before.queue("jobs", ["x-max-length": .int(2)])
        for body in ["a", "b"] { _ = before.publish(body, to: "jobs") }
        for _ in 0..<2 { #expect(before.get("jobs") != nil) }
        for body in ["c", "d"] { _ = before.publish(body, to: "jobs", expiration: "100") }
        before.settle()
        let after = before.crashed(after: 200)
        after.settle()
        #expect(after.bodies(of: "jobs") == ["a", "b"])
        #expect(after.core.totals.deaths == [.expired: 2])
    }

    @Test func `both counters survive a crash, and what was held counts as failed`() {
        let before = CoreHarness()
        before.queue("jobs")
        for body in ["a", "b"] { _ = before.publish(body, to: "jobs") }
        for _ in 0..<2 { #expect(before.get("jobs") != nil) }
        before.run(.settle(Settlement(.fail, 1)))
        before.advance(milliseconds: 60)
        let after = before.crashed()
        let (a, b) = (after.get("jobs"), after.get("jobs"))
        #expect((a?.failed, a?.deliveries, a?.isRedelivered) == (1, 2, true))
        #expect((b?.failed, b?.deliveries, b?.isRedelivered) == (1, 2, true))
    }

    @Test func `a message that was held once too often is dead-lettered after the crash`() {
        let before = CoreHarness()
        before.queue("jobs", ["x-delivery-limit": .int(0), "x-dead-letter-exchange": .string("gone")])
        _ = before.publish("a", to: "jobs")
        #expect(before.get("jobs") != nil)
        before.advance(milliseconds: 60)
        let after = before.crashed()
        after.settle()
        #expect(after.info("jobs")?.ready == 0)
        #expect(after.get(.parked)?.deaths?.deaths.first?.reason == .deliveryLimit)
    }

    @Test func `numbers go on behind every one that was ever given`() {
        let before = CoreHarness()
        before.queue("jobs")
        for body in ["a", "b"] { _ = before.publish(body, to: "jobs") }
        before.settle()
        let last = before.get("jobs", autoAck: true)
        #expect(before.bodies(of: "jobs") == ["b"])
        before.settle()
        let after = before.crashed()
        _ = after.publish("c", to: "jobs")
        #expect((after.get("jobs")?.number ?? 0) > (last?.number ?? .init(.max)).next)
    }
}

extension MessageNumber {
    fileprivate var next: MessageNumber { MessageNumber(rawValue + 1) }
}
