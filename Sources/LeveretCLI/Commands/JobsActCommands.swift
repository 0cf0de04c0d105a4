// `leveret jobs retry|cancel|run-now`: what acts on jobs, by the rules of LeveretTasks.

import ArgumentParser
import LeveretTasks

extension JobsCommand {
    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put jobs that have failed for good back into their queues.",
            discussion: """
                They are tried as often as at first; their errors stay with them. A unique one is refused (6) while an \
                equal one is pending.

                Examples:
                  leveret jobs retry 01kb1m8e7v5c2q9x4t6w8y0a2z
                """
        )

        @OptionGroup var jobs: JobOptions

        func run() async throws {
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
                for other jobs, or that others wait for, is cancelled by a worker, too, once one runs.

                Examples:
                  leveret jobs cancel 01kb1m8e7v5c2q9x4t6w8y0a2z
                """
        )

        @OptionGroup var jobs: JobOptions

        func run() async throws {
            try await jobs.each { desk, id in
                switch try await desk.cancel(id) {
                case .done: "is cancelled"
                case .marked: "will not run; the next worker that takes it records it as cancelled"
                case .asked: "is held by a worker, which is asked to cancel it"
                }
            }
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

        func run() async throws {
            try await jobs.each { desk, id in
                try await desk.runNow(id)
                return "is due"
            }
        }
    }
}

/// Ids of jobs, and where these are.
struct JobOptions: ParsableArguments {
    @Argument(help: "The jobs' ids.")
    var ids: [String]
    @OptionGroup var server: TargetOptions

    /// Does something to one job after the other, and says what; ends at the first that can't be done.
    func each(_ act: (JobDesk, JobID) async throws -> String) async throws {
        let desk = JobDesk(SourceJobStore(try server.connect()))
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
