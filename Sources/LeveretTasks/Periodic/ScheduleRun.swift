// One schedule being run: takes its record from its queue whenever it is due, and does what SchedulePlan decides.
// Made by PeriodicJobs for each schedule.

import Leveret
import Logging

struct ScheduleRun: Sendable {
    private let periodic: PeriodicJob
    private let plan: SchedulePlan
    private let jobs: Jobs
    private let clock: ScheduleClock
    private var queue: QueueName { periodic.queue }

    init(_ periodic: PeriodicJob, jobs: Jobs, clock: ScheduleClock) {
        self.periodic = periodic
        self.jobs = jobs
        self.clock = clock
        plan = SchedulePlan(periodic: periodic)
    }

    /// Runs until the task is cancelled, or the broker or the queue ends.
    func run() async throws {
        // One of several consumers is handed the record, so that there is never a doubt who enqueues.
        try await jobs.broker.declareQueue(queue, arguments: ["x-single-active-consumer": true])
        try await begin()
        let consumer = try await jobs.broker.consume(queue, prefetch: 1)
        // The newest moment at which the record is due; the alarm takes what it finds when it has slept.
        let (dues, due) = AsyncStream.makeStream(of: Instant.self, bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await alarm(dues) }
            for record in try await records() { due.yield(record.record.due) }
            do {
                for try await message in consumer {
                    if let next = await handle(message) { due.yield(next) }
                }
            } catch let error as BrokerError where error.code == .notFound {
                logger.notice("a schedule was removed while it was run")
            }
            group.cancelAll()
        }
    }

    // MARK: - The record

    /// A record in the queue, and where it stands.
    private struct Standing {
        let record: ScheduleRecord
        let message: PeekedMessage
    }

    private func records() async throws -> [Standing] {
        try await jobs.broker.peek(queue, state: nil).compactMap { message in
            ScheduleRecord(message.message.body).map { Standing(record: $0, message: message) }
        }
    }

    /// Makes the first record where there is none, and wakes one that was planned by another timing.
    private func begin() async throws {
        let standing = try await records()
        if standing.isEmpty {
            let now = clock.now()
            guard let first = plan.first(now: now, chance: jobs.identity.fraction()) else { return }
            // Should two begin at once, whoever is handed the records drops one of them: see `handle`.
            try await jobs.broker.publish(first.message(in: queue, now: now))
        }
        for old in standing where old.record.timing != periodic.timing.description { await wake(old.message) }
    }

    /// Makes a record ready now that waits.
    private func wake(_ message: PeekedMessage) async {
        do {
            try await jobs.broker.delayMessage(
                at: message.number, in: queue, by: .zero, ifVersion: message.version)
        } catch {
            // It has moved on or is held: whoever holds it sees what time it is.
        }
    }

    /// Wakes the record when the wall clock shows its time and the broker's, which can't be set, does not yet.
    private func alarm(_ dues: AsyncStream<Instant>) async throws {
        for await due in dues {
            // The broker's own delay, which is exact, comes first.
            try await clock.sleep(due.advanced(byMilliseconds: 1_000))
            for late in try await records()
            where late.message.state == .delayed && late.record.due <= clock.now() {
                await wake(late.message)
            }
        }
    }

    // MARK: - Messages

    /// Does what is to be done with a message of the queue; returns when the record is due next.
    private func handle(_ message: ConsumedMessage) async -> Instant? {
        do {
            return try await settle(message)
        } catch let error where !(error is CancellationError || error is PublishCancelled) {
            logger.error(
                "a schedule could not do its work; it tries again in \(Self.retry)",
                metadata: ["error": "\(error)"])
            // It may be that somebody has deleted a queue of jobs.
            jobs.forgetDeclared()
            // Where this fails, too, the broker hands it out again.
            try? await message.nack(delay: Self.retry)
        } catch {
            // The record goes back with the consumer.
        }
        return nil
    }

    private static let retry = Duration.seconds(5)
    /// The message that asks for a job at once.
    static let runNow = "run"

    private func settle(_ message: ConsumedMessage) async throws -> Instant? {
        let now = clock.now()
        guard let record = ScheduleRecord(message.body) else {
            if message.text == Self.runNow {
                try await commit(
                    message, [Tick(schedule: periodic.name, moment: now, previous: nil)], nil, now)
            } else {
                logger.error("a message in the queue of a schedule is no record and is dropped")
                try await message.reject(error: "no record of a schedule")
                try await begin()
            }
            return nil
        }
        let others = try await records().filter { $0.message.number != message.number }
        if others.contains(where: { $0.record.supersedes(record) }) {
            try await message.ack()
            return nil
        }
        switch plan.decide(record, now: now, chance: jobs.identity.fraction()) {
        case .wait(let due):
            try await message.nack(delay: .milliseconds(ScheduleRecord.delay(until: due, now: now)))
            return due
        case .replace(let next):
            logger.info("a schedule is planned anew", metadata: ["next": "\(next?.next.iso8601 ?? "never")"])
            try await commit(message, [], next, now)
            return next?.due
        case .fire(let ticks, let next):
            try await commit(message, ticks, next, now)
            return next?.due
        }
    }

    /// Replaces a message by the jobs of `ticks` and the record's successor, in one transaction.
    private func commit(
        _ message: ConsumedMessage, _ ticks: [Tick], _ next: ScheduleRecord?, _ now: Instant
    ) async throws {
        let drafts = ticks.compactMap(draft)
        for draft in drafts { try await jobs.prepare(draft) }
        try await jobs.broker.transaction { tx in
            try tx.ack(message)
            for draft in drafts { tx.publish(draft.message) }
            if let next { tx.publish(next.message(in: queue, now: now)) }
        }
    }

    /// The job of a tick; `nil` where the application can't make it.
    private func draft(_ tick: Tick) -> JobDraft? {
        do {
            var draft = try periodic.draft(tick, jobs)
            var properties = draft.message.properties ?? MessageProperties()
            properties.headers[JobHeader.schedule] = .string(tick.schedule)
            properties.headers[JobHeader.tick] = .int(tick.moment.milliseconds)
            draft.message.properties = properties
            return draft
        } catch {
            logger.error(
                "the job of a tick can't be made; the tick is left out",
                metadata: ["tick": "\(tick.moment.iso8601)", "error": "\(error)"])
            return nil
        }
    }

    private var logger: Logger {
        var logger = jobs.configuration.logger
        logger[metadataKey: "schedule"] = "\(periodic.name)"
        return logger
    }
}
