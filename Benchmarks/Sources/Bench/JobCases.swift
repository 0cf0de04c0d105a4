// The cases of LeveretTasks, in this very process: what enqueueing and running cost, how late a job starts, what a
// unique one costs beside many, and what a worker does when there is nothing to do.

import Foundation
import Leveret
import LeveretTasks
import Logging
import Synchronization

private struct Noop: Job {
    static let name = "noop"
    var number: Int
}

let jobCases = [
    Case("jobs, enqueue") { bench in
        try await withJobs(bench.path("enqueue.db")) { jobs in
            let alone = try await fromTasks(1, each: 2_000) { try await jobs.enqueue(Noop(number: $0)) }
            let oneByOne = try await fromTasks(64, each: 2_000) { try await jobs.enqueue(Noop(number: $0)) }
            let inBatches = try await fromTasks(1, each: 100) { try await jobs.enqueue(all: batch($0)) }
            let together = try await fromTasks(4, each: 50) { try await jobs.enqueue(all: batch($0)) }
            return [
                .jobs("one by one from one task", 2_000, in: alone),
                .jobs("one by one from 64 tasks", 128_000, in: oneByOne, 50_000),
                .jobs("1,000 a batch from one task", 100_000, in: inBatches),
                .jobs("1,000 a batch from 4 tasks", 200_000, in: together, 150_000),
            ]
        }
    },
    Case("jobs, run") { bench in
        var figures: [Figure] = []
        for (name, keeps) in [("kept as completed", 86_400), ("not kept", 0)] {
            figures += try await withJobs(bench.path("run\(keeps).db"), keepsSeconds: keeps) { jobs in
                let count = 100_000
                for number in 0..<(count / 1_000) { try await jobs.enqueue(all: batch(number)) }
                let processor = processorSeconds()
                let run = try await time { try await work(on: jobs, concurrency: 64) { $0 == count } }
                let spent = processorSeconds() - processor
                return [
                    .jobs("no-ops that wait, \(name)", count, in: run, 50_000),
                    Figure("processor, \(name)", spent / Double(count) * 1e6, "µs/job", .atMost(20)),
                ]
            }
        }
        figures += try await withJobs(bench.path("through.db")) { jobs in
            let count = 64_000
            let processor = processorSeconds()
            let run = try await time {
                async let done: Void = work(on: jobs, concurrency: 64) { $0 == count }
                _ = try await fromTasks(64, each: count / 64) { try await jobs.enqueue(Noop(number: $0)) }
                try await done
            }
            let spent = processorSeconds() - processor
            return [
                .jobs("no-ops enqueued one by one from 64 tasks meanwhile", count, in: run),
                Figure("processor, both together", spent / Double(count) * 1e6, "µs/job"),
            ]
        }
        return figures
    },
    Case("jobs, late") { bench in
        try await withJobs(bench.path("late.db")) { jobs in
            let late = Mutex<[Double]>([])
            let count = 500
            // In one commit, so that the worker is there before the first is due.
            var batch = JobBatch()
            for _ in 0..<count {
                batch.add(Noop(number: 0), .init(start: .after(.milliseconds(.random(in: 2_000..<7_000)))))
            }
            try await jobs.enqueue(batch)
            try await work(on: jobs, concurrency: 64, until: { $0 == count }) { context in
                let due = context.message.properties?.headers[JobHeader.start]
                guard case .int(let milliseconds) = due else { return }
                let now = Date().timeIntervalSince1970 * 1_000
                late.withLock { $0.append(now - Double(milliseconds)) }
            }
            let sorted = late.withLock { $0.sorted() }
            return [
                Figure("a delayed job starts late by, p50", sorted[count / 2], "ms", .atMost(10)),
                Figure("… p99", sorted[count * 99 / 100], "ms", .atMost(10)),
                Figure("… at most", sorted[count - 1], "ms"),
            ]
        }
    },
    Case("jobs, unique", isLong: true) { bench in
        try await withJobs(bench.path("unique.db")) { jobs in
            var figures: [Figure] = []
            var pending = 0
            for target in [1_000, 1_000_000] {
                while pending < target {
                    try await jobs.enqueue(all: batch(pending / 1_000), .init(unique: .whilePending))
                    pending += 1_000
                }
                let new = try await fromTasks(64, each: 500) { number in
                    try await jobs.enqueue(Noop(number: -target - number), .init(unique: .whilePending))
                }
                let double = try await fromTasks(64, each: 50) { number in
                    try await jobs.enqueue(Noop(number: number % 1_000), .init(unique: .whilePending))
                }
                figures.append(.jobs("new ones beside \(target)", 32_000, in: new))
                figures.append(.jobs("doubles beside \(target)", 3_200, in: double))
            }
            return figures
        }
    },
    Case("jobs, 1,000,000 waiting", isLong: true) { bench in
        try await withJobs(bench.path("waiting.db")) { jobs in
            let before = residentMiB()
            try await jobs.pause(.default)
            for number in 0..<1_000 { try await jobs.enqueue(all: batch(number)) }
            let run = Task { try await work(on: jobs, concurrency: 64) { _ in false } }
            // What the broker tidies up behind a million is not what an idle worker costs.
            try await Task.sleep(for: .seconds(3))
            let processor = processorSeconds()
            try await Task.sleep(for: .seconds(5))
            let spent = processorSeconds() - processor
            let waiting = residentMiB()
            run.cancel()
            _ = await run.result
            return [
                Figure("resident before", before, "MiB"),
                Figure("resident, with a worker", waiting, "MiB", .atMost(100)),
                Figure("processor of an idle worker", spent / 5 * 1_000, "ms/s", .atMost(1)),
            ]
        }
    },
]

extension Figure {
    fileprivate static func jobs(
        _ name: String, _ count: Int, in seconds: Double, _ target: Double? = nil
    ) -> Figure {
        Figure(name, Double(count) / seconds, "jobs/s", target.map { .atLeast($0) })
    }
}

/// A thousand jobs.
private func batch(_ number: Int) -> [Noop] {
    (0..<1_000).map { Noop(number: number * 1_000 + $0) }
}

/// Jobs in a broker on a new file, which is closed afterwards.
private func withJobs(
    _ file: String, keepsSeconds: Int = 86_400, _ body: (Jobs) async throws -> [Figure]
) async throws -> [Figure] {
    var configuration = Broker.Configuration()
    configuration.logger.logLevel = .warning
    let broker = try Broker(.file(file), configuration: configuration)
    var keeping = Jobs.Configuration()
    keeping.keepsCompletedFor = .seconds(keepsSeconds)
    keeping.logger.logLevel = .warning
    let figures = try await body(Jobs(broker, configuration: keeping))
    try await broker.shutdown()
    return figures
}

/// Seconds that `count` tasks take which call `body` with numbers of their own, one after the other.
private func fromTasks(
    _ count: Int, each: Int, _ body: @escaping @Sendable (Int) async throws -> some Sendable
) async throws -> Double {
    try await time {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<count {
                group.addTask { for number in 0..<each { _ = try await body(task * each + number) } }
            }
            try await group.waitForAll()
        }
    }
}

/// Runs a worker until so many jobs have been run as `isDone` says, and all of them are settled.
private func work(
    on jobs: Jobs, concurrency: Int, until isDone: @escaping @Sendable (Int) -> Bool,
    _ body: @escaping @Sendable (JobContext) -> Void = { _ in }
) async throws {
    let count = Atomic(0)
    let (ends, ended) = AsyncStream.makeStream(of: Void.self)
    let worker = try JobWorker(jobs, queues: [.default: .init(concurrency: concurrency)]) { handlers in
        handlers.add(Noop.self) { _, context in
            body(context)
            if isDone(count.add(1, ordering: .relaxed).newValue) { ended.finish() }
        }
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await worker.run() }
        for await _ in ends {}
        while !Task.isCancelled {
            let queue = try await jobs.broker.status(of: JobQueue.default.waiting)
            if queue.ready + queue.unacked + queue.delayed == 0 { break }
            try await Task.sleep(for: .milliseconds(1))
        }
        group.cancelAll()
    }
}

/// Seconds that this process has computed.
private func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// What of this process is in memory.
private func residentMiB() -> Double {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS") } ?? ""
    return (Double(line.filter(\.isNumber)) ?? 0) / 1_024
}
