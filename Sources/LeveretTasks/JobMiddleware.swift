// What an application puts around every enqueue and every attempt.

public import Leveret

/// Code that runs around every job: for tracing, tenants, locales, and whatever else goes with all of them.
///
/// ```swift
/// struct Tenants: JobMiddleware {
///     func enqueue(_ job: inout JobToEnqueue) { job.headers["tenant"] = Tenant.current.map { .string($0) } }
///
///     func run(_ context: JobContext, _ next: () async throws -> Void) async throws {
///         let tenant = context.message.properties?.headers["tenant"]
///         try await Tenant.$current.withValue(tenant?.text, operation: next)
///     }
/// }
/// ```
///
/// Set it in `Jobs.Configuration.middleware`; the first is the outermost.
public protocol JobMiddleware: Sendable {
    /// Looks at a job that is about to be enqueued, and may give it headers. What it throws is thrown by `enqueue`.
    func enqueue(_ job: inout JobToEnqueue) throws

    /// Runs an attempt, by calling `next` once. What it throws is as if the handler threw it.
    func run(_ context: JobContext, _ next: () async throws -> Void) async throws
}

extension JobMiddleware {
    /// Changes nothing.
    public func enqueue(_ job: inout JobToEnqueue) throws {}

    /// Adds nothing.
    public func run(_ context: JobContext, _ next: () async throws -> Void) async throws { try await next() }
}

/// A job that is about to be enqueued.
public struct JobToEnqueue: Sendable {
    /// The id that it will have.
    public let id: JobID
    /// What kind of job it is.
    public let name: String
    /// The queue that it goes to.
    public let queue: JobQueue
    /// The headers of its message; those called `x-…` are not the application's.
    public var headers: FieldTable
}
