// What jobs tell a metrics backend (swift-metrics): how many are enqueued and how they end, how long they wait and run.
// To add one: a line here, and a row in docs/tasks.md.

import CoreMetrics
import Leveret
import Synchronization

/// The metrics of jobs in one backend. Those of a kind of job are made when it is met first; kinds are the program's.
final class JobMetrics: Sendable {
    private struct Key: Hashable {
        var job: String
        var queue: JobQueue
    }

    private struct OutcomeKey: Hashable {
        var key: Key
        var outcome: String
    }

    private struct Made {
        var enqueued: [Key: Counter] = [:]
        var finished: [OutcomeKey: Counter] = [:]
        var waits: [Key: Timer] = [:]
        var runs: [Key: Timer] = [:]
    }

    private let factory: any MetricsFactory
    /// Guards what has been made.
    private let made = Mutex(Made())

    /// Metrics that `factory` makes; `nil` where that is the one that does nothing.
    init?(_ factory: any MetricsFactory) {
        if factory is NOOPMetricsHandler { return nil }
        self.factory = factory
    }

    /// Jobs were enqueued.
    func enqueued(_ job: String, _ queue: JobQueue) {
        let key = Key(job: job, queue: queue)
        let counter = made.withLock { made in
            if let counter = made.enqueued[key] { return counter }
            let counter = Counter(
                label: "leveret_jobs_enqueued_total", dimensions: dimensions(key), factory: factory)
            made.enqueued[key] = counter
            return counter
        }
        counter.increment()
    }

    /// An attempt begins, so long after the job was due.
    func waited(_ milliseconds: Int64, _ job: String, _ queue: JobQueue) {
        let key = Key(job: job, queue: queue)
        let timer = made.withLock { made in
            if let timer = made.waits[key] { return timer }
            let timer = Timer(
                label: "leveret_job_wait_seconds", dimensions: dimensions(key), factory: factory)
            made.waits[key] = timer
            return timer
        }
        timer.recordMilliseconds(max(0, milliseconds))
    }

    /// An attempt has ended.
    func ended(_ verdict: Verdict, after milliseconds: Int64, _ job: String, _ queue: JobQueue) {
        let key = Key(job: job, queue: queue)
        let outcome = OutcomeKey(key: key, outcome: verdict.outcome)
        let (counter, timer) = made.withLock { made in
            let counter =
                made.finished[outcome]
                ?? Counter(
                    label: "leveret_jobs_finished_total",
                    dimensions: dimensions(key) + [("outcome", outcome.outcome)], factory: factory)
            let timer =
                made.runs[key]
                ?? Timer(label: "leveret_job_run_seconds", dimensions: dimensions(key), factory: factory)
            made.finished[outcome] = counter
            made.runs[key] = timer
            return (counter, timer)
        }
        counter.increment()
        timer.recordMilliseconds(max(0, milliseconds))
    }

    private func dimensions(_ key: Key) -> [(String, String)] {
        [("job", key.job), ("queue", key.queue.rawValue)]
    }
}

extension Verdict {
    /// What metrics call it.
    var outcome: String {
        switch self {
        case .completed: "completed"
        case .retry: "failed"
        case .discarded: "discarded"
        case .cancelled: "cancelled"
        case .snoozed: "snoozed"
        case .limited: "limited"
        case .handedBack: "handed-back"
        case .unclaimed: "unclaimed"
        }
    }
}
