// `leveret import`: a definitions file, or messages as JSON lines, into a running server.

import ArgumentParser

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Declare what a definitions file names, or bring messages back from JSON lines.",
        discussion: """
            A definitions file is JSON as 'leveret export' and RabbitMQ ('rabbitmqctl export_definitions') write it. \
            What is there already stays as it is, so that the same file can be imported again; what this version has \
            nothing for is left out and named. Each thing goes into its virtual host, which is made if it isn't there; \
            with --vhost, or one in the URL, only what is of that one. Messages are lines as 'leveret export \
            --messages' writes them: each goes back into its queue, which must be there, with its history. A message \
            that is refused ends the run, and the error names the lines that were refused and the last that was sent.

            Examples:
              leveret import definitions.json
              leveret import rabbitmq.json --vhost shop
              leveret import messages.jsonl
              tail -n +1001 messages.jsonl | leveret import -
            """
    )

    @Argument(help: "The file; - is standard input.", completion: .file())
    var file: String
    @OptionGroup var server: TargetOptions

    func run() throws {
        let descriptor = try Input.begin(file)
        defer { Input.finish(descriptor) }
        var input = InputLines(descriptor, named: file == "-" ? "standard input" : "'\(file.printable)'")
        Interrupt.listen()
        let line = try input.next().map(Array.init)
        endIfInterrupted()
        guard var first = line else {
            throw Failure(.refused, "'\(file.printable)' is empty; nothing was imported")
        }
        if first.starts(with: [0xEF, 0xBB, 0xBF]) { first.removeFirst(3) }  // a byte order mark
        if MessageLine.isMeant(by: first) {
            return try importMessages(first, then: &input, total: Input.size(of: descriptor))
        }
        var text = first
        while let line = try input.next() {
            text.append(.lineFeed)
            text.append(contentsOf: line)
            guard text.count <= InputLines.lineBytesMax else {
                let most = "a definitions file has \(InputLines.lineBytesMax) at most"
                throw Failure(.refused, "'\(file.printable)' has more bytes: \(most); nothing was imported")
            }
        }
        endIfInterrupted()
        guard let json = JSON(text) else {
            let place = JSON.fault(in: text).map { " (\($0))" } ?? ""
            throw Failure(
                .refused,
                "'\(file.printable)' is no JSON\(place), neither a definitions file nor lines with a message each; "
                    + "nothing was imported")
        }
        try importDefinitions(try DefinitionsPlan(json, vhost: try server.virtualHost))
    }

    /// Ctrl-C is no end of the input: half of a file is not imported.
    private func endIfInterrupted() {
        guard Interrupt.hasCome else { return }
        Terminal.complain("leveret: interrupted; nothing was imported")
        Interrupt.end()
    }

    // MARK: - Definitions

    private func importDefinitions(_ plan: DefinitionsPlan) throws {
        let client = try server.connectAnywhere()
        for note in plan.notes { Terminal.complain("leveret: \(note)") }
        var outcome = ImportOutcome()
        for part in plan.parts {
            // What can't be entered must not be declared elsewhere.
            guard try enter(part, client, &outcome) else { continue }
            for step in part.steps { client.send(step.request) }
            try client.flush()
            for step in part.steps {
                switch try client.receive() {
                case .done: outcome.done[step.kind, default: 0] += 1
                case .refused(let refusal): outcome.refused(step.name, Failure(refusal))
                case .nothing, .message, .row, .text, .push: throw client.outOfStep()
                }
            }
        }
        try outcome.conclude()
    }

    /// Enters a virtual host, made first if it isn't there; false where that was refused.
    private func enter(
        _ part: DefinitionsPlan.Part, _ client: LineClient, _ outcome: inout ImportOutcome
    ) throws(Failure) -> Bool {
        do throws(Failure) {
            do throws(Failure) {
                try client.enter(part.vhost)
            } catch  where error.status == .notFound {
                try client.ask(LineRequest("CREATE").word("vhost").argument(part.vhost))
                try client.enter(part.vhost)
            }
            if part.vhost != "/" { outcome.done[.vhost, default: 0] += 1 }
            return true
        } catch  where error.status != .unreachable {
            outcome.refused("virtual host '\(part.vhost.printable)'", error)
            return false
        }
    }

    // MARK: - Messages

    private func importMessages(_ first: [UInt8], then input: inout InputLines, total: Int?) throws {
        var pipeline = ImportPipeline(try server.connect())
        var progress = Progress(bytesTotal: total)
        var problem: Failure?
        do {
            var line: ArraySlice<UInt8>? = first[...]
            while let next = line, !Interrupt.hasCome {
                guard try pipeline.send(next) else { break }
                if pipeline.totals.sent % 1000 == 0 {
                    progress.update(messages: pipeline.totals.confirmed, bytes: input.bytesRead)
                }
                line = try input.next()
            }
        } catch {
            problem = error
        }
        do { try pipeline.finish() } catch { problem = problem ?? error }
        progress.clear()
        try PublishReport(pipeline.totals, isLines: true, isOne: false, verb: "imported")
            .finish(problem, seconds: progress.seconds)
    }
}

/// What became of the definitions of a file.
private struct ImportOutcome {
    var done: [DefinitionKind: Int] = [:]
    private var refusals: [Failure] = []

    /// Says at once what was refused.
    mutating func refused(_ name: String, _ failure: Failure) {
        refusals.append(failure)
        Terminal.complain("leveret: \(name): \(failure.text)")
    }

    /// Says what is there; throws the first refusal's status where there was any.
    func conclude() throws(Failure) {
        let counts = DefinitionKind.allCases.compactMap { kind in done[kind].map { kind.counted($0) } }
        let there = counts.isEmpty ? "nothing was declared" : "\(counts.joined(separator: ", ")) there"
        if let first = refusals.first {
            let refused = "\(counted(refusals.count, "definition")) refused, see above"
            throw Failure(first.status, "\(there); \(refused); mend the file, and import it again")
        }
        announce(there)
    }
}

/// One line of an export, as far as a client must understand it.
private struct MessageLine {
    /// The queue that the message goes to.
    let queue: String

    /// True for an object that has anything of a message, be it not all.
    static func isMeant(by bytes: [UInt8]) -> Bool {
        guard case .object(let fields)? = JSON(bytes) else { return false }
        return fields.contains { ["queue", "body", "body64"].contains($0.name) }
    }

    /// `nil` for what is no message.
    init?(_ bytes: some Sequence<UInt8>) {
        guard let json = JSON(bytes), let queue = json["queue"]?.text,
            json["body"] != nil || json["body64"] != nil
        else { return nil }
        self.queue = queue
    }
}

/// Brings messages back over one connection, up to a thousand and some MiB of them under way.
private struct ImportPipeline {
    private static let windowMax = PublishPipeline.windowMax
    private static let windowBytes = 4 << 20

    private let client: LineClient
    private var bytes = 0
    private(set) var totals = PublishTotals()

    init(_ client: LineClient) { self.client = client }

    /// Sends a line; false once one has been refused, for then the rest should stay.
    ///
    /// - Throws: `Failure`, too, for a line that is no message; nothing of it is sent.
    mutating func send(_ line: ArraySlice<UInt8>) throws(Failure) -> Bool {
        let queue = try queue(of: line)
        let request = LineRequest("IMPORT").argument(queue)
        try client.send { (buffer) throws(Failure) in request.append(to: &buffer, body: line) }
        totals.sent += 1
        bytes += line.count
        if totals.unanswered >= Self.windowMax || bytes >= Self.windowBytes {
            try settle(downTo: bytes >= Self.windowBytes ? 0 : Self.windowMax / 2)
        }
        return totals.refusal == nil
    }

    private func queue(of line: ArraySlice<UInt8>) throws(Failure) -> String {
        let place = "line \(totals.sent + 1)"
        if line.count > client.bodyBytesMax {
            let limit = "the server takes \(client.bodyBytesMax) (serve --max-body)"
            throw Failure(.refused, "\(place) has \(line.count) bytes; \(limit)")
        }
        guard let message = MessageLine(line) else {
            throw Failure(
                .refused, "\(place) is no message: it must be an object with 'queue', and 'body' or 'body64'")
        }
        let count = message.queue.utf8.count
        guard (1...255).contains(count) else {
            throw Failure(.refused, "\(place): the queue's name has \(count) bytes; 1 to 255 are allowed")
        }
        return message.queue
    }

    /// Waits for every answer.
    mutating func finish() throws(Failure) { try settle(downTo: 0) }

    private mutating func settle(downTo count: Int) throws(Failure) {
        try client.flush()
        while totals.unanswered > count {
            switch try client.receive() {
            case .done: totals.confirm(routed: true)
            case .refused(let refusal): totals.refuse(refusal)
            case .nothing, .message, .row, .text, .push: throw client.outOfStep()
            }
        }
        if count == 0 { bytes = 0 }
    }
}
