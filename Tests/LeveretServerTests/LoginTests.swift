// Logging in over a real socket, from this machine and as if from others, and what changes while somebody is in.

import InMemoryLogging
import Leveret
import LeveretTestSupport
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import LeveretServer

@Suite struct LoginTests {
    private static let first = "ERR 403 ACCESS_REFUSED log in first: AUTH user password"
    private static let wrong = "ERR \(BrokerError.wrongLogin)"

    @Test func `where clients on this machine must log in, nothing is done before`() async throws {
        try await LoginServer.with { server in
            let client = try LineSocket(port: server.port)
            #expect(try client.ask("QUEUE app").line == Self.first)
            #expect(try client.ask("PING").line == "OK")
            #expect(try await server.broker.status().connections == 1, "it has no place in the broker yet")
            #expect(try client.ask("AUTH app", body: Array("app's".utf8)).line == "OK")
            #expect(try client.ask("QUEUE app").line == "OK app ready=0 consumers=0")
            #expect(
                try client.ask("QUEUE other").line
                    == "ERR 403 ACCESS_REFUSED configure access to queue 'other' in vhost '/' refused for user 'app'"
            )
            #expect(
                try client.ask("AUTH ops ops's").line.hasPrefix("ERR 503 COMMAND_INVALID this connection"))
            let rows = try await server.broker.connections()
            #expect(rows.contains { $0.user == "app" })
        }
    }

    @Test func `clients on this machine need not log in unless told to, and may`() async throws {
        try await LoginServer.with({ $0.login.areForLocalClients = false }) { server in
            let client = try LineSocket(port: server.port)
            #expect(try client.ask("QUEUE other").line.hasPrefix("OK"))
            #expect(try client.ask("AUTH app app's").line == "OK")
            #expect(try client.ask("PURGE other").line.hasPrefix("ERR 403 ACCESS_REFUSED read access"))
        }
    }

    @Test func `clients on other machines log in, over TLS or where plain passwords are allowed`()
        async throws
    {
        let none: (inout ServerConfiguration) -> Void = { $0.login.areForLocalClients = false }
        try await LoginServer.with(none, isLocal: false) { server in
            let client = try LineSocket(port: server.port)
            let how = "ERR 403 ACCESS_REFUSED log in first: connect with TLS, then AUTH user password; "
            #expect(try client.ask("QUEUE app").line.hasPrefix(how))
            let refused = try client.ask("AUTH app app's").line
            #expect(refused.hasPrefix("ERR 403 ACCESS_REFUSED a password over TCP without TLS can be read"))
            #expect(try client.ask("QUEUE app").line.hasPrefix("ERR 403 "))
        }
        try await LoginServer.with({ $0.login.allowPlainPasswords = true }, isLocal: false) { server in
            let client = try server.client("app")
            #expect(try client.ask("QUEUE app").line.hasPrefix("OK"))
        }
    }

    @Test func `inside TLS passwords are taken from anywhere`() async throws {
        let pair = try TestCertificates()
        let files = try pair.pair("server")
        try await LoginServer.with(
            { $0.tls = TLSSettings(certificatePath: files.certificate, keyPath: files.key) }, isLocal: false
        ) { server in
            let client = ["openssl", "s_client", "-quiet", "-connect", "127.0.0.1:\(server.port)"]
            let said = try await runProgram(
                "/usr/bin/env", client, input: "PING\nQUEUE app\nAUTH app app's\nQUEUE app\nQUIT\n")
            #expect(said.output == "OK\n\(Self.first)\nOK\nOK app ready=0 consumers=0\nOK\n")
        }
    }

    @Test func `a wrong password and an unknown user are told apart by nobody but the log`() async throws {
        try await LoginServer.with { server in
            let client = try LineSocket(port: server.port)
            #expect(try client.ask("AUTH app ops's").line == Self.wrong)
            #expect(try client.ask("AUTH \"no\\nbody\" x").line == Self.wrong)
            #expect(try client.ask("QUEUE app").line == Self.first)
            #expect(try await server.broker.status().loginsRefused == 2)
            let entries = server.log.entries.filter { "\($0.message)".hasPrefix("login refused") }
            #expect(entries.map { "\($0.metadata["user"] ?? "")" } == ["app", "no?body"])
            #expect(entries.allSatisfy { "\($0.metadata["peer"] ?? "")".contains("127.0.0.1") })
            #expect(!"\(server.log.entries)".contains("ops's"), "no password is in the log")
            #expect(try client.ask("AUTH app app's").line == "OK")
        }
    }

    @Test func `the third wrong password closes the connection`() async throws {
        try await LoginServer.with { server in
            let client = try LineSocket(port: server.port)
            for _ in 0..<3 { #expect(try client.ask("AUTH app no").line == Self.wrong) }
            #expect(
                try client.replies(2) == ["ERR 403 ACCESS_REFUSED 3 wrong passwords; closing", "closed"])
        }
    }

    @Test func `a flood of logins is refused, and who is in goes on`() async throws {
        try await LoginServer.with { server in
            let inside = try server.client("app")
            let flood = try (0..<200).map { _ in try LineSocket(port: server.port) }
            for client in flood {
                for _ in 0..<3 { client.say("AUTH app no") }
                client.exchange()
            }
            #expect(try inside.ask("QUEUE app").line.hasPrefix("OK"))
            for client in flood {
                let said = try client.replies(1)[0]
                #expect(
                    said == Self.wrong || said.hasPrefix("ERR 506 RESOURCE_ERROR 64 passwords"), "\(said)")
            }
            #expect(try server.client("app").ask("PURGE app").line == "OK 0", "it is known")
        }
    }

    @Test func `administrators administer, and what they change counts at once`() async throws {
        try await LoginServer.with { server in
            let ops = try server.client("ops")
            let app = try server.client("app")
            #expect(try app.ask("QUEUE app.jobs").line.hasPrefix("OK"))
            #expect(try app.ask("SUB app.jobs as=w").line == "OK w")
            for request in [
                "USER add x y", "USER export", "LIST users", "SQL \"SELECT 1\"", "LIST connections",
            ] {
                #expect(try app.ask(request).line.hasPrefix("ERR 403 ACCESS_REFUSED"), "\(request)")
            }
            #expect(try ops.ask("PERMISSION set app / \"\" \"\" other").line == "OK")
            #expect(try app.replies(1) == ["END sub=w access refused"])
            #expect(try app.ask("PUB \"\" app.jobs :x").line.hasPrefix("ERR 403 ACCESS_REFUSED write access"))
            #expect(try ops.ask("USER passwd app new").line == "OK")
            #expect(try LineSocket(port: server.port).ask("AUTH app app's").line == Self.wrong)
            let again = try LineSocket(port: server.port)
            #expect(try again.ask("AUTH app new").line == "OK")
            #expect(try ops.ask("USER delete app").line == "OK")
            #expect(try app.replies(2) == ["NOTE killed user 'app' was deleted", "closed"])
            #expect(try again.replies(2) == ["NOTE killed user 'app' was deleted", "closed"])
            #expect(try LineSocket(port: server.port).ask("AUTH app new").line == Self.wrong)
        }
    }

    @Test func `users are made over the line, with any password, and log in`() async throws {
        try await LoginServer.with { server in
            let ops = try server.client("ops")
            #expect(try ops.ask("USER add new tags=management", body: [0xFF, 0x0A]).line == "OK")
            #expect(
                try ops.ask("USER add new x").line
                    == "ERR 406 PRECONDITION_FAILED user 'new' is there already")
            let new = try LineSocket(port: server.port)
            #expect(try new.ask("AUTH new", body: [0xFF, 0x0A]).line == "OK")
            #expect(try new.ask("STAT").line.hasPrefix("ROW "))
            #expect(
                try ops.ask("USER import old hash=nonsense").line.hasPrefix(
                    "ERR 406 PRECONDITION_FAILED what is"))
            let hash = "$rabbitmq-sha256$kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
            #expect(try ops.ask("USER import old hash=\(hash)").line == "OK")
            #expect(try LineSocket(port: server.port).ask("AUTH old test12").line == "OK")
            #expect(try ops.ask("USER import old hash=\"\"").line == "OK")
            #expect(try LineSocket(port: server.port).ask("AUTH old test12").line == Self.wrong)
            ops.say("USER export")
            let rows = try ops.replies(5)
            #expect(rows.contains { $0.contains(#""name":"new","hash":"$scrypt$ln=4,r=8,p=1$"#) }, "\(rows)")
        }
    }

    @Test func `a limit on connections refuses the next login`() async throws {
        try await LoginServer.with { server in
            try await server.broker.administer(.setLimits("app", UserLimits(connectionsMax: 1)))
            let first = try server.client("app")
            let second = try LineSocket(port: server.port)
            #expect(
                try second.ask("AUTH app app's").line
                    == "ERR 530 NOT_ALLOWED connection refused for user 'app': user connection limit (1) is reached"
            )
            #expect(try second.ask("QUEUE app").line == Self.first)
            #expect(try first.ask("QUIT").line == "OK")
            #expect(try first.waitForNext() == nil)
            var said = ""
            while said != "OK" { said = try LineSocket(port: server.port).ask("AUTH app app's").line }
        }
    }

    // MARK: - AMQP

    @Test func `AMQP clients log in as the same users, into virtual hosts that are theirs`() async throws {
        try await LoginServer.with { server in
            // RabbitMQ's first user is nobody where all must log in.
            let guest = try AMQPSocket(greeting: server.port)
            try guest.expect("connection.start")
            guest.startOk()
            try guest.expect("connection.close 403 ACCESS_REFUSED - Login was refused")
            #expect(try await server.broker.status().loginsRefused == 1)
            let app = try server.greet("app")
            try app.expect("connection.open-ok")
            app.call(20, 10, .short(""), on: 1)
            try app.expect("channel.open-ok")
            app.call(50, 10, .int16(0), .short("other"), .octet(2), .table([]), on: 1)
            try app.expect(
                "channel.close 403 ACCESS_REFUSED - configure access to queue 'other' in vhost '/' refused for user 'app'"
            )
            try await server.broker.createVirtualHost("shop")
            let shop = try server.greet("app", host: "shop")
            try shop.expect(
                "connection.close 530 NOT_ALLOWED - access to vhost 'shop' refused for user 'app'")
            let all = UserPermission("app", in: "shop", configure: ".*", write: ".*", read: ".*")
            try await server.broker.administer(.permit(all))
            let again = try server.greet("app", host: "shop")
            try again.expect("connection.open-ok")
            again.call(20, 10, .short(""), on: 1)
            try again.expect("channel.open-ok")
            again.call(50, 10, .int16(0), .short("other"), .octet(2), .table([]), on: 1)
            try again.expect("queue.declare-ok other 0 0")
            #expect(try await server.broker.virtualHost("shop").status(of: "other").ready == 0)
            await #expect(throws: BrokerError.self) { _ = try await server.broker.status(of: "other") }
        }
    }

    // MARK: - Time

    /// A connection on a loop whose time the test moves.
    private static func channel(_ broker: Broker, _ parts: ServerParts) async throws -> NIOAsyncTestingChannel
    {
        let channel = NIOAsyncTestingChannel()
        var rules = LoginRules()
        rules.areForLocalClients = true
        let peer = Peer(
            "test", isLocal: true, rules, parts.limits, now: channel.testingEventLoop.now)
        try await channel.testingEventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(SniffingHandler(parts, peer: peer))
        }.get()
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        return channel
    }

    private static func said(_ channel: NIOAsyncTestingChannel) async throws -> String {
        var text = ""
        while let bytes = try await channel.readOutbound(as: ByteBuffer.self) {
            text += String(buffer: bytes)
        }
        return text
    }

    private static func withChannel(
        cost: PasswordHash.Cost = .small,
        _ body: (Broker, NIOAsyncTestingChannel) async throws -> Void
    ) async throws {
        let broker = try Broker(.memory, configuration: .quiet)
        let limits = ServerLimits()
        let parts = ServerParts(
            broker: broker, limits: limits, room: SharedRoom(limits),
            logger: Broker.Configuration.quiet.logger,
            tls: TLSIdentity(), passwordCost: cost)
        parts.desk.start()
        let channel = try await channel(broker, parts)
        try await body(broker, channel)
        _ = try await channel.finish(acceptAlreadyClosed: true)
        try await parts.desk.stop()
        try await broker.shutdown()
    }

    @Test func `a wrong password is answered after a second, and the next request waits`() async throws {
        try await Self.withChannel { broker, channel in
            try await channel.writeInbound(ByteBuffer(string: "AUTH app no\nPING\n"))
            while try await broker.status().loginsRefused == 0 { await Task.yield() }
            await channel.testingEventLoop.advanceTime(by: .milliseconds(999))
            #expect(try await Self.said(channel) == "")
            await channel.testingEventLoop.advanceTime(by: .milliseconds(1))
            #expect(try await Self.said(channel) == Self.wrong + "\nOK\n")
        }
    }

    @Test func `a wrong password over AMQP is answered after a second, and logged with the address`()
        async throws
    {
        try await LoginServer.with { server in
            let client = try AMQPSocket(greeting: server.port)
            try client.expect("connection.start")
            client.startOk(user: "app", password: "ops's")
            try client.expect("connection.close 403 ACCESS_REFUSED - Login was refused")
            #expect(server.refusedLogins.map(\.user) == ["app"])
            #expect(server.refusedLogins.allSatisfy { $0.peer.hasPrefix("127.0.0.1:") })
        }
        try await Self.withChannel { broker, channel in
            let client = Script()
            client.startOk(user: "app", password: "no")
            try await channel.writeInbound(ByteBuffer(bytes: client.bytes))
            while try await broker.status().loginsRefused == 0 { await Task.yield() }
            await channel.testingEventLoop.advanceTime(by: .milliseconds(999))
            #expect(try await !Self.said(channel).contains("ACCESS_REFUSED"))
            await channel.testingEventLoop.advanceTime(by: .milliseconds(1))
            #expect(try await Self.said(channel).contains("ACCESS_REFUSED - Login was refused"))
        }
    }

    @Test(arguments: ["", "PING\n", "AUTH app no\n"])
    func `who does not log in within half a minute is closed`(says: String) async throws {
        try await Self.withChannel { broker, channel in
            if !says.isEmpty { try await channel.writeInbound(ByteBuffer(string: says)) }
            while says.hasPrefix("AUTH"), try await broker.status().loginsRefused == 0 { await Task.yield() }
            await channel.testingEventLoop.advanceTime(by: .seconds(29))
            _ = try await Self.said(channel)
            #expect(channel.isActive)
            await channel.testingEventLoop.advanceTime(by: .seconds(1))
            let last = says.isEmpty ? "" : "ERR 403 ACCESS_REFUSED no login within 30 s; closing\n"
            #expect(try await Self.said(channel) == last)
            await channel.testingEventLoop.advanceTime(by: .seconds(1))
            #expect(!channel.isActive)
        }
    }

    @Test(arguments: ["AUTH app no\n", "AMQP"])
    func `the time that the server takes over a password is not the client's`(door: String) async throws {
        try await Self.withChannel(cost: .standard) { broker, channel in
            let client = Script()
            client.startOk(user: "app", password: "no")
            let bytes = door == "AMQP" ? ByteBuffer(bytes: client.bytes) : ByteBuffer(string: door)
            try await channel.writeInbound(bytes)
            // A password takes longer than this does.
            await channel.testingEventLoop.advanceTime(by: .seconds(30))
            #expect(channel.isActive)
            while try await broker.status().loginsRefused == 0 { await Task.yield() }
            await channel.testingEventLoop.advanceTime(by: .seconds(1))
            let said = try await Self.said(channel)
            if door == "AMQP" {
                #expect(said.contains("ACCESS_REFUSED - Login was refused"))
            } else {
                #expect(said == Self.wrong + "\nERR 403 ACCESS_REFUSED no login within 30 s; closing\n")
            }
        }
    }

    @Test func `which addresses are of this machine`() throws {
        func isLocal(_ ip: String) throws -> Bool { Peer.isLocal(try SocketAddress(ipAddress: ip, port: 1)) }
        for ip in ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"] {
            #expect(try isLocal(ip), "\(ip)")
        }
        for ip in ["128.0.0.1", "10.0.0.1", "0.0.0.0", "::", "::2", "::ffff:10.0.0.1", "fe80::1"] {
            #expect(try !isLocal(ip), "\(ip)")
        }
        let path = try SocketAddress(unixDomainSocketPath: "/x")
        #expect(Peer.isLocal(nil) && Peer.isLocal(path))
    }
}
