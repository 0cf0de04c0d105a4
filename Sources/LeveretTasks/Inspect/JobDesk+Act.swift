// Acts on one job: cancel, retry, run now. What waits is changed where it stands; whoever holds a job is asked.

import Leveret

extension JobDesk {
    /// What came of a cancellation.
    package enum Cancellation: Sendable {
        /// The job is recorded as cancelled.
        case done
        /// The job will not run: the worker that takes it next records it as cancelled.
        case marked
        /// The worker that holds it is asked to stop it.
        case asked
    }

    /// Cancels a job that waits, or asks the worker that holds it.
    ///
    /// - Throws: a `JobError` (notFound) when it neither waits nor runs, or nobody can be asked.
    package func cancel(_ id: JobID) async throws -> Cancellation {
        if let done = try await cancelWaiting(id) { return done }
        guard try await !store.queues(named: QueueName.dependentJobs.rawValue).isEmpty else {
            throw JobError(.notFound, "job \(id) is held, but by no worker that could be asked")
        }
        var properties = MessageProperties()
        properties.messageID = "\(id)!"
        properties.headers = [JobHeader.cancel: .string(id.rawValue)]
        _ = try await store.publish(all: [OutgoingMessage([], to: .dependentJobs, properties: properties)])
        return .asked
    }

    /// Cancels a job that waits. `nil` where a worker holds it.
    ///
    /// - Throws: a `JobError` (notFound) when it neither waits nor runs.
    func cancelWaiting(_ id: JobID) async throws -> Cancellation? {
        guard let job = try await pending(id) else {
            if let done = try await cancelUnclaimed(id) { return done }
            if try await message(of: id, in: .dependentJobs) != nil { return nil }
            throw JobError(.notFound, "job \(id) neither waits nor runs; it may have ended")
        }
        guard job.state != .running else { return nil }
        if job.hasDependents {
            // Its end and what those hear that wait for it are one transaction: that of whoever takes it next.
            var edit = MessageEdit(job.queue.waiting, job.message.number, delayMilliseconds: 0)
            edit.headers = [JobHeader.cancel: .string(id.rawValue)]
            return try await store.change(edit) ? .marked : nil
        }
        return try await remove(job, from: job.queue.waiting)
    }

    private func cancelUnclaimed(_ id: JobID) async throws -> Cancellation? {
        for queue in try await queues() {
            guard let message = try await scan(for: id, in: queue.unclaimed, count: 1).first else { continue }
            let job = JobInfo(message, in: queue, .unclaimed)
            guard job.hasDependents else { return try await remove(job, from: queue.unclaimed) }
            var marked = OutgoingMessage(unparking: message.message, to: queue.waiting)
            marked.properties?.headers[JobHeader.cancel] = .string(id.rawValue)
            guard try await store.publish(all: [marked]) == [1] else { return nil }
            _ = try await store.remove(message.number, from: queue.unclaimed)
            return .marked
        }
        return nil
    }

    private func remove(_ job: JobInfo, from place: QueueName) async throws -> Cancellation? {
        guard try await store.remove(job.message.number, from: place) else { return nil }
        let record = FinishedJob.record(
            of: job.message.message, attempt: job.attempts, as: .cancelled,
            reason: FinishedJob.cancelledWaiting, in: job.queue, at: store.now)
        _ = try await store.publish(all: [record])
        return .done
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
    /// - Throws: a `JobError`: notFound when it is not among the discarded ones or somebody holds it there, duplicate
    ///   when it is unique and an equal one is pending.
    package func retry(_ id: JobID) async throws {
        for queue in try await queues() {
            guard let row = try await scan(for: id, in: queue.discarded, count: 1).first else { continue }
            return try await retry(JobInfo(row, in: queue, .discarded))
        }
        throw JobError(.notFound, "job \(id) is not among the discarded ones")
    }

    private func retry(_ job: JobInfo) async throws {
        guard job.message.state != .unacked else {
            throw JobError(.notFound, "somebody holds job \(job.id) among the discarded ones; try again")
        }
        var properties = job.message.message.properties ?? MessageProperties()
        properties.headers[HeaderName.delay] = nil
        properties.headers[JobHeader.failedBefore] = nil
        // Those that waited for it have heard of its end.
        properties.headers[JobHeader.dependents] = nil
        let message = OutgoingMessage(job.payload, to: job.queue.waiting, properties: properties)
        // A crash between the two leaves it in both, and to do so again changes nothing: its queue knows the id.
        if try await store.publish(all: [message]) == [0] {
            let key = properties.headers[HeaderName.deduplication]?.text ?? job.id.rawValue
            try Self.check(job.id, against: try await store.message(knownAs: key, in: job.queue.waiting))
        }
        _ = try await store.remove(job.message.number, from: job.queue.discarded)
    }

    /// Puts the discarded jobs of a queue back into it, the first `count` of them; what is unique stays where an equal
    /// one is pending.
    ///
    /// - Returns: how many are back.
    package func retryAll(in queue: JobQueue, name: String?, count: Int) async throws -> Int {
        try await each(.discarded, in: queue, name: name, count: count) { listed in
            let message = listed.message
            // It was listed a while ago: somebody else may have retried it, and it may have run since.
            let found = try await self.message(
                at: message.number, place: message.place?.rawValue ?? 0, in: queue.discarded)
            guard let found else { throw JobError(.notFound, "job \(listed.id) was discarded, and has gone") }
            try await retry(JobInfo(found, in: queue, .discarded))
        }
    }

    /// Cancels jobs of a queue in one state, the first `count` of them; `learn` is told what came of each.
    ///
    /// - Returns: how many are cancelled, or will be by the worker that has them or takes them.
    package func cancelAll(
        _ state: JobState, in queue: JobQueue, name: String?, count: Int,
        learn: (Cancellation) -> Void = { _ in }
    ) async throws -> Int {
        try await each(state, in: queue, name: name, count: count) { learn(try await cancel($0.id)) }
    }

    /// Does something to the jobs of a queue in one state, to each once, whether or not it stays there. Returns to how
    /// many; those that refuse are left.
    private func each(
        _ state: JobState, in queue: JobQueue, name: String?, count: Int,
        _ act: (JobInfo) async throws -> Void
    ) async throws -> Int {
        var (done, left) = (0, count)
        var seen: Set<JobID> = []
        while left > 0 {
            let page = try await list(state, in: queue, name: name, count: Self.pageCount)
                .filter { seen.insert($0.id).inserted }.prefix(left)
            if page.isEmpty { break }
            left -= page.count
            for job in page {
                do {
                    try await act(job)
                    done += 1
                } catch is JobError {
                    // It has gone meanwhile, or an equal one is pending.
                }
            }
        }
        return done
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

extension JobInfo {
    /// True where other jobs wait for it.
    fileprivate var hasDependents: Bool {
        message.message.properties?.headers[JobHeader.dependents]?.texts.isEmpty == false
    }
}
