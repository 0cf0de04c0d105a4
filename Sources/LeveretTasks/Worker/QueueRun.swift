// The work on one queue: one consumer, as many tasks over it as jobs may run at a time, and the finisher that settles
// what they did. Made by JobWorker for each of its queues.

import Leveret
import Logging
import ServiceLifecycle
import Synchronization

/// A queue being worked on.
struct QueueRun: Sendable {
    let jobs: Jobs
    let queue: JobQueue
    let shutdownLimit: Duration
    private let concurrency: Int
    private let handlers: [String: JobHandlers.Handler]
    private let keys: KeyGate?
    private let rate: RateGate?
    private let running = RunningJobs()
    private let unknown = UnknownNames()
    /// Those that were told to stop.
    private let stopped: AsyncStream<RunningJob>
    private let stopping: AsyncStream<RunningJob>.Continuation

    init(
        jobs: Jobs, queue: JobQueue, options: JobWorker.QueueOptions, shutdownLimit: Duration,
        handlers: [String: JobHandlers.Handler]
    ) {
        self.jobs = jobs
        self.queue = queue
        self.shutdownLimit = shutdownLimit
        self.handlers = handlers
        concurrency = min(max(options.concurrency, 1), 65_535)
        keys = options.perKey.map { KeyGate(most: $0) }
        rate = options.rate.map { RateGate(count: $0.count, per: $0.duration) }
        (stopped, stopping) = AsyncStream.makeStream(of: RunningJob.self)
    }

    /// Works until the service group shuts down, the task is cancelled, or the broker ends.
    func run() async throws {
        try await prepare()
        let consumer = try await jobs.broker.consume(queue.waiting, prefetch: concurrency)
        let (back, wentBack) = AsyncStream.makeStream(of: FinishedJob.self)
        let finisher = Finisher(jobs, queue: queue) { job in
            if case .limited = job.verdict { wentBack.yield(job) }
        }
        // Not cancelled with this task: while handlers end, what they say and what they have done is written.
        let settling = Task { await finisher.run() }
        func finish() async {
            finisher.finish()
            // What is cut short does not wait for room on a full disk.
            await withTaskCancellationHandler {
                await settling.value
            } onCancel: {
                settling.cancel()
            }
        }
        do {
            try await withThrowingTaskGroup(of: Void.self) { helpers in
                helpers.addTask { await end(consumer) }
                helpers.addTask { await watch() }
                helpers.addTask { await wake(back) }
                try await withThrowingTaskGroup(of: Void.self) { runners in
                    for _ in 0..<concurrency { runners.addTask { try await work(on: consumer, finisher) } }
                    try await runners.waitForAll()
                }
                helpers.cancelAll()
            }
        } catch {
            await finish()
            throw error
        }
        await finish()
    }

    /// Makes sure that the queue is there, and takes back the parked jobs whose names are known here.
    func prepare() async throws {
        try await jobs.declare(queue)
        guard !handlers.isEmpty else { return }
        // And no more than there are by now: another worker of the queue may be handed them first, and park them again.
        var left = try await jobs.broker.status(of: queue.unclaimed).ready
        var next: MessageNumber = 0
        while left > 0 {
            // None is taken in hand, and no search is made: there may be any number of other names.
            let parked = try await jobs.broker.peek(
                queue.unclaimed, from: next, count: min(left, Self.parkedCountMax))
            guard let last = parked.last else { return }
            try await takeBack(parked.filter { handlers[$0.message.properties?.type ?? ""] != nil })
            left -= parked.count
            next = last.nextPlace
        }
    }

    /// Enqueues parked jobs again, in one transaction, and removes them where they were parked. Where the process dies
    /// in between, that is done again at the next start: their queue knows their ids, and takes none twice.
    private func takeBack(_ parked: [PeekedMessage]) async throws {
        try await jobs.broker.publish(
            batch: parked.map { OutgoingMessage(unparking: $0.message, to: queue.waiting) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            for message in parked {
                group.addTask {
                    // Where another worker was faster, it is gone.
                    _ = try await jobs.broker.remove(message.number, from: queue.unclaimed)
                }
            }
            try await group.waitForAll()
        }
    }

    /// How many parked jobs are looked at together, and taken back in one transaction.
    private static let parkedCountMax = 500

    // MARK: - Jobs

    /// Runs one job after the other. They share a task, until one of them is told to stop.
    private func work(on consumer: Consumer, _ finisher: Finisher) async throws {
        while !Task.isCancelled {
            let last = try await Runner.run { runner -> Ended? in
                for try await message in consumer {
                    let ended = await run(message, finisher, in: runner)
                    if ended.isStopped || ended.woken != nil || Task.isCancelled { return ended }
                }
                return Task.isCancelled ? Ended() : nil
            }
            guard let last else { return }
            if let woken = last.woken { await wake(woken) }
        }
    }

    /// What the end of a job leaves to whoever runs the next.
    struct Ended {
        /// A job that may run now.
        var woken: KeyGate.Waiting?
        /// It was told to stop, and its task with it.
        var isStopped = false
    }

    /// Runs a job in a task of its own.
    func run(_ message: ConsumedMessage, _ finisher: Finisher) async throws {
        _ = try await Runner.run { await run(message, finisher, in: $0) }
    }

    /// Runs a job in this task, that of `runner`, and hands what becomes of it to `finisher`.
    private func run(_ message: ConsumedMessage, _ finisher: Finisher, in runner: Runner) async -> Ended {
        let envelope = JobEnvelope(message, failed: message.delivery.failed, now: jobs.broker.now)
        if let verdict = verdictUnrun(envelope) {
            finisher.add(FinishedJob(message: message, envelope: envelope, verdict: verdict))
            return Ended()
        }
        if let key = envelope.limitKey, let keys, !keys.enters(key, message.number) {
            finisher.add(
                FinishedJob(message: message, envelope: envelope, verdict: .limited(for: KeyGate.waitMax)))
            return Ended()
        }
        let job = RunningJob(message, envelope, in: queue, runner) { [stopping] in stopping.yield($0) }
        let verdict = await attempt(job, finisher)
        finisher.add(
            FinishedJob(
                message: message, envelope: envelope, verdict: verdict, notes: job.notes,
                following: job.following))
        return Ended(woken: envelope.limitKey.flatMap { keys?.left($0) }, isStopped: job.reason != nil)
    }

    /// What becomes of a job that can't run; `nil` where it can.
    private func verdictUnrun(_ envelope: JobEnvelope) -> Verdict? {
        if envelope.isCancelled { return .cancelled(reason: FinishedJob.cancelledWaiting) }
        let now = jobs.broker.now
        if envelope.attempt == 1, let start = envelope.start, start > now {
            return .snoozed(for: .milliseconds(start.milliseconds - now.milliseconds))
        }
        guard handlers[envelope.name] != nil else {
            unknown.met(envelope.name, in: queue, jobs.configuration.logger)
            return .unclaimed
        }
        guard envelope.attempt <= envelope.maxAttempts else {
            let text = "the process ended while the job ran; it was tried \(envelope.attempt - 1) times"
            return .discarded(Verdict.failure(text, envelope, now))
        }
        return nil
    }

    /// Runs the handler, and says what becomes of the job.
    private func attempt(_ job: RunningJob, _ finisher: Finisher) async -> Verdict {
        let envelope = job.envelope
        guard let handler = handlers[envelope.name] else { return .unclaimed }
        let started = jobs.broker.now
        // What a retry waits for, it was told to.
        if envelope.attempt == 1 {
            let due = max(envelope.start ?? envelope.enqueued, envelope.enqueued)
            jobs.metrics?.waited(started.milliseconds - due.milliseconds, handler.name, queue)
        }
        let context = JobContext(running: job, finisher: finisher, jobs: jobs)
        running.started(job)
        jobs.running.started(job)
        defer {
            running.ended(job)
            jobs.running.ended(job)
        }
        let result = await result(of: job, handler, context)
        let verdict = Verdict.of(
            result, stopped: job.reason ?? (job.runner.isCut ? .shutdown : nil), envelope,
            retry: handler.retry,
            chance: jobs.identity.fraction(), now: jobs.broker.now)
        jobs.metrics?.ended(
            verdict, after: jobs.broker.now.milliseconds - started.milliseconds, handler.name, queue)
        return verdict
    }

    /// What the handler ends with, in its own time or because it was told to stop.
    private func result(
        of job: RunningJob, _ handler: JobHandlers.Handler, _ context: JobContext
    ) async -> Result<[UInt8]?, any Error> {
        defer { job.returned() }
        do {
            try await waitForTurn(job)
            return .success(try await timed(job, handler, context))
        } catch {
            return .failure(error)
        }
    }

    /// Runs the handler, and stops it where it takes too long.
    private func timed(
        _ job: RunningJob, _ handler: JobHandlers.Handler, _ context: JobContext
    ) async throws -> [UInt8]? {
        guard let timeout = handler.timeout else { return try await output(of: handler, context) }
        // Ends when the handler returns.
        async let _ = stop(job, after: timeout)
        return try await output(of: handler, context)
    }

    private func stop(_ job: RunningJob, after timeout: Duration) async {
        guard (try? await jobs.configuration.clock.sleep(for: timeout)) != nil else { return }
        job.stop(.timeout(timeout))
    }

    /// Runs the handler within the middleware, and returns its output.
    private func output(of handler: JobHandlers.Handler, _ context: JobContext) async throws -> [UInt8]? {
        var output: [UInt8]?
        func run(_ middleware: ArraySlice<any JobMiddleware>) async throws {
            guard let first = middleware.first else {
                let message = context.message
                output = try await handler.run(
                    message.body, context.running.envelope.version, context, jobs.codec)
                return
            }
            try await first.run(context) { try await run(middleware.dropFirst()) }
        }
        try await run(jobs.configuration.middleware[...])
        return output
    }

    /// Waits until the queue's rate lets one more start.
    private func waitForTurn(_ job: RunningJob) async throws {
        guard let wait = rate?.wait(now: jobs.broker.now), wait > .zero else { return }
        job.setWaiting(true)
        if running.isEnding { job.stop(.shutdown) }
        try await jobs.configuration.clock.sleep(for: wait)
        job.setWaiting(false)
    }

    // MARK: - Beside the jobs

    /// Once the service group shuts down: takes no more, gives what runs some time, then stops it.
    private func end(_ consumer: Consumer) async {
        do {
            try await gracefulShutdown()
            let jobsAtEnd = running.end()
            try await consumer.cancel()
            for job in jobsAtEnd where job.isWaiting { job.stop(.shutdown) }
            try await jobs.configuration.clock.sleep(for: shutdownLimit)
            for job in running.end() { job.stop(.shutdown) }
        } catch {
            // Cancelled: the work is over, or it is cut short with the task that it belongs to.
        }
    }

    /// Reports handlers that go on after their task was cancelled.
    private func watch() async {
        await withDiscardingTaskGroup { group in
            for await job in stopped {
                group.addTask {
                    guard (try? await jobs.configuration.clock.sleep(for: Self.patience)) != nil else {
                        return
                    }
                    guard !job.hasReturned else { return }
                    job.logger(jobs.configuration.logger).error(
                        """
                        job '\(job.envelope.name)' was cancelled and has not returned; it blocks its thread, or does \
                        not heed the cancellation of its task
                        """
                    )
                }
            }
        }
    }

    /// Jobs that went back to wait for others of their key: notes whom to wake, and wakes who need not wait.
    private func wake(_ back: AsyncStream<FinishedJob>) async {
        for await job in back {
            guard let key = job.envelope.limitKey, let woken = keys?.wentBack(key, job.message.number) else {
                continue
            }
            await wake(woken)
        }
    }

    private func wake(_ first: KeyGate.Waiting) async {
        var next: KeyGate.Waiting? = first
        while let job = next {
            do {
                return try await jobs.broker.delayMessage(at: job.number, in: queue.waiting, by: .zero)
            } catch {
                // It is gone, or held already.
                next = keys?.missed(job)
            }
        }
    }

    /// How long a handler may go on after its task was cancelled before that is reported.
    static let patience = Duration.seconds(5)
}

/// The names that no handler is registered for: each is logged once.
final class UnknownNames: Sendable {
    /// Guards the names that were met.
    private let names = Mutex<Set<String>>([])

    func met(_ name: String, in queue: JobQueue, _ logger: Logger) {
        let isNew = names.withLock { names in names.count < 1_000 && names.insert(name).inserted }
        guard isNew else { return }
        logger.warning(
            """
            no handler is registered for jobs called '\(name)'; they wait in '\(queue.unclaimed)' for a worker that \
            has one
            """,
            metadata: ["job": "\(name)", "queue": "\(queue)"])
    }
}
