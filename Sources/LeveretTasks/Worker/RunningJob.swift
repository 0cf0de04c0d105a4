// A job that runs: what stops it from outside, and what it has said about itself so far.

import Leveret
import Logging
import Synchronization

/// Why a job is to stop before it has returned.
enum StopReason: Equatable, Sendable {
    /// Its attempt has taken too long.
    case timeout(Duration)
    /// Somebody cancelled the job.
    case cancelled
    /// The worker ends.
    case shutdown
}

/// One attempt at a job, from its delivery to the moment its handler returns.
final class RunningJob: Sendable {
    private struct State {
        /// The first reason counts, or that somebody cancelled the job.
        var reason: StopReason?
        var hasReturned = false
        /// Waits for its turn, and may be stopped without loss.
        var isWaiting = false
        /// The headers by which the job's message is to remember what it has said.
        var notes = FieldTable()
        var log: [String] = []
        /// The notes are on their way already.
        var isNoted = true
        /// What its success brings with it.
        var following: [JobDraft] = []
    }

    let message: ConsumedMessage
    let envelope: JobEnvelope
    let queue: JobQueue
    /// Whose task its handler runs in.
    let runner: Runner
    /// Told when it is to stop.
    private let stopped: @Sendable (RunningJob) -> Void
    /// Guards what others than its own task ask and say.
    private let state: Mutex<State>

    init(
        _ message: ConsumedMessage, _ envelope: JobEnvelope, in queue: JobQueue, _ runner: Runner,
        stopped: @escaping @Sendable (RunningJob) -> Void = { _ in }
    ) {
        self.stopped = stopped
        self.message = message
        self.envelope = envelope
        self.queue = queue
        self.runner = runner
        var state = State()
        state.log = message.properties?.headers[JobHeader.log]?.texts ?? []
        self.state = Mutex(state)
    }

    /// `logger`, which says of what it logs that it is about this job.
    func logger(_ logger: Logger) -> Logger {
        var logger = logger
        logger[metadataKey: "job_id"] = "\(envelope.id)"
        logger[metadataKey: "job"] = "\(envelope.name)"
        logger[metadataKey: "queue"] = "\(queue)"
        logger[metadataKey: "attempt"] = "\(envelope.attempt)"
        return logger
    }

    var reason: StopReason? { state.withLock { $0.reason } }
    var hasReturned: Bool { state.withLock { $0.hasReturned } }
    var isWaiting: Bool { state.withLock { $0.isWaiting } }
    var notes: FieldTable { state.withLock { $0.notes } }
    var following: [JobDraft] { state.withLock { $0.following } }

    /// Cancels the handler's task.
    func stop(_ reason: StopReason) {
        let (isFirst, isRunning) = state.withLock { state in
            let isFirst = state.reason == nil
            if isFirst || reason == .cancelled { state.reason = reason }
            return (isFirst, !state.hasReturned)
        }
        guard isFirst else { return }
        // The runner sees the reason once the handler has returned, and takes no other job.
        if isRunning { runner.stop() }
        stopped(self)
    }

    func returned() { state.withLock { $0.hasReturned = true } }

    func setWaiting(_ isWaiting: Bool) { state.withLock { $0.isWaiting = isWaiting } }

    func follow(with draft: JobDraft) { state.withLock { $0.following.append(draft) } }

    // MARK: - Notes

    /// Notes headers. Returns true where they are to be handed to the finisher: earlier ones have been taken.
    func note(_ headers: FieldTable) -> Bool {
        state.withLock { state in
            for field in headers.fields { state.notes[field.name] = field.value }
            defer { state.isNoted = false }
            return state.isNoted
        }
    }

    /// Notes a line of its log, which forgets the oldest.
    func note(line: String) -> Bool {
        let line = String(decoding: line.utf8.prefix(Self.logBytesMax), as: UTF8.self)
        let log = state.withLock { state in
            state.log.append(line)
            if state.log.count > Self.logCountMax { state.log.removeFirst() }
            return state.log
        }
        return note([JobHeader.log: .array(log.map { .string($0) })])
    }

    /// The notes, which go into the next commit now.
    func takeNotes() -> FieldTable {
        state.withLock { state in
            state.isNoted = true
            return state.notes
        }
    }

    /// How many lines a job's log keeps, and how many bytes of each.
    static let logCountMax = 100
    static let logBytesMax = 500
}

/// The jobs that run.
final class RunningJobs: Sendable {
    private struct State {
        var jobs: [MessageNumber: RunningJob] = [:]
        var isEnding = false
    }

    /// Guards who runs.
    private let state = Mutex(State())

    func started(_ job: RunningJob) { state.withLock { $0.jobs[job.message.number] = job } }

    func ended(_ job: RunningJob) {
        state.withLock { if $0.jobs[job.message.number] === job { $0.jobs[job.message.number] = nil } }
    }

    /// The one of this id; O(jobs that run).
    subscript(id: JobID) -> RunningJob? {
        state.withLock { state in state.jobs.values.first { $0.envelope.id == id } }
    }

    /// What runs, each name once.
    var names: [String] {
        state.withLock { state in Set(state.jobs.values.map(\.envelope.name)).sorted() }
    }

    /// True once no more are to start.
    var isEnding: Bool { state.withLock { $0.isEnding } }

    /// No more are to start. Returns those that run.
    func end() -> [RunningJob] {
        state.withLock { state in
            state.isEnding = true
            return Array(state.jobs.values)
        }
    }
}
