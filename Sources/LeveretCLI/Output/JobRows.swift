// Jobs and schedules as rows, and one job for a person: what `leveret jobs` and `leveret cron` print. The names of the
// fields are a promise (docs/cli.md, Fields).

import Leveret
import LeveretTasks

extension JobInfo {
    /// True where it is to be cancelled by the worker that takes it next.
    var isCancelling: Bool {
        message.message.properties?.headers[JobHeader.cancel] != nil
            && ![.cancelled, .completed, .discarded].contains(state)
    }
}

extension JSON {
    /// A job; `isCancelling` says that it is to be cancelled by a worker.
    init(_ job: JobInfo, isCancelling: Bool) {
        let headers = job.message.message.properties?.headers ?? FieldTable()
        self = .object([
            Field(name: "id", value: .string(job.id.rawValue)),
            Field(name: "state", value: .string(job.state.rawValue)),
            Field(name: "queue", value: .string(job.queue.rawValue)),
            Field(name: "name", value: .string(job.name)),
            Field(name: "attempts", value: .int(job.attempts)),
            Field(name: "max_attempts", value: .int(job.maxAttempts)),
            Field(name: "priority", value: .int(job.priority.rawValue)),
            Field(name: "enqueued", value: JSON(job.enqueued)),
            Field(name: "due", value: JSON(job.due)),
            Field(name: "started", value: JSON(job.message.heldSince)),
            Field(name: "finished", value: JSON(job.finished)),
            Field(name: "worker", value: JSON(job.message.heldBy)),
            Field(name: "progress", value: job.progress.map { .number("\($0)") } ?? .null),
            Field(name: "progress_text", value: JSON(job.progressText)),
            Field(name: "cancelling", value: isCancelling ? .bool(true) : .null),
            Field(name: "reason", value: JSON(job.reason)),
            Field(name: "error", value: JSON(job.errors.last?.error)),
            Field(name: "limit_key", value: JSON(field: headers[JobHeader.limitKey])),
            Field(name: "schedule", value: JSON(field: headers[JobHeader.schedule])),
            Field(name: "position", value: .int(job.message.number.rawValue)),
            Field(name: "errors", value: .array(job.errors.map { JSON($0) })),
            Field(name: "log", value: .array(job.log.map { .string($0) })),
            Field(name: "output", value: job.output.map { JSON($0.utf8) ?? .string($0) } ?? .null),
            Field(
                name: "payload",
                value: JSON(job.payload) ?? .string(String(decoding: job.payload, as: UTF8.self))),
        ])
    }

    private init(_ failure: JobFailure) {
        self = .object([
            Field(name: "attempt", value: .int(failure.attempt)),
            Field(name: "at", value: JSON(failure.time)),
            Field(name: "error", value: .string(failure.error)),
        ])
    }

    /// A schedule, and what its queue's row says.
    init(_ schedule: ScheduleRecord, queue row: JSON) {
        // A cron expression has no such word.
        let parts = schedule.timing.firstRange(of: " in ")
        let expression = schedule.timing[..<(parts?.lowerBound ?? schedule.timing.endIndex)]
        let zone = parts.map { String(schedule.timing[$0.upperBound...]) }
        self = .object([
            Field(name: "name", value: .string(schedule.name)),
            Field(name: "expression", value: .string(String(expression))),
            Field(name: "zone", value: JSON(zone)),
            Field(name: "job", value: .string(schedule.job)),
            Field(name: "last", value: JSON(schedule.last)),
            Field(name: "next", value: JSON(schedule.next)),
            Field(name: "due", value: JSON(schedule.due)),
            Field(name: "catch_up", value: .string(schedule.catchUp)),
            Field(name: "count", value: .int(schedule.count)),
            Field(name: "paused_since", value: row["paused_since"] ?? .null),
            Field(name: "consumers", value: row["consumers"] ?? .null),
        ])
    }

    private init(_ time: Instant?) { self = time.map { .string($0.iso8601) } ?? .null }

    private init(_ text: String?) { self = text.map { .string($0) } ?? .null }

    private init(field: FieldValue?) { self = field.flatMap { JSON(JSONText.write($0).utf8) } ?? .null }
}

/// One job with everything that is known of it.
enum JobSheet {
    /// The facts below each other, then arguments, output, errors and log, each under its name.
    static func text(_ job: JSON, columns: [Column], colour: Bool, now: Int64 = Terminal.now) -> String {
        let below: Set<String> = ["payload", "output", "errors", "log"]
        var text = FactSheet.text(
            job.withMoments(of: columns, now: now), columns: columns.filter { !below.contains($0.name) },
            colour: colour, now: now)
        for column in columns where below.contains(column.name) {
            guard let value = job[column.name], value != .null, value != .array([]) else { continue }
            text += "\n" + (colour ? "\u{1B}[1m\(column.name)\u{1B}[0m" : column.name) + "\n"
            guard case .array(let values) = value, column.name == "errors" || column.name == "log" else {
                text += MessageSheet.body(Array(value.compact.utf8), as: .json)
                continue
            }
            for value in values { text += "  " + line(value, now: now) + "\n" }
        }
        return text
    }

    /// A line of the log, or `attempt 3, 2026-01-31T09:05:00.250Z (2h ago): no such host`.
    private static func line(_ value: JSON, now: Int64) -> String {
        guard let error = value["error"]?.text else { return (value.text ?? value.compact).printable }
        let age = value.time("at").map { " (\(Quantity.age(milliseconds: now - $0)))" } ?? ""
        return "attempt \(value.count("attempt")), \(value["at"]?.text ?? "")\(age): \(error.printable)"
    }
}
