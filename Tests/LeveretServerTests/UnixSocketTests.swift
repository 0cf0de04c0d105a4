// Sockets in the file system: their permissions, what stands in their way, and that they go with the server.

import Foundation
import Leveret
import LeveretTestSupport
import Testing

@testable import LeveretServer

@Suite struct UnixSocketTests {
    private static func server(_ path: String, mode: UInt32 = 0o600) throws -> (Broker, Server) {
        let broker = try Broker(.memory, configuration: .quiet)
        var configuration = ServerConfiguration()
        configuration.addresses = [.unix(path: path)]
        configuration.unixSocketMode = mode
        let logger = Broker.Configuration.quiet.logger
        return (broker, Server(broker: broker, configuration: configuration, logger: logger))
    }

    private static func mode(of path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0
    }

    @Test(arguments: [0o600, 0o660] as [UInt32])
    func `a socket has the permissions asked for, serves, and goes with the server`(mode: UInt32) async throws
    {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.sock")
        let (broker, server) = try Self.server(path, mode: mode)
        #expect(try await server.start() == [.unix(path: path)])
        #expect(try Self.mode(of: path) == Int(mode))
        do {
            let client = try LineSocket(path: path)
            #expect(try client.ask("QUEUE jobs").line.hasPrefix("OK jobs"))
            var rows = [try client.ask("LIST connections")]
            while let row = try client.waitForNext(), row.line.hasPrefix("ROW") { rows.append(row) }
            #expect(rows.contains { $0.line.contains("unix:\(path)") }, "\(rows)")
        }
        try await server.stop()
        try await broker.shutdown()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func `a socket that a dead process left behind is replaced`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.sock")
        // Bound, never listening, and still there when its process has closed it.
        close(try UnixSocket(path: path, mode: 0o600).descriptor)
        #expect(FileManager.default.fileExists(atPath: path))
        let (broker, server) = try Self.server(path)
        _ = try await server.start()
        #expect(try LineSocket(path: path).ask("PING").line == "OK")
        try await server.stop()
        try await broker.shutdown()
    }

    @Test func `a socket on which somebody listens is refused and left alone`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.sock")
        let (broker, server) = try Self.server(path)
        _ = try await server.start()
        let (otherBroker, other) = try Self.server(path)
        let error = await #expect(throws: BrokerError.self) { _ = try await other.start() }
        #expect(error?.text.contains("another program listens there") == true)
        try await otherBroker.shutdown()
        #expect(try LineSocket(path: path).ask("PING").line == "OK")
        try await server.stop()
        try await broker.shutdown()
    }

    @Test(arguments: ["file", "folder", "long"])
    func `a path that can't be had is refused by name`(what: String) async throws {
        let folder = try TemporaryFolder()
        let path = folder.path(
            ["folder": "no/x.sock", "long": String(repeating: "x", count: 120)][what] ?? "x.sock")
        if what == "file" { try Data("mine".utf8).write(to: URL(filePath: path)) }
        let (broker, server) = try Self.server(path)
        let error = await #expect(throws: BrokerError.self) { _ = try await server.start() }
        let expected = [
            "file": "is a file and no socket", "folder": "its folder does not exist",
            "long": "more than \(UnixSocket.pathBytesMax) bytes",
        ]
        #expect(error?.text.contains("can't listen on unix:\(path): ") == true, "\(error?.text ?? "")")
        #expect(error?.text.contains(expected[what] ?? "?") == true, "\(error?.text ?? "")")
        try await broker.shutdown()
        if what == "file" { #expect(try Data(contentsOf: URL(filePath: path)) == Data("mine".utf8)) }
    }
}
