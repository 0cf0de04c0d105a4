// A job that runs: what stops it from outside, and who may.

import Leveret
import Synchronization

/// Why a job is to stop before it has returned.
enum StopReason: Sendable {
    /// Its attempt has taken too long.
    case timeout(Duration)
    /// Somebody cancelled the job.
    case cancelled
    /// The worker ends.
    case shutdown
}

/// One attempt at a job, from its delivery to the moment its handler returns.
final class RunningJob: Sendable {
    enum Event: Sendable {
        case returned(Result<[UInt8]?, any Error>)
        case stop
    }

    let envelope: JobEnvelope
    let queue: JobQueue
    let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    /// Guards why it is to stop: the first reason counts.
    private let stopReason = Mutex<StopReason?>(nil)

    init(_ envelope: JobEnvelope, in queue: JobQueue) {
        self.envelope = envelope
        self.queue = queue
        (events, continuation) = AsyncStream.makeStream(of: Event.self)
    }

    var reason: StopReason? { stopReason.withLock { $0 } }

    /// Cancels the handler's task.
    func stop(_ reason: StopReason) {
        let isFirst = stopReason.withLock { stored in
            defer { stored = stored ?? reason }
            return stored == nil
        }
        if isFirst { continuation.yield(.stop) }
    }

    func returned(_ result: Result<[UInt8]?, any Error>) {
        continuation.yield(.returned(result))
        continuation.finish()
    }
}

/// The jobs that run in this process, by id.
final class RunningJobs: Sendable {
    /// Guards who runs.
    private let jobs = Mutex<[JobID: RunningJob]>([:])

    func started(_ job: RunningJob) { jobs.withLock { $0[job.envelope.id] = job } }

    func ended(_ job: RunningJob) {
        jobs.withLock { if $0[job.envelope.id] === job { $0[job.envelope.id] = nil } }
    }

    subscript(id: JobID) -> RunningJob? { jobs.withLock { $0[id] } }

    var all: [RunningJob] { jobs.withLock { Array($0.values) } }
}
