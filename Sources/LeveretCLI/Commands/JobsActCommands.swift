// `leveret jobs retry|cancel|run-now`: what acts on jobs, by the rules of LeveretTasks.

import ArgumentParser
import LeveretTasks

extension JobsCommand {
    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put jobs that have failed for good back into their queues.",
            discussion: """
                They are tried as often as at first; their errors stay with them. A unique one is refused (6) while an \
                equal one is pending. Without ids these are all that meet the options, and it asks first; a unique one \
                then stays where it is.

                Examples:
                  leveret jobs retry 01kb1m8e7v5c2q9x4t6w8y0a2z
                  leveret jobs retry --name send-receipt --limit 100
                """
        )

        @OptionGroup var jobs: JobOptions
        @OptionGroup var filter: JobFilter

        func validate() throws { try filter.check(jobs.ids) }

        func run() async throws {
            guard !jobs.ids.isEmpty else {
                let count = try await filter.act(on: [.discarded], at: jobs.desk(), "put back") {
                    desk, _, queue, count in
                    try await desk.retryAll(in: queue, name: filter.name, count: count)
                }
                return count.map { announce("\(counted($0, "job")) put back") } ?? ()
            }
            try await jobs.each { desk, id in
                try await desk.retry(id)
                return "is back in its queue"
            }
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cancel jobs that wait or run.",
            discussion: """
                What waits is recorded as cancelled at once. The worker that runs a job is asked to stop it: its task \
                is cancelled, and what becomes of the job is up to its handler, which may finish first. One that waits \
                for other jobs, or that others wait for, is cancelled by a worker, too, once one runs. Without ids \
                these are all that meet the options and do not run, and it asks first; those that run with --state \
                running.

                Examples:
                  leveret jobs cancel 01kb1m8e7v5c2q9x4t6w8y0a2z
                  leveret jobs cancel --queue mails --state retryable
                """
        )

        @OptionGroup var jobs: JobOptions
        @Option(
            help: ArgumentHelp(
                "Only jobs in this state; repeat for more: available, scheduled, retryable, dependent, unclaimed or "
                    + "running.", valueName: "state"),
            completion: .list(states.map(\.rawValue)), transform: { try JobsCommand.state($0, of: states) })
        var state: [JobState] = []
        @OptionGroup var filter: JobFilter

        private static let states: [JobState] = [
            .available, .scheduled, .retryable, .dependent, .unclaimed, .running,
        ]

        func validate() throws { try filter.check(jobs.ids, besides: !state.isEmpty) }

        func run() async throws {
            guard !jobs.ids.isEmpty else {
                let states = state.isEmpty ? Self.states.dropLast() : state
                var left = 0
                let count = try await filter.act(on: states, at: jobs.desk(), "cancel") {
                    desk, state, queue, count in
                    try await desk.cancelAll(state, in: queue, name: filter.name, count: count) {
                        if $0 != .done { left += 1 }
                    }
                }
                return count.map { announce(Self.outcome(cancelled: $0 - left, left: left)) } ?? ()
            }
            try await jobs.each { desk, id in
                let waitsForOthers = try await desk.find(id)?.state == .dependent
                switch try await desk.cancel(id) {
                case .done: return "is cancelled"
                case .marked: return "will not run; the next worker that takes it records it as cancelled"
                case .asked where waitsForOthers:
                    return "waits for other jobs; a worker records it as cancelled, once one runs"
                case .asked: return "is held by a worker, which is asked to cancel it"
                }
            }
        }

        /// What came of many: `left` are cancelled by a worker, sooner or later.
        private static func outcome(cancelled: Int, left: Int) -> String {
            let worker = "by the worker that has \(left == 1 ? "it or takes it" : "them or takes them") next"
            if left == 0 { return "\(counted(cancelled, "job")) cancelled" }
            if cancelled == 0 { return "\(counted(left, "job")) will be cancelled \(worker)" }
            return "\(counted(cancelled, "job")) cancelled; \(Quantity.count(left)) more will be \(worker)"
        }
    }

    struct RunNow: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "run-now",
            abstract: "Make jobs due that wait for their time, or to be tried again.",
            discussion: """
                A worker takes them as soon as it is free. To have a schedule's job at once: leveret publish "" \
                cron.NAME run.

                Examples:
                  leveret jobs run-now 01kb1m8e7v5c2q9x4t6w8y0a2z
                """
        )

        @OptionGroup var jobs: JobOptions

        func validate() throws {
            if jobs.ids.isEmpty { throw ValidationError("Say which jobs: their ids.") }
        }

        func run() async throws {
            try await jobs.each { desk, id in
                if try await desk.find(id)?.isCancelling == true {
                    throw Failure(
                        .conflict,
                        "job \(id.rawValue.printable) is to be cancelled and will not run; the next worker that "
                            + "takes it records it as cancelled")
                }
                try await desk.runNow(id)
                return "is due"
            }
        }
    }
}

/// Ids of jobs, and where these are.
struct JobOptions: ParsableArguments {
    @Argument(help: "The jobs' ids.")
    var ids: [String] = []
    @OptionGroup var server: TargetOptions

    func desk() throws -> JobDesk { JobDesk(SourceJobStore(try server.connect())) }

    /// Does something to one job after the other, and says what; ends at the first that can't be done.
    func each(_ act: (JobDesk, JobID) async throws -> String) async throws {
        let desk = try desk()
        for id in ids {
            do { announce("job \(id.printable) \(try await act(desk, JobID(id)))") } catch let error
                as JobError
            {
                let status: CommandStatus =
                    switch error.code {
                    case .notFound: .notFound
                    case .duplicate: .conflict
                    default: .refused
                    }
                throw Failure(status, error.text.printable)
            }
        }
    }
}

/// Options that choose jobs.
struct JobFilter: ParsableArguments {
    @Option(help: ArgumentHelp("Only jobs of this queue of jobs; repeat for more.", valueName: "queue"))
    var queue: [String] = []
    @Option(help: ArgumentHelp("Only jobs of this kind.", valueName: "name"))
    var name: String?
    @Option(help: ArgumentHelp("At most so many.", valueName: "n"))
    var limit: Int?
    @OptionGroup var consent: ConsentOptions

    /// Refuses to do something to nothing in particular.
    func check(_ ids: [String], besides chooses: Bool = false) throws {
        let chooses = chooses || !queue.isEmpty || name != nil
        if ids.isEmpty != chooses {
            throw ValidationError("Say which jobs: either their ids, or options such as --queue and --name.")
        }
        if let limit, limit < 1 { throw ValidationError("--limit is 1 or more.") }
    }

    /// Asks, and does something to the jobs that are chosen; `act` is told to how many at most, and returns to how
    /// many. Returns the sum; `nil` where nothing was to be done, which it has said.
    func act(
        on states: [JobState], at desk: JobDesk, _ verb: String,
        _ act: (JobDesk, JobState, JobQueue, Int) async throws -> Int
    ) async throws -> Int? {
        var left = limit ?? .max
        var (found, hasMore) = (0, false)
        let queues = try await JobsCommand.queues(queue, at: desk)
        let places = queues.flatMap { queue in states.map { (state: $0, queue: queue) } }
        for place in places {
            let count = try await desk.list(
                place.state, in: place.queue, name: name, count: PeekRequest.countMax
            ).count
            found += count
            hasMore = hasMore || count == PeekRequest.countMax
        }
        guard found > 0 else {
            announce("no job meets the options")
            return nil
        }
        let what = "\(hasMore && found < left ? "at least " : "")\(counted(min(found, left), "job"))"
        if consent.dryRun {
            announce("this would \(verb) \(what)")
            return nil
        }
        try Terminal.confirm("this will \(verb) \(what)", yes: consent.yes, because: "this is about \(what)")
        for place in places where left > 0 { left -= try await act(desk, place.state, place.queue, left) }
        return (limit ?? .max) - left
    }
}
