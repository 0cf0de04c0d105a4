// What a handler is told about the job that it runs, and says about it.

public import Leveret
public import Logging

/// One attempt at a job, as its handler sees it.
public struct JobContext: Sendable {
    let running: RunningJob
    let finisher: Finisher
    /// The client: handlers enqueue further jobs through it. What is to happen exactly once goes through
    /// `whenCompleted`.
    public let jobs: Jobs

    /// Carries the job's id, name, queue and attempt. Made anew each time it is asked for.
    public var logger: Logger { running.logger(jobs.configuration.logger) }

    /// Which job it is.
    public var id: JobID { running.envelope.id }
    /// Its name as it stood in the queue.
    public var name: String { running.envelope.name }
    /// Where it waited.
    public var queue: JobQueue { running.queue }
    /// Which attempt this is, from 1. Attempts that were snoozed, or cut short by a shutdown, don't count; those that
    /// the end of the process cut short do.
    public var attempt: Int { running.envelope.attempt }
    /// How often it is tried at most.
    public var maxAttempts: Int { running.envelope.maxAttempts }
    /// True where a failure of this attempt ends the job.
    public var isLastAttempt: Bool { attempt >= maxAttempts }
    /// When it was enqueued.
    public var enqueued: Instant { running.envelope.enqueued }
    /// What went wrong at the attempts before, the oldest first; of more than 50 the first, and the last 49.
    public var errors: [JobFailure] { running.envelope.errors }
    /// The job's message: properties and headers as they were when this attempt began.
    public var message: ConsumedMessage { running.message }

    // MARK: - What it says

    /// Says how far the job is, 0 to 1, and in words. Shown by whoever looks at the job, a moment later; written down
    /// with the next commit, as often as there is one.
    public func progress(_ fraction: Double, _ text: String = "") {
        let fraction = fraction.isFinite ? min(max(fraction, 0), 1) : 0
        let text = String(decoding: text.utf8.prefix(RunningJob.logBytesMax), as: UTF8.self)
        let isNew = running.note([
            JobHeader.progress: .double(fraction), JobHeader.progressText: .string(text),
        ])
        if isNew { finisher.add(running) }
    }

    /// Adds a line to what is kept with the job: the last 100 lines, 500 bytes of each, over all attempts.
    public func log(_ line: String) {
        if running.note(line: line) { finisher.add(running) }
    }

    /// What `setCursor` wrote last, at this attempt or one before; `nil` at first, and where it is no `Value`.
    public func cursor<Value: Decodable>(as: Value.Type = Value.self) -> Value? {
        let header = running.notes[JobHeader.cursor] ?? message.properties?.headers[JobHeader.cursor]
        return header?.text.flatMap { jobs.codec.value(Value.self, from: $0) }
    }

    /// Writes down how far the job has come, for its next attempt to go on from; returns once it is on disk.
    ///
    /// ```swift
    /// for page in (context.cursor(as: Int.self) ?? 0)..<pages {
    ///     try await export(page)
    ///     try await context.setCursor(page + 1)
    /// }
    /// ```
    ///
    /// - Throws: a `JobError` for one of more than 64 KiB as JSON; a `BrokerError` when it can't be written.
    public func setCursor(_ value: some Encodable) async throws {
        let bytes = try jobs.codec.encode(value)
        guard bytes.count <= FinishedJob.outputBytesMax else {
            throw JobError(
                .invalid, "a cursor of \(bytes.count) bytes; \(FinishedJob.outputBytesMax) are allowed")
        }
        _ = running.note([JobHeader.cursor: .string(String(decoding: bytes, as: UTF8.self))])
        try await finisher.write(running)
    }

    // MARK: - What follows

    /// Enqueues `job` exactly if this attempt completes: in one transaction with its end.
    ///
    /// - Returns: the id that the job will have.
    /// - Throws: `JobError` for options that can't be; what encoding the job throws.
    @discardableResult
    public func whenCompleted<J: Job>(
        enqueue job: J, _ options: EnqueueOptions = EnqueueOptions()
    ) async throws -> JobID {
        let draft = try jobs.draft(job, options)
        try await jobs.prepare(draft)
        running.follow(with: draft)
        return draft.id
    }

    /// Enqueues the jobs of a workflow exactly if this attempt completes: in one transaction with its end.
    @discardableResult
    public func whenCompleted(enqueue workflow: Workflow) async throws -> Workflow.IDs {
        let drafts = try await jobs.drafts(of: workflow)
        for draft in drafts { running.follow(with: draft) }
        return Workflow.IDs(all: drafts.map(\.id))
    }

    /// What a job that this one waited for has returned; `nil` where it returned nothing, or no `Value`. All of them
    /// together are kept up to 64 KiB of JSON.
    public func output<Value: Decodable>(of job: JobID, as: Value.Type = Value.self) -> Value? {
        guard case .table(let inputs)? = message.properties?.headers[JobHeader.inputs] else { return nil }
        return inputs[job.rawValue]?.text.flatMap { jobs.codec.value(Value.self, from: $0) }
    }

    /// What the jobs that this one waited for have returned, in the order of their ids, as far as it is a `Value`.
    public func outputs<Value: Decodable>(as: Value.Type = Value.self) -> [Value] {
        guard case .table(let inputs)? = message.properties?.headers[JobHeader.inputs] else { return [] }
        return inputs.fields.compactMap { $0.value.text.flatMap { jobs.codec.value(Value.self, from: $0) } }
    }
}

/// One attempt that failed.
public struct JobFailure: Hashable, Sendable {
    /// Which attempt it was, from 1.
    public var attempt: Int
    /// When it failed.
    public var time: Instant
    /// What was thrown, as text of at most 1,024 bytes.
    public var error: String
}
