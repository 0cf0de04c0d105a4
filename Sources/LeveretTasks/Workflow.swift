// Jobs that wait for other jobs: what an application describes, and how it is written down. Dependents.swift watches
// over it in a worker.

import Leveret
import Synchronization

/// Jobs of which some wait for others: chains, groups with something to be done at their end, and what can be made of
/// those. It is enqueued as a whole, and goes on where it was after a crash.
///
/// ```swift
/// var flow = Workflow()
/// let parts = airlines.map { flow.add(Import(airline: $0)) }
/// let summary = flow.add(Summarize(), after: parts)
/// flow.add(Alert("import failed"), after: parts, when: .anyFailed)
/// let ids = try await jobs.enqueue(flow)
/// print(ids[summary])
/// ```
public struct Workflow: Sendable {
    /// What must have become of all the jobs that one waits for.
    public enum Condition: String, Hashable, Sendable {
        /// All have completed. If one fails for good or is cancelled, this one is cancelled once all have ended.
        case allCompleted = "all-completed"
        /// All have ended, one way or the other.
        case allEnded = "all-ended"
        /// One has failed for good, or was cancelled: at once. If all complete, this one is dropped.
        case anyFailed = "any-failed"
    }

    /// One of its jobs.
    public struct Node: Hashable, Sendable {
        let index: Int
    }

    /// The ids of a workflow's jobs.
    public struct IDs: Sendable {
        /// The ids, in the order in which the jobs were added.
        public let all: [JobID]

        /// The id of one of them.
        public subscript(node: Node) -> JobID { all[node.index] }
    }

    struct Part: Sendable {
        let draft: @Sendable (Jobs) throws -> JobDraft
        let needs: [Int]
        let condition: Condition
    }

    private(set) var parts: [Part] = []

    /// No jobs.
    public init() {}

    /// Adds a job.
    ///
    /// - Parameters:
    ///   - job: what is to be done.
    ///   - after: the jobs of this workflow that it waits for; with none it does not wait.
    ///   - condition: what must have become of them.
    ///   - options: how it is enqueued once they have. A start does not count for a job that waits, and uniqueness for
    ///     none that waits or that others wait for.
    @discardableResult
    public mutating func add<J: Job>(
        _ job: J, after: [Node] = [], when condition: Condition = .allCompleted,
        _ options: EnqueueOptions = EnqueueOptions()
    ) -> Node {
        let needs = Set(after.map(\.index)).sorted()
        var options = options
        if !needs.isEmpty { options.start = .now }
        parts.append(
            Part(draft: { [options] in try $0.draft(job, options) }, needs: needs, condition: condition))
        return Node(index: parts.count - 1)
    }

    /// Adds a job that waits for one other.
    @discardableResult
    public mutating func add<J: Job>(
        _ job: J, after: Node, when condition: Condition = .allCompleted,
        _ options: EnqueueOptions = EnqueueOptions()
    ) -> Node {
        add(job, after: [after], when: condition, options)
    }

    /// How many jobs one may wait for, and how many a workflow may have.
    static let countMax = 50_000
}

extension Jobs {
    /// Enqueues the jobs of a workflow: all of them or, when one is refused, none, in one commit.
    @discardableResult
    public func enqueue(_ workflow: Workflow) async throws -> Workflow.IDs {
        try await redeclaring {
            let drafts = try await drafts(of: workflow)
            try await broker.publish(batch: drafts.map(\.message))
            return Workflow.IDs(all: drafts.map(\.id))
        }
    }

    /// The messages of a workflow's jobs; what they go to is there.
    func drafts(of workflow: Workflow) async throws -> [JobDraft] {
        guard workflow.parts.count <= Workflow.countMax else {
            throw JobError(
                .invalid, "a workflow of \(workflow.parts.count) jobs; \(Workflow.countMax) are allowed")
        }
        var drafts = try workflow.parts.map { try $0.draft(self) }
        var dependents: [Int: [JobID]] = [:]
        for (index, part) in workflow.parts.enumerated() {
            for need in part.needs {
                guard drafts.indices.contains(need) else {
                    throw JobError(
                        .invalid, "a job waits for one of another workflow; wait for those of its own")
                }
                dependents[need, default: []].append(drafts[index].id)
            }
        }
        for index in drafts.indices {
            let part = workflow.parts[index]
            let queue = drafts[index].queue
            drafts[index].setHeaders { headers in
                if let ids = dependents[index] {
                    headers[JobHeader.dependents] = .array(ids.map { .string($0.rawValue) })
                }
                guard !part.needs.isEmpty else { return }
                headers[JobHeader.needs] = .int(Int64(part.needs.count))
                headers[JobHeader.when] = .string(part.condition.rawValue)
                headers[JobHeader.queue] = .string(queue.rawValue)
            }
            // What is dropped as a double would never report.
            if dependents[index] != nil { drafts[index].dropUniqueness() }
            if !part.needs.isEmpty { drafts[index].waitForOthers() }
            try await prepare(drafts[index])
        }
        if workflow.parts.contains(where: { !$0.needs.isEmpty }) { try await declareDependents() }
        // As for a batch: many take a while to make.
        let now = broker.now
        for index in drafts.indices { drafts[index].setDelay(from: now) }
        return drafts
    }

    /// Makes sure that there is a place for jobs that wait for others.
    func declareDependents() async throws {
        guard !(hasDependents.withLock { $0 }) else { return }
        try await broker.declareQueue(
            .dependentJobs, arguments: ["x-deduplicate": "while-queued", "x-single-active-consumer": true])
        hasDependents.withLock { $0 = true }
    }
}

extension JobDraft {
    mutating func setHeaders(_ body: (inout FieldTable) -> Void) {
        var properties = message.properties ?? MessageProperties()
        body(&properties.headers)
        message.properties = properties
    }

    /// Turns the message into one that waits for others; it is not unique then.
    fileprivate mutating func waitForOthers() {
        dropUniqueness()
        message = message.sent(to: .dependentJobs)
    }

    /// Turns the message into one that is enqueued whatever else is pending.
    fileprivate mutating func dropUniqueness() {
        unique = nil
        setHeaders {
            $0[HeaderName.deduplication] = nil
            $0[JobHeader.id] = nil
        }
        message = message.sent(to: queue.waiting)
    }
}

/// What a job tells one that waits for it when it has ended.
struct DependencyReport: Sendable {
    let job: JobID
    let dependent: JobID
    let state: JobState
    let output: String?

    init(of job: JobID, to dependent: JobID, state: JobState, output: String?) {
        self.job = job
        self.dependent = dependent
        self.state = state
        self.output = output
    }

    /// The report in a message; `nil` for a message that is none.
    init?(_ message: ConsumedMessage) {
        let headers = message.properties?.headers ?? FieldTable()
        guard let dependent = headers[JobHeader.reportTo]?.text, let job = headers[JobHeader.id]?.text else {
            return nil
        }
        self.dependent = JobID(dependent)
        self.job = JobID(job)
        state = headers[JobHeader.state]?.text.flatMap(JobState.init(rawValue:)) ?? .discarded
        output = headers[JobHeader.output]?.text
    }

    /// The message: a second report of one job to one other is dropped as a double while the first is there.
    var message: OutgoingMessage {
        var properties = MessageProperties()
        properties.messageID = "\(job)>\(dependent)"
        properties.headers = [
            JobHeader.reportTo: .string(dependent.rawValue), JobHeader.id: .string(job.rawValue),
            JobHeader.state: .string(state.rawValue),
        ]
        if let output { properties.headers[JobHeader.output] = .string(output) }
        return OutgoingMessage([], to: .dependentJobs, properties: properties)
    }
}
