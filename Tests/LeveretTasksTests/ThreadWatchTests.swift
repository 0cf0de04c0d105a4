// What is said when no task gets a thread. The system's timer is left out: the test looks.

import Synchronization
import Testing

@testable import LeveretTasks

@Suite(.timeLimit(.minutes(10))) struct ThreadWatchTests {
    private let reports = Journal()
    private let running = RunningNames()
    private let watch: ThreadWatch

    private final class RunningNames: Sendable {
        let names = Mutex<[String]>([])
    }

    init() {
        watch = ThreadWatch(running: { [running] in running.names.withLock { $0 } }) { [reports] names in
            reports.note(names.joined(separator: ","))
        }
    }

    @Test func `what runs is reported once when nobody answers, and again after somebody has`() async throws {
        watch.look()
        watch.look()
        #expect(reports.all == [])
        running.names.withLock { $0 = ["export", "resize"] }
        watch.look()
        #expect(reports.all == [])
        for _ in 0..<3 { watch.look() }
        #expect(reports.all == ["export,resize"])
        let answering = Task { [watch] in await watch.answer() }
        try await until { watch.isAnswered }
        answering.cancel()
        await answering.value
        running.names.withLock { $0 = ["resize"] }
        watch.look()
        watch.look()
        #expect(reports.all == ["export,resize", "resize"])
    }
}
