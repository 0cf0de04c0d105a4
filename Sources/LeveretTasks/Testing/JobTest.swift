// Jobs in a test: a broker in memory, a clock that the test moves, and jobs run one after the other in the test's own
// task, so that whatever is expected can be looked at without waiting for anything.

public import Leveret
import Logging
import Synchronization

/// A place for an application's jobs in one of its tests.
///
/// ```swift
/// @Test func `a new customer is greeted, and asked again a week later`() async throws {
///     let test = try JobTest { handlers in register(&handlers, mailer: mailer) }
///     try await signUp("ann", jobs: test.jobs)
///     #expect(try await test.enqueued(Greeting.self) == [Greeting(who: "ann")])
///     try await test.runUntilEmpty()
///     #expect(mailer.sent == ["welcome, ann"])
///     try await test.advance(by: .seconds(7 * 86_400))
///     #expect(mailer.sent == ["welcome, ann", "how do you like it, ann"])
/// }
/// ```
///
/// Jobs run in the order of priority and enqueue, queue by queue, and only inside `runUntilEmpty` and `advance`.
public actor JobTest {
    /// What the tested code enqueues its jobs with.
    public nonisolated let jobs: Jobs
    private nonisolated let time: ManualTime
    private let runs: [QueueRun]
    private let watch: DependencyWatch

    /// Jobs in memory.
    ///
    /// - Parameters:
    ///   - queues: the queues whose jobs are run.
    ///   - start: what time it is at first.
    ///   - configuration: how jobs are kept; without a seed, ids and jitter are the same each time.
    ///   - register: registers what runs the jobs, as for a `JobWorker`.
    /// - Throws: a `JobError` as `JobWorker` does.
    public init(
        queues: [JobQueue] = [.default], start: Instant = Instant(milliseconds: 1_767_225_600_000),
        configuration: Jobs.Configuration = Jobs.Configuration(),
        register: (inout JobHandlers) throws -> Void = { _ in }
    ) throws {
        let time = ManualTime(start)
        var broker = Broker.Configuration()
        broker.clock = BrokerClock(pollMilliseconds: 1) { time.now }
        broker.seed = 1
        broker.logger = Logger(label: "leveret.test") { _ in SwiftLogNoOpLogHandler() }
        var configuration = configuration
        configuration.seed = configuration.seed ?? 1
        jobs = Jobs(try Broker(.memory, configuration: broker), configuration: configuration)
        self.time = time
        let handlers = try JobHandlers(register)
        runs = queues.map { [jobs] queue in
            QueueRun(jobs: jobs, queue: queue, options: 1, shutdownLimit: .zero, handlers: handlers.byName)
        }
        watch = DependencyWatch(jobs: jobs)
    }

    /// What time it is for the jobs.
    public nonisolated var now: Instant { time.now }

    /// The jobs of one kind that have not ended, as they were enqueued: those that are due first, then those that
    /// wait for their time or for other jobs.
    public func enqueued<J: Job>(_ type: J.Type) async throws -> [J] {
        var found: [J] = []
        for state in [JobState.available, .scheduled, .retryable, .dependent] {
            for info in try await list(state) where ([J.name] + J.aliases).contains(info.name) {
                let envelope = JobEnvelope(
                    info.message.message, number: info.message.number, failed: 0, entered: now)
                found.append(try jobs.codec.decode(J.self, from: info.payload, version: envelope.version))
            }
        }
        return found
    }

    /// The jobs in one state, of all queues that are run; at most 1,000 of each.
    public func list(_ state: JobState) async throws -> [JobInfo] {
        var found: [JobInfo] = []
        for run in runs { found += try await jobs.list(state, in: run.queue, count: 1_000) }
        return found
    }

    /// Runs what is due, and what that enqueues, until nothing is due.
    ///
    /// - Parameter attemptsMax: how many attempts it makes at most.
    /// - Returns: how many attempts it has made.
    /// - Throws: a `JobError` (endless) when there would be more; a `BrokerError`.
    @discardableResult
    public func runUntilEmpty(attemptsMax: Int = 10_000) async throws -> Int {
        var count = 0
        var hasRun = true
        while hasRun {
            hasRun = false
            for run in runs {
                let attempts = try await work(on: run, attemptsMax: attemptsMax - count)
                count += attempts
                hasRun = hasRun || attempts > 0
            }
            while let message = try await takeDependent() {
                await watch.read(message)
                hasRun = true
            }
        }
        return count
    }

    /// Moves the clock on, and runs each job that becomes due on the way at its time.
    ///
    /// - Returns: how many attempts that were.
    @discardableResult
    public func advance(by duration: Duration) async throws -> Int {
        let end = now.advanced(byMilliseconds: Int64(clamping: Double(milliseconds: duration).rounded(.up)))
        var count = try await runUntilEmpty()
        while let due = try await nextDue(), due <= end {
            time.set(max(due, now))
            count += try await runUntilEmpty()
        }
        time.set(end)
        return count + (try await runUntilEmpty())
    }

    private func nextDue() async throws -> Instant? {
        var next: Instant?
        for run in runs {
            let first = try await jobs.broker.peek(run.queue.waiting, state: .delayed, count: 1).first
            if let due = first?.due { next = min(next ?? due, due) }
        }
        return next
    }

    private func takeDependent() async throws -> ConsumedMessage? {
        try await jobs.declareDependents()
        return try await jobs.broker.get(.dependentJobs)
    }

    /// Runs what is due in one queue.
    private func work(on run: QueueRun, attemptsMax: Int) async throws -> Int {
        try await run.prepare()
        let (stream, settled) = AsyncStream.makeStream(of: Void.self)
        let finisher = Finisher(jobs, queue: run.queue) { _ in settled.yield() }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await finisher.run() }
            defer { finisher.finish() }
            var ends = stream.makeAsyncIterator()
            var count = 0
            while let message = try await takeDue(from: run.queue) {
                guard count < attemptsMax else {
                    try await message.nack()
                    throw JobError(
                        .endless, "there is no end of jobs after so many attempts; does one enqueue itself")
                }
                count += 1
                try await run.run(message, finisher)
                await ends.next()
            }
            return count
        }
    }

    /// Takes the next job that is due. What has become so a moment ago, the broker is given time to see.
    private func takeDue(from queue: JobQueue) async throws -> ConsumedMessage? {
        while true {
            if let message = try await jobs.broker.get(queue.waiting) { return message }
            let first = try await jobs.broker.peek(queue.waiting, state: .delayed, count: 1).first
            guard let due = first?.due, due <= now,
                try await jobs.broker.status(of: queue.waiting).pausedSince == nil
            else { break }
            await Task.yield()
        }
        // It may have seen one between the two looks.
        return try await jobs.broker.get(queue.waiting)
    }
}

/// A time that is moved by hand.
final class ManualTime: Sendable {
    /// Guards the time.
    private let instant: Mutex<Instant>

    init(_ start: Instant) { instant = Mutex(start) }

    var now: Instant { instant.withLock { $0 } }

    func set(_ now: Instant) { instant.withLock { $0 = now } }
}
