// A server on a free port with a broker in memory, for one test.

import Leveret
import LeveretServer
import LeveretTestSupport
import Logging

/// Runs a server while `body` talks to it, then stops both.
func withServer(
    _ change: (inout ServerLimits) -> Void = { _ in },
    _ body: (UInt16) async throws -> Void
) async throws {
    try await withServer(change) { port, _ in try await body(port) }
}

/// Runs a server while `body` talks to it and may stop it, then stops both.
func withServer(
    _ change: (inout ServerLimits) -> Void = { _ in },
    _ body: (UInt16, Server) async throws -> Void
) async throws {
    let quiet = Broker.Configuration.quiet
    let broker = try Broker(.memory, configuration: quiet)
    var configuration = ServerConfiguration()
    configuration.addresses = [ListenAddress(port: 0)]
    change(&configuration.limits)
    let server = Server(broker: broker, configuration: configuration, logger: quiet.logger)
    let port = try await server.start()[0].port ?? 0
    do {
        try await body(UInt16(port), server)
        try await server.stop()
        try await broker.shutdown()
    } catch {
        try await server.stop()
        try await broker.shutdown()
        throw error
    }
}

extension Broker.Configuration {
    /// For a broker that logs nothing and makes the same names each time.
    static var quiet: Broker.Configuration {
        var quiet = Broker.Configuration()
        quiet.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        quiet.seed = 1
        return quiet
    }
}

extension LineSocket {
    /// The next `count` replies.
    func replies(_ count: Int) throws -> [String] {
        try (0..<count).map { _ in try waitForNext()?.description ?? "closed" }
    }
}
