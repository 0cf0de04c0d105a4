// A job as whoever looks at it sees it: read from its message, wherever that stands.

public import Leveret

/// Where a job stands.
public enum JobState: String, Hashable, Sendable, CaseIterable {
    /// It waits for its time.
    case scheduled
    /// It waits for a worker.
    case available
    /// A worker has it.
    case running
    /// It has failed, and waits to be tried again.
    case retryable
    /// It waits for other jobs.
    case dependent
    /// No worker knows its name.
    case unclaimed
    /// It is done.
    case completed
    /// It was cancelled.
    case cancelled
    /// It has failed for good.
    case discarded
}

/// A job, looked at.
public struct JobInfo: Sendable {
    /// Which job it is.
    public var id: JobID
    /// What kind of job.
    public var name: String
    /// Where it waits, or has waited.
    public var queue: JobQueue
    /// Where it stands.
    public var state: JobState
    /// Its arguments, as JSON.
    public var payload: [UInt8]
    /// How often it has been tried, this time included where it runs.
    public var attempts: Int
    /// How often it is tried at most.
    public var maxAttempts: Int
    /// What comes first.
    public var priority: JobPriority
    /// When it was enqueued.
    public var enqueued: Instant
    /// When it is to run, if it waits for its time.
    public var due: Instant?
    /// When it completed or was cancelled.
    public var finished: Instant?
    /// Why it was cancelled.
    public var reason: String?
    /// What went wrong, the oldest first.
    public var errors: [JobFailure]
    /// How far it says it is, 0 to 1.
    public var progress: Double?
    /// What it says about that.
    public var progressText: String?
    /// The last lines that it has logged.
    public var log: [String]
    /// What its handler returned, as JSON.
    public var output: String?
    /// Its message: where it stands and its number there.
    public var message: PeekedMessage
}

extension JobInfo {
    /// The job that `message` is, which stands as `state` says.
    package init(_ message: PeekedMessage, in queue: JobQueue, _ state: JobState) {
        let envelope = JobEnvelope(
            message.message, number: message.number, failed: message.failed, entered: message.entered)
        let headers = message.message.properties?.headers ?? FieldTable()
        id = envelope.id
        name = envelope.name
        self.queue = queue
        self.state = state
        payload = message.message.body
        switch state {
        case .running: attempts = envelope.attempt
        case .completed, .cancelled:
            attempts = headers[JobHeader.attempt]?.int.flatMap(Int.init(exactly:)) ?? 0
        case .discarded: attempts = envelope.errors.last?.attempt ?? 0
        // What counts there is how often its watcher ended.
        case .dependent: attempts = 0
        default: attempts = envelope.attempt - 1
        }
        maxAttempts = envelope.maxAttempts
        priority = JobPriority(Int(message.message.properties?.priority ?? 0))
        enqueued = envelope.enqueued
        due = message.due
        finished = headers[JobHeader.finished]?.int.map(Instant.init(stored:))
        reason = headers[JobHeader.reason]?.text
        errors = envelope.errors
        progress = headers[JobHeader.progress]?.number.flatMap { (0...1).contains($0) ? $0 : nil }
        progressText = headers[JobHeader.progressText]?.text
        log = headers[JobHeader.log]?.texts ?? []
        output = headers[JobHeader.output]?.text
        self.message = message
    }
}
