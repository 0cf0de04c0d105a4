// `leveret cron`: the schedules of LeveretTasks.

import ArgumentParser
import LeveretTasks

struct CronCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cron",
        abstract: "Show what is enqueued when, again and again.",
        discussion: """
            The schedules of LeveretTasks: when each was due last and will be next, what it makes of ticks that were \
            missed, and how many jobs it has enqueued. A schedule is a queue, too: leveret pause cron.NAME stops it, \
            leveret resume cron.NAME lets it go on, leveret publish "" cron.NAME run enqueues a job at once, and \
            leveret queue delete cron.NAME forgets it.

            Examples:
              leveret cron --db shop.db
              leveret cron 'nightly-*' -o json --columns name,next
            """
    )

    @Argument(help: "Only those whose name matches; * and ? stand for any characters and any one.")
    var pattern: String?
    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var printer = try output.printer(of: Columns.schedules)
        let source = try source.open()
        var queues: [JSON] = []
        let names = JobQueue.schedule(pattern ?? "*").rawValue
        try source.queues(match: names, fields: ["name", "paused_since", "consumers"]) { queues.append($0) }
        for queue in queues {
            var last: ScheduleRecord?
            let request = PeekRequest(queue: queue.name, count: 100, from: 0, state: .all)
            try source.unlessGone {
                try source.peek(request) { row in
                    // While one is replaced there may be two.
                    guard let record = ScheduleRecord(row.bodyBytes) else { return }
                    if last.map({ $0.next < record.next }) ?? true { last = record }
                }
            }
            if let last { printer.print(JSON(last, queue: queue)) }
        }
        let which = pattern.map { "no schedule matches '\($0.printable)'" }
        printer.finish(none: which ?? "there are no schedules")
    }
}
