// Settles jobs that have ended, and writes down what running ones say: all that came while the last commit was under
// way shares the next one. What a job leaves behind stands in the transaction of its settlement; FinishedJob+Parts
// says what that is.

import Leveret
import Logging
import Synchronization

/// A job that has ended, and what becomes of it.
struct FinishedJob: Sendable {
    var message: ConsumedMessage
    var envelope: JobEnvelope
    var verdict: Verdict
    /// What it said about itself while it ran.
    var notes = FieldTable()
    /// What it enqueues by having completed.
    var following: [JobDraft] = []
}

/// Settles the jobs of one consumer.
final class Finisher: Sendable {
    private struct Gathered {
        var ended: [FinishedJob] = []
        var noted: [RunningJob] = []
        var waiting: [CheckedContinuation<Void, any Error>] = []

        /// Nothing more is taken.
        var isFinished = false

        var isEmpty: Bool { ended.isEmpty && noted.isEmpty && waiting.isEmpty }
    }

    private let jobs: Jobs
    private let queue: JobQueue
    /// Told of what has been settled.
    private let settled: @Sendable (FinishedJob) -> Void
    /// Guards what has come since the last commit began.
    private let gathered = Mutex(Gathered())
    private let signal: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(_ jobs: Jobs, queue: JobQueue, settled: @escaping @Sendable (FinishedJob) -> Void = { _ in }) {
        self.jobs = jobs
        self.queue = queue
        self.settled = settled
        (signal, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Takes a job that has ended. Does not wait.
    func add(_ job: FinishedJob) { gather { $0.ended.append(job) } }

    /// Takes a job that has said something. Does not wait.
    func add(_ job: RunningJob) { gather { $0.noted.append(job) } }

    /// Waits until what `job` has said is on disk.
    ///
    /// - Throws: a `BrokerError` when it can't be written; `CancellationError` after `finish`.
    func write(_ job: RunningJob) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            gather { gathered in
                guard !gathered.isFinished else { return continuation.resume(throwing: CancellationError()) }
                gathered.noted.append(job)
                gathered.waiting.append(continuation)
            }
        }
    }

    /// No more jobs will end: `run` ends once all is settled.
    func finish() {
        gathered.withLock { $0.isFinished = true }
        continuation.finish()
    }

    /// Settles what is added, until `finish` and there was room for all of it.
    func run() async {
        await withDiscardingTaskGroup { late in
            for await _ in signal { await settleAll(&late) }
            await settleAll(&late)
        }
    }

    /// Settles what has been added until there is no more. What there is no room for goes on in `late`.
    private func settleAll(_ late: inout DiscardingTaskGroup) async {
        while true {
            let batch = gathered.withLock { gathered in
                defer { gathered = Gathered(isFinished: gathered.isFinished) }
                return gathered
            }
            if batch.isEmpty { return }
            await settle(batch, &late)
        }
    }

    private func gather(_ add: (inout Gathered) -> Void) {
        let isFirst = gathered.withLock { gathered in
            defer { add(&gathered) }
            return gathered.isEmpty
        }
        if isFirst { continuation.yield() }
    }

    private func settle(_ batch: Gathered, _ late: inout DiscardingTaskGroup) async {
        do {
            try await commit { [queue, jobs] tx in
                try Self.add(batch.noted, to: &tx)
                for job in batch.ended { try job.add(to: &tx, in: queue, of: jobs) }
            }
            for waiting in batch.waiting { waiting.resume() }
            for job in batch.ended { settled(job) }
        } catch {
            // One of them can't be settled so; the others are none the worse for it.
            await note(batch)
            for job in batch.ended {
                guard let refusal = await settle(job) else { continue }
                complain("a job that ended can't be settled yet; it is tried again each second", job, refusal)
                late.addTask { await self.settleLate(job) }
            }
        }
    }

    /// Settles a job that there was no room for, once there is.
    private func settleLate(_ job: FinishedJob) async {
        repeat {
            guard (try? await jobs.configuration.clock.sleep(for: Self.pause)) != nil else { return }
        } while await settle(job) != nil
    }

    /// Writes down what running jobs have said, whatever becomes of those that have ended.
    private func note(_ batch: Gathered) async {
        do {
            try await commit { tx in try Self.add(batch.noted, to: &tx) }
            for waiting in batch.waiting { waiting.resume() }
        } catch {
            for waiting in batch.waiting { waiting.resume(throwing: error) }
        }
    }

    private static func add(_ noted: [RunningJob], to tx: inout Transaction) throws {
        for job in noted where !job.hasReturned { try tx.amend(job.message, headers: job.takeNotes()) }
    }

    /// Settles one job alone. Where a queue was deleted, it is declared again. A job that can't be settled even so goes
    /// back, to run again. Returns why there is no room for it yet, on the disk or in a queue, if so.
    private func settle(_ job: FinishedJob) async -> BrokerError? {
        var hasDeclared = false
        while true {
            do {
                try await commit { [queue, jobs] tx in try job.add(to: &tx, in: queue, of: jobs) }
                settled(job)
                return nil
            } catch let error as BrokerError where error.code == .resourceError {
                return error
            } catch let error as BrokerError where [.noRoute, .notFound].contains(error.code) && !hasDeclared
            {
                hasDeclared = true
                complain("what a job leaves behind has no queue; the queues are declared again", job, error)
                try? await declare(for: job)
            } catch {
                complain("a job that ended could not be settled; it will run again", job, error)
                if (try? await job.message.nack(delay: Self.patience)) != nil { settled(job) }
                return nil
            }
        }
    }

    /// Makes sure that whatever the end of `job` goes to is there.
    private func declare(for job: FinishedJob) async throws {
        jobs.forgetDeclared()
        try await jobs.declare(queue)
        for draft in job.following { try await jobs.prepare(draft) }
        try await jobs.declareDependents()
    }

    /// How soon a job is settled again that there was no room for.
    private static let pause = Duration.seconds(1)
    /// After how long a job runs again that could not be settled.
    private static let patience = Duration.seconds(5)

    /// Commits, also where this task has been cancelled: what a handler has done is done.
    private func commit(_ body: @escaping @Sendable (inout Transaction) throws -> Void) async throws {
        // Not cancelled with this task, which waits for it.
        try await Task { [jobs] in try await jobs.broker.transaction(body) }.value
    }

    private func complain(_ text: Logger.Message, _ job: FinishedJob, _ error: any Error) {
        jobs.configuration.logger.error(
            text,
            metadata: ["job_id": "\(job.envelope.id)", "job": "\(job.envelope.name)", "error": "\(error)"])
    }
}
