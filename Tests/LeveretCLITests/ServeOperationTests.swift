// `leveret serve` as a service: its sockets and TLS from the command line, its configuration file, SIGHUP, and what it
// tells the service manager.

import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite(.timeLimit(.minutes(10))) struct ServeOperationTests {
    @Test func `commands reach a server by its socket file`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.sock")
        let server = try ServerProcess(
            database: folder.path("leveret.db"),
            arguments: ["--listen", "unix:\(path)", "--unix-mode", "0660"])
        for url in ["unix:\(path)", "unix://\(path)"] {
            let result = try await runProgram("leveret", ["queues", "--url", url, "-o", "json"])
            #expect(result.status == 0, "\(result.errors)")
        }
        #expect(server.stop().status == 0)
        #expect(!FileManager.default.fileExists(atPath: path))
        let gone = try await runProgram("leveret", ["queues", "--url", "unix:\(path)"])
        #expect(gone.status == 3 && gone.errors.contains("no server answers at unix:\(path): no such file"))
    }

    /// Starts a server with a certificate for localhost on a port of its own.
    private func serve(
        _ folder: borrowing TemporaryFolder, _ pair: TestCertificates.Pair, _ more: [String] = []
    ) throws -> ServerProcess {
        let pairOptions = ["--tls-certificate", pair.certificate, "--tls-key", pair.key]
        return try ServerProcess(database: folder.path("leveret.db"), arguments: pairOptions + more)
    }

    @Test func `commands speak TLS with whom they trust`() async throws {
        let folder = try TemporaryFolder()
        let certificates = try TestCertificates()
        let server = try serve(folder, try certificates.pair("server"))
        let trusting = ["LEVERET_CA": certificates.authority]
        for host in ["localhost", "127.0.0.1"] {
            let url = "leverets://\(host):\(server.port)"
            let declared = try await runProgram(
                "leveret", ["queue", "declare", "jobs", "--url", url], environment: trusting)
            #expect(declared.status == 0, "\(declared.errors)")
            let lines = (0..<20_000).map { "line \($0)\n" }.joined()
            let sent = try await runProgram(
                "leveret", ["publish", "", "jobs", "--lines", "--url", url], input: lines,
                environment: trusting)
            #expect(sent.status == 0, "\(sent.errors)")
            let got = try await runProgram(
                "leveret", ["get", "jobs", "-n", "20000", "--ack", "--body", "raw", "--url", url],
                environment: trusting)
            #expect(
                got.output == lines || got.output.count == lines.count - 1,
                "\(got.errors) \(got.output.count)")
        }
        let strange = try await runProgram(
            "leveret", ["queues", "--url", "leverets://localhost:\(server.port)"])
        #expect(
            strange.status == 3 && strange.errors.contains("signed by nobody this system trusts"),
            "\(strange.errors)")
        let plain = try Shell()
        let none = try await runProgram(
            "leveret", ["queues", "--url", "leverets://localhost:\(plain.server.port)"])
        #expect(none.status == 3 && none.errors.contains("no certificate at all"), "\(none.errors)")
        #expect(server.stop().status == 0)
    }

    @Test func `last words over TLS are heard`() async throws {
        let folder = try TemporaryFolder()
        let certificates = try TestCertificates()
        let server = try serve(folder, try certificates.pair("server"))
        // A line that is too long is refused, and the connection closed with the answer.
        let query = "SELECT '" + String(repeating: "x", count: 9000) + "'"
        let result = try await runProgram(
            "leveret", ["sql", query, "--url", "leverets://localhost:\(server.port)"],
            environment: ["LEVERET_CA": certificates.authority])
        #expect(result.status == 1 && result.errors.contains("501 FRAME_ERROR"), "\(result.errors)")
        #expect(server.stop().status == 0)
    }

    @Test func `SIGHUP does not turn TLS off, and says so`() async throws {
        let folder = try TemporaryFolder()
        let certificates = try TestCertificates()
        let pair = try certificates.pair("server")
        let config = URL(filePath: folder.path("leveret.yaml"))
        let files = "tls-certificate: \(pair.certificate)\ntls-key: \(pair.key)\n"
        try Data(files.utf8).write(to: config)
        let server = try ServerProcess(
            database: folder.path("leveret.db"), arguments: ["--config", config.path()])
        try Data("log-level: debug\n".utf8).write(to: config)
        server.program.kill(SIGHUP)
        try waitForLog(server.program, "settings=tls-certificate, tls-key")
        #expect(server.program.errorText.contains("log-level=debug tls=as before"))
        let result = try await runProgram(
            "leveret", ["queues", "--url", "leverets://localhost:\(server.port)"],
            environment: ["LEVERET_CA": certificates.authority])
        #expect(result.status == 0, "\(result.errors)")
        #expect(server.stop().status == 0)
    }

    @Test func `commands don't take another's certificate, nor a server without TLS`() async throws {
        let folder = try TemporaryFolder()
        let certificates = try TestCertificates()
        let server = try serve(folder, try certificates.pair("other", for: "DNS:elsewhere.example"))
        let trusting = ["LEVERET_CA": certificates.authority]
        for host in ["localhost", "127.0.0.1"] {
            let url = "leverets://\(host):\(server.port)"
            let result = try await runProgram("leveret", ["queues", "--url", url], environment: trusting)
            #expect(
                result.status == 3 && result.errors.contains("its certificate is for another name"),
                "\(result.errors)")
        }
        let secondFolder = try TemporaryFolder()
        let plain = try ServerProcess(database: secondFolder.path("leveret.db"))
        let url = "leverets://localhost:\(plain.port)"
        let result = try await runProgram("leveret", ["queues", "--url", url], environment: trusting)
        #expect(result.status == 3 && result.errors.contains("no TLS with \(url)"), "\(result.errors)")
        #expect(server.stop().status == 0 && plain.stop().status == 0)
    }

    @Test func `a configuration file is taken, and what comes of it is shown`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.yaml")
        try Data("db: \(folder.path("x.db"))\nlisten:\n  - 127.0.0.1:0\nmax-body: 5\n".utf8).write(
            to: URL(filePath: path))
        let shown = try await runProgram(
            "leveret", ["serve", "--print-config", "--drain", "3"], environment: ["LEVERET_CONFIG": path])
        #expect(shown.status == 0 && shown.errors == "")
        #expect(shown.output.contains("max-body: 5  # \(path) line 4\n"))
        #expect(shown.output.contains("drain: 3  # --drain\n"))
        #expect(!FileManager.default.fileExists(atPath: folder.path("x.db")))

        let again = folder.path("again.yaml")
        try Data(shown.output.utf8).write(to: URL(filePath: again))
        let server = try Program("leveret", ["serve", "--config", again])
        #expect(server.readLine()?.hasPrefix("listening on 127.0.0.1:") == true)
        #expect(FileManager.default.fileExists(atPath: folder.path("x.db")))
        server.kill(SIGTERM)
        #expect(server.finish().status == 0)

        let none = try await runProgram("leveret", ["serve", "--config", folder.path("none.yaml")])
        #expect(none.status != 0 && none.errors.contains("none.yaml' can't be read"), "\(none.errors)")
    }

    /// Reads the program's log until a line has these words.
    private func waitForLog(_ program: Program, _ words: String) throws {
        let end = ContinuousClock.now + .seconds(60)
        while !program.errorText.contains(words) {
            guard ContinuousClock.now < end else {
                throw SocketFailure(description: "the log never said '\(words)': \(program.errorText)")
            }
            sched_yield()
        }
    }

    @Test func `SIGHUP changes the log level and the certificate, and a bad file changes nothing`()
        async throws
    {
        let folder = try TemporaryFolder()
        let certificates = try TestCertificates()
        let pair = try certificates.pair("server")
        let config = URL(filePath: folder.path("leveret.yaml"))
        func write(_ text: String) throws { try Data(text.utf8).write(to: config) }
        try write("log-level: info\n")
        let server = try serve(folder, pair, ["--config", config.path()])
        _ = try LineSocket(port: server.port).ask("PING")
        try write("log-level: debug\nstalled: 5\n")
        server.program.kill(SIGHUP)
        try waitForLog(server.program, "configuration read again")
        try waitForLog(server.program, "settings=stalled")
        #expect(!server.program.errorText.contains("connection opened"))
        _ = try LineSocket(port: server.port).ask("PING")
        try waitForLog(server.program, "connection opened")

        try write("log-level: loud\n")
        server.program.kill(SIGHUP)
        try waitForLog(server.program, "what was in force stays: 'loud' is no value for log-level")
        try write("log-level: info\n")
        try Data().write(to: URL(filePath: pair.key))
        server.program.kill(SIGHUP)
        try waitForLog(server.program, "what was in force stays: the key \(pair.key) holds no private key")
        let result = try await runProgram(
            "leveret", ["queues", "--url", "leverets://localhost:\(server.port)"],
            environment: ["LEVERET_CA": certificates.authority])
        #expect(result.status == 0, "\(result.errors)")
        #expect(server.stop().status == 0)
    }

    @Test func `a bad pair is one line and no server`() async throws {
        let folder = try TemporaryFolder()
        let certificates = try TestCertificates()
        let pair = try certificates.pair("server")
        let locked = try certificates.encrypted(pair)
        let end = try await runProgram(
            "leveret",
            [
                "serve", "--db", folder.path("leveret.db"), "--listen", "127.0.0.1:0", "--tls-certificate",
                pair.certificate,
                "--tls-key", locked,
            ])
        #expect(end.status == 6 && end.output == "", "\(end.errors)")
        #expect(
            end.errors.contains("the key \(locked) is encrypted; give one without a passphrase"),
            "\(end.errors)")
    }

    @Test(arguments: [false, true])
    func `the service manager hears of start, reload, health and end`(isAbstract: Bool) async throws {
        let folder = try TemporaryFolder()
        let listener = try ManagerSocket(
            isAbstract ? "@leveret-test-\(UUID().uuidString)" : folder.path("notify"))
        let server = try Program(
            "leveret", ["serve", "--db", folder.path("leveret.db"), "--listen", "127.0.0.1:0"],
            environment: ["NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "1000000"])
        #expect(try listener.next().hasPrefix("READY=1\nSTATUS=listening on 127.0.0.1:"))
        #expect(try listener.next() == "WATCHDOG=1")
        #expect(try listener.next() == "WATCHDOG=1")
        server.kill(SIGHUP)
        #expect(try listener.next(but: "WATCHDOG=1").hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        #expect(try listener.next(but: "WATCHDOG=1").hasPrefix("READY=1\n"))
        server.kill(SIGTERM)
        #expect(try listener.next(but: "WATCHDOG=1") == "STOPPING=1")
        #expect(server.finish().status == 0)
    }
}

@Suite struct ServiceNotifierTests {
    @Test(.timeLimit(.minutes(5)))
    func `a service manager that reads nothing holds nothing up`() throws {
        let folder = try TemporaryFolder()
        let listener = try ManagerSocket(folder.path("notify"))
        let notifier = ServiceNotifier { $0 == "NOTIFY_SOCKET" ? listener.name : nil }
        // As many as the system keeps unread, and one more.
        let most = try String(contentsOfFile: "/proc/sys/net/unix/max_dgram_qlen", encoding: .utf8)
        let count = try #require(Int(most.trimmingCharacters(in: .whitespacesAndNewlines))) + 2
        for _ in 0..<count { listener.fill() }
        notifier.stopping()
    }
}

/// What a service manager listens on.
private final class ManagerSocket {
    let name: String
    private let descriptor: Int32

    init(_ name: String) throws {
        self.name = name
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(2 + bytes.count)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard result == 0 else {
            throw SocketFailure(description: "bind: \(String(cString: strerror(errno)))")
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(descriptor) }

    /// Sends a message to it, unless there is no room.
    func fill() {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name.utf8) }
        let sender = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(sender) }
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(sender, "x", 1, Int32(MSG_DONTWAIT), $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    /// The next message; throws when none comes for a minute.
    func next(but skipped: String? = nil) throws -> String {
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 60_000) == 1 else {
                throw SocketFailure(description: "nothing was said for a minute")
            }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            let text = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
            if text != skipped { return text }
        }
    }
}
