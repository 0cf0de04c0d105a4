// The work on one queue: one consumer, as many tasks over it as jobs may run at a time, and the finisher that settles
// what they did. Made by JobWorker for each of its queues.

import Leveret
import Logging
import ServiceLifecycle
import Synchronization

/// A queue being worked on.
struct QueueRun: Sendable {
    let jobs: Jobs
    let queue: JobQueue
    let options: JobWorker.QueueOptions
    let shutdownLimit: Duration
    let handlers: [String: JobHandlers.Handler]
    let running = RunningJobs()
    let unknown = UnknownNames()

    /// Works until the service group shuts down, the task is cancelled, or the broker ends.
    func run() async throws {
        try await jobs.declare(queue)
        try await reclaim()
        let count = max(options.concurrency, 1)
        let consumer = try await jobs.broker.consume(queue.waiting, prefetch: min(count, 65_535))
        let finisher = Finisher(jobs, queue: queue)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await finisher.run() }
            group.addTask { await end(consumer) }
            try await withThrowingTaskGroup(of: Void.self) { runners in
                for _ in 0..<count { runners.addTask { try await work(on: consumer, finisher) } }
                try await runners.waitForAll()
            }
            finisher.finish()
            try await group.next()
            group.cancelAll()
        }
    }

    /// Takes back the parked jobs whose names are known here.
    private func reclaim() async throws {
        let names = handlers.keys.sorted().map {
            "'"
                + $0.split(separator: "'", omittingEmptySubsequences: false)
                .joined(separator: "''") + "'"
        }
        guard !names.isEmpty, try await jobs.broker.status(of: queue.unclaimed).ready > 0 else { return }
        try await jobs.broker.move(
            from: queue.unclaimed, to: queue.waiting,
            where: "properties ->> 'type' IN (\(names.joined(separator: ", ")))")
    }

    /// Once the service group shuts down: takes no more, gives what runs some time, then stops it.
    private func end(_ consumer: Consumer) async {
        do {
            try await gracefulShutdown()
            try await consumer.cancel()
            try await jobs.configuration.clock.sleep(for: shutdownLimit)
            for job in running.all { job.stop(.shutdown) }
        } catch {
            // Cancelled: the work is over, or it is cut short with the task that it belongs to.
        }
    }

    private func work(on consumer: Consumer, _ finisher: Finisher) async throws {
        for try await message in consumer {
            let delivery = message.delivery
            let envelope = JobEnvelope(
                delivery.message, number: delivery.number, failed: delivery.failed, entered: jobs.broker.now)
            let verdict = await verdict(on: message, envelope)
            finisher.add(FinishedJob(message: message, envelope: envelope, verdict: verdict))
        }
    }

    private func verdict(on message: ConsumedMessage, _ envelope: JobEnvelope) async -> Verdict {
        let now = jobs.broker.now
        if envelope.attempt == 1, let start = envelope.start, start > now {
            return .snoozed(for: .milliseconds(start.milliseconds - now.milliseconds))
        }
        guard let handler = handlers[envelope.name] else {
            unknown.met(envelope.name, in: queue, jobs.configuration.logger)
            return .unclaimed
        }
        guard envelope.attempt <= envelope.maxAttempts else {
            let text = "the process ended while the job ran; it was tried \(envelope.attempt - 1) times"
            return .discarded(Verdict.failure(text, envelope, now))
        }
        return await attempt(message, envelope, handler)
    }

    /// Runs the handler in a task of its own that can be cancelled without this one.
    private func attempt(
        _ message: ConsumedMessage, _ envelope: JobEnvelope, _ handler: JobHandlers.Handler
    ) async -> Verdict {
        let job = RunningJob(envelope, in: queue)
        let context = JobContext(running: job, jobs: jobs, logger: logger(for: envelope))
        running.started(job)
        defer { running.ended(job) }
        let result = await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    job.returned(
                        .success(try await handler.run(message.body, envelope.version, context, jobs.codec)))
                } catch {
                    job.returned(.failure(error))
                }
            }
            if let timeout = handler.timeout {
                group.addTask {
                    // Cancelled when the handler returns in time.
                    guard (try? await jobs.configuration.clock.sleep(for: timeout)) != nil else { return }
                    job.stop(.timeout(timeout))
                }
            }
            var result: Result<[UInt8]?, any Error> = .failure(CancellationError())
            for await event in job.events {
                if case .returned(let returned) = event { result = returned }
                group.cancelAll()
            }
            return result
        }
        let reason = job.reason ?? (Task.isCancelled ? .shutdown : nil)
        return Verdict.of(
            result, stopped: reason, envelope, retry: handler.retry, chance: jobs.identity.fraction(),
            now: jobs.broker.now)
    }

    private func logger(for envelope: JobEnvelope) -> Logger {
        var logger = jobs.configuration.logger
        logger[metadataKey: "job_id"] = "\(envelope.id)"
        logger[metadataKey: "job"] = "\(envelope.name)"
        logger[metadataKey: "queue"] = "\(queue)"
        logger[metadataKey: "attempt"] = "\(envelope.attempt)"
        return logger
    }
}

/// The names that no handler is registered for: each is logged once.
final class UnknownNames: Sendable {
    /// Guards the names that were met.
    private let names = Mutex<Set<String>>([])

    func met(_ name: String, in queue: JobQueue, _ logger: Logger) {
        let isNew = names.withLock { names in names.count < 1_000 && names.insert(name).inserted }
        guard isNew else { return }
        logger.warning(
            "no handler is registered for jobs called '\(name)'; they wait in '\(queue.unclaimed)' for a worker that has one",
            metadata: ["job": "\(name)", "queue": "\(queue)"])
    }
}
