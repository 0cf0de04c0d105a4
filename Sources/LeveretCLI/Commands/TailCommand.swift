// `leveret tail`: copies of what passes an exchange, by way of a queue that lasts as long as the command.

import ArgumentParser

struct TailCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail",
        abstract: "Show copies of the messages that pass an exchange, as they pass.",
        discussion: """
            Nothing is taken from anybody: the copies come through a queue of its own that is gone with the command. \
            It holds 10,000 messages at most; when more come than can be shown, the oldest are left out, and it says \
            how many. What a message means to a pattern depends on the exchange's type, as for `leveret bind`.

            Examples:
              leveret tail orders
              leveret tail orders 'order.new.#' -n 10
              leveret tail amq.direct jobs --body json
              leveret tail orders -o json | jq .key
            """
    )

    @Argument(help: "The exchange.", completion: .exchanges)
    var exchange: String
    @Argument(
        help: "Only what meets this; without it all, of a direct exchange all keys that are bound now.")
    var pattern: String?
    @Option(name: .short, parsing: .unconditional, help: ArgumentHelp("End after so many.", valueName: "n"))
    var number: Int?
    @Option(help: "Bodies as indented json, as text, as hex, or raw: the bytes and nothing else.")
    var body: BodyFormat?
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    /// Messages that wait to be shown.
    private static let lengthMax = 10_000

    func validate() throws {
        if let number, number < 1 { throw ValidationError("-n is 1 or more.") }
    }

    func run() throws {
        let standardOutput = Output(Terminal.standardOutput)
        var printer = try MessagePrinter(output, body: body, columns: Columns.tail, to: standardOutput)
        let client = try server.connect()
        let patterns = try self.patterns(ServerSource(client))
        let queue =
            try client.ask(
                LineRequest("QUEUE").word("?").word("exclusive").word("durable=no")
                    .option("max-length", Self.lengthMax)
            ).split(separator: " ").first.map(String.init) ?? ""
        for pattern in patterns {
            try client.ask(LineRequest("BIND").argument(queue).argument(exchange).argument(pattern))
        }
        let signals = try SignalPipe.open(secondEnds: true)
        var subscription = try Subscription(to: queue, on: client, prefetch: 0, autoAck: true)
        var left = number ?? .max
        var dropped = 0
        var asked = ContinuousClock.now
        var (isThere, isGone) = (false, false)
        while left > 0, SignalPipe.endingsAsked == 0 {
            var count = 0
            // What comes without end is shown by and by.
            while left > 0, count < 1000, let event = try subscription.next() {
                switch event {
                case .message(let message):
                    printer.print(message.row)
                    (left, count) = (left - 1, count + 1)
                case .row(let row) where row["name"]?.text == queue:
                    Self.tell(row, told: &dropped)
                    (isThere, isGone) = (false, !isThere)
                case .row(let row): isThere = isThere || row["name"]?.text == exchange
                case .settled: continue
                case .ended(let reason): throw subscription.failure(reason)
                }
            }
            guard printer.settle() else { return }  // nobody reads any more
            if isGone { throw Failure(.notFound, "exchange '\(exchange.printable)' was deleted meanwhile") }
            if left > 0, count < 1000 {
                SignalPipe.wait(signals, or: [subscription.descriptor], milliseconds: 1000)
            }
            if asked.duration(to: .now) >= .seconds(1) {
                asked = .now
                // Whether the exchange is still there comes before how the queue does.
                try subscription.send(LineRequest("LIST").word("exchanges").option("match", exchange))
                try subscription.send(LineRequest("STAT").argument(queue))
            }
        }
        try subscription.send(LineRequest("STAT").argument(queue))
        try subscription.end {
            if case .row(let row) = $0, row["name"]?.text == queue { Self.tell(row, told: &dropped) }
        }
        SignalPipe.endAsAsked()
    }

    /// The patterns to bind with.
    private func patterns(_ source: ServerSource) throws -> [String] {
        let row = try source.exchange(exchange)
        if exchange.isEmpty {
            throw Failure(
                .refused,
                "the default exchange hands messages to the queues that they name, and nothing else can be bound to "
                    + "it; look at the queue with 'leveret peek'")
        }
        if let pattern { return [pattern] }
        switch row["arguments"]?["x-delayed-type"]?.text ?? row["type"]?.text {
        case "topic": return ["#"]
        case "direct":
            let keys = Set(try source.keys(of: exchange))
            if keys.isEmpty {
                throw Failure(
                    .refused,
                    "exchange '\(exchange.printable)' is direct and nothing is bound to it now; say which key to show"
                )
            }
            return keys.sorted()
        default: return [""]
        }
    }

    /// Says how many messages the queue had no room for since that was told.
    private static func tell(_ row: JSON, told: inout Int) {
        let all = row["dead"]?["maxlen"]?.int ?? 0
        guard all > told else { return }
        let count = all - told
        told = all
        let were = count == 1 ? "was" : "were"
        Terminal.complain(
            "leveret: \(counted(count, "message")) \(were) left out: they came faster than they could be shown"
        )
    }
}
