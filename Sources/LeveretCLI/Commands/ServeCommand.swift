// `leveret serve`: a broker on a file, and a server in front of it, until a signal says stop. What it is told and
// where that may stand is Configuration's business; how it lives from start to end is ServeRun's.

import ArgumentParser
import Leveret

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Start a server, in the foreground.",
        discussion: """
            It listens on this machine only unless told otherwise. Clients on this machine may do everything without a \
            password; all others must log in as a user ('leveret user add'), over TLS. SIGTERM and SIGINT let it \
            finish what it was asked and end with status 0; a second one ends it at once, which loses nothing that \
            was confirmed. SIGHUP reads the certificate and the log level again.

            Each option can be set in the environment, as LEVERET_MAX_LINE for --max-line (LEVERET_LISTEN with \
            commas), and in a YAML file named by --config, as 'max-line: 8192'. The command line wins over the \
            environment, that over the file. --print-config shows what comes of it, as such a file.

            Examples:
              leveret serve
              leveret serve --listen 127.0.0.1:5672 --listen unix:leveret.sock
              leveret serve --listen tls://0.0.0.0:5671 \\
                  --tls-certificate server.pem --tls-key server.key
              leveret serve --config leveret.yaml --print-config
            """
    )

    @Option(
        help: ArgumentHelp(
            "The database file; made when it isn't there. (default: leveret.db)", valueName: "file"),
        completion: .file())
    var db: String?
    @Option(
        help: ArgumentHelp(
            "Where to listen: host:port, tls://host:port or unix:path; port 0 takes a free one. Repeat for more. "
                + "(default: 127.0.0.1:5672)", valueName: "address"))
    var listen: [String] = []
    @Option(
        help: ArgumentHelp("A YAML file with these settings. Else LEVERET_CONFIG.", valueName: "file"),
        completion: .file())
    var config: String?
    @Flag(help: "Show the settings in force and where each comes from, and don't start.")
    var printConfig = false
    @Option(
        help: ArgumentHelp(
            "Permissions of sockets in the file system. (default: 0600, this user alone)", valueName: "mode"))
    var unixMode: String?
    @Option(
        help: ArgumentHelp(
            "The server's certificate for TLS, in PEM, and those that lead to its authority.",
            valueName: "file"), completion: .file())
    var tlsCertificate: String?
    @Option(
        help: ArgumentHelp("The certificate's private key, in PEM, without a passphrase.", valueName: "file"),
        completion: .file())
    var tlsKey: String?
    @Option(
        help: ArgumentHelp("Who signs clients' certificates, in PEM.", valueName: "file"),
        completion: .file())
    var tlsClientCA: String?
    @Option(
        help: ArgumentHelp(
            "What certificates clients show over TLS. (default: none)", valueName: "none|optional|required"),
        completion: .list(["none", "optional", "required"]))
    var tlsClients: String?
    @Option(
        help: ArgumentHelp("The oldest version of TLS. (default: 1.2)", valueName: "1.2|1.3"),
        completion: .list(["1.2", "1.3"]))
    var tlsMin: String?
    @Option(
        help: ArgumentHelp(
            "Whether clients on this machine must log in, too. (default: none)", valueName: "none|required"),
        completion: .list(["none", "required"]))
    var localAuth: String?
    @Option(
        help: ArgumentHelp(
            "Whether passwords are taken from other machines without TLS, where others can read them on their way. "
                + "(default: no)", valueName: "no|yes"), completion: .list(["no", "yes"]))
    var allowPlainAuth: String?
    @Option(
        help: ArgumentHelp(
            "full: what was confirmed survives a power cut; normal: the last of it may not. (default: full)",
            valueName: "full|normal"
        ),
        completion: .list(["full", "normal"])
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
    @Option(
        help: ArgumentHelp(
            "With less free on the disk, publishes are refused: 500M, 5G; 0: never. (default: 52428800)",
            valueName: "size"))
    var diskFreeMin: String?
    @Option(
        help: ArgumentHelp(
            "With more memory in use, publishes are refused: 500M, 5G; 0: never. (default: 0)",
            valueName: "size"))
    var memoryMax: String?
    @Option(
        help: ArgumentHelp(
            "What is logged: trace, debug, info, notice, warning, error or critical. (default: info)",
            valueName: "level"), completion: .list(LogLevel.allCases.map(\.rawValue)))
    var logLevel: String?

    func run() async throws {
        let settings = try settings()
        if printConfig {
            Terminal.write(settings.yaml.utf8, to: Terminal.standardOutput)
        } else {
            try await ServeRun(settings) { () throws(Failure) in try self.settings() }.run()
        }
    }

    /// The settings as all their places say now.
    private func settings() throws(Failure) -> ServeSettings {
        try ServeSettings(flags: flags, configPath: config, environment: Terminal.environment)
    }

    /// What the command line says, by the names of the settings.
    var flags: [String: [String]] {
        let single: [(SettingKey, String?)] = [
            (.db, db), (.unixMode, unixMode), (.tlsCertificate, tlsCertificate), (.tlsKey, tlsKey),
            (.tlsClientCA, tlsClientCA), (.tlsClients, tlsClients), (.tlsMin, tlsMin),
            (.localAuth, localAuth), (.allowPlainAuth, allowPlainAuth), (.durability, durability),
            (.maxConnections, maxConnections), (.maxLine, maxLine), (.maxBody, maxBody), (.stalled, stalled),
            (.drain, drain), (.diskFreeMin, diskFreeMin), (.memoryMax, memoryMax), (.logLevel, logLevel),
        ]
        var flags: [String: [String]] = [:]
        for (key, value) in single { flags[key.name] = value.map { [$0] } }
        if !listen.isEmpty { flags[SettingKey.listen.name] = listen }
        return flags
    }
}
