// Takes jobs from the outbox to the broker, each exactly once. Made by Outbox.
//
// The broker has a queue for the outbox with at most one message, the marker: the ids of the batch that was published
// last. A batch is one transaction of the broker's: its jobs, and the next marker for the one before. Then the rows
// are removed from the application's database, and only then the next batch is read. So whatever dies when, the
// marker tells which of the rows that are still there were published: they are removed, not published again.
//
// | if the process dies | then |
// |---|---|
// | before the broker's commit | nothing was published, all rows are there |
// | after it, before the rows are removed | the marker names the rows; the next start removes them first |
// | after that | the marker names rows that are gone |

import GRDB
import Leveret
import LeveretTasks
import Logging

struct OutboxRelay: Sendable {
    /// A batch is removed from the application's database in one short write: a few milliseconds.
    static let countMax = 500
    static let bytesMax = 4 << 20
    /// How soon a batch is tried again that failed.
    private static let retry = Duration.seconds(1)
    /// How soon after a write to the files the outbox is looked at, and how often at most.
    private static let foreignPause = Duration.milliseconds(20)
    /// When it is looked at again after that. A write is seen before its commit is: in between lies what SQLite waits
    /// for the disk.
    private static let latePauses: [Duration] = [.milliseconds(200), .seconds(2), .seconds(10)]

    let jobs: Jobs
    let database: any DatabaseWriter
    let logger: Logger

    func run() async throws {
        let name = try await database.read { try OutboxTable.outboxName(in: $0) }
        let markers = QueueName("outbox.\(name)")
        let queue = try await jobs.broker.declareQueue(markers)
        // Exclusive: of two relays of one outbox, each would take the other's rows for unpublished.
        let consumer = try await jobs.broker.consume(markers, prefetch: 1, exclusive: true)
        let (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let observer = CommitObserver(signal)
        database.add(transactionObserver: observer, extent: .databaseLifetime)
        defer { database.remove(transactionObserver: observer) }
        // Before the first look, so that nothing is committed in between.
        let writes = DatabaseWatch.writes(to: database.path)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await watch(writes, signal) }
            group.addTask { await finishWithBroker(signal) }
            var batches = OutboxBatches(relay: self, markers: markers, consumer: consumer)
            if queue.ready > 0 { try await batches.takeMarker() }
            signal.yield()  // for what is there
            for await _ in signals {
                do {
                    while try await batches.relayOne() {}
                } catch let error where Self.passes(error) {
                    logger.error(
                        "the outbox is relayed later: something refused", metadata: ["error": "\(error)"])
                    try await ContinuousClock().sleep(for: Self.retry)
                    signal.yield()
                }
            }
            group.cancelAll()
        }
    }

    /// Signals what other processes commit, and this one by other means.
    private func watch(_ writes: AsyncStream<Void>?, _ signal: AsyncStream<Void>.Continuation) async throws {
        guard let writes else {
            logger.notice(
                "the system does not tell what other processes commit; the outbox looks once a second")
            while true {
                try await ContinuousClock().sleep(for: .seconds(1))
                signal.yield()
            }
        }
        let (later, late) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in writes {
                    try await ContinuousClock().sleep(for: Self.foreignPause)
                    signal.yield()
                    late.yield()
                }
            }
            group.addTask {
                for await _ in later {
                    for pause in Self.latePauses {
                        try await ContinuousClock().sleep(for: pause)
                        signal.yield()
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Ends the relay with the broker.
    private func finishWithBroker(_ signal: AsyncStream<Void>.Continuation) async {
        for await _ in jobs.broker.events() {}
        signal.finish()
    }

    /// Whether it may help to try again.
    private static func passes(_ error: any Error) -> Bool {
        switch error {
        case let error as BrokerError: error.code == .resourceError
        case let error as DatabaseError:
            ![.SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR].contains(error.resultCode)
        default: false
        }
    }
}
