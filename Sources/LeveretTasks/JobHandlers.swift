// What runs jobs: one handler for each kind, found by the name that stands in the queue.

import Leveret

/// The handlers of a worker. Handlers capture what they need; they are handed the job and its context.
public struct JobHandlers: Sendable {
    /// A handler, without the type of its job.
    struct Handler: Sendable {
        let name: String
        let retry: RetryPolicy
        let timeout: Duration?
        /// Decodes the job and runs it; returns its output as JSON if it has one.
        let run:
            @Sendable (_ body: [UInt8], _ version: Int, JobContext, PayloadCodec) async throws -> [UInt8]?
    }

    private(set) var byName: [String: Handler] = [:]
    /// What is wrong with what was added.
    private(set) var problem: JobError?

    /// What `register` adds.
    init(_ register: (inout JobHandlers) throws -> Void) throws {
        try register(&self)
        if let problem { throw problem }
    }

    /// Adds what runs jobs of one kind. A second one for a name is an error of the worker's `init`.
    ///
    /// - Parameters:
    ///   - type: the kind of job.
    ///   - run: does the work. What it returns is the job's output; what it throws is a failure, tried again by the
    ///     job's `retry`, save a `JobExit`. It should heed the cancellation of its task.
    public mutating func add<J: Job>(
        _ type: J.Type, _ run: @escaping @Sendable (J, JobContext) async throws -> J.Output
    ) {
        let hasOutput = J.Output.self != Void.self
        let handler = Handler(name: J.name, retry: J.retry, timeout: J.timeout) {
            body, version, context, codec in
            let job = try codec.decode(J.self, from: body, version: version)
            let output = try await run(job, context)
            guard hasOutput, let value = output as? any Encodable else { return nil }
            return try codec.encode(value)
        }
        for name in [J.name] + J.aliases {
            if !(1...255).contains(name.utf8.count) {
                problem = problem ?? JobError(.invalid, "'\(name)' is no name for a job; 1 to 255 bytes are")
            }
            if byName.updateValue(handler, forKey: name) != nil {
                problem =
                    problem
                    ?? JobError(
                        .duplicate, "two handlers are registered for jobs called '\(name)'; register one")
            }
        }
    }

    /// Adds what runs jobs of one kind and needs no context.
    public mutating func add<J: Job>(
        _ type: J.Type, _ run: @escaping @Sendable (J) async throws -> J.Output
    ) {
        add(type) { job, _ in try await run(job) }
    }
}
