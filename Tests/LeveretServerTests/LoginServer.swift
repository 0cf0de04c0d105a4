// A server where everybody logs in, with an administrator and a user of few rights, for one test.

import InMemoryLogging
import Leveret
import LeveretTestSupport
import Logging
import NIOCore
import Testing

@testable import LeveretServer

/// A server with the users `ops`, an administrator, and `app`, who may do everything with what begins with `app`.
struct LoginServer {
    let broker: Broker
    let server: Server
    let port: UInt16
    let log = InMemoryLogHandler()

    static func with(
        _ change: (inout ServerConfiguration) -> Void = { _ in }, isLocal: Bool = true,
        _ body: (LoginServer) async throws -> Void
    ) async throws {
        var configuration = ServerConfiguration()
        configuration.addresses = [ListenAddress(port: 0)]
        configuration.login.areForLocalClients = true
        configuration.limits.wrongLoginMilliseconds = 1
        change(&configuration)
        let server = try await LoginServer(configuration, isLocal: isLocal)
        let result: Result<Void, any Error>
        do { result = .success(try await body(server)) } catch { result = .failure(error) }
        try await server.server.stop()
        try await server.broker.shutdown()
        try result.get()
    }

    private init(_ configuration: ServerConfiguration, isLocal: Bool) async throws {
        broker = try Broker(.memory, configuration: .quiet)
        let log = log
        server = Server(
            broker: broker, configuration: configuration, logger: Logger(label: "test") { _ in log },
            passwordCost: .small, isLocal: { _ in isLocal }
        ) { (nil, 0) }
        for (name, tags) in [("ops", ["administrator"]), ("app", [])] {
            let hash = try PasswordHash(of: Array("\(name)'s".utf8), cost: .small).text
            try await broker.administer(
                .add(UserDefinition(UserName(name), passwordHash: hash, tags: tags)))
        }
        let own = UserPermission("app", configure: "^app", write: "^(app|amq.default$)", read: "^app")
        try await broker.administer(.permit(own))
        port = UInt16(try await server.start()[0].port ?? 0)
    }

    /// Who was refused, as the log has it.
    var refusedLogins: [(user: String, peer: String)] {
        log.entries.filter { "\($0.message)".hasPrefix("login refused") }.map {
            ("\($0.metadata["user"] ?? "")", "\($0.metadata["peer"] ?? "")")
        }
    }

    /// A connection of this user.
    func client(_ user: String) throws -> LineSocket {
        let client = try LineSocket(port: port)
        #expect(try client.ask("AUTH \(user) \(user)'s").line == "OK")
        return client
    }

    /// An AMQP client of this user that has asked to work in a virtual host, and was not answered yet.
    func greet(_ user: String, host: String = "/") throws -> AMQPSocket {
        let client = try AMQPSocket(greeting: port)
        try client.expect("connection.start")
        client.startOk(user: user, password: "\(user)'s")
        try client.expect("connection.tune")
        client.tuneOk()
        client.call(10, 40, .short(host), .short(""), .octet(0))
        return client
    }

    /// An AMQP client of this user, with channel 1 open.
    func amqp(_ user: String, host: String = "/") throws -> AMQPSocket {
        let client = try greet(user, host: host)
        try client.expect("connection.open-ok")
        client.openChannel(1)
        try client.expect("channel.open-ok")
        return client
    }
}

/// Keeps what an AMQP client says, for who sends it in another way.
final class Script: AMQPSpeaker {
    let frameBytesMax = 131_072
    private(set) var bytes = Array("AMQP".utf8) + [0, 0, 9, 1]

    func say(_ bytes: [UInt8]) { self.bytes += bytes }
}
