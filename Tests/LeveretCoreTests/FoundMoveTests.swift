// MOVE with a condition: what is done with what a search has found, wherever that stands by then.

import Testing

@testable import LeveretCore

@Suite struct FoundMoveTests {
    /// A broker that keeps one ready message in memory, with a queue of these arguments and one to move to.
    private func broker(_ arguments: FieldTable, windowBytesMax: Int = 1_000) -> CoreHarness {
        var limits = CoreLimits()
        (limits.windowCountMax, limits.windowCountMin, limits.windowBytesMax) = (1, 1, windowBytesMax)
        let broker = CoreHarness(limits: limits)
        broker.queue("from", arguments)
        broker.queue("to")
        return broker
    }

    private func place(_ number: MessageNumber, priority: UInt8? = nil) -> FoundPlace {
        FoundPlace(number: number, place: number, priority: priority, version: 1)
    }

    /// Moves what a search finds.
    private func move(
        _ found: [FoundPlace], to target: QueueName = "to", in broker: CoreHarness,
        lastReadFirst: Bool = false
    ) {
        broker.ask(.move(Move(from: "from", to: .queue(target), where: "1")))
        let outputs = broker.core.takeOutputs()
        broker.loads += outputs.loads
        for search in outputs.searches {
            broker.core.searched(search.number, .success(.places(found)), now: broker.now)
        }
        broker.serveLoads(lastFirst: lastReadFirst)
        broker.settle()
    }

    @Test func `one that is only in memory is moved behind one of a higher priority that is not`() {
        let broker = broker(["x-max-priority": .int(9)])
        _ = broker.publish("low", to: "from", persistent: false, priority: 0)
        _ = broker.publish("high", to: "from", persistent: false, priority: 2)
        broker.settle()
        move([place(2, priority: 2), place(1, priority: 0)], in: broker)
        #expect(broker.bodies(of: "from") == [])
        #expect(broker.bodies(of: "to") == ["high", "low"])
    }

    @Test func `one that comes first and does not fit into the read of the others is moved all the same`() {
        let broker = broker(["x-max-priority": .int(9)], windowBytesMax: 1)
        for (body, priority) in [("first", 9), ("low", 0), ("high", 2)] as [(String, UInt8)] {
            _ = broker.publish(body, to: "from", priority: priority)
        }
        broker.settle()
        move([place(3, priority: 2), place(2, priority: 0)], in: broker)
        #expect(broker.bodies(of: "to") == ["high", "low"])
    }

    @Test func `what moves within its queue does not make it too long`() {
        let broker = broker(["x-max-length": .int(3)])
        for body in ["1", "2", "3"] { _ = broker.publish(body, to: "from") }
        broker.settle()
        move([place(3)], to: "from", in: broker)
        #expect(broker.bodies(of: "from") == ["1", "2", "3"])
    }

    @Test(arguments: [1, 2])
    func `a move that is refused half way keeps no consumer waiting for what is being read`(room: Int64) {
        let before = broker([:])
        before.queue("full", ["x-max-length": .int(room), "x-overflow": .string("reject-publish")])
        for body in ["1", "2", "3", "4"] { _ = before.publish(body, to: "from") }
        _ = before.publish("0", to: "full")
        before.settle()
        let broker = before.crashed()
        broker.ask(.consume(Consume(queue: "from", tag: "c")))
        move([place(3), place(4)], to: "full", in: broker, lastReadFirst: true)
        #expect(broker.deliveries().map(\.text) == (room == 1 ? ["1", "2", "3", "4"] : ["1", "2", "4"]))
    }

    @Test func `a move of nothing is no use of an empty queue`() {
        let broker = broker(["x-expires-if-empty": .int(20)])
        broker.advance(milliseconds: 10)
        move([], in: broker)
        broker.advance(milliseconds: 10)
        #expect(broker.found("from") == nil)
    }

    @Test func `what a restart finds past its delivery limit is not moved`() {
        let broker = broker(["x-delivery-limit": .int(0)])
        for body in ["1", "2", "3"] { _ = broker.publish(body, to: "from") }
        broker.settle()
        broker.rows[3]?.failed = 1
        let next = broker.crashed()
        move([place(3)], in: next)
        #expect(next.bodies(of: "to") == [])
        #expect(next.bodies(of: "from") == ["1", "2"])
    }
}
