// Payloads of other versions, and what is no payload.

import Leveret
import LeveretTasks
import Testing

@Suite(.timeLimit(.minutes(10))) struct PayloadTests {
    private struct Old: Job {
        static let name = "charge"
        var cents: Int
    }

    private struct Renamed: Job {
        static let name = "charge-card"
        static let aliases = ["charge"]
        static let version = 2
        static let defaults: JobPayload = ["currency": "EUR"]
        var amount: Int
        var currency: String

        static func upgrade(_ payload: inout JobPayload, from version: Int) {
            payload["amount"] = payload["cents"]
            payload["cents"] = nil
        }
    }

    @Test func `an old payload under an old name is run as what it has become`() async throws {
        let bench = try Bench()
        try await bench.jobs.enqueue(Old(cents: 5))
        try await bench.jobs.enqueue(Renamed(amount: 7, currency: "SEK"))
        try await bench.working(on: [.default: 1]) {
            $0.add(Renamed.self) { [journal = bench.journal] in journal.note("\($0.amount) \($0.currency)") }
        } while: {
            try await bench.settles()
        }
        #expect(bench.journal.all == ["5 EUR", "7 SEK"])
    }

    @Test(arguments: [
        (#"{"who":7}"#, "'who' is no String"), ("{}", "'who' is missing"), ("{", "it is not JSON"),
        (#"{"who":null}"#, "'who' is null"),
    ])
    func `what can't be decoded is discarded with the reason, and not tried again`(
        body: String, reason: String
    ) async throws {
        let bench = try Bench()
        try await bench.jobs.declare(.default)
        var properties = MessageProperties()
        properties.type = "greet"
        properties.messageID = "1"
        try await bench.broker.publish(body, to: JobQueue.default.waiting, properties: properties)
        try await bench.working {
            $0.add(Greet.self) { _ in }
        } while: {
            try await bench.reaches(1, in: JobQueue.default.discarded)
        }
        let job = try #require(try await bench.jobs.find("1"))
        #expect(job.state == .discarded)
        #expect(job.errors.map(\.error) == ["the payload is no 'greet' of version 1: \(reason)"])
    }

    @Test func `a payload of a later version is not run`() async throws {
        struct Newer: Job {
            static let name = "greet"
            static let version = 2
            var who: String
        }
        let bench = try Bench()
        try await bench.jobs.enqueue(Newer(who: "ann"))
        try await bench.working {
            $0.add(Greet.self) { _ in }
        } while: {
            try await bench.reaches(1, in: JobQueue.default.discarded)
        }
    }
}
