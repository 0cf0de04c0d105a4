// Looking at jobs from Swift, one by one or by state, and acting on one: cancel, retry, run now.

import Leveret

extension Jobs {
    /// The queues of jobs that the broker has.
    public func queues() async throws -> [JobQueue] {
        let names = try await broker.queues(matching: "jobs.*").map(\.definition.name.rawValue)
        return Set(
            names.compactMap { name -> JobQueue? in
                let words = name.split(separator: ".", omittingEmptySubsequences: false)
                return words.count == 2 ? JobQueue(String(words[1])) : nil
            }
        ).sorted()
    }

    /// Jobs of a queue in one state, in the order in which they come or came.
    ///
    /// - Parameters:
    ///   - state: where they stand.
    ///   - queue: their queue.
    ///   - name: only those of one kind.
    ///   - count: how many at most, 1 to 1,000.
    public func list(
        _ state: JobState, in queue: JobQueue = .default, name: String? = nil, count: Int = 100
    ) async throws -> [JobInfo] {
        var conditions: [String] = []
        if let name { conditions.append("properties ->> 'type' = \(quoted(name))") }
        let (place, at): (QueueName, Peek.State?)
        switch state {
        case .available: (place, at) = (queue.waiting, .ready)
        case .running: (place, at) = (queue.waiting, .unacked)
        case .scheduled:
            (place, at) = (queue.waiting, .delayed)
            conditions.append("failed = 0")
        case .retryable:
            (place, at) = (queue.waiting, .delayed)
            conditions.append("failed > 0")
        case .unclaimed: (place, at) = (queue.unclaimed, .ready)
        case .discarded: (place, at) = (queue.discarded, nil)
        case .dependent:
            (place, at) = (.dependentJobs, nil)
            conditions.append("headers ->> '\(JobHeader.queue)' = \(quoted(queue.rawValue))")
        case .completed, .cancelled:
            (place, at) = (queue.completed, .ready)
            conditions.append("headers ->> '\(JobHeader.state)' = \(quoted(state.rawValue))")
        }
        do {
            return try await broker.peek(
                place, where: conditions.isEmpty ? nil : conditions.joined(separator: " AND "), state: at,
                count: count
            ).map { JobInfo($0, in: queue, state) }
        } catch let error as BrokerError where error.code == .notFound {
            return []
        }
    }

    /// The job of this id, wherever it stands; `nil` when it is not there, or no longer.
    public func find(_ id: JobID) async throws -> JobInfo? {
        for queue in try await queues() {
            if let message = try await waiting(id, in: queue.waiting) {
                return JobInfo(message, in: queue, state(of: message))
            }
        }
        if let message = try await waiting(id, in: .dependentJobs) {
            let name = message.message.properties?.headers[JobHeader.queue]?.text
            return JobInfo(message, in: JobQueue(name ?? JobQueue.default.rawValue), .dependent)
        }
        for queue in try await queues() {
            for (place, state) in [
                (queue.completed, JobState.completed), (queue.discarded, .discarded),
                (queue.unclaimed, .unclaimed),
            ] {
                // The last record counts: a job that was replayed may have left one before.
                guard
                    let message = try await broker.peek(
                        place, where: condition(for: id), state: nil, count: 100
                    ).last
                else {
                    continue
                }
                let recorded = message.message.properties?.headers[JobHeader.state]?.text
                return JobInfo(message, in: queue, recorded.flatMap(JobState.init(rawValue:)) ?? state)
            }
        }
        for queue in try await queues() {
            guard let message = try await scan(for: id, in: queue.waiting) else { continue }
            return JobInfo(message, in: queue, state(of: message))
        }
        return nil
    }

    /// Looks at every message: what a replay or a move of the broker's has brought is not known by its id. O(n).
    private func scan(for id: JobID, in queue: QueueName) async throws -> PeekedMessage? {
        try await broker.peek(queue, where: condition(for: id), state: nil, count: 1).first
    }

    private func state(of message: PeekedMessage) -> JobState {
        switch message.state {
        case .ready: .available
        case .unacked: .running
        case .delayed: message.failed > 0 ? .retryable : .scheduled
        }
    }

    private func waiting(
        _ id: JobID, in queue: QueueName, orScan: Bool = false
    ) async throws -> PeekedMessage? {
        guard let found = try await locate(id, in: queue) else {
            return orScan ? try await scan(for: id, in: queue) : nil
        }
        for state in [Peek.State.unacked, .ready, .delayed] {
            let rows = try await broker.peek(
                queue, where: "position = \(found.number.rawValue)", state: state, count: 1)
            if let row = rows.first { return row }
        }
        return nil
    }

    /// The message of a job in a queue that knows its ids.
    func locate(_ id: JobID, in queue: QueueName) async throws -> FoundJob? {
        // A unique job is known by the end of its id; that may be another's by now.
        if let dash = id.rawValue.lastIndex(of: "-") {
            let digest = String(id.rawValue[id.rawValue.index(after: dash)...])
            if let found = try await find(digest, in: queue), found.id == id { return found }
        }
        return try await find(id.rawValue, in: queue)
    }

    // MARK: - Acting on one

    /// Cancels a job that waits or runs. What waits is recorded as cancelled at once; the task of one that runs is
    /// cancelled, and it counts as cancelled when it then throws.
    ///
    /// - Throws: a `JobError` (notFound) when it neither waits nor runs in this process.
    public func cancel(_ id: JobID) async throws {
        if let job = running[id] { return job.stop(.cancelled) }
        for queue in try await queues() {
            guard let message = try await waiting(id, in: queue.waiting, orScan: true) else { continue }
            let envelope = JobEnvelope(
                message.message, number: message.number, failed: message.failed, entered: message.entered)
            // First, so that who waits for it hears of its end even if this process ends now.
            let reports = envelope.dependents.map {
                DependencyReport(of: id, to: $0, state: .cancelled, output: nil).message
            }
            if !reports.isEmpty { try await broker.publish(batch: reports) }
            do {
                try await broker.cancelMessage(at: message.number, in: queue.waiting)
            } catch let error as BrokerError
                where error.code == .preconditionFailed || error.code == .notFound
            {
                // A worker was faster.
                guard let job = running[id] else { break }
                return job.stop(.cancelled)
            }
            if let record = record(of: message, envelope, in: queue) { try await broker.publish(record) }
            return
        }
        throw JobError(.notFound, "job \(id) neither waits nor runs here; it may have ended")
    }

    private func record(
        of message: PeekedMessage, _ envelope: JobEnvelope, in queue: JobQueue
    ) -> OutgoingMessage? {
        FinishedJob.record(
            of: message.message, attempt: envelope.attempt - 1, as: .cancelled,
            reason: "cancelled while it waited",
            in: queue, of: self)
    }

    /// Runs a job that waits for its time, or to be tried again, as soon as a worker is free.
    ///
    /// - Throws: a `JobError` (notFound) when it does not wait.
    public func runNow(_ id: JobID) async throws {
        for queue in try await queues() {
            guard let message = try await waiting(id, in: queue.waiting, orScan: true) else { continue }
            var edit = MessageEdit(queue.waiting, message.number, delayMilliseconds: 0)
            edit.headers = [JobHeader.start: .int(broker.now.milliseconds)]
            return try await broker.edit(edit)
        }
        throw JobError(.notFound, "job \(id) does not wait; it may have ended")
    }

    /// Puts a job that was discarded back into its queue, to be tried as often as at first; its errors stay with it.
    ///
    /// - Throws: a `JobError` (notFound) when it is not among the discarded ones.
    public func retry(_ id: JobID) async throws {
        for queue in try await queues() {
            let rows = try await broker.peek(queue.discarded, where: condition(for: id), state: nil, count: 1)
            guard let row = rows.first else { continue }
            var properties = row.message.properties ?? MessageProperties()
            properties.headers[HeaderName.delay] = nil
            // A crash between the two leaves it in both, and to do so again changes nothing: its queue knows the id.
            try await broker.publish(
                OutgoingMessage(row.message.body, to: queue.waiting, properties: properties))
            return try await broker.cancelMessage(at: row.number, in: queue.discarded)
        }
        throw JobError(.notFound, "job \(id) is not among the discarded ones")
    }

    /// Finds a job by its id where nothing is known by it.
    private func condition(for id: JobID) -> String { "properties ->> 'message_id' = \(quoted(id.rawValue))" }
}
