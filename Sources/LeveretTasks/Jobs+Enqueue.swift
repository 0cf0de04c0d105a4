// Enqueueing: a job becomes a message of its queue; many become one transaction.

import Leveret

extension Jobs {
    /// Enqueues a job; returns once it is on disk.
    ///
    /// ```swift
    /// try await jobs.enqueue(SendReceipt(order: 7))
    /// try await jobs.enqueue(SendReceipt(order: 8), .init(start: .after(.seconds(60))))
    /// ```
    ///
    /// - Parameters:
    ///   - job: what is to be done.
    ///   - options: what is said here beats what the job's own `options` say.
    /// - Throws: `JobError` for options that can't be; what encoding the job throws; a `BrokerError` when the broker
    ///   refuses, as with 506 while the disk is full; `PublishCancelled` when the task is cancelled, or
    ///   `CancellationError` while it looks for the equal job that keeps this one out.
    @discardableResult
    public func enqueue<J: Job>(
        _ job: J, _ options: EnqueueOptions = EnqueueOptions()
    ) async throws -> EnqueuedJob {
        let draft = try draft(job, options)
        let count = try await redeclaring {
            try await prepare(draft)
            return try await broker.publish(draft.message)
        }
        return try await outcome(of: draft, queues: count)
    }

    /// Enqueues jobs of one kind: all of them or, when one is refused, none, in one commit and in this order.
    ///
    /// - Returns: what became of each.
    @discardableResult
    public func enqueue<J: Job>(
        all jobs: some Sequence<J>, _ options: EnqueueOptions = EnqueueOptions()
    ) async throws -> [EnqueuedJob] {
        try await enqueue(jobs.map { try draft($0, options) })
    }

    /// Enqueues the jobs of a batch: all of them or, when one is refused, none, in one commit and in this order.
    ///
    /// - Returns: what became of each.
    @discardableResult
    public func enqueue(_ batch: JobBatch) async throws -> [EnqueuedJob] {
        try await enqueue(batch.parts.map { try $0(self) })
    }

    private func enqueue(_ drafts: [JobDraft]) async throws -> [EnqueuedJob] {
        var drafts = drafts
        let counts = try await redeclaring {
            for index in drafts.indices where index == 0 || !drafts[index].goes(where: drafts[index - 1]) {
                try await prepare(drafts[index])
            }
            // The broker counts a delay from when it gets the message; many take a while to make.
            let now = broker.now
            for index in drafts.indices { drafts[index].setDelay(from: now) }
            return try await broker.publish(batch: drafts.map { $0.message })
        }
        return try await outcomes(of: drafts, queues: counts)
    }

    /// What became of drafts, in their order. What the doubles have met is looked for at once, save where they change
    /// it.
    private func outcomes(of drafts: [JobDraft], queues counts: [Int]) async throws -> [EnqueuedJob] {
        try await withThrowingTaskGroup(of: (Int, EnqueuedJob).self) { group in
            var outcomes = drafts.map { EnqueuedJob(id: $0.id, outcome: .enqueued) }
            for index in drafts.indices {
                guard let key = drafts[index].unique else { continue }
                let (draft, queues) = (drafts[index], counts[index])
                if key.uniqueness.onConflict == .skip, queues == 0 {
                    group.addTask { (index, try await self.outcome(of: draft, queues: queues)) }
                } else {
                    outcomes[index] = try await outcome(of: draft, queues: queues)
                }
            }
            for try await (index, outcome) in group { outcomes[index] = outcome }
            return outcomes
        }
    }

    /// Makes sure that what the draft is published to is there.
    func prepare(_ draft: JobDraft) async throws {
        try await declare(draft.queue)
        if let window = draft.unique?.window { try await declareWindow(window, of: draft.queue) }
    }

    /// What became of a draft that so many queues took.
    func outcome(of draft: JobDraft, queues: Int) async throws -> EnqueuedJob {
        let enqueued = EnqueuedJob(id: draft.id, outcome: .enqueued)
        guard let key = draft.unique else { return enqueued }
        // With a window the mark is another copy: both together say that the job was taken.
        if queues == (key.window == nil ? 1 : 2) { return enqueued }
        if queues == 1, let window = key.window {
            // Either its queue has an equal job, or an older mark is still there.
            let mark = try await known.message(knownAs: key.digest, in: draft.queue.recent(window))
            if let mark, mark.id != draft.id { return enqueued }
            let pending = try await known.message(knownAs: key.digest, in: draft.queue.waiting)
            if pending?.id == draft.id { return enqueued }
        }
        // Each time round, an equal job was there, and has ended before it was looked for.
        while true {
            if let outcome = try await resolve(draft, key) { return outcome }
            if try await takesPlace(draft, key) { return enqueued }
        }
    }

    /// Publishes a draft to its queue past what drops doubles within a window: nobody knows of an equal job. False
    /// where there is one after all.
    private func takesPlace(_ draft: JobDraft, _ key: UniqueKey) async throws -> Bool {
        let places = [draft.queue.waiting, key.window.map(draft.queue.recent)].compactMap { $0 }
        let copies = places.map { draft.message.sent(to: $0) }
        return try await redeclaring {
            try await prepare(draft)
            return try await broker.publish(batch: copies).first == 1
        }
    }

    /// A job as the message that it will be.
    func draft<J: Job>(_ job: J, _ options: EnqueueOptions) throws -> JobDraft {
        let options = options.over(J.options)
        let now = broker.now
        var properties = MessageProperties()
        var headers = FieldTable()
        properties.type = J.name
        properties.priority = (options.priority ?? .normal).rawValue
        if J.version != 1 { headers[JobHeader.version] = .int(Int64(J.version)) }
        headers[JobHeader.enqueued] = .int(now.milliseconds)
        if let attempts = options.maxAttempts, attempts != EnqueueOptions.maxAttemptsDefault {
            guard (1...Int(Self.attemptsMax)).contains(attempts) else {
                throw JobError(.invalid, "maxAttempts is \(attempts); 1 to \(Self.attemptsMax) are allowed")
            }
            headers[JobHeader.maxAttempts] = .int(Int64(attempts))
        }
        if let key = options.limitKey { headers[JobHeader.limitKey] = .string(key) }
        let start = startMilliseconds(options.start ?? .now, now: now)
        if start > now.milliseconds {
            headers[JobHeader.start] = .int(start)
            // What is further off than the broker's longest delay waits in several parts.
            headers[HeaderName.delay] = Self.delay(until: start, from: now)
        }
        let body = try codec.encode(job)
        let queue = options.queue ?? .default
        let unique = options.unique.map { UniqueKey($0, name: J.name, arguments: body) }
        var id = identity.jobID(at: now)
        if let unique {
            // By this end of its id a unique job is found in its queue.
            id.rawValue += "-" + unique.digest
            headers[JobHeader.id] = .string(id.rawValue)
            headers[HeaderName.deduplication] = .string(unique.digest)
        }
        var outgoing = JobToEnqueue(id: id, name: J.name, queue: queue, headers: headers)
        for middleware in configuration.middleware { try middleware.enqueue(&outgoing) }
        properties.messageID = id.rawValue
        properties.headers = outgoing.headers
        var message =
            if let window = unique?.window {
                OutgoingMessage(
                    body, to: queue.unique(window), routingKey: queue.waiting.rawValue, properties: properties
                )
            } else {
                OutgoingMessage(body, to: queue.waiting, properties: properties)
            }
        // Middleware may have made it known by something else.
        message.hasNewID = outgoing.headers[HeaderName.deduplication] == nil
        metrics?.enqueued(J.name, queue)
        return JobDraft(
            id: id, queue: queue, message: message,
            start: start > now.milliseconds ? Instant(milliseconds: start) : nil,
            unique: unique)
    }

    /// The broker's longest delay, in milliseconds.
    static let delayMax: Int64 = 4_294_967_295

    /// What a message is delayed by that is due at `milliseconds` since 1970.
    static func delay(until milliseconds: Int64, from now: Instant) -> FieldValue {
        .int(min(max(milliseconds - now.milliseconds, 0), delayMax))
    }

    private func startMilliseconds(_ start: EnqueueOptions.Start, now: Instant) -> Int64 {
        switch start {
        case .now: now.milliseconds
        case .after(let delay):
            now.advanced(byMilliseconds: Int64(clamping: Double(milliseconds: delay).rounded(.up)))
                .milliseconds
        case .at(let instant): instant.milliseconds
        }
    }
}

/// Jobs of any kinds, to be enqueued together.
///
/// ```swift
/// var batch = JobBatch()
/// batch.add(SendReceipt(order: 7))
/// batch.add(UpdateStock(order: 7), .init(priority: .high))
/// try await jobs.enqueue(batch)
/// ```
public struct JobBatch: Sendable {
    fileprivate private(set) var parts: [@Sendable (Jobs) throws -> JobDraft] = []

    /// No jobs.
    public init() {}

    /// How many jobs it has.
    public var count: Int { parts.count }

    /// Adds a job.
    public mutating func add<J: Job>(_ job: J, _ options: EnqueueOptions = EnqueueOptions()) {
        parts.append { try $0.draft(job, options) }
    }
}

/// A job on its way into its queue.
struct JobDraft: Sendable {
    var id: JobID
    var queue: JobQueue
    var message: OutgoingMessage
    /// When it is to run, if that is not at once.
    var start: Instant?
    /// What it is known by, if it is unique.
    var unique: UniqueKey?

    /// It goes to the same queue as `other`, by the same way.
    func goes(where other: JobDraft) -> Bool {
        queue == other.queue && unique?.window == other.unique?.window
    }

    /// Where it is to run later, it waits from `now` on.
    mutating func setDelay(from now: Instant) {
        guard let start else { return }
        setHeaders { $0[HeaderName.delay] = Jobs.delay(until: start.milliseconds, from: now) }
    }
}

extension OutgoingMessage {
    /// The same message for one queue.
    func sent(to queue: QueueName) -> OutgoingMessage {
        OutgoingMessage(body, to: queue, properties: properties)
    }
}
