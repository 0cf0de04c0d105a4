// Jobs that are enqueued in the application's own SQLite database, inside its own transaction. They stand in a table
// until OutboxRelay, which this is the public face of, has taken them to the broker.

public import GRDB
import Leveret
public import LeveretTasks
public import Logging
public import ServiceLifecycle

/// Enqueues jobs together with what the application writes: the job exists exactly if the transaction commits.
///
/// ```swift
/// migrator.registerMigration("outbox") { db in try Outbox.create(in: db) }
///
/// let outbox = Outbox(jobs, database: database)
/// try await database.write { db in
///     try order.insert(db)
///     try outbox.enqueue(SendReceipt(order: order.id), in: db)
/// }
/// ```
///
/// The job is a row of the table `leveret_outbox` until it is taken to the broker, in batches and in the order of the
/// commits. Put the outbox into your `ServiceGroup`, behind the broker: it does that while it runs, whoever has
/// committed, this process or another one. A row reaches the broker exactly once, also when the process dies between
/// the publish and the removal of the row.
public final class Outbox: Service {
    private let jobs: Jobs
    private let database: any DatabaseWriter
    private let logger: Logger

    /// An outbox in `database`, whose jobs go to `jobs`. Nothing is taken to the broker before `run()`.
    public init(_ jobs: Jobs, database: any DatabaseWriter, logger: Logger = Logger(label: "leveret.outbox"))
    {
        self.jobs = jobs
        self.database = database
        self.logger = logger
    }

    /// Makes the outbox's tables: for a migration of the application's.
    public static func create(in db: Database) throws { try OutboxTable.create(in: db) }

    /// Adds a job to the transaction of `db`.
    ///
    /// Its time counts from now on: a job that is to start later waits in the broker for what is left of it.
    ///
    /// - Returns: the id that the job will have.
    /// - Throws: a `JobError` for options that can't be, among them a uniqueness within a window, or one that replaces
    ///   or reschedules; what encoding the job throws; a `DatabaseError`, also when the table is not there.
    @discardableResult
    public func enqueue<J: Job>(
        _ job: J, _ options: EnqueueOptions = EnqueueOptions(), in db: Database
    ) throws -> JobID {
        let prepared = try jobs.prepared(job, options)
        try OutboxTable.insert(prepared, named: J.name, in: db)
        return prepared.id
    }

    /// Takes jobs to the broker until the service group shuts down gracefully, the task is cancelled, or the broker
    /// ends. What is left is taken at the next start.
    ///
    /// - Throws: a `DatabaseError` when the tables are not there; a `BrokerError` (403) when another outbox relays
    ///   the same database.
    public func run() async throws {
        let relay = OutboxRelay(jobs: jobs, database: database, logger: logger)
        do {
            try await cancelWhenGracefulShutdown { try await relay.run() }
        } catch is CancellationError, is PublishCancelled {
            // What is under way is done or not; the next start finds out which.
        } catch let error as BrokerError where error.code == .connectionForced {
            // The broker ends.
        }
    }
}
