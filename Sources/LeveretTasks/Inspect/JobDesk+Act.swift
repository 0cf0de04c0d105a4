// Acts on one job: cancel, retry, run now. What waits is changed where it stands; whoever holds a job is asked.

import Leveret

extension JobDesk {
    /// What came of a cancellation.
    package enum Cancellation: Sendable {
        /// The job is recorded as cancelled.
        case done
        /// The worker that holds it is asked to stop it.
        case asked
    }

    /// Cancels a job that waits, or asks the worker that holds it.
    ///
    /// - Throws: a `JobError` (notFound) when it neither waits nor runs, or nobody can be asked.
    package func cancel(_ id: JobID) async throws -> Cancellation {
        if try await cancelWaiting(id) { return .done }
        guard try await !store.queues(named: QueueName.dependentJobs.rawValue).isEmpty else {
            throw JobError(.notFound, "job \(id) is held, but by no worker that could be asked")
        }
        var properties = MessageProperties()
        properties.messageID = "\(id)!"
        properties.headers = [JobHeader.cancel: .string(id.rawValue)]
        _ = try await store.publish(all: [OutgoingMessage([], to: .dependentJobs, properties: properties)])
        return .asked
    }

    /// Cancels a job that waits. False where a worker holds it.
    ///
    /// - Throws: a `JobError` (notFound) when it neither waits nor runs.
    func cancelWaiting(_ id: JobID) async throws -> Bool {
        guard let job = try await pending(id) else {
            if try await cancelUnclaimed(id) { return true }
            if try await message(of: id, in: .dependentJobs) != nil { return false }
            throw JobError(.notFound, "job \(id) neither waits nor runs; it may have ended")
        }
        guard job.state != .running else { return false }
        return try await cancel(job, at: job.queue.waiting)
    }

    private func cancelUnclaimed(_ id: JobID) async throws -> Bool {
        for queue in try await queues() {
            if let message = try await scan(for: id, in: queue.unclaimed, count: 1).first {
                return try await cancel(JobInfo(message, in: queue, .unclaimed), at: queue.unclaimed)
            }
        }
        return false
    }

    private func cancel(_ job: JobInfo, at place: QueueName) async throws -> Bool {
        // First, so that who waits for it hears of its end even if this process ends now.
        let reports = (job.message.message.properties?.headers[JobHeader.dependents]?.texts ?? []).map {
            DependencyReport(of: job.id, to: JobID($0), state: .cancelled, output: nil).message
        }
        if !reports.isEmpty { _ = try await store.publish(all: reports) }
        guard try await store.remove(job.message.number, from: place) else { return false }
        let record = FinishedJob.record(
            of: job.message.message, attempt: job.attempts, as: .cancelled,
            reason: "cancelled while it waited",
            in: job.queue, at: store.now)
        _ = try await store.publish(all: [record])
        return true
    }

    /// Makes a job due that waits for its time.
    ///
    /// - Throws: a `JobError` (notFound) when it does not wait.
    package func runNow(_ id: JobID) async throws {
        guard let job = try await pending(id), job.state != .running else {
            throw JobError(.notFound, "job \(id) does not wait for its time; it may run, or have ended")
        }
        var edit = MessageEdit(job.queue.waiting, job.message.number, delayMilliseconds: 0)
        edit.headers = [JobHeader.start: .int(store.now.milliseconds)]
        guard try await store.change(edit) else {
            throw JobError(.notFound, "job \(id) has been taken by a worker meanwhile")
        }
    }

    /// Puts a job that was discarded back into its queue.
    ///
    /// - Throws: a `JobError`: notFound when it is not among the discarded ones, duplicate when it is unique and an
    ///   equal one is pending.
    package func retry(_ id: JobID) async throws {
        for queue in try await queues() {
            guard let row = try await scan(for: id, in: queue.discarded, count: 1).first else { continue }
            var properties = row.message.properties ?? MessageProperties()
            properties.headers[HeaderName.delay] = nil
            // Those that waited for it have heard of its end.
            properties.headers[JobHeader.dependents] = nil
            let message = OutgoingMessage(row.message.body, to: queue.waiting, properties: properties)
            // A crash between the two leaves it in both, and to do so again changes nothing: its queue knows the id.
            if try await store.publish(all: [message]) == [0] {
                let key = properties.headers[HeaderName.deduplication]?.text ?? id.rawValue
                try Self.check(id, against: try await store.message(knownAs: key, in: queue.waiting))
            }
            _ = try await store.remove(row.number, from: queue.discarded)
            return
        }
        throw JobError(.notFound, "job \(id) is not among the discarded ones")
    }

    /// Refuses a job that its queue did not take, because of `other`, unless that is the job itself.
    private static func check(_ id: JobID, against other: KnownMessage?) throws(JobError) {
        guard let other else {
            throw JobError(.duplicate, "its queue did not take job \(id), which stays discarded; try again")
        }
        guard other.id == id else {
            throw JobError(
                .duplicate, "job \(id) is unique, and job \(other.id), which equals it, is pending")
        }
    }
}
