// Decides what a schedule does at a moment: a pure function of its record, the clock and chance. PeriodicJobs carries
// the decision out.

import Leveret

/// The rules of one schedule.
struct SchedulePlan: Sendable {
    /// What is to be done.
    enum Decision: Hashable {
        /// It is not due: look again then.
        case wait(until: Instant)
        /// It was planned by another timing or another clock: the record is replaced, and no job is enqueued. `nil` is
        /// a schedule that will never be due again.
        case replace(ScheduleRecord?)
        /// Jobs are enqueued for these ticks, in this order, and the record is replaced.
        case fire([Tick], ScheduleRecord?)
    }

    /// A tick that is later than that was missed.
    static let lateMilliseconds: Int64 = 60_000
    /// A clock that was set back by more than that was wrong before, and the schedule is planned anew. One that was
    /// set back by less is waited for: no tick comes twice. (Vixie's cron draws the line there, too.)
    static let setBackMilliseconds: Int64 = 3 * 3_600_000

    let periodic: PeriodicJob

    /// The record to begin with; `chance` is from 0 to 1.
    func first(now: Instant, chance: Double) -> ScheduleRecord? {
        record(anchor: now.reckonable, now: now.reckonable, chance: chance)
    }

    /// What is to be done about `record` at `now`.
    func decide(_ record: ScheduleRecord, now: Instant, chance: Double) -> Decision {
        let now = now.reckonable
        let wasSetBack = now < record.planned.advanced(byMilliseconds: -Self.setBackMilliseconds)
        if record.timing != periodic.timing.description || wasSetBack {
            var new = first(now: now, chance: chance)
            new?.last = wasSetBack ? nil : record.last
            new?.count = record.count
            return .replace(new)
        }
        if now < record.due { return .wait(until: record.due) }
        let moments = moments(of: record, now: now)
        var ticks: [Tick] = []
        for moment in moments {
            ticks.append(
                Tick(schedule: periodic.name, moment: moment, previous: ticks.last?.moment ?? record.last))
        }
        var new = self.record(anchor: record.next, now: now, chance: chance)
        new?.last = ticks.last?.moment ?? record.last
        new?.count = record.count &+ ticks.count
        return .fire(ticks, new)
    }

    /// The ticks that a job is enqueued for.
    private func moments(of record: ScheduleRecord, now: Instant) -> [Instant] {
        let countMax = periodic.catchUp.countMax
        let passed = periodic.timing.ticks(from: record.next, through: now, countMax: countMax)
        guard periodic.catchUp == .none, let latest = passed.last else { return passed }
        let due = latest == record.next ? record.due : latest
        return now <= due.advanced(byMilliseconds: Self.lateMilliseconds) ? [latest] : []
    }

    private func record(anchor: Instant, now: Instant, chance: Double) -> ScheduleRecord? {
        guard let next = periodic.timing.next(after: now, anchor: anchor) else { return nil }
        var jitter = Double(milliseconds: periodic.jitter)
        if jitter > 0, let following = periodic.timing.next(after: next, anchor: next) {
            jitter = min(jitter, Double(following.milliseconds - next.milliseconds - 1))
        }
        let due = next.advanced(byMilliseconds: Int64(clamping: max(jitter, 0) * chance))
        return ScheduleRecord(periodic, next: next, due: due, planned: now)
    }
}
