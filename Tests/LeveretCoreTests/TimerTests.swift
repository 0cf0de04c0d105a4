// What waits for a time: how many timers there are.

import HeapModule
import Testing

@testable import LeveretCore

@Suite struct TimerTests {
    @Test func `timers stay few while one far off is set again and again`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        _ = broker.publish("far", to: "jobs", headers: ["x-delay": .int(2_592_000_000)])
        for _ in 0..<2_000 {
            _ = broker.publish("soon", to: "jobs", persistent: false, headers: ["x-delay": .int(1)])
            broker.now = broker.now.advanced(byMilliseconds: 2)
            broker.core.timeReached(now: broker.now)
        }
        #expect(broker.core.timers.count <= 1_030)
        #expect(broker.info("jobs")?.ready == 2_000)
    }
}
