// The service that runs jobs: handlers, and how much of each queue runs at a time.

import Leveret
public import ServiceLifecycle
import Synchronization

/// Runs jobs.
///
/// ```swift
/// let worker = try JobWorker(jobs, queues: [.default: 10]) { handlers in
///     handlers.add(SendReceipt.self) { receipt in try await mailer.send(receipt.order) }
/// }
/// try await worker.run()
/// ```
///
/// A job runs at least once: what the process held when it died, runs again. Put the worker behind the broker into
/// your `ServiceGroup`, so that it ends first. In a graceful shutdown it starts no more jobs, waits for those that
/// run, and hands back what has not ended within `shutdownLimit`, without counting a failure.
public final class JobWorker: Service {
    /// How a queue is worked on.
    public struct QueueOptions: Sendable, ExpressibleByIntegerLiteral {
        /// How many of its jobs run at a time, 1 to 65,535.
        public var concurrency: Int
        /// How many jobs with the same `limitKey` run at a time; `nil` is as many as run at all.
        public var perKey: Int?
        /// How many jobs start in a while, evenly spaced; `nil` is as many as can.
        public var rate: Rate?

        /// So many in so long.
        public struct Rate: Hashable, Sendable {
            /// How many.
            public var count: Int
            /// In how long.
            public var duration: Duration

            /// At most `count` in each `duration`.
            public init(_ count: Int, per duration: Duration) {
                self.count = count
                self.duration = duration
            }
        }

        /// Works on so many at a time, within these limits. The limits are of one worker.
        public init(concurrency: Int = 10, perKey: Int? = nil, rate: Rate? = nil) {
            self.concurrency = concurrency
            self.perKey = perKey
            self.rate = rate
        }

        /// Works on so many at a time.
        public init(integerLiteral value: Int) { self.init(concurrency: value) }
    }

    private let jobs: Jobs
    private let runs: [QueueRun]
    /// True once it has been started.
    private let isStarted = Mutex(false)

    /// A worker on `queues`. It starts with `run()`.
    ///
    /// - Parameters:
    ///   - jobs: where the jobs are.
    ///   - queues: which queues it works on, and on how many jobs of each at a time.
    ///   - shutdownLimit: how long a graceful shutdown waits for jobs that run, before it cancels their tasks.
    ///   - register: registers what runs the jobs.
    /// - Throws: a `JobError` when two handlers have one name, or a name can't be.
    public init(
        _ jobs: Jobs, queues: [JobQueue: QueueOptions] = [.default: 10],
        shutdownLimit: Duration = .seconds(25),
        register: (inout JobHandlers) throws -> Void
    ) throws {
        let handlers = try JobHandlers(register)
        for queue in queues.keys { try queue.check() }
        self.jobs = jobs
        runs = queues.sorted { $0.key < $1.key }.map { queue, options in
            QueueRun(
                jobs: jobs, queue: queue, options: options, shutdownLimit: shutdownLimit,
                handlers: handlers.byName)
        }
    }

    /// Runs jobs until the service group shuts down gracefully, or the broker ends. To cancel the task instead cuts
    /// jobs short: they go back to their queues.
    ///
    /// - Throws: a `JobError` when it was started before; a `BrokerError` when a queue can't be worked on.
    public func run() async throws {
        let isFirst = isStarted.withLock { isStarted in
            defer { isStarted = true }
            return !isStarted
        }
        guard isFirst else { throw JobError(.alreadyRunning, "the worker was started before; make another") }
        let watch = ThreadWatch(over: jobs)
        try await withThrowingTaskGroup(of: Void.self) { watching in
            watching.addTask { await watch.run() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for run in runs { group.addTask { try await run.run() } }
                group.addTask { [jobs] in try await Dependents(jobs: jobs).run() }
                // The first that fails ends all.
                for try await _ in group {}
            }
            watching.cancelAll()
        }
    }
}
