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
            only. Messages are those of one virtual host; they always go to standard output, one a line, all as of one \
            moment; they are read from the database file, which must be on this machine. Transient ones are not in it.

            Examples:
              leveret export > definitions.json
              leveret export --definitions definitions.json --all > messages.jsonl
              leveret export --messages orders.dead --db backup.db | leveret import -
            """
    )

    @Option(
        help: ArgumentHelp("Write the definitions to this file; - is standard output.", valueName: "file"))
    var definitions: String?
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Write the messages of these queues to standard output.", valueName: "queue"))
    var messages: [String] = []
    @Flag(help: "Write the messages of all queues of the virtual host.")
    var all = false
    @OptionGroup var source: SourceOptions

    func validate() throws {
        if all, !messages.isEmpty { throw ValidationError("Say --messages or --all, not both.") }
        if definitions == "-", all || !messages.isEmpty {
            throw ValidationError("Messages go to standard output; give --definitions a file beside them.")
        }
    }

    func run() throws {
        let hasMessages = all || !messages.isEmpty
        if definitions != nil || !hasMessages {
            let text =
                try DefinitionsWriter.document(of: try source.openAnywhere(), vhost: try source.virtualHost)
                .indented + "\n"
            if let definitions, definitions != "-" {
                try OutputFile.write(text.utf8, to: definitions)
            } else {
                Output(Terminal.standardOutput).write(text)
            }
        }
        if hasMessages { try writeMessages() }
    }

    private func writeMessages() throws {
        let vhost = VirtualHostName(try source.virtualHost ?? "/")
        let inspector = try DatabaseInspector(path: try source.databasePath(), virtualHost: vhost)
        defer { inspector.close() }
        let output = Output(Terminal.standardOutput)
        var progress = Progress(bytesTotal: nil)
        var count = 0
        Interrupt.listen()
        try inspector.messages(of: all ? nil : messages.map { QueueName($0) }) { queue, message in
            output.write(MessageDocument.write(message, in: queue) + "\n")
            count += 1
            if count % 1000 == 0 { progress.update(messages: count, bytes: 0) }
            return !Interrupt.hasCome
        }
        progress.clear()
        guard output.flush() else {
            throw Failure(.refused, "standard output could not be written; the export is not whole")
        }
        if Interrupt.hasCome {
            Terminal.complain("leveret: interrupted; \(counted(count, "message")) exported")
            Interrupt.end()
        }
    }
}
