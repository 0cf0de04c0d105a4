// The durable record of a schedule: one message in the schedule's queue, delayed until the next tick is due, so that
// it is its own alarm clock. Its body is JSON, for whoever looks at the queue.

public import Leveret

/// What the broker knows of a schedule.
public struct ScheduleRecord: Hashable, Sendable {
    /// The schedule's name.
    public var name: String
    /// Its timing, as text: `0 3 * * * in Europe/Berlin`.
    public var timing: String
    /// What becomes of missed ticks, as text.
    public var catchUp: String
    /// What the job is called that it enqueues.
    public var job: String
    /// The last tick that a job was enqueued for.
    public var last: Instant?
    /// The next tick.
    public var next: Instant
    /// When its job is enqueued: `next`, and what chance added.
    public var due: Instant
    /// When this was written, by the clock of the schedule.
    public var planned: Instant
    /// How many jobs it has enqueued.
    public var count: Int

    /// The record in a message's body; `nil` when it is something else.
    public init?(_ body: [UInt8]) {
        guard let table = try? JSONText.readTable(String(decoding: body, as: UTF8.self)),
            let name = table["name"]?.text, let timing = table["timing"]?.text,
            let next = Self.instant(table["next"]), let due = Self.instant(table["due"]),
            let planned = Self.instant(table["planned"])
        else { return nil }
        self.name = name
        self.timing = timing
        self.next = next
        self.due = due
        self.planned = planned
        catchUp = table["catch_up"]?.text ?? ""
        job = table["job"]?.text ?? ""
        last = Self.instant(table["last"])
        count = table["count"]?.int.flatMap(Int.init(exactly:)) ?? 0
    }

    init(_ periodic: PeriodicJob, next: Instant, due: Instant, planned: Instant) {
        name = periodic.name
        timing = periodic.timing.description
        catchUp = periodic.catchUp.description
        job = periodic.jobName
        self.next = next
        self.due = due
        self.planned = planned
        count = 0
    }

    /// True where `other`, of the same schedule, has nothing to say beside this one. A record that no job was enqueued
    /// for yet, of a service that was slow to begin, knows nothing of the ticks before its own.
    func supersedes(_ other: ScheduleRecord) -> Bool {
        guard next >= other.next else { return false }
        return count > 0 || (other.count == 0 && next == other.next)
    }

    /// The record as the body of a message. Moments are milliseconds since 1970.
    var body: [UInt8] {
        var table: FieldTable = [
            "name": .string(name), "timing": .string(timing), "catch_up": .string(catchUp),
            "job": .string(job),
        ]
        if let last { table["last"] = .int(last.milliseconds) }
        table["next"] = .int(next.milliseconds)
        table["due"] = .int(due.milliseconds)
        table["planned"] = .int(planned.milliseconds)
        table["count"] = .int(Int64(count))
        return Array(JSONText.write(table).utf8)
    }

    /// The record as a message that is ready when it is due, seen from `now`; what is further off comes back earlier,
    /// and is sent to wait again.
    func message(in queue: QueueName, now: Instant) -> OutgoingMessage {
        var properties = MessageProperties()
        properties.contentType = "application/json"
        properties.type = Self.messageType
        properties.headers[HeaderName.delay] = .int(Self.delay(until: due, now: now))
        return OutgoingMessage(body, to: queue, properties: properties)
    }

    /// What messages are called that are records.
    static let messageType = "schedule"

    /// How many milliseconds to wait for `moment`, as far as the broker delays a message.
    static func delay(until moment: Instant, now: Instant) -> Int64 {
        let (delay, overflow) = moment.milliseconds.subtractingReportingOverflow(now.milliseconds)
        return overflow ? Jobs.delayMax : min(max(delay, 0), Jobs.delayMax)
    }

    /// Moments come from a file: what is beyond 142,000 years is no moment.
    private static func instant(_ value: FieldValue?) -> Instant? {
        guard let milliseconds = value?.int, milliseconds.magnitude < 1 << 52 else { return nil }
        return Instant(milliseconds: milliseconds)
    }
}
