// MOVE of one message: what may have happened to it while it was read.

import Testing

@testable import LeveretCore

@Suite struct MoveTests {
    /// A queue of five messages of which two are in memory.
    private func broker() -> CoreHarness {
        var limits = CoreLimits()
        (limits.windowCountMax, limits.windowCountMin) = (2, 1)
        let broker = CoreHarness(limits: limits)
        for queue in ["from", "to"] as [QueueName] { broker.queue(queue) }
        for index in 1...5 { _ = broker.publish("\(index)", to: "from") }
        broker.settle()
        return broker
    }

    private func move(_ position: MessageNumber, version: Int? = nil) -> Request {
        var move = Move(from: "from", to: .queue("to"))
        move.position = position
        move.version = version
        return .move(move)
    }

    @Test func `two moves of one stored message: the second finds nothing`() {
        let broker = broker()
        broker.ask(move(4))
        #expect(broker.refusal(of: move(4))?.code == .notFound)
        #expect(broker.bodies(of: "from") == ["1", "2", "3", "5"])
        #expect(broker.bodies(of: "to") == ["4"])
    }

    @Test func `a stored message that is cancelled meanwhile is not moved`() {
        let broker = broker()
        broker.ask(.cancelMessage("from", 4))
        #expect(broker.refusal(of: move(4))?.code == .notFound)
        #expect(broker.bodies(of: "from") == ["1", "2", "3", "5"])
        #expect(broker.bodies(of: "to") == [])
    }

    @Test(arguments: [1, 4] as [Int64])
    func `an edited message has its new version, in memory or only stored`(
        position: Int64
    ) {
        let broker = broker()
        let position = MessageNumber(position)
        var edit = MessageEdit("from", position)
        edit.body = [UInt8(ascii: "e")]
        broker.run(.edit(edit))
        #expect(broker.refusal(of: move(position, version: 1))?.text.contains("version 2, not 1") == true)
        #expect(broker.refusal(of: move(position, version: 2)) == nil)
        #expect(broker.bodies(of: "to") == ["e"])
    }

    @Test func `a move that is refused keeps no consumer waiting for what is being read`() {
        let broker = broker().crashed()
        broker.ask(.consume(Consume(queue: "from", tag: "c")))
        var move = Move(from: "from", to: .exchange("", routingKey: "nowhere"))
        move.position = 4
        broker.ask(.move(move))
        broker.serveLoads(lastFirst: true)
        broker.settle()
        #expect(broker.deliveries().map(\.text) == ["1", "2", "3", "4", "5"])
    }

    @Test func `a move whose session is closed while it is read is over`() {
        let broker = broker()
        let exclusive = QueueDefinition("own", durable: false, exclusive: true)
        broker.run(.declareQueue(exclusive, passive: false))
        for index in 1...5 { _ = broker.publish("\(index)", to: "own") }
        broker.settle()
        var move = Move(from: "own", to: .queue("to"))
        move.position = 9
        broker.ask(.move(move))
        let asked = broker.core.takeOutputs().loads
        broker.run(.cancelMessage("own", 10))
        broker.core.closeConnection(broker.connection, now: broker.now)
        let other = broker.openSession(in: "/")
        broker.run(.declareQueue(exclusive, passive: false), from: other)
        broker.loads = asked
        broker.settle()
        guard case .queues(let rows)? = broker.run(.status("to"), from: other) else {
            Issue.record("no row of queue 'to'")
            return
        }
        #expect(rows.map(\.ready) == [0])
    }

    @Test func `an edit that comes between a move and its read counts`() {
        let broker = broker()
        var edit = MessageEdit("from", 4)
        edit.body = [UInt8(ascii: "e")]
        broker.ask(.edit(edit))
        #expect(broker.refusal(of: move(4, version: 1))?.text.contains("version 2, not 1") == true)
        #expect(broker.bodies(of: "from") == ["1", "2", "3", "e", "5"])
    }
}
