// What waits for a time: how many timers there are, and when long work goes on.

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

    @Test func `long work goes on when the batch that it had filled is empty again`() {
        let broker = CoreHarness()
        broker.queue("crowd")
        broker.queue("jobs")
        broker.run(.consume(Consume(queue: "jobs", tag: "worker")))
        for _ in 0..<600 { _ = broker.publish("a", to: "crowd", expiration: "10", persistent: false) }
        broker.settle()
        broker.now = broker.now.advanced(byMilliseconds: 10)
        broker.core.timeReached(now: broker.now)
        _ = broker.publish("b", to: "jobs")
        broker.drain(broker.session)
        broker.core.continueWork(now: broker.now)
        #expect(broker.hasMoreWork && !broker.hasRoomForWork)
        broker.ask(.settle(Settlement(.ack, 1)))
        #expect(broker.core.takeBatch(now: broker.now) == nil)
        #expect(broker.hasMoreWork && broker.hasRoomForWork)
    }
}
