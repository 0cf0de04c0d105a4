// A job that is ready to be enqueued, but is not yet: for whoever keeps it somewhere else first, as an outbox does.

public import Leveret

/// A job with its id, as the message that it will be.
public struct PreparedJob: Sendable {
    /// The job's id.
    public let id: JobID
    /// Where it goes; `Jobs.declare` makes sure that it is there.
    public let queue: JobQueue
    /// What is to be published.
    public let message: OutgoingMessage
}

extension Jobs {
    /// Encodes a job and gives it an id, and enqueues nothing: its message is for a transaction of the broker's.
    ///
    /// ```swift
    /// let receipt = try jobs.prepared(SendReceipt(order: 7))
    /// try await jobs.declare(receipt.queue)
    /// try await broker.transaction { tx in
    ///     tx.publish(receipt.message)
    ///     try tx.ack(order)
    /// }
    /// ```
    ///
    /// - Throws: `JobError` for options that can't be, among them a uniqueness that needs more than a publish: one
    ///   within a window, or one that replaces or reschedules; what encoding the job throws.
    public func prepared<J: Job>(
        _ job: J, _ options: EnqueueOptions = EnqueueOptions()
    ) throws -> PreparedJob {
        if let unique = options.unique ?? J.options.unique,
            unique.scope != .whilePending || unique.onConflict != .skip
        {
            throw JobError(
                .invalid,
                "a job that is published later can be unique only while another is pending, and is skipped then"
            )
        }
        let draft = try draft(job, options)
        var message = draft.message
        // Who keeps it may publish it more than once.
        message.hasNewID = false
        return PreparedJob(id: draft.id, queue: draft.queue, message: message)
    }
}
