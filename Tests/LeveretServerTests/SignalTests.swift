import Foundation
import LeveretTestSupport
import Testing

/// How the real program ends.
@Suite struct SignalTests {
    @Test func `SIGTERM drains: clients are told, what is held goes back, and the status is 0`() async throws
    {
        try await onOwnThread {
            let folder = try TemporaryFolder()
            let server = try ServerProcess(database: folder.path("leveret.db"))
            let client = try LineSocket(port: server.port)
            #expect(try client.ask("QUEUE jobs").words.first == "OK")
            #expect(try client.ask("PUB \"\" jobs :x").line == "OK 1")
            #expect(try client.ask("GET jobs")["deliveries"] == "1")
            client.say("GET jobs wait=3600000")
            #expect(try client.ask("#p PING").line == "#p OK")
            server.program.kill(SIGTERM)
            let replies = try client.replies(3)
            #expect(replies[0].hasPrefix("NOTE draining ") && replies[1...] == ["NIL", "closed"])
            let end = server.program.finish()
            #expect(end.status == 0, "\(end.errors)")
            let again = try ServerProcess(database: folder.path("leveret.db"))
            let message = try LineSocket(port: again.port).ask("GET jobs")
            #expect(message["redelivered"] == "1" && message.body == Array("x".utf8))
            #expect(again.stop().status == 0)
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `a second SIGTERM ends at once, with a client that does not read, and loses nothing`() async throws {
        try await onOwnThread {
            let folder = try TemporaryFolder()
            let server = try ServerProcess(
                database: folder.path("leveret.db"), arguments: ["--drain", "86400"])
            let silent = try LineSocket(port: server.port)
            #expect(try silent.ask("QUEUE jobs").words.first == "OK")
            #expect(try silent.ask("SUB jobs prefetch=0").words.first == "OK")
            let client = try LineSocket(port: server.port)
            // 20 MB: more than the sockets hold, so that the drain has to wait for a day.
            let body = [UInt8](repeating: 7, count: 1_000_000)
            for _ in 0..<20 { #expect(try client.ask("PUB \"\" jobs", body: body).line == "OK 1") }
            server.program.kill(SIGTERM)
            while true {
                // The first signal has been heard once nobody listens.
                do { _ = try LineSocket(port: server.port) } catch { break }
            }
            server.program.kill(SIGTERM)
            #expect(server.program.finish().status == 1)
            let again = try ServerProcess(database: folder.path("leveret.db"))
            #expect(try LineSocket(port: again.port).ask("STAT jobs").line.contains("\"ready\":20,"))
            #expect(again.stop().status == 0)
        }
    }

    @Test(arguments: ["127.0.0.1", "127.0.0.1:70000", ":1", "::1:5", "", "127.0.0.1:0,nonsense"])
    func `an address that is none is refused by name`(address: String) async throws {
        let folder = try TemporaryFolder()
        let end = try await runProgram(
            "leveret", ["serve", "--db", folder.path("leveret.db"), "--listen", address])
        #expect(end.status == 2 && end.errors.contains("--listen; write host:port"), "\(end.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("leveret.db")))
    }

    @Test func `an address that this machine lacks says what to do`() async throws {
        let folder = try TemporaryFolder()
        let end = try await runProgram(
            "leveret", ["serve", "--db", folder.path("leveret.db"), "--listen", "192.0.2.1:0"])
        #expect(end.status != 0 && end.errors.contains("can't listen on 192.0.2.1:0"), "\(end.errors)")
    }
}
