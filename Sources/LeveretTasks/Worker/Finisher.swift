// Settles jobs that have ended: all that ended while the last commit was under way share the next one. What a
// job leaves behind (its record, what it is parked as) stands in the transaction of its settlement.

import Leveret
import Logging
import Synchronization

/// A job that has ended, and what becomes of it.
struct FinishedJob: Sendable {
    var message: ConsumedMessage
    var envelope: JobEnvelope
    var verdict: Verdict
}

/// Settles the jobs of one consumer.
final class Finisher: Sendable {
    private let jobs: Jobs
    private let queue: JobQueue
    /// Guards what has ended since the last commit began.
    private let gathered = Mutex<[FinishedJob]>([])
    private let signal: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(_ jobs: Jobs, queue: JobQueue) {
        self.jobs = jobs
        self.queue = queue
        (signal, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Takes a job that has ended. Does not wait.
    func add(_ job: FinishedJob) {
        let isFirst = gathered.withLock { gathered in
            gathered.append(job)
            return gathered.count == 1
        }
        if isFirst { continuation.yield() }
    }

    /// Nothing more will be added: `run` ends once all is settled.
    func finish() { continuation.finish() }

    /// Settles what is added, until `finish`.
    func run() async {
        for await _ in signal { await settleAll() }
        await settleAll()
    }

    private func settleAll() async {
        while true {
            let batch = gathered.withLock { gathered in
                defer { gathered = [] }
                return gathered
            }
            if batch.isEmpty { return }
            await settle(batch)
        }
    }

    private func settle(_ batch: [FinishedJob]) async {
        do {
            try await jobs.broker.transaction { tx in
                for job in batch { try add(job, to: &tx) }
            }
        } catch {
            guard batch.count > 1 else { return complain(batch[0], error) }
            // One of them can't be settled so; the others are none the worse for it.
            for job in batch { await settle([job]) }
        }
    }

    private func complain(_ job: FinishedJob, _ error: any Error) {
        jobs.configuration.logger.error(
            "a job that ended could not be settled; it will run again",
            metadata: ["job_id": "\(job.envelope.id)", "job": "\(job.envelope.name)", "error": "\(error)"])
    }

    private func add(_ job: FinishedJob, to tx: inout Transaction) throws {
        switch job.verdict {
        case .completed(let output):
            record(job, as: "completed", output: output, in: &tx)
            try tx.ack(job.message)
        case .cancelled(let reason):
            record(job, as: "cancelled", reason: reason, in: &tx)
            try tx.ack(job.message)
        case .retry(let wait, let failure):
            try tx.reject(job.message, requeue: true, delay: wait, error: failure.error)
        case .discarded(let failure):
            try tx.reject(job.message, error: failure.error)
        case .snoozed(let wait): try tx.nack(job.message, delay: wait)
        case .handedBack: try tx.nack(job.message)
        case .unclaimed:
            tx.publish(
                OutgoingMessage(job.message.body, to: queue.unclaimed, properties: job.message.properties))
            try tx.ack(job.message)
        }
    }

    /// Adds what the job leaves in the queue of completed ones.
    private func record(
        _ job: FinishedJob, as state: String, reason: String = "", output: [UInt8]? = nil,
        in tx: inout Transaction
    ) {
        guard jobs.configuration.keepsCompletedFor > .zero else { return }
        var properties = job.message.properties ?? MessageProperties()
        properties.headers[HeaderName.delay] = nil
        properties.headers[JobHeader.state] = .string(state)
        properties.headers[JobHeader.attempt] = .int(Int64(job.envelope.attempt))
        properties.headers[JobHeader.finished] = .int(jobs.broker.now.milliseconds)
        if !reason.isEmpty { properties.headers[JobHeader.reason] = .string(reason) }
        if let output {
            properties.headers[JobHeader.output] = .string(String(decoding: output, as: UTF8.self))
        }
        tx.publish(OutgoingMessage(job.message.body, to: queue.completed, properties: properties))
    }
}
