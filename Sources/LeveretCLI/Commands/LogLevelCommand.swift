// `leveret log-level`: what a running server logs.

import ArgumentParser
import Leveret

struct LogLevelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log-level",
        abstract: "Show or change what a running server logs.",
        discussion: """
            It counts until the server ends, or reads its configuration again (SIGHUP). Logs go to the \
            standard error of the server's process: a file, a terminal or journald, as whoever started it has it.

            Examples:
              leveret log-level
              leveret log-level debug
            """
    )

    @Argument(
        help: "From this weight on; without it, the level is shown.",
        completion: .list(LogLevel.allCases.map(\.rawValue)), transform: Self.level)
    var level: LogLevel?
    @OptionGroup var server: ServerOptions

    func run() throws {
        let client = try server.connect()
        if let level {
            try client.ask(LineRequest("LOG").argument(level.rawValue))
            return announce("the server logs from \(level.rawValue) on")
        }
        let row = try ServerSource(client).status()
        guard let level = row["log_level"]?.text else {
            throw Failure(.refused, "what \(client.server) logs is up to the program that the broker runs in")
        }
        announce(level.printable)
    }

    private static func level(_ text: String) throws -> LogLevel {
        if let level = LogLevel(rawValue: text.lowercased()) { return level }
        let known = LogLevel.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("There is no level '\(text)'; the levels are \(known).")
    }
}
