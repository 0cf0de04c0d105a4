// A server of this process's own, for commands that change a database file which no server has open: the commands talk
// to it as to any other, over a socket that only this process knows.

import Leveret
import LeveretServer
import Logging
import NIOCore
import NIOPosix
import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A server on a file, while a command runs.
final class FileServer: Sendable {
    private let broker: Broker
    private let server: Server
    /// The socket's folder.
    private let folder: String

    private static let running = Mutex<FileServer?>(nil)  // guards which one is to be stopped

    /// Opens the file at `path` as a server does, and returns where it is spoken to. At most one in a process.
    ///
    /// - Throws: `Failure` where there is no such file, another process has it, or it is not Leveret's.
    static func start(on path: String) throws(Failure) -> ServerAddress {
        guard Input.exists(path) else {
            throw Failure(.notFound, "there is no database '\(path.printable)'; 'leveret serve' makes one")
        }
        let started = try FileServer(path)
        running.withLock { $0 = started }
        let socket = started.folder + "/socket"
        let server = started.server
        try wait { _ = try await server.start() }
        return .unix(path: socket)
    }

    /// Closes the file, once all is committed; nothing where none was opened.
    static func stop() {
        let started = running.withLock { running in
            defer { running = nil }
            return running
        }
        guard let started else { return }
        let (server, broker) = (started.server, started.broker)
        do {
            try wait {
                try await server.stop()
                try await broker.shutdown()
            }
        } catch {
            Terminal.complain("leveret: \(error.text)")
        }
        rmdir(started.folder)
    }

    private init(_ path: String) throws(Failure) {
        var configuration = Broker.Configuration()
        var logger = Logger(label: "leveret") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        configuration.logger = logger
        do { broker = try Broker(.file(path), configuration: configuration) } catch {
            let advice = error.code == .resourceLocked ? "; without --db the server that has it is asked" : ""
            let failure = Failure(error)
            throw Failure(failure.status, failure.text + advice)
        }
        folder = try TemporaryFile.folder()
        var settings = ServerConfiguration()
        settings.addresses = [.unix(path: folder + "/socket")]
        server = Server(broker: broker, configuration: settings, logger: logger)
    }

    /// Lets `work` run on other threads, and waits for its end.
    private static func wait(_ work: @escaping @Sendable () async throws -> Void) throws(Failure) {
        do { try MultiThreadedEventLoopGroup.singleton.any().makeFutureWithTask(work).wait() } catch {
            throw (error as? BrokerError).map { Failure($0) } ?? Failure(.refused, "\(error)")
        }
    }
}
