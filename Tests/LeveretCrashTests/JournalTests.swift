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

    @Test func `a purged message that is back, and one that was lost without a purge, are seen`() {
        var journal = Self.journal()
        journal.publishSent(journal.key("jobs", 3))
        let sure = journal.purgeSent("jobs")
        journal.publishSent(journal.key("jobs", 4))
        journal.publishConfirmed(journal.key("jobs", 4))
        journal.purgeAnswered("jobs", sure)
        journal.publishConfirmed(journal.key("jobs", 3))
        var other = journal
        journal.compare(with: [("jobs", [1, 3])])
        #expect(sure.count == 3 && journal.failures == ["jobs 1, acked, is back in jobs"])
        other.compare(with: [("jobs", [])])
        #expect(other.failures == [])
    }

    @Test func `a transient message that survives is seen, and one that is gone is fine`() {
        var journal = Journal([QueueGroup(source: "mist", isTransient: true)])
        for sequence in 0..<2 {
            journal.publishSent(journal.key("mist", sequence))
            journal.publishConfirmed(journal.key("mist", sequence))
        }
        journal.compare(with: [("mist", [1])])
        #expect(journal.failures == ["mist 1, transient, has survived"])
    }

    @Test func `a publish that reached one of two queues is seen, confirmed or not`() {
        var journal = Journal([QueueGroup(source: "a"), QueueGroup(source: "b")], twins: [("a", "b")])
        for queue in ["a", "b"] {
            for sequence in 0..<3 { journal.publishSent(journal.key(queue, sequence)) }
        }
        journal.ackSent(journal.key("a", 2))
        journal.compare(with: [("a", [0]), ("b", [0, 1, 2])])
        #expect(journal.failures == ["b 1 is there without a 1"])
    }

    @Test func `a moved message out of its place is seen`() {
        var journal = Journal([QueueGroup(source: "stock", dead: "shelf", keepsOrder: true)])
        for sequence in 0..<2 { journal.publishSent(journal.key("stock", sequence)) }
        journal.compare(with: [("stock", []), ("shelf", [1, 0])])
        #expect(journal.failures == ["shelf gave 0 after 1"])
    }

    @Test func `definitions that are lost, back or half there are seen`() {
        var journal = Self.journal()
        var definitions = DefinitionJournal()
        for name in ["made.1", "made.2", "made.3"] {
            definitions.sent(.declare, name)
            definitions.answered(.declare, name)
            definitions.sent(.bind, name)
            definitions.answered(.bind, name)
        }
        definitions.sent(.drop, "made.2")
        definitions.answered(.drop, "made.2")
        definitions.compare(queues: ["made.2", "made.3"], bound: ["made.1"], &journal)
        #expect(
            Set(journal.failures) == [
                "queue made.1, declared, is lost", "made.2, dropped, is back",
                "the binding of made.3 is lost", "made.1 is bound and not there",
            ]
        )
    }

    @Test func `a cancelled message that is back, and an edit that is lost, are seen after a crash`() {
        var journal = Self.journal()
        let key = journal.key("jobs", 1)
        journal.cancelSent(journal.key("jobs", 0))
        journal.cancelAnswered(journal.key("jobs", 0), isRefused: false)
        journal.editSent(key, edition: 1)
        journal.editAnswered(key, edition: 1)
        // A consumer may not have read all that it was sent before.
        journal.delivered(journal.key("jobs", 0), from: "jobs")
        journal.delivered(key, from: "jobs")
        #expect(journal.failures == [])
        journal.crashed()
        journal.delivered(key, from: "jobs", edition: 2)
        journal.compare(with: [("jobs", [0, 1, 2])])
        #expect(
            Set(journal.failures) == [
                "jobs delivered edition 2 of jobs 1, not 1", "jobs 1 has edition 0, not 1",
                "jobs 0, acked, is back in jobs",
            ])
    }

    @Test func `an edit or a cancel that was not answered may go either way`() {
        var journal = Self.journal()
        journal.editSent(journal.key("jobs", 0), edition: 1)
        journal.cancelSent(journal.key("jobs", 1))
        journal.crashed()
        var other = journal
        journal.compare(with: [("jobs", [Found(0, edition: 1), 2])])
        other.compare(with: [("jobs", [0, 1, 2])])
        #expect(journal.failures == [] && other.failures == [])
    }

    @Test func `what was refused and is there, and what comes too early, are seen`() {
        var journal = Self.journal()
        let style = Copy.Style(notBefore: .now.advanced(by: .seconds(3_600)))
        for sequence in 3..<5 { journal.publishSent(journal.key("jobs", sequence), style) }
        journal.publishRefused(journal.key("jobs", 3))
        journal.delivered(journal.key("jobs", 4), from: "jobs")
        #expect(journal.failures.count == 1 && journal.failures[0].hasSuffix("too early"))
        journal.compare(with: [("jobs", [0, 1, 2, 3, 4])])
        #expect(journal.failures.last == "jobs 3, refused, is in jobs")
    }

    @Test func `a priority after a higher one is fine, and before it is seen`() {
        var journal = Journal([QueueGroup(source: "jobs")])
        for sequence in 0..<4 {
            journal.publishSent(journal.key("jobs", sequence), Copy.Style(priority: sequence % 2))
        }
        var other = journal
        journal.compare(with: [("jobs", [1, 3, 0, 2])])
        #expect(journal.failures == [])
        other.compare(with: [("jobs", [3, 1, 0, 2])])
        other.compare(with: [("jobs", [0, 2, 1, 3])])
        #expect(other.failures == ["jobs gave 1 after 3", "jobs gave priority 1 after 0"])
    }

    @Test func `two messages with one id, and receipts without their messages, are seen`() {
        var journal = Journal(
            [QueueGroup(source: "tasks", dead: "done", pairsIDs: true), QueueGroup(source: "receipts")],
            receipts: ("done", "receipts"))
        for sequence in 0..<4 {
            journal.publishSent(journal.key("tasks", sequence))
            journal.publishSent(journal.key("receipts", sequence))
        }
        journal.compare(with: [("tasks", [0, 1, 2]), ("done", [3]), ("receipts", [2])])
        #expect(
            journal.failures == [
                #"["receipts"] has a receipt for tasks 2, which stands in ["tasks"]"#,
                "tasks 3 is in done without a receipt", "tasks 0 and 1 have one id and are both there",
            ])
    }

    @Test func `a pause that a restart forgot is seen`() {
        var journal = Self.journal()
        var pauses = PauseJournal()
        for queue in ["jobs", "other"] { pauses.sent(queue) }
        pauses.answered("jobs", isPaused: true)
        pauses.compare("jobs", isPaused: false, &journal)
        pauses.compare("other", isPaused: true, &journal)
        #expect(journal.failures == ["jobs is not paused after a restart"])
        #expect(pauses.still == ["other"])
    }

    @Test func `two consumers can not hold one message`() {
        var journal = Self.journal()
        journal.delivered(journal.key("jobs", 0), from: "jobs")
        journal.delivered(journal.key("jobs", 0), from: "jobs")
        #expect(journal.failures == ["jobs delivered jobs 0, which a consumer holds"])
    }
}
