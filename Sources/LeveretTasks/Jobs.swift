// The client: what an application enqueues its jobs with, and looks at them through. What runs them is JobWorker.

public import CoreMetrics
public import Leveret
public import Logging
import Synchronization

/// Durable background jobs in the broker of this process.
///
/// ```swift
/// let jobs = Jobs(try Broker(.file("shop.db")))
/// try await jobs.enqueue(SendReceipt(order: 7))  // returns once it is on disk
/// ```
///
/// Safe to use from any number of tasks. Make one for each broker and hand it to whoever enqueues. Workers of one
/// broker share one: they cancel on request what runs with theirs.
public final class Jobs: Sendable {
    /// How jobs are kept.
    public struct Configuration: Sendable {
        /// For how long completed and cancelled jobs are kept to be looked at; zero is not at all.
        public var keepsCompletedFor: Duration = .seconds(86_400)
        /// How many of them a queue keeps at most; the oldest go first.
        public var completedCountMax = 10_000
        /// Where jobs and workers log.
        public var logger: Logger
        /// What timeouts and limits are measured by; the broker's own clock says when jobs are due.
        public var clock: any Clock<Duration> = ContinuousClock()
        /// What is put around every enqueue and every attempt, the outermost first.
        public var middleware: [any JobMiddleware] = [JobTracing()]
        /// Where the metrics of jobs go; `nil` is what `MetricsSystem.bootstrap` has set before.
        public var metrics: (any MetricsFactory)?
        /// What ids and jitter grow from; `nil` is a random one.
        public var seed: UInt64?

        /// The defaults, and a logger called `leveret.jobs`.
        public init() { logger = Logger(label: "leveret.jobs") }
    }

    /// Where the jobs are.
    public let broker: Broker
    let configuration: Configuration
    let codec = PayloadCodec()
    let identity: Identity
    let metrics: JobMetrics?
    /// The queues that are known to be there.
    private let declared = Mutex<Set<JobQueue>>([])
    /// The exchanges for windows that are known to be there.
    let windows = Mutex<Set<ExchangeName>>([])
    /// True once there is a place for jobs that wait for others.
    let hasDependents = Mutex(false)
    /// What runs in this process.
    let running = RunningJobs()
    /// What doubles have met.
    let known: KnownMessages

    /// Jobs in `broker`. Nothing is declared before the first is enqueued or a worker starts.
    public init(_ broker: Broker, configuration: Configuration = Configuration()) {
        self.broker = broker
        known = KnownMessages { try await broker.messages(knownAs: $0, in: $1) }
        self.configuration = configuration
        identity = Identity(seed: configuration.seed)
        metrics = JobMetrics(configuration.metrics ?? MetricsSystem.factory)
    }

    /// Makes sure that a queue's four queues are there. `enqueue` and workers do so themselves.
    ///
    /// - Throws: a `JobError` for a name that can't be; a `BrokerError` when one is there that is no queue of jobs.
    public func declare(_ queue: JobQueue) async throws {
        guard !(declared.withLock { $0.contains(queue) }) else { return }
        try queue.check()
        let first = declared.withLock { $0.isEmpty }
        if first { try await setRetention() }
        try await broker.declareQueue(queue.discarded)
        try await broker.declareQueue(queue.completed)
        try await broker.declareQueue(queue.unclaimed, arguments: ["x-deduplicate": "while-queued"])
        try await broker.declareQueue(
            queue.waiting,
            arguments: [
                "x-max-priority": 9,
                "x-deduplicate": "while-queued",
                // Where there is a limit, the broker writes down who holds what a crash has handed back once, before
                // it is delivered: a job that ends the process each time it runs is counted for certain.
                "x-delivery-limit": .int(Self.attemptsMax),
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": .string(queue.discarded.rawValue),
            ])
        _ = declared.withLock { $0.insert(queue) }
    }

    /// Publishes to queues of jobs, and once more where one of them has been deleted meanwhile: `body` declares what it
    /// publishes to.
    package func redeclaring<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let error as BrokerError where error.code == .noRoute || error.code == .notFound {
            forgetDeclared()
            return try await body()
        }
    }

    /// Takes nothing for declared any more: somebody has deleted something.
    func forgetDeclared() {
        declared.withLock { $0 = [] }
        windows.withLock { $0 = [] }
        hasDependents.withLock { $0 = false }
    }

    /// Stops the start of jobs in `queue`, until `resume`, also over restarts. What runs goes on.
    public func pause(_ queue: JobQueue) async throws {
        try await declare(queue)
        try await broker.pause(queue.waiting)
    }

    /// Lets jobs in `queue` start again.
    public func resume(_ queue: JobQueue) async throws {
        try await declare(queue)
        try await broker.resume(queue.waiting)
    }

    /// How often a job can be tried at most.
    static let attemptsMax: Int64 = 1_000_000

    /// A policy rather than arguments of the queues: it may be another at the next start.
    private func setRetention() async throws {
        let age = Double(milliseconds: configuration.keepsCompletedFor)
        try await broker.setPolicy(
            Policy(
                "jobs-completed", pattern: #"^jobs\.[A-Za-z0-9_-]+\.completed$"#, appliesTo: .queues,
                definition: [
                    "x-message-ttl": .int(Int64(clamping: min(max(age, 0), 4_294_967_295).rounded())),
                    "x-max-length": .int(Int64(max(configuration.completedCountMax, 0))),
                ]))
    }
}
