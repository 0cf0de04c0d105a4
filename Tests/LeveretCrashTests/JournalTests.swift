// The journal itself: it must see each kind of broken promise, or the crash tests would prove nothing.

import Testing

@Suite struct JournalTests {
    /// Three confirmed publishes to `jobs`, whose dead letters go to `jobs.dead`.
    private static func journal() -> Journal {
        var journal = Journal([QueueGroup(source: "jobs", dead: "jobs.dead")])
        for sequence in 0..<3 {
            journal.publishSent(journal.key("jobs", sequence))
            journal.publishConfirmed(journal.key("jobs", sequence))
        }
        return journal
    }

    @Test func `what is there once, in its order, keeps every promise`() {
        var journal = Self.journal()
        journal.compare(with: [("jobs", [0, 2]), ("jobs.dead", [1])])
        #expect(journal.failures == [])
    }

    @Test func `a confirmed message that is nowhere is lost`() {
        var journal = Self.journal()
        journal.compare(with: [("jobs", [0, 2])])
        #expect(journal.failures == ["jobs 1, confirmed, is lost"])
    }

    @Test func `a dead letter that is also in its queue is doubled`() {
        var journal = Self.journal()
        journal.compare(with: [("jobs", [0, 1, 2]), ("jobs.dead", [1])])
        #expect(journal.failures == ["jobs 1 stands in [\"jobs\", \"jobs.dead\"]"])
    }

    @Test func `an answered ack that comes back is seen at delivery and after a restart`() {
        var journal = Self.journal()
        journal.ackSent(journal.key("jobs", 0))
        journal.ackAnswered(journal.key("jobs", 0))
        journal.delivered(journal.key("jobs", 0), from: "jobs")
        journal.compare(with: [("jobs", [0, 1, 2])])
        #expect(
            journal.failures == [
                "jobs delivered jobs 0, whose ack was answered", "jobs 0, acked, is back in jobs",
            ]
        )
    }

    @Test func `an ack that was not answered may go either way`() {
        var journal = Self.journal()
        journal.ackSent(journal.key("jobs", 0))
        var other = journal
        journal.compare(with: [("jobs", [0, 1, 2])])
        other.compare(with: [("jobs", [1, 2])])
        #expect(journal.failures == [] && other.failures == [])
    }

    @Test func `an answered reject that is back in its queue is seen`() {
        var journal = Self.journal()
        journal.rejectSent(journal.key("jobs", 2))
        journal.rejectAnswered(journal.key("jobs", 2), requeued: false)
        journal.compare(with: [("jobs", [0, 1, 2])])
        #expect(journal.failures == ["jobs 2, dead-lettered, is back"])
    }

    @Test func `a message out of its place is seen`() {
        var journal = Self.journal()
        journal.compare(with: [("jobs", [1, 0, 2])])
        #expect(journal.failures == ["jobs gave 0 after 1"])
    }

    @Test func `two consumers can not hold one message`() {
        var journal = Self.journal()
        journal.delivered(journal.key("jobs", 0), from: "jobs")
        journal.delivered(journal.key("jobs", 0), from: "jobs")
        #expect(journal.failures == ["jobs delivered jobs 0, which a consumer holds"])
    }
}
