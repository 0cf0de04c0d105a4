// Traces (swift-distributed-tracing): the context of whoever enqueues goes along in the message's headers, and each
// attempt is a span in it.

import Instrumentation
import Leveret
import ServiceContextModule
public import Tracing

/// Carries the tracing context from the enqueue to the attempts. Part of the middleware unasked; without a tracer that
/// is bootstrapped it does nothing.
public struct JobTracing: JobMiddleware {
    private let tracer: (any Tracer)?

    /// The middleware; with `nil` it uses what `InstrumentationSystem.bootstrap` has set.
    public init(_ tracer: (any Tracer)? = nil) { self.tracer = tracer }

    private var instrument: any Instrument { tracer ?? InstrumentationSystem.instrument }

    /// Nobody listens.
    private var isIdle: Bool { tracer == nil && InstrumentationSystem.instrument is NoOpInstrument }

    /// Writes the context of the task that enqueues into the headers, as the tracer's instrument does.
    public func enqueue(_ job: inout JobToEnqueue) {
        guard let context = ServiceContext.current else { return }
        instrument.inject(context, into: &job.headers, using: Headers())
    }

    /// Makes a span `job NAME` around the attempt.
    public func run(_ context: JobContext, _ next: () async throws -> Void) async throws {
        guard !isIdle else { return try await next() }
        var parent = ServiceContext.current ?? .topLevel
        let headers = context.message.properties?.headers ?? FieldTable()
        instrument.extract(headers, into: &parent, using: Headers())
        let tracer = tracer ?? InstrumentationSystem.tracer
        try await tracer.withAnySpan("job \(context.name)", context: parent, ofKind: .consumer) { span in
            span.attributes["messaging.system"] = "leveret"
            span.attributes["messaging.destination.name"] = context.queue.rawValue
            span.attributes["messaging.message.id"] = context.id.rawValue
            span.attributes["job.attempt"] = context.attempt
            try await next()
        }
    }

    private struct Headers: Injector, Extractor {
        func inject(_ value: String, forKey key: String, into carrier: inout FieldTable) {
            carrier[key] = .string(value)
        }

        func extract(key: String, from carrier: FieldTable) -> String? { carrier[key]?.text }
    }
}
