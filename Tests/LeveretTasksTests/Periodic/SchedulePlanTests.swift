// What a schedule does at a moment, on paper: record, clock and chance go in, the decision comes out.

import Leveret
import Testing

@testable import LeveretTasks

@Suite struct SchedulePlanTests {
    private static let second: Int64 = 1_000
    private static let minute: Int64 = 60_000
    private static let hour: Int64 = 3_600_000
    /// 2026-09-21T14:00:00Z.
    private static let start: Int64 = 1_790_000_000_000 / hour * hour

    private static func at(_ milliseconds: Int64) -> Instant { Instant(milliseconds: start + milliseconds) }

    private static func plan(
        _ timing: Timing, catchUp: CatchUp = .once, jitter: Duration = .zero
    ) -> SchedulePlan {
        SchedulePlan(
            periodic: PeriodicJob("greetings", timing, catchUp: catchUp, jitter: jitter) { _ in
                Greet(who: "ann")
            })
    }

    /// The record of a schedule that was first seen at the start.
    private static func record(_ plan: SchedulePlan, chance: Double = 0) throws -> ScheduleRecord {
        try #require(plan.first(now: at(0), chance: chance))
    }

    /// The moments that jobs are enqueued for, in minutes from the start; `nil` where it is something else.
    private func fired(_ decision: SchedulePlan.Decision) -> [Int64]? {
        guard case .fire(let ticks, _) = decision else { return nil }
        return ticks.map { ($0.moment.milliseconds - Self.start) / Self.minute }
    }

    private func next(_ decision: SchedulePlan.Decision) -> ScheduleRecord? {
        switch decision {
        case .wait: nil
        case .replace(let next), .fire(_, let next): next
        }
    }

    @Test func `a schedule waits for its first tick, fires it, and waits for the next`() throws {
        let plan = Self.plan(try .cron("*/10 * * * *"))
        let record = try Self.record(plan)
        #expect(record.next == Self.at(10 * Self.minute))
        #expect(
            plan.decide(record, now: Self.at(10 * Self.minute - 1), chance: 0) == .wait(until: record.next))
        let decision = plan.decide(record, now: Self.at(10 * Self.minute), chance: 0)
        #expect(fired(decision) == [10])
        let successor = try #require(next(decision))
        #expect(successor.last == record.next)
        #expect(successor.next == Self.at(20 * Self.minute))
        #expect(successor.count == 1)
        #expect(
            plan.decide(successor, now: Self.at(10 * Self.minute), chance: 0) == .wait(until: successor.next))
    }

    @Test func `a tick knows the one before it`() throws {
        let plan = Self.plan(.every(.seconds(60)), catchUp: .all)
        var record = try Self.record(plan)
        record.last = Self.at(0)
        guard case .fire(let ticks, _) = plan.decide(record, now: Self.at(3 * Self.minute), chance: 0) else {
            Issue.record("nothing fired")
            return
        }
        #expect(ticks.map(\.moment) == [1, 2, 3].map { Self.at($0 * Self.minute) })
        #expect(ticks.map(\.previous) == [0, 1, 2].map { Self.at($0 * Self.minute) })
    }

    /// How late it is, in minutes after the first tick of one an hour, and what is fired, in minutes.
    private static let lateness: [(CatchUp, Int64, [Int64])] = [
        (.none, 0, [60]), (.none, 1, [60]), (.none, 2, []), (.none, 60, [120]), (.none, 62, []),
        (.none, 24 * 60, [25 * 60]),
        (.once, 0, [60]), (.once, 59, [60]), (.once, 60, [120]), (.once, 24 * 60 + 7, [25 * 60]),
        (.all, 0, [60]), (.all, 125, [60, 120, 180]),
        (.all(max: 2), 125, [120, 180]), (.all(max: 0), 125, [180]), (.all(max: .min), 125, [180]),
    ]

    @Test(arguments: lateness)
    func `what was missed is left out, made up for once, or caught up with`(
        catchUp: CatchUp, minutes: Int64, expected: [Int64]
    ) throws {
        for timing in [try Timing.cron("@hourly"), .every(.seconds(3_600))] {
            let plan = Self.plan(timing, catchUp: catchUp)
            let record = try Self.record(plan)
            let now = Self.at(Self.hour + minutes * Self.minute)
            let decision = plan.decide(record, now: now, chance: 0)
            #expect(fired(decision) == expected)
            let successor = try #require(next(decision))
            #expect(successor.next > now)
            #expect(successor.next.milliseconds - now.milliseconds <= Self.hour)
        }
    }

    @Test func `years of missed ticks cost no time, and no more jobs than allowed`() throws {
        let plan = Self.plan(try .cron("* * * * *"), catchUp: .all(max: 20_000))
        let record = try Self.record(plan)
        let now = Self.at(30 * 365 * 24 * Self.hour)
        let moments = try #require(fired(plan.decide(record, now: now, chance: 0)))
        #expect(moments.count == 10_000)
        #expect(moments.last == Int64(30 * 365 * 24 * 60))
        #expect(zip(moments, moments.dropFirst()).allSatisfy { $1 == $0 + 1 })
    }

    @Test func `an interval is kept, however late its ticks are`() throws {
        let plan = Self.plan(.every(.seconds(90)))
        var record = try Self.record(plan)
        var late: Int64 = 0
        for _ in 0..<20 {
            late = (late + 37 * Self.second) % (80 * Self.second)
            let now = record.due.advanced(byMilliseconds: late)
            record = try #require(next(plan.decide(record, now: now, chance: 0)))
            #expect((record.next.milliseconds - Self.start) % (90 * Self.second) == 0)
        }
    }

    @Test func `jitter puts a job off, and never beyond the next tick`() throws {
        let plan = Self.plan(try .cron("* * * * *"), jitter: .seconds(20))
        #expect(try Self.record(plan, chance: 0.5).due == Self.at(Self.minute + 10 * Self.second))
        let wide = Self.plan(try .cron("* * * * *"), jitter: .seconds(600))
        let record = try Self.record(wide, chance: 1)
        #expect(record.due == Self.at(2 * Self.minute - 1))
        #expect(wide.decide(record, now: Self.at(Self.minute), chance: 1) == .wait(until: record.due))
        #expect(fired(wide.decide(record, now: record.due, chance: 1)) == [1])
    }

    @Test func `a job that jitter puts off is not late`() throws {
        let plan = Self.plan(try .cron("@hourly"), catchUp: .none, jitter: .seconds(1_800))
        let record = try Self.record(plan, chance: 1)
        #expect(fired(plan.decide(record, now: record.due, chance: 0)) == [60])
    }

    @Test func `another timing is planned from now on, and keeps what was`() throws {
        let old = Self.plan(try .cron("@yearly"))
        var record = try Self.record(old)
        record.last = Self.at(-5)
        record.count = 7
        let new = Self.plan(try .cron("@hourly"))
        let successor = try #require(next(new.decide(record, now: Self.at(1), chance: 0)))
        #expect(successor.next == Self.at(Self.hour))
        #expect(successor.last == Self.at(-5))
        #expect(successor.count == 7)
        #expect(successor.timing == "@hourly in UTC")
    }

    @Test func `another zone is another timing`() throws {
        let record = try Self.record(Self.plan(try .cron("@daily")))
        let plan = Self.plan(try .cron("@daily", in: "Asia/Kolkata"))
        let successor = try #require(next(plan.decide(record, now: Self.at(0), chance: 0)))
        #expect(successor.next.milliseconds % (24 * Self.hour) == Int64(18.5 * 3_600_000))
    }

    @Test func `a clock that is set back by hours makes no tick come twice`() throws {
        let plan = Self.plan(try .cron("@hourly"))
        let record = try #require(
            next(plan.decide(try Self.record(plan), now: Self.at(Self.hour), chance: 0)))
        let back = Self.at(Self.hour - 2 * Self.hour)
        #expect(plan.decide(record, now: back, chance: 0) == .wait(until: Self.at(2 * Self.hour)))
    }

    @Test func `a clock that was far ahead is forgotten`() throws {
        let plan = Self.plan(try .cron("@hourly"), catchUp: .all)
        let century = 100 * 365 * 24 * Self.hour
        let ahead = try #require(next(plan.decide(try Self.record(plan), now: Self.at(century), chance: 0)))
        let successor = try #require(next(plan.decide(ahead, now: Self.at(Self.minute), chance: 0)))
        #expect(successor.next == Self.at(Self.hour))
        #expect(successor.last == nil)
    }

    @Test func `a clock that jumps ahead is as if nothing had run`() throws {
        let plan = Self.plan(try .cron("@hourly"), catchUp: .once)
        let decision = plan.decide(try Self.record(plan), now: Self.at(50 * Self.hour + 5), chance: 0)
        #expect(fired(decision) == [3_000])
    }

    @Test(arguments: [Int64.max, .min, .max - 1, 1 << 60])
    func `no clock and no record makes the reckoning overflow`(milliseconds: Int64) throws {
        for timing in [try Timing.cron("@hourly"), .every(.seconds(1)), .every(.seconds(Int64.max))] {
            let plan = Self.plan(timing, catchUp: .all, jitter: .seconds(Int64.max))
            let now = Instant(milliseconds: milliseconds)
            _ = plan.first(now: now, chance: 1)
            var record = ScheduleRecord(plan.periodic, next: Self.at(0), due: Self.at(0), planned: Self.at(0))
            _ = plan.decide(record, now: now, chance: 1)
            record.planned = now
            record.next = now
            // A record that reckons with such a moment is none.
            #expect(ScheduleRecord(record.body) == nil)
        }
    }

    @Test func `a record is read as it was written, and what is none is not`() throws {
        let plan = Self.plan(.every(.milliseconds(1_500)), catchUp: .all(max: 3))
        var record = try Self.record(plan)
        #expect(ScheduleRecord(record.body) == record)
        record.last = Self.at(1)
        #expect(ScheduleRecord(record.body) == record)
        #expect(record.timing == "every 1500 ms")
        for text in [
            "", "run", "{}", "[]",
            #"{"name":"a","timing":"b","next":9223372036854775807,"due":1,"planned":1}"#,
        ] {
            #expect(ScheduleRecord(Array(text.utf8)) == nil)
        }
    }
}
