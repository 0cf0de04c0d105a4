// What a handler is told about the job that it runs, and says about it.

public import Leveret
public import Logging

/// One attempt at a job, as its handler sees it.
public struct JobContext: Sendable {
    let running: RunningJob
    /// The client: handlers enqueue further jobs through it.
    public let jobs: Jobs
    /// Carries the job's id, name, queue and attempt.
    public let logger: Logger

    /// Which job it is.
    public var id: JobID { running.envelope.id }
    /// Its name as it stood in the queue.
    public var name: String { running.envelope.name }
    /// Where it waited.
    public var queue: JobQueue { running.queue }
    /// Which attempt this is, from 1. Attempts that were snoozed, or cut short by a shutdown, don't count.
    public var attempt: Int { running.envelope.attempt }
    /// How often it is tried at most.
    public var maxAttempts: Int { running.envelope.maxAttempts }
    /// True where a failure of this attempt ends the job.
    public var isLastAttempt: Bool { attempt >= maxAttempts }
    /// When it was enqueued.
    public var enqueued: Instant { running.envelope.enqueued }
    /// What went wrong at the attempts before, the oldest first.
    public var errors: [JobFailure] { running.envelope.errors }
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
