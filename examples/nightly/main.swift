// Jobs that come back: a report each night at half past two in Berlin, also in the night that has no half past two; a
// look at the backups every eight hours; and a program that is down for three days, starts again, and catches up.
//
// The broker's clock is moved by hand from tick to tick, so that a week passes in no time. The broker's file is
// nightly.db in the folder where it is run; it begins anew each time.

import Foundation
import Leveret
import LeveretTasks
import Logging

struct NightlyReport: Job {
    static let name = "nightly-report"
    /// Milliseconds since 1970: what happened between these two is reported.
    var from: Int64?
    var until: Int64
}

struct CheckBackups: Job {
    static let name = "check-backups"
}

let clock = HandClock()

/// `Sun 03-29 01:00`, in UTC.
func shown(_ milliseconds: Int64) -> String {
    let time = Instant(milliseconds: milliseconds).iso8601
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int(milliseconds / 86_400_000 % 7)]
    return "\(weekday) \(time.dropFirst(5).prefix(5)) \(time.dropFirst(11).prefix(5))"
}

/// One life of the program: from its start until the clock shows `end`.
func live(until end: Instant) async throws {
    var configuration = Broker.Configuration()
    configuration.clock = BrokerClock(pollMilliseconds: 1) { clock.now }
    configuration.logger.logLevel = .warning
    let broker = try Broker(.file("nightly.db"), configuration: configuration)
    let jobs = Jobs(broker)

    let periodic = try PeriodicJobs(
        jobs,
        [
            PeriodicJob(
                "report", .cron("30 2 * * *", in: "Europe/Berlin"), catchUp: .all(max: 7)
            ) { tick in
                NightlyReport(from: tick.previous?.milliseconds, until: tick.moment.milliseconds)
            },
            PeriodicJob("backups", .cron("0 */8 * * *"), catchUp: .none) { _ in CheckBackups() },
        ], clock: .of(broker))

    let worker = try JobWorker(jobs, queues: [.default: 1]) { handlers in
        handlers.add(NightlyReport.self) { report in
            print("  report of \(report.from.map(shown) ?? "the beginning") to \(shown(report.until))")
        }
        handlers.add(CheckBackups.self) { _ in print("  backups, at \(shown(clock.now.milliseconds))") }
    }

    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await periodic.run() }
        group.addTask { try await worker.run() }
        while let due = try await dueNext(jobs), due <= end {
            clock.advance(to: max(due, clock.now))
        }
        group.cancelAll()
    }
    clock.advance(to: end)
    try await broker.shutdown()
}

/// When something is due next, once all is done that was due before.
func dueNext(_ jobs: Jobs) async throws -> Instant? {
    while true {
        let schedules = try await jobs.schedules()
        let queue = try await jobs.broker.queues(matching: JobQueue.default.waiting.rawValue).first
        let isIdle = queue.map { $0.ready + $0.unacked == 0 } ?? true
        if schedules.count == 2, isIdle, let due = schedules.map(\.due).min(), due > clock.now { return due }
        try await Task.sleep(for: .milliseconds(1))
    }
}

/// Two lives of the program, with three days between them.
func runDemo() async throws {
    for suffix in ["", "-wal", "-shm", "-lock"] {
        try? FileManager.default.removeItem(atPath: "nightly.db\(suffix)")
    }
    print("the program starts, \(shown(clock.now.milliseconds)):")
    try await live(until: clock.now.advanced(byMilliseconds: 72 * 3_600_000))
    print("it is down for three days; it starts again, \(shown(clock.now.milliseconds + 73 * 3_600_000)):")
    clock.advance(hours: 73)
    try await live(until: clock.now.advanced(byMilliseconds: 24 * 3_600_000))
}

try await runDemo()
