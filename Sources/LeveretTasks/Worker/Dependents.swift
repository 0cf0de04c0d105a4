// Watches over the jobs that wait for others. One consumer holds them and all that was reported to them; when a job has
// what it waits for, one transaction enqueues it and settles all of these: so that happens exactly once. Nothing is
// kept elsewhere, so a crash only makes the same messages come again.

import Leveret
import Logging
import ServiceLifecycle

/// Enqueues jobs that waited for others.
struct Dependents: Sendable {
    let jobs: Jobs

    /// Works until the service group shuts down, the task is cancelled, or the broker ends.
    func run() async throws {
        try await jobs.declareDependents()
        // Without a limit: what it holds is what it knows.
        let consumer = try await jobs.broker.consume(.dependentJobs, prefetch: 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // Either way it is over.
                try? await gracefulShutdown()
                try? await consumer.cancel()
            }
            let watch = DependencyWatch(jobs: jobs)
            for try await message in consumer { await watch.read(message) }
            group.cancelAll()
        }
    }
}

/// What has been read of the jobs that wait, and the messages that say so. Messages are read one after the other.
actor DependencyWatch {
    private let jobs: Jobs
    private var table = DependencyTable()
    private var held: [MessageNumber: ConsumedMessage] = [:]

    init(jobs: Jobs) { self.jobs = jobs }

    /// Takes a message, and does what follows from it.
    func read(_ message: ConsumedMessage) async {
        if let id = message.properties?.headers[JobHeader.cancel]?.text {
            return await cancel(JobID(id), asked: message)
        }
        held[message.number] = message
        let action: DependencyTable.Action?
        if let report = DependencyReport(message) {
            action = table.reported(report, message.number)
        } else {
            let headers = message.properties?.headers ?? FieldTable()
            let id = message.properties?.messageID ?? ""
            let isSpent = headers[JobHeader.state] == Self.spent
            action = table.planned(
                JobID(isSpent ? headers[JobHeader.id]?.text ?? id : id), message.number,
                needs: headers[JobHeader.needs]?.int.flatMap(Int.init(exactly:)) ?? 0,
                headers[JobHeader.when]?.text.flatMap(Workflow.Condition.init(rawValue:)) ?? .allCompleted,
                isSpent: isSpent, FoldedReports(headers))
        }
        if let action { _ = await carryOut(action) }
    }

    /// Performs an action; while the disk is full, that waits for room. False where it could not be performed.
    private func carryOut(_ action: DependencyTable.Action) async -> Bool {
        let text: Logger.Message = "a job that waited for others could not be enqueued or cancelled"
        while true {
            do {
                try await jobs.redeclaring { try await perform(action) }
                return true
            } catch let error as BrokerError where error.code == .resourceError {
                jobs.configuration.logger.error(
                    "\(text); it is tried again in a second", metadata: ["error": "\(error)"])
                guard (try? await jobs.configuration.clock.sleep(for: .seconds(1))) != nil else {
                    return false
                }
            } catch {
                // Where the worker ends meanwhile, nothing is wrong: the next one reads the same messages.
                guard !Task.isCancelled else { return false }
                jobs.configuration.logger.error(
                    "\(text); that is tried again at the next start", metadata: ["error": "\(error)"])
                return false
            }
        }
    }

    /// Cancels a job as somebody has asked who could not: it runs, or waits for others.
    private func cancel(_ id: JobID, asked request: ConsumedMessage) async {
        do {
            if let job = jobs.running[id] {
                job.stop(.cancelled)
            } else if let action = table.cancelled(id) {
                // Where that fails, the request comes again at the next start, as all does that is held here.
                guard await carryOut(action) else { return }
            } else if try await jobs.desk.cancelWaiting(id) == nil {
                // It is on its way to its handler.
                return try await request.nack(delay: Self.patience)
            }
        } catch is JobError {
            // It has ended.
        } catch {
            jobs.configuration.logger.error(
                "a job could not be cancelled", metadata: ["job_id": "\(id)", "error": "\(error)"])
        }
        // Where the broker has ended, the request comes again.
        try? await request.ack()
    }

    /// After how long a worker looks again for a job that it is to cancel.
    private static let patience = Duration.milliseconds(200)

    /// What marks the place of a job that was released early.
    private static let spent: FieldValue = "released"

    private func perform(_ action: DependencyTable.Action) async throws {
        switch action {
        case .release(let plan, let reports, let inputs):
            guard let message = held[plan] else { return }
            let released = released(message, inputs: inputs)
            try await jobs.declare(released.queue)
            try await settle([plan] + reports, publishing: [released.message])
        case .releaseEarly(let plan, let folded):
            guard let message = held[plan] else { return }
            let released = released(message, inputs: [:])
            try await jobs.declare(released.queue)
            try await settle([plan], publishing: [released.message, mark(for: message, folded)])
        case .cancel(let plan, let reports, let because):
            guard let message = held[plan] else { return }
            let reason = "job \(because), which it waited for, has not completed"
            try await settle([plan] + reports, publishing: try await ended(message, reason))
        case .cancelEarly(let plan, let folded):
            guard let message = held[plan] else { return }
            let ended = try await ended(message, "cancelled while it waited for others")
            try await settle([plan], publishing: ended + [mark(for: message, folded)])
        case .fold(let plan, let reports, let folded):
            guard let message = held[plan] else { return }
            try await settle(reports, publishing: []) { tx in
                try tx.amend(message, headers: folded.headers)
            }
        case .drop(let numbers): try await settle(numbers, publishing: [])
        }
    }

    /// What a job that is cancelled leaves behind.
    private func ended(_ message: ConsumedMessage, _ reason: String) async throws -> [OutgoingMessage] {
        let job = FinishedJob(
            message: message, envelope: JobEnvelope(message, failed: 0, now: jobs.broker.now),
            verdict: .handedBack)
        let queue = released(message, inputs: [:]).queue
        try await jobs.declare(queue)
        let record = job.record(as: .cancelled, reason: reason, in: queue, of: jobs)
        return [record].compactMap { $0 } + job.reports(.cancelled)
    }

    /// The message of the job as its queue gets it.
    private func released(
        _ message: ConsumedMessage, inputs: [JobID: String]
    ) -> (queue: JobQueue, message: OutgoingMessage) {
        var properties = message.properties ?? MessageProperties()
        let queue = JobQueue(properties.headers[JobHeader.queue]?.text ?? JobQueue.default.rawValue)
        for name in [JobHeader.needs, JobHeader.when, JobHeader.queue, JobHeader.reported, JobHeader.inputs] {
            properties.headers[name] = nil
        }
        let table = FoldedReports.table(inputs)
        if !table.isEmpty { properties.headers[JobHeader.inputs] = .table(table) }
        return (queue, OutgoingMessage(message.body, to: queue.waiting, properties: properties))
    }

    /// What stays in the place of a job that was released early, so that it is not released again.
    private func mark(for message: ConsumedMessage, _ folded: FoldedReports) -> OutgoingMessage {
        var properties = MessageProperties()
        let id = message.properties?.messageID ?? ""
        properties.messageID = "\(id)>"
        properties.headers = [JobHeader.id: .string(id), JobHeader.state: Self.spent]
        properties.headers[JobHeader.reported] = folded.headers[JobHeader.reported]
        properties.headers[JobHeader.needs] = message.properties?.headers[JobHeader.needs]
        properties.headers[JobHeader.when] = message.properties?.headers[JobHeader.when]
        return OutgoingMessage([], to: .dependentJobs, properties: properties)
    }

    private func settle(
        _ numbers: [MessageNumber], publishing messages: [OutgoingMessage],
        _ also: (inout Transaction) throws -> Void = { _ in }
    ) async throws {
        let settled = numbers.compactMap { held[$0] }
        try await jobs.broker.transaction { tx in
            try also(&tx)
            for message in messages { tx.publish(message) }
            for message in settled { try tx.ack(message) }
        }
        for number in numbers { held[number] = nil }
    }
}
