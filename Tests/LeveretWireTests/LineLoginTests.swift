// AUTH, USER and PERMISSION as a client says them, and a talk that takes nothing before a login.

import LeveretCore
import LeveretWire
import NIOCore
import Testing

@Suite struct LineLoginTests {
    private static let refusal = BrokerError(.accessRefused, "log in first: AUTH user password")

    @Test func `before a login only a few are answered, and then all are`() {
        var talk = Talk(loginRefusal: Self.refusal)
        let refused = "ERR 403 ACCESS_REFUSED log in first: AUTH user password\n"
        #expect(talk.send("PING\n") == "OK\n")
        #expect(talk.send("HELLO name=x\n").hasPrefix("OK leveret 1 "))
        #expect(talk.send("HELP PING\n") == "TEXT PING\nOK 1\n")
        for request in [
            "QUEUE q", "PUB \"\" q :x", "BEGIN", "LIST users", "USER add a b", "SQL \"SELECT 1\"", "COMMIT",
        ] {
            #expect(talk.send("\(request)\n") == refused, "\(request)")
        }
        #expect(talk.send("#7 GET q\n") == "#7 " + refused)
        #expect(talk.send("FROB\n").hasPrefix("ERR 503 "))
        #expect(talk.submissions.isEmpty && talk.session.needsLogin)
        #expect(talk.send("AUTH app wrong\n") == "ERR \(BrokerError.wrongLogin)\n")
        #expect(talk.send("QUEUE q\n") == refused)
        #expect(talk.send("#1 AUTH app right\n") == "#1 OK\n")
        #expect(talk.send("QUEUE q\n") == "OK q ready=0 consumers=0\n" && !talk.session.needsLogin)
    }

    @Test func `nobody's document is read before a login`() {
        var talk = Talk(loginRefusal: Self.refusal)
        let refused = "ERR 403 ACCESS_REFUSED log in first: AUTH user password\n"
        #expect(talk.send("IMPORT q :{\n") == refused)
        #expect(talk.send("IMPORT q {1}\n{\n") == refused)
        #expect(talk.send("PUB \"\" q document :{\n") == refused)
        #expect(talk.send("AUTH app right\n") == "OK\n")
        #expect(talk.send("IMPORT q :{\n").hasPrefix("ERR 502 "))
    }

    @Test func `a large body before a login is passed over unread`() {
        var talk = Talk(loginRefusal: Self.refusal)
        let body = [UInt8](repeating: 0x78, count: 100_000)
        #expect(talk.send("PUB \"\" q {100000}\n") == "")
        #expect(talk.session.awaitedBytes == 0)
        let refused = "ERR 403 ACCESS_REFUSED log in first: AUTH user password\n"
        #expect(talk.send(body + Array("\nPING\n".utf8)) == refused + "OK\n")
        #expect(talk.send("AUTH app right\n") == "OK\n")
        #expect(talk.send(Array("PUB \"\" q {100000}\n".utf8) + body + [0x0A]) == "OK 1\n")
    }

    @Test func `what was asked before a password is submitted first, what comes behind it waits`() {
        var session = LineSession(version: "0")
        session.received(ByteBuffer(string: "QUEUE q\nAUTH app secret\nPING\nQUEUE r\n"))
        var (batch, out): ([Submission], ByteBuffer) = ([], ByteBuffer())
        var progress = session.decode(into: &batch, out: &out)
        #expect(progress == .password && batch.count == 1 && !session.wantsBytes)
        #expect(session.passwordRequest?.command.password == Array("secret".utf8))
        progress = session.decode(into: &batch, out: &out)
        #expect(progress == .blocked)
        session.loggedIn(out: &out)
        progress = session.decode(into: &batch, out: &out)
        #expect(progress == .needsBytes)
        #expect(batch.count == 2 && out.readableBytes == 0, "the first is not answered yet")
        session.heard(
            batch.map { .answer($0.ticket, .declared("q", ready: 0, consumers: 0)) }, out: &out)
        let line = "OK q ready=0 consumers=0\n"
        #expect(String(buffer: out) == line + "OK\nOK\n" + line)
    }

    @Test func `a password is any bytes, in the line or behind it`() {
        var talk = Talk()
        let requests = [
            "AUTH app right", "AUTH app \"a b\"", "AUTH app a=b", "AUTH app tags=x", "AUTH app x:y",
            "AUTH app :to the end ", "AUTH app {3}\nx\ny", "USER add app tags-=x", "USER passwd app p=q",
            "USER add app \"tags=x\" tags=b,a",
            "USER add app {2} tags=x".replacing(" {2} tags=x", with: " tags=x {2}\nzz"),
        ]
        for request in requests {
            #expect(talk.send(request + "\n").hasPrefix("ERR 5") == false, "\(request)")
        }
        let passwords = talk.passwords.map { String(decoding: $0.password, as: UTF8.self) }
        #expect(
            passwords == [
                "right", "a b", "a=b", "tags=x", "x:y", "to the end ", "x\ny", "tags-=x", "p=q", "tags=x",
                "zz",
            ])
        #expect(talk.passwords.last?.purpose == .add(tags: ["x"]))
        #expect(talk.passwords[9].purpose == .add(tags: ["b", "a"]))
        var bytes = Talk()
        _ = bytes.send(Array("AUTH app {2}\n".utf8) + [0xFF, 0x00, 0x0A])
        #expect(bytes.passwords.first?.password == [0xFF, 0x00])
    }

    /// Requests that are refused; none of their answers has `secret` in it.
    private static let refused = [
        "AUTH app", "AUTH", "AUTH app my secret", "AUTH app my=secret secret=x",
        "AUTH app \"my secret\" secret",
        "AUTH app secret {6}\nsecret", "AUTH app :", "AUTH app {0}\n", "USER add app my secret",
        "USER add app my secret=1", "USER add app secret hash=secret", "USER passwd app secret tags=a",
        "USER delete app secret", "USER passwd app", "USER add app secret max-channels=1",
        "USER frob app \"secret\"", "USER tags app a secret", "USER import app tags=a",
        "USER import app secret hash=x", "USER limit app secret", "USER export app secret", "USER add",
        "USER add app {6} secret", "AUTH app \"se\\cret\"",
        "AUTH app \(String(repeating: "secret", count: 200))",
    ]

    @Test(arguments: refused)
    func `what is wrong with a password's request is said without the password`(request: String) {
        var talk = Talk()
        let said = talk.send(request + "\nPING\n")
        #expect(said.hasPrefix("ERR 502 ") || said.hasPrefix("ERR 406 "), "\(said)")
        #expect(said.hasSuffix("\nOK\n"))
        #expect(!said.contains("secret"), "\(said)")
        #expect(talk.passwords.isEmpty && talk.submissions.isEmpty)
    }

    @Test func `what administrators ask goes to the broker as it was said`() throws {
        var talk = Talk()
        let said = talk.send(
            """
            USER tags app administrator, monitoring
            USER tags app \"a, b,,\"
            USER tags app
            USER limit app max-connections=5
            USER delete app
            USER import app hash=$scrypt$x tags=a
            USER import app hash=\"\"
            USER export
            PERMISSION set app / ^a=b .* ""
            PERMISSION clear app /
            PERMISSION set-topics app / events ^a ""
            PERMISSION clear-topics app / events
            PERMISSION clear-topics app /

            """)
        #expect(said.split(separator: "\n").count == 13, "\(said)")
        let requests = talk.submissions.compactMap { submission -> UserRequest? in
            if case .administer(let request) = submission.request { request } else { nil }
        }
        #expect(
            requests == [
                .setTags("app", ["a", "b"]), .setTags("app", []),
                .setLimits("app", UserLimits(connectionsMax: 5)), .delete("app"),
                .put(UserDefinition("app", passwordHash: "$scrypt$x", tags: ["a"])),
                .put(UserDefinition("app", passwordHash: "")), .export,
                .permit(UserPermission("app", configure: "^a=b", write: ".*", read: "")),
                .forbid("app", in: "/"),
                .permitTopics(TopicPermission("app", exchange: "events", write: "^a", read: "")),
                .freeTopics("app", in: "/", exchange: "events"),
                .freeTopics("app", in: "/", exchange: nil),
            ])
        #expect(said.hasPrefix("ERR 502 SYNTAX_ERROR an argument is one too many"), "tags have commas")
    }

    @Test(arguments: [
        "PERMISSION set app / a b", "PERMISSION clear app / a",
        "PERMISSION set-topics app / e w", "PERMISSION clear-topics app / e w", "PERMISSION frob app /",
        "PERMISSION set app",
        "PERMISSION set app / a b c d", "PERMISSION set \(String(repeating: "n", count: 256)) / a b c",
    ])
    func `a permission with too much or too little is refused`(request: String) {
        var talk = Talk()
        #expect(talk.send(request + "\n").hasPrefix("ERR 502 SYNTAX_ERROR "))
        #expect(talk.submissions.isEmpty)
    }

    @Test func `a password in a transaction spoils it`() {
        var talk = Talk()
        #expect(talk.send("BEGIN\nPUB \"\" q :x\n") == "OK\nOK queued\n")
        #expect(talk.send("AUTH app right\n").hasPrefix("ERR 503 COMMAND_INVALID passwords have no place"))
        #expect(talk.send("COMMIT\n").hasPrefix("ERR 503 "))
        #expect(talk.passwords.isEmpty)
    }

    @Test func `rows of users show no hash, but for the export`() {
        var talk = Talk()
        talk.answersAtOnce = false
        _ = talk.send("LIST users\nLIST permissions\nUSER export\nLIST topic-permissions\n")
        let tickets = talk.submissions.map(\.ticket)
        let limits = UserLimits(connectionsMax: 3)
        let said = talk.hear(
            .answer(
                tickets[0],
                .page(
                    .users([UserInfo(name: "a", tags: ["x"], limits: limits, connections: 1, sessions: 2)]),
                    next: nil)))
        #expect(
            said
                == #"ROW {"name":"a","tags":["x"],"connections":1,"channels":2,"max_connections":3,"max_channels":null}"#
                + "\nOK 1\n")
        _ = talk.run()
        let permission = UserPermission("a", configure: "c", write: "w", read: "r")
        #expect(
            talk.hear(.answer(tickets[1], .page(.permissions([permission]), next: nil)))
                == #"ROW {"user":"a","vhost":"/","configure":"c","write":"w","read":"r"}"# + "\nOK 1\n")
        let user = UserDefinition("a", passwordHash: "h", tags: ["x"], limits: limits)
        #expect(
            talk.hear(.answer(tickets[2], .userDefinitions([user])))
                == #"ROW {"name":"a","hash":"h","tags":["x"],"max_connections":3,"max_channels":null}"#
                + "\nOK 1\n")
        _ = talk.run()
        let topics = TopicPermission("a", exchange: "e", write: "w", read: "r")
        #expect(
            talk.hear(.answer(tickets[3], .page(.topicPermissions([topics]), next: nil)))
                == #"ROW {"user":"a","vhost":"/","exchange":"e","write":"w","read":"r"}"# + "\nOK 1\n")
    }
}
