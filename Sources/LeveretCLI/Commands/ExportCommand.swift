// `leveret export`: definitions as RabbitMQ's file, messages as JSON lines. Definitions/ has the form of the first,
// LeveretWire/Line/MessageDocument.swift that of the second.

import ArgumentParser
import Leveret
import LeveretWire

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write definitions as RabbitMQ's JSON file, and messages as JSON lines.",
        discussion: """
            Without an option the definitions go to standard output: virtual hosts, exchanges, queues, bindings and \
            policies, but nothing that goes with a connection; with --vhost, or one in the URL, what is of that one \
            only. Messages are those of one virtual host; they always go to standard output, one a line. Where the \
            database is a file on this machine they are all as of one moment, without transient ones; from any \
            other server they come page by page, while it goes on.

            Examples:
              leveret export > definitions.json
              leveret export --definitions definitions.json --all > messages.jsonl
              leveret export --messages orders.dead --db backup.db | leveret import -
            """
    )

    @Option(
        help: ArgumentHelp("Write the definitions to this file; - is standard output.", valueName: "file"),
        completion: .file())
    var definitions: String?
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Write the messages of these queues to standard output.", valueName: "queue"),
        completion: .queues)
    var messages: [String] = []
    @Flag(help: "Write the messages of all queues of the virtual host.")
    var all = false
    @Flag(help: "Replace the file of --definitions, where there is one.")
    var force = false
    @OptionGroup var source: SourceOptions

    func validate() throws {
        if all, !messages.isEmpty { throw ValidationError("Say --messages or --all, not both.") }
        if force, definitions == nil || definitions == "-" {
            throw ValidationError("--force is for the file of --definitions; name one.")
        }
        if definitions == "-", all || !messages.isEmpty {
            throw ValidationError("Messages go to standard output; give --definitions a file beside them.")
        }
    }

    func run() throws {
        let hasMessages = all || !messages.isEmpty
        if definitions != nil || !hasMessages {
            let from = try source.openAnywhere()
            let file = definitions == "-" ? nil : definitions
            if let file { try check(file, of: from) }
            let text = try DefinitionsWriter.document(of: from, vhost: try source.virtualHost).indented + "\n"
            if let file {
                try OutputFile.write(text.utf8, to: file)
            } else {
                Output(Terminal.standardOutput).write(text)
            }
        }
        if hasMessages { try writeMessages() }
    }

    /// Refuses a file that is there, or that a database needs.
    private func check(_ file: String, of source: any Source) throws {
        let database = try source.status()["database"]?.text
        do { try DatabaseInspector.checkTarget(file, of: database, replacing: force) } catch {
            throw Failure(error)
        }
    }

    private func writeMessages() throws {
        var lines = ExportLines()
        Interrupt.listen()
        switch try source.place() {
        case .file(let path):
            let vhost = VirtualHostName(try source.virtualHost ?? "/")
            let inspector = try DatabaseInspector(path: path, virtualHost: vhost)
            defer { inspector.close() }
            try inspector.messages(of: all ? nil : messages.map { QueueName($0) }) { queue, message in
                lines.write(
                    MessageDocument.write(message, in: queue), of: queue.rawValue,
                    Int(message.number.rawValue))
            }
        case .server(let server, _): try writeMessages(of: server, to: &lines)
        }
        try lines.finish()
        if Interrupt.hasCome {
            Terminal.complain("leveret: interrupted; \(counted(lines.count, "message")) exported")
            Interrupt.end()
        }
    }

    /// Writes what a server has that is asked page by page: of each queue first what is delayed, then what has a place.
    private func writeMessages(of server: ServerSource, to lines: inout ExportLines) throws {
        var queues = messages
        if all { try server.queues(match: nil, fields: ["name"]) { queues.append($0.name) } }
        for queue in queues where !Interrupt.hasCome {
            // Of those that are named one that isn't there is a mistake; of all, it has just gone.
            if !all { _ = try server.queue(queue) }
            for state in [PeekState.delayed, .ready, .unacked] where !Interrupt.hasCome {
                try server.unlessGone {
                    var pages = try MessagePages(
                        of: queue, state: state, where: nil, in: server,
                        by: { try server.export($0, each: $1) })
                    while let page = try pages.next() {
                        for row in page {
                            let document = (row["document"] ?? .null).compact
                            guard lines.write(document, of: queue, row.position) else { return }
                        }
                    }
                }
            }
        }
    }
}

/// The lines of an export, one a message, and how far it is.
private struct ExportLines {
    private let output = Output(Terminal.standardOutput)
    private var progress = Progress(bytesTotal: nil)
    /// How many were written.
    private(set) var count = 0
    /// Of these, those that are too long to be imported.
    private var tooLong = 0

    /// Writes the line of the message at a position of a queue; false where the rest is not wanted any more.
    mutating func write(_ line: String, of queue: String, _ position: Int) -> Bool {
        if line.utf8.count > Input.bodyBytesMax {
            tooLong += 1
            progress.clear()
            Terminal.complain(
                "leveret: message \(position) of queue '\(queue.printable)' is a line of \(line.utf8.count) bytes, and "
                    + "'leveret import' takes \(Input.bodyBytesMax): take its body with 'leveret get --body raw', and "
                    + "publish it with --file")
        }
        output.write(line + "\n")
        count += 1
        if count % 1000 == 0 { progress.update(messages: count, bytes: 0) }
        return !Interrupt.hasCome
    }

    /// Hands the last of them over.
    mutating func finish() throws(Failure) {
        progress.clear()
        guard output.flush() else {
            throw Failure(.refused, "standard output could not be written; the export is not whole")
        }
        if tooLong > 0 {
            throw Failure(
                .refused,
                "the export is whole, but \(counted(tooLong, "message")) can't be imported, see above")
        }
    }
}
