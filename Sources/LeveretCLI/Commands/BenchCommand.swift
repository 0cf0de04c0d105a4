// `leveret bench`: load on a running server, and how fast it was. Bench/ has the producers and consumers.

import ArgumentParser
import Leveret

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Put load on a running server, and measure rates and latencies.",
        discussion: """
            Each producer and each consumer has a connection of its own; a producer has up to 256 messages under way, \
            each confirmed by itself, and consumers ack each message. The queue is made for it and removed at the \
            end, also after Ctrl-C. This loads the server for everybody: think before you do it in production.

            Examples:
              leveret bench
              leveret bench --durable --size 1024 --producers 4 --consumers 4 --seconds 30
              leveret bench --messages 1000000 --consumers 0 -o json
            """
    )

    @Option(parsing: .unconditional, help: ArgumentHelp("Bytes of a body.", valueName: "bytes"))
    var size = 128
    @Option(parsing: .unconditional, help: ArgumentHelp("So many publish.", valueName: "n"))
    var producers = 1
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("So many consume; 0 leaves the messages where they are.", valueName: "n"))
    var consumers = 1
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Publish so many messages, however long it takes.", valueName: "n"))
    var messages: Int?
    @Option(
        parsing: .unconditional, help: ArgumentHelp("Publish for so long. (default: 5)", valueName: "seconds")
    )
    var seconds: Int?
    @Flag(help: "A durable queue and persistent messages: a confirm then waits for the disk.")
    var durable = false
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Messages that a consumer may hold unacked; 0 is without limit.", valueName: "n"))
    var prefetch = 256
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if messages != nil, seconds != nil { throw ValidationError("Say --messages or --seconds, not both.") }
        if !(BenchPlan.sizeMin...(128 << 20)).contains(size) {
            throw ValidationError("--size is from \(BenchPlan.sizeMin) to 134217728.")
        }
        if !(1...256).contains(producers) { throw ValidationError("--producers is from 1 to 256.") }
        if !(0...256).contains(consumers) { throw ValidationError("--consumers is from 0 to 256.") }
        if let messages, messages < 1 { throw ValidationError("--messages is 1 or more.") }
        if let seconds, !(1...3000).contains(seconds) {
            throw ValidationError("--seconds is from 1 to 3000.")
        }
        if !(0...65_535).contains(prefetch) { throw ValidationError("--prefetch is from 0 to 65535.") }
    }

    func run() throws {
        var printer = try output.printer(of: Columns.bench)
        let plan = BenchPlan(
            server: try server.target, login: try server.login(), queue: "bench.\(getpid()).\(Terminal.now)",
            size: size,
            producers: producers, consumers: consumers, prefetch: prefetch, isDurable: durable,
            messages: messages)
        let client = try LineClient(plan.server.address, as: plan.login)
        try client.enter(plan.server.virtualHost)
        guard size <= client.bodyBytesMax else {
            throw Failure(
                .refused, "the server takes bodies of \(client.bodyBytesMax) bytes at most (serve --max-body)"
            )
        }
        // Should this be killed, the queue goes by itself.
        try client.ask(
            LineRequest("QUEUE").argument(plan.queue).word("durable=no", if: !durable).option(
                "expires", 3_600_000))
        Interrupt.listen()
        let run = BenchRun(plan)
        let result = Result { try watch(run) }
        try client.ask(LineRequest("DROP").word("queue").argument(plan.queue))
        try result.get()
        if let problem = run.problem { throw problem }
        print(run, with: &printer)
        if Interrupt.hasCome { Interrupt.end() }
    }

    /// Waits until all is done, or Ctrl-C has come.
    private func watch(_ run: BenchRun) throws {
        try run.start()
        var progress = Progress(bytesTotal: nil)
        let limit = messages == nil ? Double(seconds ?? 5) : .infinity
        while run.problem == nil {
            if Interrupt.hasCome || progress.seconds >= limit { run.stop() }
            if run.hasPublished, Interrupt.hasCome || isDelivered(run) { break }
            progress.update(messages: run.publishedSide.messages, bytes: 0)
            usleep(10_000)
        }
        progress.clear()
    }

    private func isDelivered(_ run: BenchRun) -> Bool {
        consumers == 0 || run.deliveredSide.messages >= run.publishedSide.messages
    }

    // MARK: - Output

    private func print(_ run: BenchRun, with printer: inout RowPrinter) {
        var sides = [("publish", run.publishedSide)]
        if consumers > 0 { sides.append(("deliver", run.deliveredSide)) }
        for (name, side) in sides { printer.print(side.row(name, size: size)) }
        printer.finish(none: "")
        guard output.output == .table, output.chosen == nil else { return }
        let text = Output(Terminal.standardOutput)
        for (name, side) in sides { text.write("\n" + side.picture(name)) }
    }
}

extension BenchRun.Side {
    /// As listings show it.
    fileprivate func row(_ name: String, size: Int) -> JSON {
        let seconds = max(Double(nanoseconds) / 1e9, 1e-9)
        let rate = Int(Double(messages) / seconds)
        func micros(_ part: Double) -> JSON { .int(latencies.quantile(part) / 1000) }
        return .object([
            JSON.Field(name: "side", value: .string(name)),
            JSON.Field(name: "messages", value: .int(messages)),
            JSON.Field(name: "seconds", value: .number(String(Double(Int(seconds * 1000)) / 1000))),
            JSON.Field(name: "rate", value: .int(rate)),
            JSON.Field(
                name: "bytes_rate", value: .int(rate.multipliedReportingOverflow(by: size).partialValue)),
            JSON.Field(name: "p50_us", value: micros(0.5)), JSON.Field(name: "p95_us", value: micros(0.95)),
            JSON.Field(name: "p99_us", value: micros(0.99)),
            JSON.Field(name: "max_us", value: .int(latencies.max / 1000)),
            JSON.Field(
                name: "histogram",
                value: .array(
                    latencies.doublings.map { .array([.int($0.below / 1000), .int($0.count)]) })),
        ])
    }

    /// The histogram as bars, a line for each doubling.
    fileprivate func picture(_ name: String) -> String {
        let lines = latencies.doublings
        let most = max(1, lines.map(\.count).max() ?? 1)
        let title = name == "publish" ? "publish to confirm" : "publish to delivery"
        var text = "\(title)\n"
        for line in lines {
            let bar = String(repeating: "#", count: (line.count * 40 + most - 1) / most)
            let below = Self.duration(line.below).padded(to: 8, right: true)
            text += "  < \(below)  \(bar.padded(to: 40, right: false))  \(Quantity.count(line.count))\n"
        }
        return text
    }

    /// `65 us`, `1.0 ms`, `2.1 s`.
    private static func duration(_ nanoseconds: UInt64) -> String {
        func tenths(_ unit: UInt64) -> String {
            let value = nanoseconds / (unit / 10)
            return "\(value / 10).\(value % 10)"
        }
        if nanoseconds < 1_000_000 { return "\(nanoseconds / 1000) us" }
        return nanoseconds < 1_000_000_000 ? tenths(1_000_000) + " ms" : tenths(1_000_000_000) + " s"
    }
}
