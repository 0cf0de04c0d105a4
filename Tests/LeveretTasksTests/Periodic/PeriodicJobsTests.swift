// Periodic jobs through a broker: each tick gets its job once, whatever happens in between.

import Leveret
import LeveretTestSupport
import Logging
import ServiceLifecycle
import Testing

@testable import LeveretTasks

@Suite(.timeLimit(.minutes(10))) struct PeriodicJobsTests {
    private static let minute: Int64 = 60_000

    private struct Report: Job {
        static let name = "report"
        var tick: Int64
    }

    private static func schedule(
        _ name: String = "reports", _ timing: Timing = .every(.seconds(60)), catchUp: CatchUp = .once,
        options: EnqueueOptions = EnqueueOptions()
    ) -> PeriodicJob {
        PeriodicJob(name, timing, catchUp: catchUp, options: options) { Report(tick: $0.moment.milliseconds) }
    }

    /// Runs services of schedules while `body` does its part.
    private func running(
        _ bench: Bench, _ schedules: [PeriodicJob], count: Int = 1, clock: ScheduleClock? = nil,
        while body: () async throws -> Void
    ) async throws {
        let services = try (0..<count).map { _ in
            try PeriodicJobs(bench.jobs, schedules, clock: clock ?? .of(bench.broker))
        }
        let group = ServiceGroup(services: services, logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            do {
                for schedule in schedules { try await begins(schedule.queue, count, of: bench) }
                try await body()
            } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    /// Waits until a schedule has begun in so many services. Those that begin at once may leave several records until the
    /// first tick.
    private func begins(_ queue: QueueName, _ count: Int, of bench: Bench) async throws {
        try await until {
            let status = try await bench.broker.queues(matching: queue.rawValue).first
            return status.map { $0.ready + $0.unacked == 0 && $0.delayed > 0 && $0.consumers == count }
                ?? false
        }
    }

    /// Waits until so many records wait in a schedule's queue, and nothing else.
    private func reaches(_ count: Int, in queue: QueueName, of bench: Bench) async throws {
        try await until {
            let names = try await bench.broker.queues(matching: queue.rawValue)
            guard let status = names.first else { return false }
            return status.ready + status.unacked == 0 && status.delayed == count && status.consumers > 0
        }
    }

    /// The ticks that jobs wait for, in minutes after the bench's beginning.
    private func ticks(_ bench: Bench, from start: Instant) async throws -> [Int64] {
        let queues = try await bench.broker.queues(matching: JobQueue.default.waiting.rawValue)
        guard !queues.isEmpty else { return [] }
        return try await bench.broker.peek(JobQueue.default.waiting, count: 1_000).map {
            let tick = $0.message.properties?.headers[JobHeader.tick]?.int ?? 0
            return (tick - start.milliseconds) / Self.minute
        }
    }

    private func record(_ bench: Bench) async throws -> ScheduleRecord {
        try #require(try await bench.jobs.schedules().first)
    }

    @Test func `each tick gets one job, with several services, too`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        try await running(bench, [Self.schedule()], count: 3) {
            for count in 1...20 {
                bench.hand.advance(Self.minute)
                try await until { try await ticks(bench, from: start).count >= count }
                try await reaches(1, in: "cron.reports", of: bench)
            }
        }
        #expect(try await ticks(bench, from: start) == Array(1...20))
        #expect(try await record(bench).count == 20)
    }

    @Test func `a schedule whose queue of jobs was deleted declares it again`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        try await running(bench, [Self.schedule()]) {
            bench.hand.advance(Self.minute)
            try await until { try await ticks(bench, from: start) == [1] }
            try await reaches(1, in: "cron.reports", of: bench)
            _ = try await bench.broker.deleteQueue(JobQueue.default.waiting)
            bench.hand.advance(Self.minute)
            // The tick fails at first; its record waits then.
            try await until {
                bench.hand.advance(1_000)
                return try await !ticks(bench, from: start).isEmpty
            }
        }
    }

    @Test func `a shutdown amid the first publish of a schedule is no failure`() async throws {
        let bench = try Bench()
        let clock = ScheduleClock(
            now: {
                // Asked for the first record, which is published next.
                withUnsafeCurrentTask { $0?.cancel() }
                return bench.hand.now
            }, sleep: { _ in try await forever() })
        let service = try PeriodicJobs(bench.jobs, [Self.schedule()], clock: clock)
        try await service.run()
        #expect(try await bench.jobs.schedules() == [])
    }

    @Test func `after a restart a schedule goes on where it stood, and makes up for what it missed`()
        async throws
    {
        let folder = try TemporaryFolder()
        let bench = try Bench(.file(folder.path("jobs.db")))
        let start = bench.hand.now
        try await running(bench, [Self.schedule()]) {}
        try await bench.broker.shutdown()

        let second = try Bench(.file(folder.path("jobs.db")))
        second.hand.advance(Self.minute / 2)
        try await running(second, [Self.schedule()]) {
            let fired = try await ticks(second, from: start)
            #expect(fired == [])
        }
        try await second.broker.shutdown()

        let third = try Bench(.file(folder.path("jobs.db")))
        third.hand.advance(10 * Self.minute + 5)
        try await running(third, [Self.schedule()]) {
            try await until { try await ticks(third, from: start).count == 1 }
        }
        #expect(try await ticks(third, from: start) == [10])
        #expect(try await record(third).next == start.advanced(byMilliseconds: 11 * Self.minute))
        try await third.broker.shutdown()
    }

    @Test func `all that was missed is enqueued in one transaction, as much as allowed`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        let schedule = Self.schedule(catchUp: .all(max: 3))
        try await running(bench, [schedule]) {}
        bench.hand.advance(100 * Self.minute)
        try await running(bench, [schedule]) {
            try await until { try await ticks(bench, from: start).count == 3 }
        }
        #expect(try await ticks(bench, from: start) == [98, 99, 100])
    }

    @Test func `another timing counts at once`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        try await running(bench, [Self.schedule("reports", try .cron("@yearly"))]) {}
        try await running(bench, [Self.schedule("reports", .every(.seconds(60)))]) {
            try await until { try await record(bench).timing == "every 60 s" }
            try await reaches(1, in: "cron.reports", of: bench)
            bench.hand.advance(Self.minute)
            try await until { try await ticks(bench, from: start) == [1] }
        }
    }

    @Test func `what is further off than the broker can delay is waited for in parts`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        let day = 24 * 60 * Self.minute
        try await running(bench, [Self.schedule("leap", .every(.seconds(120 * 86_400)))]) {
            for days in stride(from: Int64(40), to: 120, by: 40) {
                bench.hand.advance(40 * day)
                try await reaches(1, in: "cron.leap", of: bench)
                #expect(try await ticks(bench, from: start) == [], "after \(days) days")
            }
            bench.hand.advance(40 * day)
            try await until { try await ticks(bench, from: start) == [120 * 24 * 60] }
        }
    }

    @Test func `of two records of a schedule the further one counts`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        let schedule = Self.schedule()
        try await running(bench, [schedule]) {}
        // As two services would leave it that began at the same moment.
        let record = try await record(bench)
        try await bench.broker.publish(record.message(in: schedule.queue, now: start))
        bench.hand.advance(Self.minute)
        try await running(bench, [schedule]) {
            try await until { try await ticks(bench, from: start) == [1] }
        }
        #expect(try await bench.jobs.schedules().map(\.count) == [1])
    }

    @Test func `a record of a service that was slow to begin takes no tick away`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        let schedule = Self.schedule()
        try await running(bench, [schedule]) {
            var late = try await record(bench)
            late.next = start.advanced(byMilliseconds: 2 * Self.minute)
            late.due = late.next
            try await bench.broker.publish(late.message(in: schedule.queue, now: start))
            for count in 1...3 {
                bench.hand.advance(Self.minute)
                try await until { try await ticks(bench, from: start).count >= count }
                try await reaches(count == 1 ? 2 : 1, in: schedule.queue, of: bench)
            }
        }
        #expect(try await ticks(bench, from: start) == [1, 2, 3])
    }

    @Test func `a job that can't be made leaves its tick out, and the schedule goes on`() async throws {
        struct Failure: Error {}
        let bench = try Bench()
        let start = bench.hand.now
        let schedule = PeriodicJob("reports", .every(.seconds(60))) { tick -> Report in
            if tick.moment == start.advanced(byMilliseconds: Self.minute) { throw Failure() }
            return Report(tick: tick.moment.milliseconds)
        }
        try await running(bench, [schedule]) {
            bench.hand.advance(Self.minute)
            try await until {
                try await record(bench).next == start.advanced(byMilliseconds: 2 * Self.minute)
            }
            try await reaches(1, in: "cron.reports", of: bench)
            bench.hand.advance(Self.minute)
            try await until { try await ticks(bench, from: start) == [2] }
        }
    }

    @Test func `a run that is not done keeps the next from being enqueued, where it is unique`() async throws
    {
        let bench = try Bench()
        let start = bench.hand.now
        let options = EnqueueOptions(unique: .key("report"))
        try await running(bench, [Self.schedule(options: options)]) {
            for minutes in 1...3 {
                bench.hand.advance(Self.minute)
                let next = start.advanced(byMilliseconds: Int64(minutes + 1) * Self.minute)
                try await until { try await record(bench).next == next }
                try await reaches(1, in: "cron.reports", of: bench)
            }
        }
        #expect(try await ticks(bench, from: start) == [1])
    }

    @Test func `a schedule is run at once, paused and removed by hand`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        let schedule = Self.schedule()
        try await running(bench, [schedule]) {
            try await bench.jobs.runSchedule("reports")
            try await until { try await ticks(bench, from: start) == [0] }
            #expect(try await record(bench).count == 0)
            try await bench.jobs.pauseSchedule("reports")
            bench.hand.advance(5 * Self.minute)
            try await until { try await bench.broker.status(of: schedule.queue).ready == 1 }
            try await bench.jobs.resumeSchedule("reports")
            try await until { try await ticks(bench, from: start) == [0, 5] }
        }
        try await bench.jobs.removeSchedule("reports")
        #expect(try await bench.jobs.schedules() == [])
    }

    @Test func `what is no record is dropped, and the schedule goes on`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        try await running(bench, [Self.schedule()]) {
            try await bench.broker.publish("nonsense", to: "cron.reports")
            try await reaches(1, in: "cron.reports", of: bench)
            bench.hand.advance(Self.minute)
            try await until { try await ticks(bench, from: start) == [1] }
        }
    }

    @Test func `a wall clock that is set ahead is noticed, though the broker's goes on as before`()
        async throws
    {
        let bench = try Bench()
        let start = bench.hand.now
        let wall = Hand()
        let clock = ScheduleClock(
            now: { wall.now }, sleep: { moment in try await until { wall.now >= moment } })
        try await running(bench, [Self.schedule()], clock: clock) {
            wall.advance(7 * Self.minute + 1_000)
            try await until { try await ticks(bench, from: start) == [7] }
        }
    }

    @Test func `a wall clock that is set back makes a tick wait`() async throws {
        let bench = try Bench()
        let start = bench.hand.now
        let wall = Hand()
        let clock = ScheduleClock(
            now: { wall.now }, sleep: { moment in try await until { wall.now >= moment } })
        try await running(bench, [Self.schedule()], clock: clock) {
            wall.advance(-Self.minute)
            bench.hand.advance(Self.minute)
            try await until {
                let waiting = try await bench.broker.peek("cron.reports", state: .delayed).first
                return waiting?.due == bench.hand.now.advanced(byMilliseconds: 2 * Self.minute)
            }
            #expect(try await ticks(bench, from: start) == [])
            wall.advance(2 * Self.minute)
            bench.hand.advance(2 * Self.minute)
            try await until { try await ticks(bench, from: start) == [1] }
        }
    }

    @Test func `the system's clock wakes who sleeps until a moment, and a cancelled sleep ends`() async throws
    {
        let clock = ScheduleClock.system
        let moment = clock.now().advanced(byMilliseconds: 20)
        try await clock.sleep(moment)
        #expect(clock.now() >= moment)
        try await clock.sleep(moment.advanced(byMilliseconds: -100_000))
        await #expect(throws: CancellationError.self) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await clock.sleep(moment.advanced(byMilliseconds: 3_600_000)) }
                group.cancelAll()
                try await group.next()
            }
        }
    }

    @Test(arguments: ["", "a b", "ä", "a.b", String(repeating: "a", count: 65)])
    func `a schedule's name is letters, digits, - and _`(name: String) throws {
        let jobs = try Bench().jobs
        #expect(throws: JobError.self) { try PeriodicJobs(jobs, [Self.schedule(name)]) }
    }

    @Test func `two schedules of one name are refused`() throws {
        let jobs = try Bench().jobs
        #expect(throws: JobError.self) { try PeriodicJobs(jobs, [Self.schedule(), Self.schedule()]) }
    }
}
