// How a job is enqueued: what a kind of job says for all of its jobs, and what one call says beyond that.

public import Leveret

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// How a job is enqueued. What is `nil` is as the job's `static var options` say, and else as said here.
///
/// ```swift
/// try await jobs.enqueue(SendReceipt(order: 7), .init(start: .after(.seconds(60)), priority: .high))
/// ```
public struct EnqueueOptions: Sendable {
    /// When a job is to run.
    public enum Start: Hashable, Sendable {
        /// As soon as a worker is free.
        case now
        /// So much later; rounded up to whole milliseconds.
        case after(Duration)
        /// At this moment, or at once when it has passed.
        case at(Instant)

        /// At this moment of the wall clock, or at once when it has passed.
        public static func at(date: Date) -> Start {
            .at(Instant(milliseconds: Int64(clamping: (date.timeIntervalSince1970 * 1_000).rounded(.up))))
        }
    }

    /// Where it waits; unasked `default`.
    public var queue: JobQueue?
    /// When it is to run; unasked at once.
    public var start: Start?
    /// What comes first; unasked `normal`.
    public var priority: JobPriority?
    /// How often it is tried, from 1; unasked 25.
    public var maxAttempts: Int?
    /// What makes it the same as another job, and what then; unasked nothing.
    public var unique: Uniqueness?
    /// Jobs of one key are limited together, where the worker limits keys; see `JobWorker.QueueOptions`.
    public var limitKey: String?

    /// Options of these; `nil` is unasked.
    public init(
        queue: JobQueue? = nil, start: Start? = nil, priority: JobPriority? = nil, maxAttempts: Int? = nil,
        unique: Uniqueness? = nil, limitKey: String? = nil
    ) {
        self.queue = queue
        self.start = start
        self.priority = priority
        self.maxAttempts = maxAttempts
        self.unique = unique
        self.limitKey = limitKey
    }

    /// How often a job is tried that says nothing else.
    public static let maxAttemptsDefault = 25

    /// These, and where they say nothing what `others` say.
    func over(_ others: EnqueueOptions) -> EnqueueOptions {
        EnqueueOptions(
            queue: queue ?? others.queue, start: start ?? others.start, priority: priority ?? others.priority,
            maxAttempts: maxAttempts ?? others.maxAttempts, unique: unique ?? others.unique,
            limitKey: limitKey ?? others.limitKey)
    }
}

/// When two jobs are the same, and what becomes of the second.
public struct Uniqueness: Hashable, Sendable {
    /// What jobs of one kind and queue are compared by.
    public enum Key: Hashable, Sendable {
        /// All of their encoded arguments.
        case arguments
        /// A text of the application's.
        case text(String)
    }

    /// For how long the first of them counts.
    public enum Scope: Hashable, Sendable {
        /// While it waits, runs, or waits to be tried again.
        case whilePending
        /// For so long since it was enqueued, done or not.
        case within(Duration)
    }

    /// What becomes of the second.
    public enum Conflict: Hashable, Sendable {
        /// It is not enqueued.
        case skip
        /// Its arguments replace those of the first, while that waits.
        case replace
        /// The first is run when the second was to be, while it waits.
        case reschedule
    }

    /// What they are compared by.
    public var key: Key
    /// For how long the first counts.
    public var scope: Scope
    /// What becomes of the second.
    public var onConflict: Conflict

    /// Uniqueness by `key`.
    public init(by key: Key = .arguments, _ scope: Scope = .whilePending, onConflict: Conflict = .skip) {
        self.key = key
        self.scope = scope
        self.onConflict = onConflict
    }

    /// By all arguments, while the first is pending; the second is not enqueued.
    public static let whilePending = Uniqueness()

    /// By `key`, while the first is pending.
    public static func key(_ key: String, onConflict: Conflict = .skip) -> Uniqueness {
        Uniqueness(by: .text(key), onConflict: onConflict)
    }
}

/// What became of an enqueue.
public struct EnqueuedJob: Hashable, Sendable {
    /// What was done.
    public enum Outcome: Hashable, Sendable {
        /// It is in its queue.
        case enqueued
        /// An equal job was there; nothing was changed.
        case existing
        /// An equal job was there and has these arguments now.
        case replaced
        /// An equal job was there and has another time now.
        case rescheduled
    }

    /// The job's id, or that of the job that was there.
    public let id: JobID
    /// What was done.
    public let outcome: Outcome

    /// What became of the enqueue of a job with this id.
    public init(id: JobID, outcome: Outcome) {
        self.id = id
        self.outcome = outcome
    }
}

extension Int64 {
    /// The nearest number that there is; 0 for what is none.
    init(clamping value: Double) {
        self = Int64(exactly: value) ?? (value > 0 ? .max : value < 0 ? .min : 0)
    }
}
