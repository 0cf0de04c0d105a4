// GETs that wait: when each ends.

import Testing

@testable import LeveretCore

@Suite struct GetTests {
    @Test func `a GET ends in its own time, wherever it stands among those that wait`() {
        let broker = CoreHarness()
        broker.queue("jobs")
        let first = broker.nextTicket
        for wait in [300, 100, 200, 250] {
            broker.ask(.get("jobs", autoAck: true, waitMilliseconds: Int64(wait)))
        }
        func answer(_ index: UInt64) -> Answer? { broker.answer(Ticket(first + index), of: broker.session) }
        broker.advance(milliseconds: 100)
        guard case .empty? = answer(1) else {
            Issue.record("the GET of 100 ms was not answered")
            return
        }
        broker.run(.endGet("jobs", Ticket(first + 2)))
        guard case .empty? = answer(2) else {
            Issue.record("the GET that was ended was not answered")
            return
        }
        #expect(answer(0) == nil && answer(3) == nil)
        broker.publish(["a", "b"], to: "jobs")
        broker.settle()
        guard case .delivered(let one, 0)? = answer(0), case .delivered(let two, 0)? = answer(3) else {
            Issue.record("the others got nothing")
            return
        }
        #expect([one.text, two.text] == ["a", "b"])
    }
}
