// The ledger finds what it is there to find: each test is a journal of a worker that breaks a promise, or keeps it.

import Testing

@Suite struct JobLedgerTests {
    struct Fixture: Sendable, CustomTestStringConvertible {
        var name: String
        var lines: [String]
        /// What the first failure says; `nil` is none.
        var failure: String?

        init(_ name: String, _ lines: String..., failure: String? = nil) {
            self.name = name
            self.lines = lines
            self.failure = failure
        }

        var testDescription: String { name }
    }

    private static let kept = [
        Fixture(
            "a job runs again after a kill", "enqueued a completed", "start a 1 plain:1", "KILL",
            "start a 2 plain:1", "end a", "found a completed plain:1", "forgotten"),
        Fixture(
            "a job that ran before it was enqueued, and is gone", "start a 1 child:p", "end a", "KILL",
            "start b 1 child:p", "end b", "found b completed child:p", "forgotten"),
        Fixture(
            "a unique job after the end of another", "ask 1 u", "taken 1 u a", "start a 1 unique:u",
            "ask 2 u",
            "equal 2 u a", "end a", "ask 3 u", "taken 3 u b", "start b 1 unique:u", "end b",
            "found a completed unique:u", "found b completed unique:u", "forgotten"),
        Fixture(
            "a group and what follows it", "start p 1 part:g.0", "end p", "start w 1 whole:g", "end w",
            "start e 1 ended:g", "end e", "found p completed part:g.0", "found w completed whole:g",
            "found e completed ended:g", "forgotten"),
        Fixture(
            "a group that fails", "start p 1 part:g.failing", "fail p", "start f 1 failed:g", "end f",
            "start e 1 ended:g", "end e", "found p discarded part:g.failing", "found w cancelled whole:g",
            "found f completed failed:g", "found e completed ended:g", "forgotten"),
    ]

    private static let broken = [
        Fixture(
            "a job that came back is lost", "start a 1 plain:1", "KILL", "start a 2 plain:1", "forgotten",
            failure: "no record of it"),
        Fixture("a job is lost", "enqueued a completed", "forgotten", failure: "recorded as []"),
        Fixture(
            "a job is recorded twice", "start a 1 plain:1", "end a", "found a completed plain:1",
            "found a completed plain:1", "forgotten", failure: "recorded 2 times"),
        Fixture(
            "a record without a run", "found a completed plain:1", "forgotten", failure: "has not ended"),
        Fixture(
            "a run after the record", "start a 1 plain:1", "end a", "found a completed plain:1", "forgotten",
            "start a 2 plain:1", failure: "runs again after it was settled"),
        Fixture(
            "an attempt that is not counted", "start a 1 flaky:1", "fail a", "start a 1 flaky:1",
            failure: "had attempt 1, and has 1"),
        Fixture(
            "two of a key at a time", "start a 1 unique:u", "start b 1 unique:u",
            failure: "2 jobs of unique:u run at a time"),
        Fixture(
            "a second one of a key", "ask 1 u", "taken 1 u a", "ask 2 u", "taken 2 u b",
            failure: "job b of unique:u is enqueued, and a is there"),
        Fixture(
            "a unique job that comes back", "start a 1 unique:u", "end a", "ask 1 u", "taken 1 u b",
            "start a 2 unique:u", failure: "runs again after it was settled"),
        Fixture(
            "equal to one that is gone", "start a 1 unique:u", "end a", "ask 1 u", "taken 1 u b", "ask 2 u",
            "equal 2 u a", failure: "which had been settled"),
        Fixture(
            "three of a limit of two", "start a 1 limited:k", "start b 1 limited:k", "start c 1 limited:k",
            failure: "3 jobs of limited:k"),
        Fixture(
            "half a batch", "start a 1 batch:1/2", "end a", "found a completed batch:1/2", "forgotten",
            failure: "1 jobs of batch:1/2"),
        Fixture(
            "a chain that overtakes itself", "start a 1 chain:1.2", failure: "the one before it has not ended"
        ),
        Fixture(
            "a callback before its group", "start p 1 part:g.0", "start w 1 whole:g",
            failure: "a part of its group has not ended"),
        Fixture(
            "a callback that never comes", "start p 1 part:g.0", "end p", "start e 1 ended:g", "end e",
            "found p completed part:g.0", "found e completed ended:g", "forgotten",
            failure: "whole:g is not completed"),
        Fixture(
            "two callbacks", "start v 1 whole:g", "end v", "start w 1 whole:g", "end w", "start e 1 ended:g",
            "end e", "found v completed whole:g", "found w completed whole:g", "found e completed ended:g",
            "forgotten", failure: "there are 2 jobs whole:g"),
        Fixture(
            "a callback that must not run", "enqueued w cancelled", "start w 1 whole:g",
            failure: "runs, and must not"),
        Fixture(
            "no child", "start a 1 parent:1", "end a", "found a completed parent:1", "forgotten",
            failure: "has 0 children"),
        Fixture(
            "a cursor that was lost", "start a 1 steps:1", "step a 3", "KILL", "start a 2 steps:1",
            "from a 2",
            failure: "goes on from 2, and had come to 3"),
        Fixture(
            "two jobs for a tick", "start a 1 often:1000", "end a", "start b 1 often:1000", "end b",
            "found a completed often:1000", "found b completed often:1000", "forgotten",
            failure: "schedule often has 2 jobs for 1000"),
        Fixture(
            "a tick left out", "start a 1 often:1000", "end a", "start b 1 often:11000", "end b",
            "found a completed often:1000", "found b completed often:11000", "forgotten",
            failure: "no job between 1000 and 11000"),
        Fixture("what a worker says itself", "broken 3 jobs in x", failure: "broken 3 jobs in x"),
    ]

    @Test(arguments: kept + broken) func `the ledger finds broken promises`(fixture: Fixture) {
        var ledger = JobLedger()
        for line in fixture.lines { if line == "KILL" { ledger.died() } else { ledger.read(line) } }
        if let failure = fixture.failure {
            #expect(ledger.failures.first?.contains(failure) == true, "\(ledger.failures)")
        } else {
            #expect(ledger.failures == [])
        }
    }
}
