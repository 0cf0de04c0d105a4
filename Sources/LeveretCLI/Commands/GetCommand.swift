// `leveret get`: takes messages, shows them, and then removes them or gives them back.

import ArgumentParser

struct GetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Take messages from a queue.",
        discussion: """
            With --ack they are removed, once they have been printed. Without it they go back to their places, marked \
            as redelivered; to look without a trace, use 'leveret peek'.

            Examples:
              leveret get jobs
              leveret get jobs -n 100 --ack --body raw
            """
    )

    /// What becomes of the messages.
    enum Outcome: String, EnumerableFlag {
        case ack
        case requeue

        static func help(for value: Outcome) -> ArgumentHelp? {
            switch value {
            case .ack: "Remove them."
            case .requeue: "Give them back."
            }
        }
    }

    @Argument(help: "The queue.", completion: .queues)
    var name: String
    @Option(name: .short, parsing: .unconditional, help: ArgumentHelp("At most so many.", valueName: "n"))
    var number = 1
    @Flag(help: "Remove them, or give them back.")
    var outcome: Outcome = .requeue
    @Option(help: "Bodies as indented json, as text, as hex, or raw: the bytes and nothing else.")
    var body: BodyFormat?
    @OptionGroup var server: TargetOptions
    @OptionGroup var output: OutputOptions

    /// Requests under way, and messages that are settled together.
    private static let batch = 256

    func validate() throws {
        if number < 1 { throw ValidationError("-n is 1 or more.") }
    }

    func run() throws {
        let standardOutput = Output(Terminal.standardOutput)
        var printer = try MessagePrinter(output, body: body, columns: Columns.get, to: standardOutput)
        let client = try server.connect()
        var left = number
        var last: String?
        var refusal: Reply.Refusal?
        while left > 0, refusal == nil {
            let count = min(left, Self.batch)
            let batch = try take(count, from: client) { printer.print($0) }
            left -= batch.taken
            last = batch.last ?? last
            refusal = batch.refusal
            guard printer.settle() else { break }  // what nobody read is not removed
            if outcome == .ack, let tag = batch.last { try settle(tag, "ACK", on: client) }
            if batch.taken < count { break }
        }
        // Said out loud: messages held when a connection ends count as failed.
        if outcome == .requeue, let last { try settle(last, "NACK", on: client) }
        if let refusal { throw Failure(refusal) }
        let isPaused = try left == number && isPaused(client)
        printer.finish(
            none: isPaused
                ? "queue '\(name.printable)' is paused; 'leveret resume \(name.shellWord)' lets it go on"
                : "queue '\(name.printable)' has no message that is ready")
    }

    private func isPaused(_ client: LineClient) throws -> Bool {
        try ServerSource(client).queue(name)["paused_since"]?.text != nil
    }

    private func settle(_ tag: String, _ verb: StaticString, on client: LineClient) throws(Failure) {
        try client.ask(LineRequest(verb).argument(tag).word("multiple"))
    }

    private struct Batch {
        var taken = 0
        /// The tag of the last message.
        var last: String?
        var refusal: Reply.Refusal?
    }

    /// Takes up to `count` messages.
    private func take(_ count: Int, from client: LineClient, each: (JSON) -> Void) throws(Failure) -> Batch {
        let request = LineRequest("GET").argument(name)
        for _ in 0..<count { client.send(request) }
        try client.flush()
        var batch = Batch()
        for _ in 0..<count {
            switch try client.receive() {
            case .message(let message):
                batch.taken += 1
                batch.last = message.tag
                each(message.row)
            case .nothing: continue
            case .refused(let refusal): batch.refusal = batch.refusal ?? refusal
            case .done, .row, .text, .push: throw client.outOfStep()
            }
        }
        return batch
    }
}

extension Delivered {
    /// The message as a row.
    var row: JSON {
        var headers: [JSON.Field] = []
        var properties: [JSON.Field] = []
        var facts: [JSON.Field] = []
        for (name, value) in options {
            if name.hasPrefix("h.") {
                headers.append(JSON.Field(name: String(name.dropFirst(2)), value: value))
            } else if name == "redelivered" {
                facts.append(JSON.Field(name: name, value: .bool(value == .number("1"))))
            } else if name == "deliveries" || name == "position" {
                facts.append(JSON.Field(name: name, value: value))
            } else {
                properties.append(JSON.Field(name: name, value: value))
            }
        }
        let text = String(validating: body, as: UTF8.self)
        return .object(
            [
                JSON.Field(name: "exchange", value: .string(exchange)),
                JSON.Field(name: "key", value: .string(key)),
            ]
                + facts + [
                    JSON.Field(name: "size", value: .int(body.count)),
                    JSON.Field(name: "headers", value: .object(headers)),
                    JSON.Field(name: "properties", value: .object(properties)),
                    text.map { JSON.Field(name: "body", value: .string($0)) }
                        ?? JSON.Field(name: "body64", value: .string(Base64.encode(body))),
                ]
        )
    }
}
