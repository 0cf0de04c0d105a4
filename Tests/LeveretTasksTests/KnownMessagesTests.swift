// Who waits to hear what an id is known by, while whoever looks can't go on.

import Leveret
import Testing

@testable import LeveretTasks

@Suite(.timeLimit(.minutes(10))) struct KnownMessagesTests {
    @Test func `who no longer wants an answer does not wait, and keeps it from nobody`() async throws {
        let (asked, room) = (Journal(), Journal())
        let known = KnownMessages { ids, _ in
            asked.note(ids.sorted().joined(separator: " "))
            try await until { !room.all.isEmpty }
            return ["c": KnownMessage(number: 7, place: 7, id: "c")]
        }
        func ask(_ id: String) -> Task<KnownMessage?, any Error> {
            Task { try await known.message(knownAs: id, in: "jobs") }
        }
        let first = ask("a")
        try await until { asked.all == ["a"] }
        let (second, third) = (ask("b"), ask("c"))
        for cancelled in [first, second] {
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { _ = try await cancelled.value }
        }
        room.note("there is room")
        let answer = try await third.value
        #expect(answer?.number == 7)
        #expect(asked.all.last == "c")
    }

    @Test func `all who ask hear of a failure`() async throws {
        struct Failure: Error {}
        let known = KnownMessages { _, _ in throw Failure() }
        for id in ["a", "b"] {
            await #expect(throws: Failure.self) { _ = try await known.message(knownAs: id, in: "jobs") }
        }
    }
}
