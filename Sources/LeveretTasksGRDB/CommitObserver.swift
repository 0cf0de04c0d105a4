// Hears of commits of this process that put jobs into the outbox. Called by GRDB on the writer's queue.

import GRDB
import Synchronization

final class CommitObserver: TransactionObserver, Sendable {
    private let signal: AsyncStream<Void>.Continuation
    /// Guards whether the transaction has put something in.
    private let hasJobs = Mutex(false)

    init(_ signal: AsyncStream<Void>.Continuation) { self.signal = signal }

    func observes(eventsOfKind eventKind: DatabaseEventKind) -> Bool {
        if case .insert(let table) = eventKind { table == OutboxTable.name } else { false }
    }

    func databaseDidChange(with event: DatabaseEvent) {
        hasJobs.withLock { $0 = true }
        stopObservingDatabaseChangesUntilNextTransaction()
    }

    func databaseDidCommit(_ db: Database) {
        let hadJobs = hasJobs.withLock { hasJobs in
            defer { hasJobs = false }
            return hasJobs
        }
        if hadJobs { signal.yield() }
    }

    func databaseDidRollback(_ db: Database) { hasJobs.withLock { $0 = false } }
}
