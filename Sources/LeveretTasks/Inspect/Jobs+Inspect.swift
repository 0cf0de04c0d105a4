// Looking at jobs from Swift, one by one or by state, and acting on one: cancel, retry, run now. JobDesk does it.

import Leveret

extension Jobs {
    var desk: JobDesk { JobDesk(broker) }

    /// The queues of jobs that the broker has.
    public func queues() async throws -> [JobQueue] { try await desk.queues() }

    /// Jobs of a queue in one state, in the order in which they come or came.
    ///
    /// - Parameters:
    ///   - state: where they stand.
    ///   - queue: their queue.
    ///   - name: only those of one kind.
    ///   - count: how many at most, 1 to 1,000; those past 1 MiB of jobs are left out.
    public func list(
        _ state: JobState, in queue: JobQueue = .default, name: String? = nil, count: Int = 100
    ) async throws -> [JobInfo] {
        try await desk.list(state, in: queue, name: name, count: count)
    }

    /// The last jobs of a queue that ended one way, the newest first.
    ///
    /// - Parameters:
    ///   - state: completed, cancelled or discarded.
    ///   - queue: their queue.
    ///   - name: only those of one kind.
    ///   - count: how many at most.
    /// - Throws: a `JobError` (invalid) for another state.
    public func latest(
        _ state: JobState, in queue: JobQueue = .default, name: String? = nil, count: Int = 100
    ) async throws -> [JobInfo] {
        try await desk.latest(state, in: queue, name: name, count: count)
    }

    /// The job of this id, wherever it stands; `nil` when it is not there, or no longer.
    public func find(_ id: JobID) async throws -> JobInfo? { try await desk.find(id) }

    /// Cancels a job that waits or runs. What waits is recorded as cancelled at once; the task of one that runs is
    /// cancelled, and it counts as cancelled when it then throws. One that waits for other jobs, or that others wait
    /// for, does not run any more, and is recorded as cancelled by a worker.
    ///
    /// - Throws: a `JobError` (notFound) when it neither waits nor runs.
    public func cancel(_ id: JobID) async throws {
        if let job = running[id] { return job.stop(.cancelled) }
        _ = try await desk.cancel(id)
    }

    /// Runs a job that waits for its time, or to be tried again, as soon as a worker is free.
    ///
    /// - Throws: a `JobError` (notFound) when it does not wait.
    public func runNow(_ id: JobID) async throws { try await desk.runNow(id) }

    /// Puts a job that was discarded back into its queue, to be tried as often as at first; its errors stay with it.
    /// Jobs that waited for it have heard of its end, and hear of no other.
    ///
    /// - Throws: a `JobError`: notFound when it is not among the discarded ones or somebody holds it there, duplicate
    ///   when it is unique and an equal one is pending.
    public func retry(_ id: JobID) async throws { try await desk.retry(id) }

    /// Puts the discarded jobs of a queue back into it, the first ones first, each as `retry` does. One that is unique
    /// stays discarded while an equal one is pending.
    ///
    /// - Parameters:
    ///   - queue: their queue.
    ///   - name: only those of one kind.
    ///   - count: how many at most.
    /// - Returns: how many are back.
    @discardableResult
    public func retryAll(
        in queue: JobQueue = .default, name: String? = nil, count: Int = .max
    ) async throws -> Int {
        try await desk.retryAll(in: queue, name: name, count: count)
    }

    /// Cancels the jobs of a queue in one state, the first ones first, each as `cancel` does.
    ///
    /// - Parameters:
    ///   - state: where they stand; those that have ended can't be cancelled.
    ///   - queue: their queue.
    ///   - name: only those of one kind.
    ///   - count: how many at most.
    /// - Returns: how many are cancelled, or will be by a worker.
    @discardableResult
    public func cancelAll(
        _ state: JobState, in queue: JobQueue = .default, name: String? = nil, count: Int = .max
    ) async throws -> Int {
        try await desk.cancelAll(state, in: queue, name: name, count: count)
    }
}
