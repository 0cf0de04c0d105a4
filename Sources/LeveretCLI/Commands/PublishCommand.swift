// `leveret publish`: one message, the same message many times, or a message per line of standard input.

import ArgumentParser

struct PublishCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Publish messages, and wait until they are safe.",
        discussion: """
            Examples:
              leveret publish "" jobs "resize cat.png"
              leveret publish orders order.new --file order.json -H source=web
              leveret publish "" jobs test --count 1000
              leveret publish flights - --lines < events.tsv

            With --lines and a KEY of -, each line is KEY, a tab, and the body. A refused message ends the run; what \
            was confirmed before is counted.
            """
    )

    @Argument(help: "The exchange; \"\" is the default exchange, whose keys are names of queues.")
    var exchange: String
    @Argument(help: "The routing key; - with --lines takes it from each line.")
    var key: String
    @Argument(help: "The body.")
    var body: String?
    @Option(help: ArgumentHelp("Take the body from a file; - is standard input.", valueName: "path"))
    var file: String?
    @Flag(help: "Publish each line of standard input as a message.")
    var lines = false
    @Option(help: ArgumentHelp("Publish the message so many times.", valueName: "n"))
    var count = 1
    @OptionGroup var headers: HeaderOptions
    @OptionGroup var server: ServerOptions

    func validate() throws {
        let sources = (body == nil ? 0 : 1) + (file == nil ? 0 : 1) + (lines ? 1 : 0)
        if sources != 1 {
            throw ValidationError("Say what to publish: a BODY, --file or --lines, one of them.")
        }
        if count < 1 { throw ValidationError("--count is 1 or more.") }
        if lines, count != 1 { throw ValidationError("--count doesn't go with --lines.") }
    }

    func run() throws {
        let message =
            try file.map { path throws(Failure) in try Input.contents(of: path) }
            ?? body.map { Array($0.utf8) }
        var pipeline = PublishPipeline(try server.connect(), exchange: exchange, headers: headers.headers)
        var progress = Progress(bytesTotal: lines ? Input.size(of: Terminal.standardInput) : nil)
        var wrongLine: Failure?
        do {
            if let message {
                try publish(message, through: &pipeline, progress: &progress)
            } else {
                wrongLine = try publishLines(through: &pipeline, progress: &progress)
            }
            try pipeline.finish()
        } catch {
            progress.clear()
            throw Failure(error.status, "\(error.text); \(Self.resume(after: pipeline.totals.confirmed))")
        }
        progress.clear()
        try report(pipeline.totals, seconds: progress.seconds, wrongLine: wrongLine)
    }

    private func publish(
        _ message: [UInt8],
        through pipeline: inout PublishPipeline,
        progress: inout Progress
    ) throws(Failure) {
        for number in 1...count {
            guard try pipeline.publish(key: key.utf8, body: message) else { return }
            if number % 1000 == 0 { progress.update(messages: number, bytes: 0) }
        }
    }

    /// Returns what is wrong with a line that can't be published, having sent those before it.
    private func publishLines(
        through pipeline: inout PublishPipeline,
        progress: inout Progress
    ) throws(Failure) -> Failure? {
        var input = InputLines(Terminal.standardInput)
        var number = 0
        while let line = try input.next() {
            number += 1
            if number % 1000 == 0 { progress.update(messages: number, bytes: input.bytesRead) }
            let goesOn: Bool
            if key == "-" {
                guard let tab = line.firstIndex(of: 0x09) else {
                    return Failure(
                        .usage,
                        "line \(number) has no tab; with the key - each line is KEY, a tab, and the body"
                    )
                }
                goesOn = try pipeline.publish(key: line[..<tab], body: line[(tab + 1)...])
            } else {
                goesOn = try pipeline.publish(key: key.utf8, body: line)
            }
            if !goesOn { return nil }
        }
        return nil
    }

    private func report(_ totals: PublishTotals, seconds: Double, wrongLine: Failure?) throws(Failure) {
        let confirmed = "\(counted(totals.confirmed, "message")) published"
        if let (number, refusal) = totals.firstRefusal {
            let failure = Failure(refusal)
            let which = totals.confirmed + totals.refused == 1 ? "" : "message \(number): "
            let rest =
                totals.confirmed == 0 ? "nothing was published" : "\(confirmed), \(totals.refused) refused"
            throw Failure(failure.status, "\(which)\(failure.text); \(rest)")
        }
        if let wrongLine { throw Failure(wrongLine.status, "\(wrongLine.text); \(confirmed) before it") }
        let rate = Quantity.count(Int(Double(totals.confirmed) / max(seconds, 0.001)))
        let isMany = totals.confirmed > 1
        announce(isMany ? "\(confirmed) in \(Quantity.seconds(seconds)), \(rate)/s" : confirmed)
        if totals.unroutable > 0 {
            let which = isMany ? "\(Quantity.count(totals.unroutable)) of them" : "it"
            Terminal.complain(
                "leveret: no queue took \(which): nothing is bound that matches; see 'leveret route'"
            )
        }
    }

    private static func resume(after confirmed: Int) -> String {
        "\(counted(confirmed, "message")) were confirmed, up to \(PublishPipeline.windowMax) more may be stored"
    }
}

extension Quantity {
    /// `0.35 s`, `12.1 s`.
    static func seconds(_ seconds: Double) -> String {
        let hundredths = Int((seconds * 100).rounded())
        let digits = hundredths % 100
        return "\(hundredths / 100).\(digits < 10 ? "0" : "")\(digits) s"
    }
}
