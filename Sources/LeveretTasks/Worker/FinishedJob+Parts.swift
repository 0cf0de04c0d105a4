// What the end of an attempt is made of in the broker: the settlement of the job's message, its record, the reports to
// the jobs that wait for it, and what follows it. All of it is one transaction.

import Leveret

extension FinishedJob {
    /// Adds all that the end of the attempt changes.
    func add(to tx: inout Transaction, in queue: JobQueue, of jobs: Jobs) throws {
        switch verdict {
        case .completed(let output):
            if let record = record(as: .completed, output: output, in: queue, of: jobs) { tx.publish(record) }
            let now = jobs.broker.now
            for var draft in following {
                // It was made a while ago.
                draft.setDelay(from: now)
                tx.publish(draft.message)
            }
            for report in reports(.completed, output: output) { tx.publish(report) }
            try tx.ack(message)
        case .cancelled(let reason):
            if let record = record(as: .cancelled, reason: reason, in: queue, of: jobs) { tx.publish(record) }
            for report in reports(.cancelled) { tx.publish(report) }
            try tx.ack(message)
        case .retry(let wait, let failure):
            try tx.amend(message, headers: noting(failure))
            try tx.reject(message, requeue: true, delay: wait, error: failure.error)
        case .discarded(let failure):
            for report in reports(.discarded) { tx.publish(report) }
            var headers = noting(failure)
            // They have heard of its end, and hear of no other where it is brought back.
            if !envelope.dependents.isEmpty { headers[JobHeader.dependents] = .array([]) }
            try tx.amend(message, headers: headers)
            try tx.reject(message, error: failure.error)
        case .snoozed(let wait), .limited(let wait):
            if !notes.isEmpty { try tx.amend(message, headers: notes) }
            try tx.nack(message, delay: min(wait, .milliseconds(Jobs.delayMax)))
        case .handedBack:
            if !notes.isEmpty { try tx.amend(message, headers: notes) }
            try tx.nack(message)
        case .unclaimed:
            let properties = message.properties ?? MessageProperties()
            tx.publish(
                OutgoingMessage(
                    message.body, to: queue.unclaimed,
                    properties: properties.parked(from: message.number, failed: envelope.attempt - 1)))
            try tx.ack(message)
        }
    }

    private func noting(_ failure: JobFailure) -> FieldTable {
        var headers = notes
        headers[JobHeader.errors] = JobFailure.field(envelope.errors, failure)
        return headers
    }

    /// What the job leaves among the completed ones, if anything.
    func record(
        as state: JobState, reason: String = "", output: [UInt8]? = nil, in queue: JobQueue, of jobs: Jobs
    ) -> OutgoingMessage? {
        guard jobs.configuration.keepsCompletedFor > .zero else { return nil }
        return Self.record(
            of: message.delivery.message, attempt: envelope.attempt, as: state, reason: reason,
            output: output, notes: notes, in: queue, at: jobs.broker.now)
    }

    /// What a job leaves among the completed ones, having ended at `now`.
    static func record(
        of message: Message, attempt: Int, as state: JobState, reason: String, output: [UInt8]? = nil,
        notes: FieldTable = FieldTable(), in queue: JobQueue, at now: Instant
    ) -> OutgoingMessage {
        var properties = message.properties ?? MessageProperties()
        var headers = properties.headers
        headers[HeaderName.delay] = nil
        for field in notes.fields { headers[field.name] = field.value }
        headers[JobHeader.state] = .string(state.rawValue)
        headers[JobHeader.attempt] = .int(Int64(attempt))
        headers[JobHeader.finished] = .int(now.milliseconds)
        if !reason.isEmpty { headers[JobHeader.reason] = .string(reason) }
        if let output = kept(output) { headers[JobHeader.output] = .string(output) }
        properties.headers = headers
        return OutgoingMessage(message.body, to: queue.completed, properties: properties)
    }

    /// What the jobs that wait for this one are told.
    func reports(_ state: JobState, output: [UInt8]? = nil) -> [OutgoingMessage] {
        envelope.dependents.map { dependent in
            DependencyReport(of: envelope.id, to: dependent, state: state, output: Self.kept(output)).message
        }
    }

    /// An output as headers keep it; a longer one is not kept.
    private static func kept(_ output: [UInt8]?) -> String? {
        guard let output, output.count <= outputBytesMax else { return nil }
        return String(decoding: output, as: UTF8.self)
    }

    /// Why a job was cancelled that had not begun.
    static let cancelledWaiting = "cancelled while it waited"

    /// How long what a handler returned may be as JSON to be kept.
    static let outputBytesMax = 65_536
}
