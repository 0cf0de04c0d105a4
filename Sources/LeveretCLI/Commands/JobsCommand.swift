// `leveret jobs list|show`: the background jobs of LeveretTasks. What acts on one is in JobsActCommands.swift.

import ArgumentParser
import LeveretTasks

struct JobsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "Background jobs of LeveretTasks: look at them, retry, cancel or run one.",
        discussion: """
            They are in the process that runs them. It is asked at --url where it listens (LeveretServer, on a socket \
            file: --url unix:PATH); --db FILE reads its file beside it, and changes a file that no process has. Alone \
            it is 'jobs list'.

            Examples:
              leveret jobs --db shop.db
              leveret jobs --state discarded --state retryable
              leveret jobs show 01kb1m8e7v5c2q9x4t6w8y0a2z --db shop.db
              leveret jobs retry 01kb1m8e7v5c2q9x4t6w8y0a2z --url unix:shop.socket
            """,
        subcommands: [List.self, Show.self, Retry.self, Cancel.self, RunNow.self],
        defaultSubcommand: List.self
    )

    /// The state of this name, if it is one of `states`.
    static func state(_ name: String, of states: [JobState]) throws -> JobState {
        if let state = JobState(rawValue: name), states.contains(state) { return state }
        throw ValidationError("--state is one of \(states.map(\.rawValue).joined(separator: ", ")).")
    }

    /// The queues of these names; all where none is named.
    static func queues(_ named: [String], at desk: JobDesk) async throws -> [JobQueue] {
        let all = try await desk.queues()
        for name in named where !all.contains(JobQueue(name)) {
            let names = all.map { "'\($0.rawValue.printable)'" }.joined(separator: ", ")
            let known = names.isEmpty ? "there are none" : "there are \(names)"
            throw Failure(.notFound, "no queue of jobs '\(name.printable)'; \(known)")
        }
        return named.isEmpty ? all : all.filter { named.contains($0.rawValue) }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show jobs, queue by queue and state by state.",
            discussion: """
                Without --state these are all but the completed and cancelled ones. Those that have ended come the \
                newest first, others as they are due.

                Examples:
                  leveret jobs
                  leveret jobs list --db shop.db --state completed --limit 20
                  leveret jobs list --queue mails --name send-receipt
                  leveret jobs list --state running -o json --columns id,name,started,progress
                """
        )

        @Option(
            help: ArgumentHelp(
                "Only jobs in this state; repeat for more: running, available, scheduled, retryable, dependent, "
                    + "unclaimed, discarded, cancelled or completed.", valueName: "state"),
            completion: .list(states.map(\.rawValue)), transform: { try JobsCommand.state($0, of: states) })
        var state: [JobState] = []
        @Option(help: ArgumentHelp("Only jobs of this queue of jobs; repeat for more.", valueName: "queue"))
        var queue: [String] = []
        @Option(help: ArgumentHelp("Only jobs of this kind.", valueName: "name"))
        var name: String?
        @Option(parsing: .unconditional, help: ArgumentHelp("At most so many.", valueName: "n"))
        var limit = 100
        @OptionGroup var source: SourceOptions
        @OptionGroup var output: OutputOptions

        /// In this order they are shown.
        private static let states: [JobState] = [
            .running, .available, .scheduled, .retryable, .dependent, .unclaimed, .discarded, .cancelled,
            .completed,
        ]

        func validate() throws {
            if limit < 1 { throw ValidationError("--limit is 1 or more.") }
        }

        func run() async throws {
            var printer = try output.printer(of: Columns.jobs)
            let desk = JobDesk(SourceJobStore(try source.open()))
            var left = limit
            let queues = try await queues(queue, at: desk)
            if queues.isEmpty, output.output == .table {
                return announce(
                    "no queue of background jobs is here: no program with LeveretTasks has used it")
            }
            for queue in queues {
                for state in Self.states where isWanted(state) && left > 0 {
                    for job in try await Self.jobs(state, in: queue, name, left, desk) {
                        printer.print(row(of: job))
                        left -= 1
                    }
                }
            }
            printer.finish(none: none)
        }

        /// A job; a table that has no column for it says in the state that it is to be cancelled.
        private func row(of job: JobInfo) -> JSON {
            let row = JSON(job, isCancelling: job.isCancelling)
            guard job.isCancelling, output.output == .table, output.columns == nil else { return row }
            return row.with("state", .string("\(job.state.rawValue) (cancelling)"))
        }

        private func isWanted(_ state: JobState) -> Bool {
            self.state.isEmpty ? state != .completed && state != .cancelled : self.state.contains(state)
        }

        private static func jobs(
            _ state: JobState, in queue: JobQueue, _ name: String?, _ count: Int, _ desk: JobDesk
        ) async throws -> [JobInfo] {
            switch state {
            case .completed, .cancelled, .discarded:
                try await desk.latest(state, in: queue, name: name, count: count)
            default:
                try await desk.list(state, in: queue, name: name, count: min(count, PeekRequest.countMax))
            }
        }

        /// What is said where there is nothing to show.
        private var none: String {
            let states = state.map(\.rawValue).joined(separator: " or ")
            let what = state.isEmpty ? "no job waits, runs or has failed" : "no job is \(states)"
            return name == nil && queue.isEmpty ? what : what + " that meets the options"
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show everything about one job.",
            discussion: """
                Where it stands, its arguments, how often it was tried and what went wrong each time, how far it says \
                it is, the lines that it has logged, and what its handler returned.

                Examples:
                  leveret jobs show 01kb1m8e7v5c2q9x4t6w8y0a2z
                  leveret jobs show 01kb1m8e7v5c2q9x4t6w8y0a2z -o json --columns payload
                """
        )

        @Argument(help: "The job's id.")
        var id: String
        @OptionGroup var source: SourceOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            var printer = try output.printer(of: Columns.job)
            let store = SourceJobStore(try source.open())
            guard let job = try await JobDesk(store).find(JobID(id)) else {
                throw Failure(
                    .notFound,
                    "no job '\(id.printable)': it may have ended longer ago than jobs are kept; 'leveret jobs' lists "
                        + "those that are there")
            }
            let row = JSON(job, isCancelling: try job.isCancelling || store.isToBeCancelled(job))
            guard output.output == .table else {
                printer.print(row)
                return printer.finish(none: "")
            }
            let columns = try Column.choose(output.chosen, of: Columns.job, all: true)
            let colour = Terminal.hasColour(Terminal.standardOutput)
            let text = JobSheet.text(row, columns: columns, colour: colour)
            Output(Terminal.standardOutput).write(text)
        }
    }
}
