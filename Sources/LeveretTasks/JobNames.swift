// Where the state of jobs lives in the broker: the names of its queues and of the headers that jobs carry. The table
// in ARCHITECTURE.md, "LeveretTasks", says what they hold; whoever adds one adds it there.

public import Leveret

extension JobQueue {
    /// Where its jobs wait, run, and wait to be tried again.
    public var waiting: QueueName { QueueName("jobs.\(rawValue)") }
    /// Where the jobs are that were tried too often, can't be decoded, or were discarded.
    public var discarded: QueueName { QueueName("jobs.\(rawValue).discarded") }
    /// Where those are kept for a while that completed or were cancelled.
    public var completed: QueueName { QueueName("jobs.\(rawValue).completed") }
    /// Where the jobs are parked whose name no worker has registered.
    public var unclaimed: QueueName { QueueName("jobs.\(rawValue).unclaimed") }

    /// Where those that are unique for a while leave a mark for so long, to be found by.
    func recent(_ milliseconds: Int64) -> QueueName { QueueName("jobs.\(rawValue).recent.\(milliseconds)") }
    /// What drops the doubles of those.
    func unique(_ milliseconds: Int64) -> ExchangeName {
        ExchangeName("jobs.\(rawValue).unique.\(milliseconds)")
    }

    /// Refuses names that could be mistaken for other queues.
    func check() throws(JobError) {
        let isPlain = rawValue.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard isPlain, (1...64).contains(rawValue.utf8.count) else {
            throw JobError(
                .invalid,
                "'\(rawValue)' is no name for a queue of jobs; 1 to 64 letters, digits, '-' and '_' are")
        }
    }
}

extension QueueName {
    /// Where jobs wait for other jobs, and what those report when they have ended.
    public static let dependentJobs: QueueName = "jobs-dependent"
}

/// The headers of a job's message. The rest stands in AMQP's properties: `message_id` is the job's id, `type` its
/// name, `priority` its priority.
public enum JobHeader {
    /// The payload's version; absent for the first.
    public static let version = "x-job-version"
    /// When it was enqueued, in milliseconds since 1970.
    public static let enqueued = "x-job-enqueued"
    /// When it is to run at first, in milliseconds since 1970; absent where that is at once.
    public static let start = "x-job-at"
    /// How often it is tried; absent for 25.
    public static let maxAttempts = "x-job-max-attempts"
    /// What went wrong: a table for each attempt that failed, with `attempt`, `at` and `error`.
    public static let errors = "x-job-errors"
    /// The job's id once more, where its message is known to the broker by something else: a unique job.
    public static let id = "x-job-id"
    /// How often it had failed before it was parked as unclaimed; absent for never.
    public static let failedBefore = "x-job-failed"
    /// Of a parked job: what it was known by, if that was not its own id; its `x-deduplication-header` says meanwhile
    /// where it stood.
    public static let knownAs = "x-job-known-as"
    /// How far it says it is, 0 to 1.
    public static let progress = "x-job-progress"
    /// What it says about that.
    public static let progressText = "x-job-progress-text"
    /// The last lines that it has logged.
    public static let log = "x-job-log"
    /// How far it has come, as JSON: what its next attempt goes on from.
    public static let cursor = "x-job-cursor"
    /// The ids of the jobs that wait for it.
    public static let dependents = "x-job-dependents"
    /// Of a job that waits for others: for how many.
    public static let needs = "x-job-needs"
    /// Of a job that waits for others: what has to become of them, as `Workflow.Condition` has it.
    public static let when = "x-job-when"
    /// Of a job that waits for others: the queue that it goes to then.
    public static let queue = "x-job-queue"
    /// Of a job that waits for others: what was reported to it and is settled, a table of how many have, `count`, and
    /// the first of them that has not completed, `failed`. What they returned stands in `inputs`.
    public static let reported = "x-job-reported"
    /// Of a report: the job that it is for.
    public static let reportTo = "x-job-report-to"
    /// Of a request: the job that a worker is asked to cancel. Of a job that others wait for: itself, which was
    /// cancelled and is recorded so by the worker that takes it next.
    public static let cancel = "x-job-cancel"
    /// Of a job that waited for others: what they returned, as JSON, by their ids.
    public static let inputs = "x-job-inputs"
    /// What it is limited together with.
    public static let limitKey = "x-job-limit-key"
    /// In the queue of completed jobs, what became of it: `completed` or `cancelled`.
    public static let state = "x-job-state"
    /// In the queue of completed jobs, when that was, in milliseconds since 1970.
    public static let finished = "x-job-finished"
    /// In the queue of completed jobs, why it was cancelled.
    public static let reason = "x-job-reason"
    /// In the queue of completed jobs, at which attempt, from 1.
    public static let attempt = "x-job-attempt"
    /// In the queue of completed jobs, what the handler returned, as JSON.
    public static let output = "x-job-output"
}
