// A job's message, read: what its properties and headers say. They may come from any client of the broker, so
// whatever makes no sense is read as if it were not there.

import Leveret

/// What a message says about its job, apart from the arguments.
struct JobEnvelope: Sendable {
    let id: JobID
    let name: String
    let version: Int
    let enqueued: Instant
    let start: Instant?
    let maxAttempts: Int
    let limitKey: String?
    let errors: [JobFailure]
    /// From 1.
    let attempt: Int
    /// Who waits for it.
    let dependents: [JobID]
    /// It was cancelled while it waited, and is to be recorded so by whoever takes it.
    let isCancelled: Bool

    /// What a message that is held says.
    init(_ message: ConsumedMessage, failed: Int, now: Instant) {
        self.init(message.delivery.message, number: message.number, failed: failed, entered: now)
    }

    init(_ message: Message, number: MessageNumber, failed: Int, entered: Instant) {
        let properties = message.properties ?? MessageProperties()
        let headers = properties.headers
        id = JobID(properties.messageID ?? "message-\(number.rawValue)")
        name = properties.type ?? ""
        version = headers[JobHeader.version]?.int.flatMap(Int.init(exactly:)) ?? 1
        enqueued = headers[JobHeader.enqueued]?.int.map(Instant.init(stored:)) ?? entered
        start = headers[JobHeader.start]?.int.map(Instant.init(stored:))
        let most = headers[JobHeader.maxAttempts]?.int ?? Int64(EnqueueOptions.maxAttemptsDefault)
        maxAttempts = Int(min(max(most, 1), Jobs.attemptsMax))
        limitKey = headers[JobHeader.limitKey]?.text
        errors = JobFailure.list(headers[JobHeader.errors])
        let before = headers[JobHeader.failedBefore]?.int.flatMap(Int.init(exactly:)) ?? 0
        attempt = failed &+ min(max(before, 0), Int(Jobs.attemptsMax)) &+ 1
        dependents = headers[JobHeader.dependents]?.texts.map { JobID($0) } ?? []
        isCancelled = headers[JobHeader.cancel] != nil
    }
}

extension JobFailure {
    /// What a header tells of failures.
    static func list(_ value: FieldValue?) -> [JobFailure] {
        guard case .array(let rows)? = value else { return [] }
        return rows.compactMap { row in
            guard case .table(let table) = row else { return nil }
            return JobFailure(
                attempt: table["attempt"]?.int.flatMap(Int.init(exactly:)) ?? 0,
                time: Instant(stored: table["at"]?.int ?? 0), error: table["error"]?.text ?? "")
        }
    }

    /// The failure as a header tells of it.
    var field: FieldValue {
        .table(["attempt": .int(Int64(attempt)), "at": .int(time.milliseconds), "error": .string(error)])
    }

    /// How many failures a job remembers: the first, and the last of the others.
    static let countMax = 50

    /// The failures before, and this one, as a header tells of them.
    static func field(_ failures: [JobFailure], _ last: JobFailure) -> FieldValue {
        var all = failures + [last]
        if all.count > countMax { all.removeSubrange(1...(all.count - countMax)) }
        return .array(all.map(\.field))
    }
    /// How long the text of one may be, in bytes of UTF-8.
    static let textBytesMax = 1_024
}

extension FieldValue {
    var int: Int64? { if case .int(let value) = self { value } else { nil } }
    var number: Double? {
        switch self {
        case .double(let value): value
        case .int(let value): Double(value)
        default: nil
        }
    }
    var texts: [String] { if case .array(let values) = self { values.compactMap(\.text) } else { [] } }
    var text: String? { if case .string(let value) = self { value } else { nil } }
}
