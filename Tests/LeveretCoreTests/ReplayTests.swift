// Dead letters on their way back, one by one: what they are then, and what stands in the way. Replays of many are in
// Tests/LeveretTests, for they search.

import Testing

@testable import LeveretCore

@Suite struct ReplayTests {
    /// A broker with a dead letter, at position 2 of `dead`, of which two more lie before and behind.
    private func broker(window: Int = 4096) -> CoreHarness {
        var limits = CoreLimits()
        (limits.windowCountMax, limits.windowCountMin) = (window, 1)
        let broker = CoreHarness(limits: limits)
        broker.queue("dead")
        broker.queue(
            "jobs",
            ["x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead")])
        broker.run(.bind(Binding(source: "amq.topic", target: .queue("jobs"), routingKey: "order.#")))
        var properties = MessageProperties()
        properties.messageID = "7"
        let message = Message(
            exchange: "amq.topic", routingKey: "order.new", properties: properties, body: [49])
        broker.run(.publish(message, mandatory: false))
        reject(broker, "no such file")
        return broker
    }

    private func reject(_ broker: CoreHarness, _ text: String) {
        let delivery = broker.get("jobs")
        #expect(delivery != nil)
        broker.run(.settle(Settlement(.deadLetter, delivery?.tag ?? 0, errorText: text)))
    }

    private func replay(_ position: MessageNumber, to destination: Move.Destination = .origin) -> Move {
        var move = Move.replay(from: "dead", to: destination)
        move.position = position
        return move
    }

    private func count(_ answer: Answer?) -> Int? {
        if case .count(let count)? = answer { count } else { nil }
    }

    @Test func `a replayed message goes as it was published, is marked, and keeps its id and history`() {
        let broker = broker()
        #expect(count(broker.run(.move(replay(2)))) == 1)
        let back = broker.get("jobs")
        #expect(back?.message.exchange == "amq.topic")
        #expect(back?.message.routingKey == "order.new")
        #expect(back?.message.properties?.messageID == "7")
        let headers = back?.message.properties?.headers
        #expect(headers?["x-replayed-from"] == .string("dead"))
        #expect(headers?["x-replayed-at"] == .string(broker.now.iso8601))
        #expect(headers?["x-replay-count"] == .int(1))
        #expect(back?.deaths?.deaths.map(\.count) == [1])
        #expect(back?.deaths?.errorText == "no such file")
        #expect(broker.info("dead")?.ready == 0)
    }

    @Test func `what dies again is counted, and so is its next replay`() {
        let broker = broker()
        broker.run(.move(replay(2)))
        broker.advance(milliseconds: 5000)
        reject(broker, "still none")
        #expect(count(broker.run(.move(replay(4)))) == 1)
        let back = broker.get("jobs")
        #expect(back?.deaths?.deaths.map(\.count) == [2])
        #expect(back?.deaths?.errorText == "still none")
        #expect(back?.message.routingKey == "order.new")
        #expect(back?.message.properties?.headers["x-replay-count"] == .int(2))
    }

    @Test func `a mark that somebody forged counts as far as it is a number`() {
        for (before, after) in [
            (FieldValue.string("many"), 1), (.int(-5), 1), (.int(.max), Death.countMax + 1),
        ] {
            let broker = broker()
            var edit = MessageEdit("dead", 2)
            edit.headers["x-replay-count"] = before
            broker.run(.edit(edit))
            broker.run(.move(replay(2)))
            #expect(broker.get("jobs")?.message.properties?.headers["x-replay-count"] == .int(after))
        }
    }

    @Test(arguments: [4096, 1]) func `the removal and the copy stand in one batch`(window: Int) {
        let broker = broker(window: window)
        broker.settle()
        broker.ask(.move(replay(2)))
        broker.serveLoads()
        let batch = broker.core.takeBatch(now: broker.now)
        #expect(batch?.inserts.map(\.number) == [3])
        #expect(batch?.removals == [2])
    }

    @Test func `elsewhere it goes as it was published, too, and through an exchange with that key`() {
        let broker = broker()
        broker.queue("spare")
        broker.run(.bind(Binding(source: "amq.direct", target: .queue("spare"), routingKey: "order.new")))
        #expect(
            count(broker.run(.move(replay(2, to: .exchange("amq.direct", routingKey: nil))))) == 1)
        let moved = broker.get("spare", autoAck: true)
        #expect(moved?.message.exchange == "amq.direct")
        #expect(moved?.message.routingKey == "order.new")
        #expect(moved?.message.properties?.headers["x-replayed-from"] == .string("dead"))
    }

    @Test func `its body is mended on the way, if it is as it was looked at`() {
        let broker = broker()
        var move = replay(2)
        move.version = 1
        move.body = [50]
        var edit = MessageEdit("dead", 2)
        edit.headers["seen"] = .bool(true)
        broker.run(.edit(edit))
        #expect(broker.refusal(of: .move(move))?.text.contains("version 2, not 1") == true)
        #expect(broker.info("dead")?.ready == 1)
        move.version = 2
        move.headers["tries"] = .int(0)
        #expect(broker.refusal(of: .move(move)) == nil)
        let back = broker.get("jobs")
        #expect(back?.message.body == [50])
        #expect(back?.message.properties?.headers["tries"] == .int(0))
        #expect(back?.message.properties?.headers["x-replay-count"] == .int(1))
    }

    @Test func `what never died stays, and so does what has no queue to go back to`() {
        let broker = broker()
        _ = broker.publish("plain", to: "dead")
        #expect(broker.refusal(of: .move(replay(3)))?.text.contains("message 3 has never died") == true)
        broker.run(.deleteQueue("jobs", ifUnused: false, ifEmpty: false))
        let refusal = broker.refusal(of: .move(replay(2)))
        #expect(refusal?.code == .notFound)
        #expect(refusal?.text.contains("queue 'jobs', where message 2 died first, is gone") == true)
        #expect(broker.bodies(of: "dead") == ["1", "plain"])
    }

    @Test func `a full queue takes nothing back`() {
        let broker = CoreHarness()
        broker.queue("dead")
        broker.queue(
            "jobs",
            [
                "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead"),
                "x-max-length": .int(1), "x-overflow": .string("reject-publish"),
            ])
        _ = broker.publish("1", to: "jobs")
        reject(broker, "no")
        _ = broker.publish("2", to: "jobs")
        #expect(broker.refusal(of: .move(replay(2)))?.code == .resourceError)
        #expect(broker.bodies(of: "dead") == ["1"])
    }

    @Test func `a move to nowhere removes for good, from the head, and makes no dead letters`() {
        let broker = CoreHarness()
        broker.queue("dead")
        broker.queue(
            "jobs",
            ["x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead")])
        for index in 1...3 { _ = broker.publish("\(index)", to: "jobs") }
        #expect(count(broker.run(.move(Move(from: "jobs", to: .nowhere, countMax: 2)))) == 2)
        #expect(broker.bodies(of: "jobs") == ["3"])
        #expect(broker.info("dead")?.ready == 0)
        broker.settle()
        #expect(broker.rows.isEmpty)
    }

    @Test func `a publish whose message is moved to nowhere before its commit is confirmed`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        let ticket = Ticket(4711)
        let message = Message(exchange: "", routingKey: "jobs", body: [1])
        broker.core.submit(
            ticket, .publish(message, mandatory: false), from: broker.session, now: broker.now)
        broker.run(.move(Move(from: "jobs", to: .nowhere)))
        guard case .routed(1)? = broker.answer(ticket, of: broker.session) else {
            Issue.record("not confirmed")
            return
        }
    }
}
