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
              leveret publish "" mails "good morning" --delay 3600000
              leveret publish flights - --lines < events.tsv

            With --lines and a KEY of -, each line is KEY, a tab, and the body. A refused message ends the run and \
            what was published is counted: the error names the lines that were refused and the last that was sent.
            """
    )

    @Argument(
        help: "The exchange; \"\" is the default exchange, whose keys are names of queues.",
        completion: .exchanges)
    var exchange: String
    @Argument(help: "The routing key; - with --lines takes it from each line.")
    var key: String
    @Argument(help: "The body.")
    var body: String?
    @Option(help: ArgumentHelp("Take the body from a file; - is standard input.", valueName: "path"))
    var file: String?
    @Flag(help: "Publish each line of standard input as a message.")
    var lines = false
    @Option(parsing: .unconditional, help: ArgumentHelp("Publish the message so many times.", valueName: "n"))
    var count = 1
    @Flag(help: "Refuse a message that no queue takes (exit status 1).")
    var mandatory = false
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("It is ready in its queues so much later.", valueName: "ms"))
    var delay: Int?
    @OptionGroup var headers: HeaderOptions
    @OptionGroup var server: TargetOptions

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
        var pipeline = PublishPipeline(
            try server.connect(), exchange: exchange, headers: headers.headers, delayMilliseconds: delay,
            mandatory: mandatory
        )
        var progress = Progress(bytesTotal: lines ? Input.size(of: Terminal.standardInput) : nil)
        var problem: Failure?
        Interrupt.listen()
        do {
            if let message {
                problem = try publish(message, through: &pipeline, progress: &progress)
            } else {
                problem = try publishLines(through: &pipeline, progress: &progress)
            }
            try pipeline.finish()
        } catch {
            problem = error
        }
        progress.clear()
        try PublishReport(pipeline.totals, isLines: lines, isOne: message != nil && count == 1)
            .finish(problem, seconds: progress.seconds)
    }

    /// Returns what is wrong with a message that can't be published.
    private func publish(
        _ message: [UInt8],
        through pipeline: inout PublishPipeline,
        progress: inout Progress
    ) throws(Failure) -> Failure? {
        if let problem = pipeline.problem(key: key.utf8, body: message) { return Failure(.refused, problem) }
        for number in 1...count where !Interrupt.hasCome {
            guard try pipeline.publish(key: key.utf8, body: message) else { return nil }
            if number % 1000 == 0 { progress.update(messages: number, bytes: 0) }
        }
        return nil
    }

    /// Returns what is wrong with a line that can't be published, having sent those before it.
    private func publishLines(
        through pipeline: inout PublishPipeline,
        progress: inout Progress
    ) throws(Failure) -> Failure? {
        var input = InputLines(Terminal.standardInput)
        var number = 0
        while true {
            if !input.hasLine() {
                // Whoever writes the lines one by one shall not wait for a thousandth.
                if !Input.isReady(Terminal.standardInput) { try pipeline.finish() }
                progress.update(messages: number, bytes: input.bytesRead)
                if Interrupt.hasCome { return nil }
            }
            guard let line = try input.next(), !Interrupt.hasCome else { return nil }
            number += 1
            if number % 1000 == 0 { progress.update(messages: number, bytes: input.bytesRead) }
            var key = Array(self.key.utf8)[...]
            var body = line
            if self.key == "-" {
                guard let tab = line.firstIndex(of: 0x09) else {
                    let form = "with the key - each line is KEY, a tab, and the body"
                    return Failure(.refused, "line \(number) has no tab; \(form)")
                }
                key = line[..<tab]
                body = line[(tab + 1)...]
            }
            if let problem = pipeline.problem(key: key, body: body) {
                return Failure(.refused, "line \(number): \(problem)")
            }
            if try !pipeline.publish(key: key, body: body) { return nil }
        }
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
