// The life of a server process: it opens the broker, listens, says so, hears signals, and ends in good order. The
// service manager is told of each step.

import Leveret
import LeveretServer
import LeveretWire
import Logging
import Synchronization
import UnixSignals

/// One run of `leveret serve`.
struct ServeRun {
    private let settings: ServeSettings
    /// Reads all settings again.
    private let reread: () throws(Failure) -> ServeSettings
    private let level: ProcessLogLevel
    private let logger: Logger
    private let notifier = ServiceNotifier()

    /// Sets the process's log up for these settings; once in a process.
    init(_ settings: ServeSettings, reread: @escaping () throws(Failure) -> ServeSettings) {
        self.settings = settings
        self.reread = reread
        let level = ProcessLogLevel(settings.logLevel)
        self.level = level
        LoggingSystem.bootstrap { LeveledLog(label: $0, level: level) }
        logger = Logger(label: "leveret")
    }

    /// Serves until SIGTERM or SIGINT.
    func run() async throws {
        var serverConfiguration = settings.server
        serverConfiguration.inheritedSockets = try SocketActivation.sockets()
        var configuration = Broker.Configuration()
        configuration.store.durability = settings.durability
        configuration.limits.bodyBytesMax = settings.server.limits.line.bodyBytesMax
        if let initial = LogLevel(rawValue: settings.logLevel.rawValue) {
            configuration.logControl = Broker.LogControl(initial: initial) { [level] wanted in
                if let wanted = Logger.Level(rawValue: wanted.rawValue) { level.set(wanted) }
            }
        }
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        let broker: Broker
        do {
            // A server that can't start leaves no new database behind.
            if !Input.exists(settings.database) { try Server.check(serverConfiguration) }
            broker = try Broker(.file(settings.database), configuration: configuration)
        } catch {
            throw Failure(error)
        }
        do {
            let server = Server(broker: broker, configuration: serverConfiguration)
            let addresses = try await server.start()
            Terminal.write(
                Self.greeting(addresses, program: Terminal.programName).utf8, to: Terminal.standardOutput)
            let status = "listening on " + addresses.map(\.description).joined(separator: ", ")
            notifier.ready(status)
            try await untilStopped(signals, broker, reload: { reload(server, broker, status) }) {
                notifier.stopping()
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
    private func untilStopped(
        _ signals: UnixSignalsSequence, _ broker: Broker, reload: () -> Void, stop: () async throws -> Void
    ) async throws {
        let (heard, hear) = AsyncStream.makeStream(of: UnixSignal.self)
        try await withThrowingTaskGroup { group in
            group.addTask {
                var isStopping = false
                for await signal in signals {
                    if signal != .sighup {
                        if isStopping { Terminal.endAtOnce() }
                        isStopping = true
                    }
                    hear.yield(signal)
                }
            }
            if let microseconds = notifier.watchdogMicroseconds {
                group.addTask { [notifier] in try await Self.watch(broker, notifier, every: microseconds / 2)
                }
            }
            for await signal in heard {
                guard signal == .sighup else { break }
                reload()
            }
            try await stop()
            group.cancelAll()
        }
    }

    /// Tells the service manager that all is well, as often as it wants, while the broker answers.
    private static func watch(
        _ broker: Broker, _ notifier: ServiceNotifier, every microseconds: Int
    ) async throws {
        while !Task.isCancelled {
            do { _ = try await broker.status() } catch { return }  // it is being shut down
            notifier.alive()
            do { try await Task.sleep(for: .microseconds(microseconds)) } catch { return }  // we are
        }
    }

    /// SIGHUP: takes over what can change in a running server.
    private func reload(_ server: Server, _ broker: Broker, _ status: String) {
        notifier.reloading()
        defer { notifier.ready(status) }
        do {
            let new = try reread()
            let isRenewed = settings.server.tls != nil && new.server.tls != nil
            if isRenewed, let tls = new.server.tls { try server.renewCertificate(tls) }
            level.set(new.logLevel)
            if let level = LogLevel(rawValue: new.logLevel.rawValue) { broker.logLevelChanged(to: level) }
            logger.notice(
                "configuration read again",
                metadata: [
                    "log-level": "\(new.logLevel)",
                    "tls": isRenewed ? "certificate read again" : "as before",
                ])
            let late = new.needingRestart(since: settings)
            if !late.isEmpty {
                logger.warning(
                    "these settings have changed and wait for a restart",
                    metadata: ["settings": "\(late.joined(separator: ", "))"])
            }
        } catch {
            let text = (error as? Failure)?.text ?? (error as? BrokerError)?.text ?? "\(error)"
            logger.error("the configuration was read again and is wrong; what was in force stays: \(text)")
        }
    }

    /// What a person reads when the server is up; `program` is what a shell finds this one by.
    static func greeting(_ addresses: [ListenAddress], program: String) -> String {
        var text = addresses.map { "listening on \($0)\n" }.joined()
        switch addresses.first {
        case .tcp(let bound, let port):
            let host = ["0.0.0.0", "::"].contains(bound) ? "localhost" : bound
            text += "try it: echo HELP | nc \(host) \(port)\n"
            let isStandard = port == 5672 && host == "127.0.0.1"
            text += "or: \(program) queue declare jobs"
            text += isStandard ? "\n" : " --url leveret://\(ListenAddress(host: host, port: port))\n"
        case .tls(let host, let port):
            text +=
                "try it: echo HELP | openssl s_client -quiet -connect \(ListenAddress(host: host, port: port))\n"
        case .unix(let path):
            text +=
                "try it: echo HELP | nc -U \(path)\nor: \(program) queue declare jobs --url unix:\(path)\n"
        case nil: break
        }
        return text
    }
}
