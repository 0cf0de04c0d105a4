// `leveret shell`: a prompt for the commands of `leveret`. Each line runs as a program of its own, as if the system's
// shell had started it: it may take over the terminal, be interrupted, and fail, and the prompt is still there.

import ArgumentParser

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

struct ShellCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell",
        abstract: "Type commands at a prompt, with history and completion.",
        discussion: """
            A line is a command without the word leveret, quoted as for sh. Tab completes commands, options and the \
            names that are on the server; the arrow keys and Ctrl-R bring back earlier lines; Ctrl-C drops a line or \
            stops a command; exit or Ctrl-D leaves. A line that begins with a space is not remembered.

            Where standard input is no terminal, its lines are run one after the other, whether they succeed or not, \
            and the exit status is that of the first that failed. Questions are not asked then: say --yes.

            Examples:
              leveret shell
              leveret shell --url leveret://mq.example:5672
              printf 'queue declare jobs\\nqueues\\n' | leveret shell
            """
    )

    @OptionGroup var server: ServerOptions

    func run() throws {
        let target = try server.target
        try rememberPassword()
        let url = try url
        guard Terminal.isTerminal(Terminal.standardInput) else { return try runLines() }
        guard let terminal = RawTerminal() else {
            throw Failure(
                .usage, "shell needs a terminal that can move its cursor, or commands on standard input")
        }
        let version = try server.connect().version
        announce("leveret \(version.printable) at \(target): Tab completes, help lists, Ctrl-D leaves")
        TerminalSignals.listen()
        let completion = Completion(tree: .leveret) { command, argument, prefix in
            Self.names(for: command, argument, prefix, url: url)
        }
        let user = try server.login().map { $0.user.printable + "@" } ?? ""
        let text = "\(user)\(target)".clipped(to: 40) + "> "
        var prompt = ShellPrompt(text, on: terminal, completion: completion)
        var history = ShellHistory()
        while let line = prompt.line(earlier: history.lines) {
            history.add(line)
            guard let words = words(of: line), let first = words.first else { continue }
            if ["exit", "quit"].contains(first) { return }
            let before = (signal(SIGINT, SIG_IGN), signal(SIGQUIT, SIG_IGN))  // they are the command's
            defer { _ = (signal(SIGINT, before.0), signal(SIGQUIT, before.1)) }
            do {
                let end = try start(words).wait()
                if case .killed = end { announce("") }
            } catch {
                Terminal.complain("leveret: \(error.text)")
            }
        }
        if TerminalSignals.ending != 0 { TerminalSignals.end() }
    }

    /// Runs what a pipe or a file says.
    private func runLines() throws {
        var input = InputLines(Terminal.standardInput)
        var failed: CommandStatus?
        // What is left of the input is lines, and not for the commands.
        let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(nothing) }
        while let bytes = try input.next() {
            guard let words = words(of: String(decoding: bytes, as: UTF8.self)) else {
                failed = failed ?? .usage
                continue
            }
            guard let first = words.first else { continue }
            if ["exit", "quit"].contains(first) { break }
            let end = try start(words, input: nothing).wait()
            if end != .exited(0) { failed = failed ?? Self.status(end) }
        }
        if let failed { throw Failure(failed) }
    }

    private static func status(_ end: ChildProgram.End) -> CommandStatus {
        guard case .exited(let status) = end else { return .refused }
        return CommandStatus(rawValue: Int32(clamping: status)) ?? .refused
    }

    /// The words of a line; `nil` where it is a mistake, which has been said.
    private func words(of line: String) -> [String]? {
        let parsed = ShellWords(line)
        if parsed.isOpen {
            Terminal.complain(
                "leveret: the line ends within quotes, or in a backslash; close them and enter it again")
            return nil
        }
        if parsed.all.first == "shell" {
            Terminal.complain("leveret: this is a shell already")
            return nil
        }
        return parsed.all
    }

    /// Asks for the password, if need be, so that no command has to: they have it from their environment.
    private func rememberPassword() throws(Failure) {
        guard let login = try server.login() else { return }
        setenv("LEVERET_PASSWORD", String(decoding: login.password, as: UTF8.self), 1)
    }

    /// Where the commands find the server and the virtual host, and who they are there; `nil` is where the environment
    /// says.
    private var url: String? {
        get throws(Failure) {
            guard server.vhost != nil else { return server.url }
            guard let url = try server.target.url(as: try server.login()?.user) else {
                throw Failure(
                    .usage,
                    "no URL names a virtual host behind a socket file; give --vhost to each command instead")
            }
            return url
        }
    }

    private func start(_ words: [String], input: CInt = 0) throws(Failure) -> ChildProgram {
        let variables = try url.map { [(name: "LEVERET_URL", value: $0)] } ?? []
        return try ChildProgram(
            path: Self.program, ["leveret"] + words, variables: variables, streams: [input, 1, 2],
            group: .ours)
    }

    /// The program that this process runs, even where another has taken its name meanwhile.
    private static let program = Input.exists("/proc/self/exe") ? "/proc/self/exe" : CommandLine.arguments[0]

    /// Asks the command itself, as the completion of bash and zsh does.
    private static func names(
        for command: [String], _ argument: String, _ prefix: String, url: String?
    ) -> [String] {
        let line = ["leveret"] + command + (url.map { ["--url", $0] } ?? []) + [prefix]
        let call =
            ["---completion"] + command + ["--", argument, "\(line.count - 1)", "\(prefix.count)"] + line
        do {
            _ = try LeveretCommand.parseAsRoot(call)
            return []
        } catch {
            guard LeveretCommand.exitCode(for: error).isSuccess else { return [] }
            return LeveretCommand.fullMessage(for: error).split(separator: "\n").map(String.init)
        }
    }
}
