// A process that runs jobs of all kinds until it is killed, and says what it does: `crash-worker DATABASE BEGIN SEED
// load|drain`. Killed and started again by Tests/LeveretTasksCrashTests. `load` enqueues without end; `drain` does what
// is there, and says what became of it.
//
// Its clock shows BEGIN, in milliseconds since 1970, at BEGIN, and goes sixty times as fast as the wall's from there
// on: a schedule's minute is a second, and the clock never goes back from one life to the next.

import Foundation
import Leveret
import LeveretTasks
import Logging

let arguments = CommandLine.arguments.dropFirst()
guard arguments.count == 4, let begin = Int64(arguments[2]), let seed = UInt64(arguments[3]) else {
    print("usage: crash-worker DATABASE BEGIN SEED load|drain")
    exit(2)
}
let isLoad = arguments[4] == "load"

var settings = Broker.Configuration()
settings.clock = BrokerClock(pollMilliseconds: 1) {
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    return Instant(milliseconds: begin + max(now - begin, 0) * 60)
}
settings.logger.logLevel = .error
let broker = try Broker(.file(arguments[1]), configuration: settings)

var keeping = Jobs.Configuration()
keeping.keepsCompletedFor = .seconds(30 * 86_400)
keeping.completedCountMax = 1_000_000
keeping.logger.logLevel = .error
let jobs = Jobs(broker, configuration: keeping)

let journal = Journal()
let worker = try JobWorker(
    jobs, queues: [.default: 8, .limited: .init(concurrency: 6, perKey: 2)],
    register: Runners(journal: journal).register)
let periodic = try PeriodicJobs(
    jobs,
    [
        PeriodicJob("often", .every(.seconds(5)), catchUp: .all(max: 10_000)) { tick in
            Plain(label: "often:\(tick.moment.milliseconds)")
        },
        PeriodicJob("minute", .cron("* * * * *"), catchUp: .once) { tick in
            Plain(label: "minute:\(tick.moment.milliseconds)")
        },
    ], clock: .of(broker))

for queue in [JobQueue.default, .limited] { try await jobs.declare(queue) }
try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await worker.run() }
    if isLoad {
        group.addTask { try await periodic.run() }
        for number in 0..<6 {
            group.addTask {
                var load = Load(jobs, journal, seed: seed, number: number)
                try await load.run()
            }
        }
    } else {
        group.addTask { try await Drain(jobs: jobs, journal: journal).run() }
    }
    // The first that fails ends all.
    for try await _ in group {}
}
