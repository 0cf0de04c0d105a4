// Sockets that whoever started the process has made: the server listens on them and on nothing else.

import Foundation
import Leveret
import LeveretTestSupport
import Testing

@testable import LeveretServer

@Suite struct InheritedSocketTests {
    /// A socket that listens on a free port, or is only bound.
    private static func tcpSocket(listening: Bool = true) throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        // A sockaddr_in: whose its fields are depends on what else is compiled with this file.
        var address: [UInt8] = [UInt8(AF_INET), 0, 0, 0, 127, 0, 0, 1] + [UInt8](repeating: 0, count: 8)
        var length = socklen_t(address.count)
        let code = address.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) {
                bind(descriptor, $0.baseAddress, length) + getsockname(descriptor, $0.baseAddress, &length)
            }
        }
        #expect(code == 0 && (!listening || listen(descriptor, 16) == 0))
        return (descriptor, UInt16(address[2]) << 8 | UInt16(address[3]))
    }

    private static func server(_ sockets: [InheritedSocket]) throws -> (Broker, Server) {
        let broker = try Broker(.memory, configuration: .quiet)
        var configuration = ServerConfiguration()
        configuration.addresses = [.unix(path: "/nowhere/at/all")]
        configuration.inheritedSockets = sockets
        return (
            broker,
            Server(broker: broker, configuration: configuration, logger: Broker.Configuration.quiet.logger)
        )
    }

    @Test func `a server listens on what it was handed, and on nothing else`() async throws {
        let folder = try TemporaryFolder()
        let (descriptor, port) = try Self.tcpSocket()
        let path = folder.path("leveret.sock")
        let file = try UnixSocket(path: path, mode: 0o600)
        #expect(listen(file.descriptor, 16) == 0)
        // It was there before the server was.
        let early = try LineSocket(port: port)
        let (broker, server) = try Self.server([
            InheritedSocket(descriptor: descriptor), InheritedSocket(descriptor: file.descriptor),
        ])
        #expect(try await server.start() == [.tcp(host: "127.0.0.1", port: Int(port)), .unix(path: path)])
        #expect(try early.ask("PING").line == "OK")
        #expect(try LineSocket(path: path).ask("PING").line == "OK")
        try await server.stop()
        try await broker.shutdown()
        // Whoever made the file removes it.
        #expect(FileManager.default.fileExists(atPath: path))
    }

    @Test func `a port that was handed over is not in the way of the server that gets it`() throws {
        let (descriptor, port) = try Self.tcpSocket()
        defer { close(descriptor) }
        var configuration = ServerConfiguration()
        configuration.addresses = [.tcp(host: "127.0.0.1", port: Int(port))]
        let error = #expect(throws: BrokerError.self) { try Server.check(configuration) }
        #expect(error?.text.contains("the port is in use") == true)
        configuration.inheritedSockets = [InheritedSocket(descriptor: descriptor)]
        try Server.check(configuration)
    }

    @Test func `what is no listening socket is refused by its number`() async throws {
        let (bound, _) = try Self.tcpSocket(listening: false)
        for socket in [bound, 1 << 20] {
            let (broker, server) = try Self.server([InheritedSocket(descriptor: socket)])
            await #expect(throws: BrokerError.self) { try await server.start() }
            try await broker.shutdown()
        }
        let (descriptor, port) = try Self.tcpSocket()
        let (broker, server) = try Self.server([InheritedSocket(descriptor: descriptor, isTLSOnly: true)])
        let error = await #expect(throws: BrokerError.self) { try await server.start() }
        #expect(
            error?.text.contains("can't listen on tls://127.0.0.1:\(port): there is no certificate") == true)
        try await broker.shutdown()
        for socket in [bound, descriptor] { close(socket) }
    }
}
