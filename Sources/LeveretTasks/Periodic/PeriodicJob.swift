// What an application says about a job that is to be enqueued again and again. PeriodicJobs enqueues it.

public import Leveret

/// One of the moments at which a periodic job is due, and its job is enqueued for.
public struct Tick: Hashable, Sendable {
    /// The schedule's name.
    public let schedule: String
    /// When it was due, without jitter and however late it is.
    public let moment: Instant
    /// The tick before it that a job was enqueued for, if there was one: what lies between is this job's.
    public let previous: Instant?
}

/// What becomes of ticks that passed while nothing ran, or while the schedule was paused.
public enum CatchUp: Hashable, Sendable, CustomStringConvertible {
    /// They are left out. A tick counts as missed when it is more than a minute late.
    case none
    /// One job makes up for all of them: that of the latest.
    case once
    /// Each gets its job, the oldest first, but at most the latest so many (1 to 10,000).
    case all(max: Int)

    /// Each gets its job, but at most the latest hundred.
    public static let all = CatchUp.all(max: 100)

    /// `none`, `once`, or `all 100`.
    public var description: String {
        switch self {
        case .none: "none"
        case .once: "once"
        case .all: "all \(countMax)"
        }
    }

    /// For how many ticks a job is enqueued at most, when several have passed.
    var countMax: Int {
        switch self {
        case .none, .once: 1
        case .all(let count): min(max(count, 1), 10_000)
        }
    }
}

/// A job that is enqueued whenever its time has come, exactly once for each tick.
///
/// ```swift
/// let timing = try Timing.cron("0 3 * * *", in: "Europe/Berlin")
/// let report = PeriodicJob("nightly-report", timing, catchUp: .all(max: 7)) { tick in
///     SendReport(until: tick.moment.milliseconds)
/// }
/// ```
///
/// To let no run overlap the one before, enqueue it `unique: .whilePending`: a tick that comes while its job is still
/// there is left out.
public struct PeriodicJob: Sendable {
    /// What the schedule is called, for ever: its record in the broker is found by it.
    public let name: String
    /// When it is due.
    public let timing: Timing
    /// What becomes of ticks that were missed.
    public let catchUp: CatchUp
    /// By how much a tick's job may come later, at random: at most so long, and before the next tick.
    public let jitter: Duration
    /// What the job is called that is enqueued.
    let jobName: String
    /// Makes the message of a tick's job.
    let draft: @Sendable (Tick, Jobs) throws -> JobDraft

    /// A job made for each tick.
    ///
    /// - Parameters:
    ///   - name: what the schedule is called: 1 to 64 letters, digits, `-` and `_`.
    ///   - timing: when it is due.
    ///   - catchUp: what becomes of ticks that were missed.
    ///   - jitter: by how much a job may come later, at random.
    ///   - options: how the jobs are enqueued.
    ///   - job: makes the job of a tick. One that throws is logged, and the tick left out.
    public init<J: Job>(
        _ name: String, _ timing: Timing, catchUp: CatchUp = .once, jitter: Duration = .zero,
        options: EnqueueOptions = EnqueueOptions(), job: @escaping @Sendable (Tick) throws -> J
    ) {
        self.name = name
        self.timing = timing
        self.catchUp = catchUp
        self.jitter = jitter
        jobName = J.name
        draft = { tick, jobs in try jobs.draft(try job(tick), options) }
    }

    /// The queue that holds the schedule's record.
    var queue: QueueName { JobQueue.schedule(name) }
}

extension JobQueue {
    /// The broker's queue that holds the record of a schedule.
    package static func schedule(_ name: String) -> QueueName { QueueName("cron.\(name)") }
}

extension JobHeader {
    /// The schedule that enqueued the job.
    public static let schedule = "x-job-schedule"
    /// The tick that the job was enqueued for, in milliseconds since 1970.
    public static let tick = "x-job-tick"
}
