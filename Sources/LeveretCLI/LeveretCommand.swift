// The root of the command line: `leveret`. It names the commands, and turns what they throw into a sentence on
// standard error and an exit status. To add a command: a file in Commands, and its line here.

import ArgumentParser
import Leveret

/// `leveret`: the server, and the tools that act on one.
@main struct LeveretCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leveret",
        abstract: "A message queue with RabbitMQ's routing, in one SQLite file.",
        discussion: """
            Start a server, then talk to it from another terminal:

              leveret serve --db leveret.db
              leveret queue declare jobs
              leveret publish "" jobs "resize cat.png"
              leveret get jobs --ack

            Something is wrong? 'leveret doctor' looks for it, and 'leveret why QUEUE' says why messages of a queue \
            stand still, fail or come back.

            Commands find the server at 127.0.0.1:5672, at LEVERET_URL, or at --url: leveret://user@host:port/vhost, \
            leverets://user@host:port/vhost with TLS, or unix:path; amqp:// and amqps:// mean the same as the first \
            two. The password is LEVERET_PASSWORD, or asked for. Those about what is stored also take --db FILE and \
            then need no server.

            Exit status: 0 done, 1 refused, 2 wrong usage, 3 no connection, 4 a threshold is \
            crossed, 5 not found, 6 conflict.
            """,
        version: version,
        groupedSubcommands: [
            CommandGroup(
                name: "Server",
                subcommands: [ServeCommand.self, LogLevelCommand.self]),
            CommandGroup(
                name: "Watching",
                subcommands: [
                    TopCommand.self, QueuesCommand.self, DoctorCommand.self, WhyCommand.self,
                    StatusCommand.self, CheckCommand.self, ShellCommand.self, ConsumersCommand.self,
                    ConnectionsCommand.self, ChannelsCommand.self,
                ]
            ),
            CommandGroup(
                name: "Messages",
                subcommands: [
                    PublishCommand.self, GetCommand.self, ConsumeCommand.self, TailCommand.self,
                    PeekCommand.self, GrepCommand.self,
                    DelayedCommand.self, DeadCommand.self, MessageCommand.self, MoveCommand.self,
                    PurgeCommand.self,
                    SQLCommand.self,
                ]
            ),
            CommandGroup(name: "Background jobs", subcommands: [JobsCommand.self, CronCommand.self]),
            CommandGroup(
                name: "Files and load",
                subcommands: [
                    BackupCommand.self, VerifyCommand.self, ExportCommand.self, ImportCommand.self,
                    BenchCommand.self,
                ]),
            CommandGroup(name: "Users", subcommands: [UserCommand.self, PermissionCommand.self]),
            CommandGroup(
                name: "Topology",
                subcommands: [
                    QueueCommand.self, BindingsCommand.self, PolicyCommand.self,
                    PauseCommand.self,
                    ResumeCommand.self,
                    ExchangesCommand.self, ExchangeCommand.self, BindCommand.self, UnbindCommand.self,
                    RouteCommand.self, VirtualHostCommand.self,
                ]
            ),
        ]
    )

    static let version = Broker.version

    /// Runs the command that the arguments name, and exits.
    static func main() async {
        Terminal.endQuietlyOnClosedPipe()
        do {
            let words = Array(CommandLine.arguments.dropFirst())
            if let failure = CommandGuess.failure(in: words, of: Self.self) { throw failure }
            var command = try parseAsRoot(words)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            FileServer.stop()
        } catch {
            FileServer.stop()
            let (text, status) = report(error)
            if status == .done, !text.isEmpty {
                Terminal.write((text + "\n").utf8, to: Terminal.standardOutput)
            }
            if status != .done, !text.isEmpty { Terminal.complain(text) }
            Terminal.exit(status)
        }
    }

    /// What to print for an error, and the status to leave with.
    static func report(_ error: any Error) -> (text: String, status: CommandStatus) {
        let failure = failure(error)
        let isOurs = error is Failure || error is BrokerError
        return (isOurs && !failure.text.isEmpty ? "leveret: \(failure.text)" : failure.text, failure.status)
    }

    /// An error as a sentence without the program's name, and a status.
    static func failure(_ error: any Error) -> Failure {
        if let error = error as? BrokerError { return Failure(error) }
        if let failure = error as? Failure { return failure }
        return Failure(exitCode(for: error).isSuccess ? .done : .usage, fullMessage(for: error))
    }
}
