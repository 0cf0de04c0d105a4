// The service that enqueues periodic jobs. Each schedule has a queue in the broker with one message, its record, which
// is delayed until the next tick. Whoever is handed the record enqueues the tick's job, removes the record, and
// publishes its successor in one transaction: so each tick gets its job exactly once, across crashes, restarts and
// several of these services. SchedulePlan decides, ScheduleRun carries out.

import Leveret
import Logging
public import ServiceLifecycle

/// Enqueues periodic jobs when their time has come.
///
/// ```swift
/// let periodic = try PeriodicJobs(jobs, [
///     PeriodicJob("nightly-report", .cron("0 3 * * *", in: "Europe/Berlin")) { _ in SendReport() },
///     PeriodicJob("poll-feeds", .every(.seconds(300)), jitter: .seconds(20)) { _ in PollFeeds() },
/// ])
/// try await periodic.run()
/// ```
///
/// A schedule is remembered by its name: after a restart it goes on where it stood, and does with the ticks that it
/// missed what its `catchUp` says. With another timing it is planned anew from now on. One that is no longer in the
/// list stays in the broker, idle, until `Jobs.removeSchedule`.
///
/// Nothing polls. Several of these may run over one broker: each tick gets one job.
public final class PeriodicJobs: Service {
    private let jobs: Jobs
    private let schedules: [PeriodicJob]
    private let clock: ScheduleClock

    /// A service for these schedules. It starts with `run()`.
    ///
    /// - Parameters:
    ///   - jobs: where the jobs go.
    ///   - schedules: what is enqueued when.
    ///   - clock: what time it is; a broker whose clock is moved by hand needs `ScheduleClock.of(broker)`.
    /// - Throws: a `JobError` when two schedules have one name, or a name can't be.
    public init(_ jobs: Jobs, _ schedules: [PeriodicJob], clock: ScheduleClock = .system) throws {
        var names: Set<String> = []
        for schedule in schedules {
            try JobQueue(schedule.name).check()
            guard names.insert(schedule.name).inserted else {
                throw JobError(.invalid, "two schedules are called '\(schedule.name)'; name each of its own")
            }
        }
        self.jobs = jobs
        self.schedules = schedules
        self.clock = clock
    }

    /// Enqueues jobs until the service group shuts down gracefully, the task is cancelled, or the broker ends.
    ///
    /// - Throws: a `BrokerError` when a schedule's queue can't be used.
    public func run() async throws {
        do {
            try await cancelWhenGracefulShutdown { [self] in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for schedule in schedules {
                        let run = ScheduleRun(schedule, jobs: jobs, clock: clock)
                        group.addTask { try await run.run() }
                    }
                    // As long as the broker, whatever schedules are left.
                    group.addTask { [jobs] in for await _ in jobs.broker.events() {} }
                    // The first that fails ends all.
                    for try await _ in group {}
                }
            }
        } catch is CancellationError, is PublishCancelled {
            // The records go back into their queues, free of charge.
        }
    }
}

extension Jobs {
    /// The schedules that the broker knows, by name, whether or not anybody runs them.
    public func schedules() async throws -> [ScheduleRecord] {
        var records: [ScheduleRecord] = []
        for queue in try await broker.queues(matching: JobQueue.schedule("*").rawValue) {
            let messages = try await broker.peek(queue.definition.name, state: nil)
            let found = messages.compactMap { ScheduleRecord($0.message.body) }
            if let record = found.max(by: { $0.next < $1.next }) { records.append(record) }
        }
        return records
    }

    /// Enqueues a job of a schedule at once, as if a tick were due now; its plan stays as it is. Where nobody runs the
    /// schedule, that waits until somebody does.
    ///
    /// - Throws: a `BrokerError` (312) when there is no such schedule.
    public func runSchedule(_ name: String) async throws {
        try await broker.publish(ScheduleRun.runNow, to: JobQueue.schedule(name))
    }

    /// Stops a schedule until `resumeSchedule`, also over restarts. What it misses is caught up with then, as its
    /// `catchUp` says.
    ///
    /// - Throws: a `BrokerError` (404) when there is no such schedule.
    public func pauseSchedule(_ name: String) async throws { try await broker.pause(JobQueue.schedule(name)) }

    /// Lets a schedule go on.
    ///
    /// - Throws: a `BrokerError` (404) when there is no such schedule.
    public func resumeSchedule(_ name: String) async throws {
        try await broker.resume(JobQueue.schedule(name))
    }

    /// Forgets a schedule. One that is still run ends; it begins anew at the next start.
    ///
    /// - Throws: a `BrokerError` (404) when there is no such schedule.
    public func removeSchedule(_ name: String) async throws {
        try await broker.deleteQueue(JobQueue.schedule(name))
    }
}
