// Kills the real server under load with `kill -9`, starts it again on its file and holds it to what it had
// promised. `LEVERET_CRASH_ROUNDS` says how often (10), `LEVERET_CRASH_SEED` with which chance (1).

import Foundation
import LeveretTestSupport
import Testing

@Suite struct CrashTests {
    @Test func `kill -9 loses nothing confirmed and brings nothing acked back`() async throws {
        let environment = ProcessInfo.processInfo.environment
        let rounds = environment["LEVERET_CRASH_ROUNDS"].flatMap { Int($0) } ?? 10
        let seed = environment["LEVERET_CRASH_SEED"].flatMap { UInt64($0) } ?? 1
        let books = try await onOwnThread {
            let folder = try TemporaryFolder()
            var harness = CrashHarness(database: folder.path("crash.db"), seed: seed)
            for round in 1...max(rounds, 1) where harness.books.journal.failures.isEmpty {
                try harness.run(round: round, isLast: round == rounds)
            }
            if !harness.books.journal.failures.isEmpty { print(harness.drawn) }
            return harness.books
        }
        let (journal, definitions) = (books.journal, books.definitions)
        for failure in journal.failures.prefix(20) { Issue.record("seed \(seed): \(failure)") }
        print(
            """
            \(rounds) times kill -9: \(journal.confirms) confirms and \(journal.refusals) refusals, \
            \(journal.answeredAcks) answered acks and \(journal.answeredRejects) answered rejects, \
            \(journal.answeredEdits) edits and cancels, \(journal.purged) purged messages, \(journal.moves) moves and \
            \(definitions.answered) declarations checked, \(books.pauses.found) pauses found; \(journal.found) messages found after restarts, \
            \(journal.foundDead) of them dead letters; \(journal.failures.count) broken promises
            """
        )
        #expect(journal.confirms > 0 && journal.found > 0)
        // Two rounds under a sanitizer may be too short for each of these.
        guard rounds >= 10 else { return }
        #expect(
            journal.foundDead > 0 && journal.moves > 0 && definitions.answered > 0
                && journal.answeredEdits > 0)
    }
}
