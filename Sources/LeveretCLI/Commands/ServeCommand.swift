// `leveret serve`: a broker on a file, and a server in front of it, until a signal says stop.

import ArgumentParser
import Leveret
import LeveretServer
import LeveretWire
import Logging
import UnixSignals

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Start a server, in the foreground.",
        discussion: """
            It listens on this machine only unless told otherwise: there are no users yet, so whoever can connect can \
            do everything. SIGTERM and SIGINT let it finish what it was asked and end with status 0; a second one ends \
            it at once, which loses nothing that was confirmed.

            Each option can be set in the environment too, as LEVERET_DB, LEVERET_LISTEN (with commas), \
            LEVERET_DURABILITY, LEVERET_MAX_CONNECTIONS, LEVERET_MAX_LINE, LEVERET_MAX_BODY, LEVERET_STALLED and \
            LEVERET_DRAIN; the command line wins.

            Examples:
              leveret serve
              leveret serve --listen 127.0.0.1:5672 --listen '[::1]:5672'
              leveret serve --durability normal
            """
    )

    @Option(
        help: ArgumentHelp(
            "The database file; made when it isn't there. (default: leveret.db)", valueName: "file"))
    var db: String?
    @Option(
        help: ArgumentHelp(
            "Where to listen; port 0 takes a free one. Repeat for more. (default: 127.0.0.1:5672)",
            valueName: "host:port"
        )
    )
    var listen: [String] = []
    @Option(
        help: ArgumentHelp(
            "full: what was confirmed survives a power cut; normal: the last of it may not. (default: full)",
            valueName: "full|normal"
        )
    )
    var durability: String?
    @Option(help: ArgumentHelp("Connections at one time. (default: 10000)", valueName: "n"))
    var maxConnections: String?
    @Option(help: ArgumentHelp("Bytes of a request's line. (default: 8192)", valueName: "bytes"))
    var maxLine: String?
    @Option(help: ArgumentHelp("Bytes of a message's body. (default: 134217728)", valueName: "bytes"))
    var maxBody: String?
    @Option(
        help: ArgumentHelp(
            "How long a client may stop in the middle of a request. (default: 60)", valueName: "seconds"))
    var stalled: String?
    @Option(
        help: ArgumentHelp(
            "How long a shutdown waits for clients to read. (default: 10)", valueName: "seconds"))
    var drain: String?

    func run() async throws {
        let settings = try ServeSettings(self, environment: Terminal.environment)
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        var configuration = Broker.Configuration()
        configuration.store.durability = settings.durability
        configuration.limits.bodyBytesMax = settings.server.limits.line.bodyBytesMax
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let broker: Broker
        do { broker = try Broker(.file(settings.database), configuration: configuration) } catch {
            throw Failure(error)
        }
        let server = Server(broker: broker, configuration: settings.server)
        do {
            let addresses = try await server.start()
            Terminal.write(Self.greeting(addresses).utf8, to: Terminal.standardOutput)
            try await Self.untilStopped(signals) {
                try await server.stop()
                try await broker.shutdown()
            }
        } catch let error as BrokerError {
            // The first error is the one to tell.
            try? await broker.shutdown()
            throw Failure(error)
        }
    }

    /// Waits for a signal, then stops; a second signal meanwhile ends the process at once.
    private static func untilStopped(
        _ signals: UnixSignalsSequence, stop: () async throws -> Void
    ) async throws {
        let (first, firstCame) = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup { group in
            group.addTask {
                var isStopping = false
                for await _ in signals {
                    if isStopping { Terminal.endAtOnce() }
                    isStopping = true
                    firstCame.yield()
                }
            }
            for await _ in first { break }
            try await stop()
            group.cancelAll()
        }
    }

    /// What a person reads when the server is up.
    static func greeting(_ addresses: [ListenAddress]) -> String {
        var text = addresses.map { "listening on \($0)\n" }.joined()
        if let first = addresses.first {
            let host = ["0.0.0.0", "::"].contains(first.host) ? "localhost" : first.host
            text += "try it: echo HELP | nc \(host) \(first.port)\n"
            let url =
                first.port == 5672 && host == "127.0.0.1"
                ? "" : " --url leveret://\(ListenAddress(host: host, port: first.port))"
            text += "or: leveret queue declare jobs\(url)\n"
        }
        return text
    }
}

/// The options of `serve`, checked, with what the environment adds.
struct ServeSettings {
    /// The file.
    var database: String
    var durability: StoreOptions.Durability = .full
    var server = ServerConfiguration()

    /// Takes each option from the command line, else from the environment, else its default.
    ///
    /// - Throws: `Failure` with `.usage`, naming the option or the variable that is wrong.
    init(_ command: ServeCommand, environment: (String) -> String?) throws(Failure) {
        database = command.db ?? environment("LEVERET_DB") ?? "leveret.db"
        let listen = Setting(
            "--listen", command.listen.isEmpty ? nil : command.listen.joined(separator: ","), environment)
        if let text = listen.text {
            server.addresses = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let address = ListenAddress(String(part)) else {
                    throw listen.wrong("'\(part)'", "write host:port, such as 127.0.0.1:5672 or [::1]:0")
                }
                server.addresses.append(address)
            }
        }
        let durability = Setting("--durability", command.durability, environment)
        if let text = durability.text {
            guard let known = StoreOptions.Durability(rawValue: text) else {
                throw durability.wrong("'\(text)'", "write full or normal")
            }
            self.durability = known
        }
        var limits = server.limits
        try Setting("--max-connections", command.maxConnections, environment).number(
            1...1_000_000, &limits.connectionsMax)
        try Setting("--max-line", command.maxLine, environment).number(
            512...1 << 20, &limits.line.lineBytesMax)
        try Setting("--max-body", command.maxBody, environment).number(
            0...128 << 20, &limits.line.bodyBytesMax)
        try Setting("--stalled", command.stalled, environment).number(1...86_400, &limits.stalledSeconds)
        try Setting("--drain", command.drain, environment).number(0...86_400, &limits.drainSeconds)
        server.limits = limits
    }
}

/// One option, and where its value came from.
private struct Setting {
    var name: String
    var text: String?

    /// `--max-line` is LEVERET_MAX_LINE in the environment.
    init(_ option: String, _ value: String?, _ environment: (String) -> String?) {
        let letters = option.dropFirst(2).map { $0 == "-" ? "_" : Character($0.uppercased()) }
        let variable = "LEVERET_" + String(letters)
        text = value ?? environment(variable)
        name = value == nil ? variable : option
    }

    /// Sets `target` to the number, where one is given.
    func number(_ range: ClosedRange<Int>, _ target: inout Int) throws(Failure) {
        guard let text else { return }
        guard let number = Int(text), range.contains(number) else {
            throw wrong("'\(text)'", "write a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        target = number
    }

    func wrong(_ value: String, _ advice: String) -> Failure {
        Failure(.usage, "\(value) is no value for \(name); \(advice)")
    }
}
