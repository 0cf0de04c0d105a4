// What a job is: a plain value with a name that stays, and what its kind asks for unasked. JobRegistry holds what
// runs it; Jobs puts it into a queue.

public import Leveret

/// A piece of work that is written down now and done later: a value that says what to do, not how.
///
/// ```swift
/// struct SendReceipt: Job {
///     static let name = "send-receipt"
///     var order: Int
/// }
/// ```
///
/// The name, not the type's, is what stands in the queue, so that a type can be renamed. What runs a job is
/// registered apart from it, in a `JobWorker`.
public protocol Job: Codable, Sendable {
    /// What a handler of this job returns; kept with the completed job where it is `Encodable`.
    associatedtype Output: Sendable = Void

    /// What this kind of job is called in the queue, for ever; 1 to 255 bytes of UTF-8.
    static var name: String { get }
    /// Names that jobs of this kind were once enqueued under: they are run as this one.
    static var aliases: [String] { get }

    /// The version of the payload: count up when a field is added that has no default, renamed or changed.
    static var version: Int { get }
    /// Values of fields that payloads of before don't have, by name.
    static var defaults: JobPayload { get }
    /// Turns a payload of an older version into one of this; what it throws ends the job as discarded.
    static func upgrade(_ payload: inout JobPayload, from version: Int) throws

    /// What is enqueued with every job of this kind unless `enqueue` says otherwise.
    static var options: EnqueueOptions { get }
    /// When an attempt that failed is tried again.
    static var retry: RetryPolicy { get }
    /// How long one attempt may take: then its task is cancelled, and the attempt has failed. `nil` is for ever.
    static var timeout: Duration? { get }
}

extension Job {
    /// None.
    public static var aliases: [String] { [] }
    /// The first.
    public static var version: Int { 1 }
    /// None.
    public static var defaults: JobPayload { [:] }
    /// Leaves the payload as it is.
    public static func upgrade(_ payload: inout JobPayload, from version: Int) {}
    /// The queue `default`, at normal priority, at once, tried up to 25 times.
    public static var options: EnqueueOptions { EnqueueOptions() }
    /// Exponential: 1 s, 2 s, 4 s and so on up to a day, each with jitter.
    public static var retry: RetryPolicy { .exponential() }
    /// None.
    public static var timeout: Duration? { nil }
}

/// Which job it is: made when it is enqueued, and its own for good, over attempts and restarts.
///
/// Ids sort by when they were made. They are opaque text without spaces, at most 64 bytes.
public struct JobID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible,
    ExpressibleByStringLiteral
{
    /// The id as it stands in the message's property `message_id`.
    public var rawValue: String

    /// The id `rawValue`.
    public init(_ rawValue: String) { self.rawValue = rawValue }

    /// An id written as a literal.
    public init(stringLiteral value: String) { rawValue = value }

    /// The id as text in JSON.
    public init(from decoder: any Decoder) throws {
        rawValue = try decoder.singleValueContainer().decode(String.self)
    }

    /// The id as text in JSON.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    /// The id as text.
    public var description: String { rawValue }

    /// Orders ids by when they were made.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// A queue of jobs, by the name that its users give it: letters, digits, `-` and `_`, at most 64 of them.
public struct JobQueue: Hashable, Comparable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The name, without what the broker's queues carry before and behind it.
    public var rawValue: String

    /// The queue called `rawValue`.
    public init(_ rawValue: String) { self.rawValue = rawValue }

    /// A queue's name written as a literal.
    public init(stringLiteral value: String) { rawValue = value }

    /// Where jobs go that name no queue.
    public static let `default`: JobQueue = "default"

    /// The name.
    public var description: String { rawValue }

    /// Orders queues by name.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// What comes first of the jobs that are due in a queue: 0 to 9, the higher the sooner; equal ones in their order.
public struct JobPriority: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
    /// 0 to 9.
    public let rawValue: UInt8

    /// The priority `rawValue`; beyond 9 counts as 9, below 0 as 0.
    public init(_ rawValue: Int) { self.rawValue = UInt8(min(max(rawValue, 0), 9)) }

    /// A priority written as a number.
    public init(integerLiteral value: Int) { self.init(value) }

    /// 1: what can wait for all else.
    public static let low: JobPriority = 1
    /// 4: what jobs have that say nothing.
    public static let normal: JobPriority = 4
    /// 7: what should not wait for the rest.
    public static let high: JobPriority = 7

    /// Orders by urgency.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
