// `leveret consume`: messages as they come, printed or handed to a command whose exit status settles them.

import ArgumentParser

struct ConsumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consume",
        abstract: "Take messages as they come: print them, or run a command for each.",
        discussion: """
            Without --exec each message is printed and then removed. With it, the shell runs the command for each \
            message: the body is its standard input, and the message stands in its environment: LEVERET_QUEUE, \
            LEVERET_EXCHANGE, LEVERET_KEY, LEVERET_POSITION, LEVERET_DELIVERIES, LEVERET_REDELIVERED, properties such \
            as LEVERET_ID or LEVERET_CONTENT_TYPE, and headers as LEVERET_HEADER_NAME, in capitals, with _ for \
            whatever is no letter or digit.

            The exit status says what becomes of the message:
              0          it is done
              75         it is tried again, counted as failed, after the queue's retry delay
              any other  it is a dead letter, with the end of what the command said on standard error

            Ctrl-C lets the commands that run finish; a second one ends them, and their messages go back.

            Examples:
              leveret consume jobs
              leveret consume jobs -n 10 -o json --columns key,body
              leveret consume jobs --exec './resize.sh' --parallel 4
              leveret consume mails --exec 'sendmail -t || exit 75'
              leveret consume jobs --exec 'jq -e .total >>totals' --prefetch 20
            """
    )

    @Argument(help: "The queue.", completion: .queues)
    var name: String
    @Option(help: ArgumentHelp("Run this line of shell for each message.", valueName: "command"))
    var exec: String?
    @Option(parsing: .unconditional, help: ArgumentHelp("So many commands at a time.", valueName: "n"))
    var parallel = 1
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Have so many messages at hand; with --exec as many as --parallel unless said.", valueName: "n"))
    var prefetch: Int?
    @Option(name: .short, parsing: .unconditional, help: ArgumentHelp("End after so many.", valueName: "n"))
    var number: Int?
    @Flag(help: "Messages are done as they are sent: what is not printed or run then is lost.")
    var autoAck = false
    @Option(help: "Bodies as indented json, as text, as hex, or raw: the bytes and nothing else.")
    var body: BodyFormat?
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let number, number < 1 { throw ValidationError("-n is 1 or more.") }
        if !(1...1000).contains(parallel) { throw ValidationError("--parallel is 1 to 1000.") }
        if !(1...65_535).contains(prefetch ?? 1) { throw ValidationError("--prefetch is 1 to 65535.") }
        if exec == nil, parallel != 1 { throw ValidationError("--parallel goes with --exec.") }
        if exec != nil, output.output != .table || output.columns != nil || body != nil {
            throw ValidationError("With --exec the command prints: leave out -o, --columns and --body.")
        }
    }

    func run() throws {
        if let exec { return try run(exec) }
        let standardOutput = Output(Terminal.standardOutput)
        var printer = try MessagePrinter(output, body: body, columns: Columns.get, to: standardOutput)
        let client = try server.connect()
        try warn(client)
        let signals = try SignalPipe.open(secondEnds: true)
        var subscription = try Subscription(
            to: name, on: client, prefetch: min(prefetch ?? 256, number ?? .max), autoAck: autoAck)
        var left = number ?? .max
        while left > 0, SignalPipe.endingsAsked == 0 {
            var last: String?
            var problem: Failure?
            var count = 0
            // What comes without end is shown by and by.
            while left > 0, count < 1000, problem == nil, let event = try subscription.next() {
                switch event {
                case .message(let message):
                    printer.print(message.row)
                    last = message.tag
                    (left, count) = (left - 1, count + 1)
                case .ended(let reason): problem = subscription.failure(reason)
                case .row, .settled: continue
                }
            }
            if let last {
                guard printer.settle() else { break }  // what nobody read is not removed
                if !autoAck { try subscription.send(LineRequest("ACK").argument(last).word("multiple")) }
            }
            if let problem { throw problem }
            if left > 0, count < 1000 { SignalPipe.wait(signals, or: [subscription.descriptor]) }
        }
        try subscription.end()
        SignalPipe.endAsAsked()
    }

    private func run(_ command: String) throws {
        let client = try server.connect()
        try warn(client)
        let signals = try SignalPipe.open()
        let prefetch = min(self.prefetch ?? parallel, number ?? .max)
        let subscription = try Subscription(to: name, on: client, prefetch: prefetch, autoAck: autoAck)
        var run = ConsumeRun(
            subscription, signals: signals, command: command, parallel: parallel, autoAck: autoAck,
            number: number, waitingMax: autoAck ? parallel : .max)
        do { try run.run() } catch {
            throw Failure(error.status, "\(error.text); \(run.totals.sentence) before")
        }
        let interrupted = SignalPipe.isInterrupted ? "interrupted; " : ""
        Terminal.complain("leveret: \(interrupted)\(run.totals.sentence)")
        SignalPipe.endAsAsked()
    }

    /// Says so where nothing will come, and where what the command fails on would be gone.
    private func warn(_ client: LineClient) throws {
        let source = ServerSource(client)
        var row = JSON.null
        try source.unlessRefused { row = try source.queue(name) }
        if row["paused_since"]?.text != nil {
            Terminal.complain(
                "leveret: queue '\(name.printable)' is paused; 'leveret resume \(name.shellWord)' lets it go on"
            )
        }
        guard exec != nil, !autoAck, row != .null, row.deadLetterExchange == nil else { return }
        Terminal.complain(
            "leveret: queue '\(name.printable)' has no dead-letter exchange: what the command fails on is dropped; "
                + "'leveret policy set' can give it one"
        )
    }
}
