// Users from the command line: the first administrator, passwords from everywhere they may come from, and users that go
// from one server to another.

import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

/// A server on which everybody must log in, with the administrator `ops`.
final class LockedServer {
    let folder: TemporaryFolder
    let database: String
    let server: ServerProcess

    init() async throws {
        let folder = try TemporaryFolder()
        database = folder.path("leveret.db")
        let added = try await runProgram(
            "leveret", ["user", "add", "ops", "--tags", "administrator", "--db", database],
            environment: ["LEVERET_NEW_PASSWORD": "it's s3cret", "LEVERET_URL": ""])
        #expect(added.status == 0 && added.output == "user 'ops' is added\n", "\(added.errors)")
        server = try ServerProcess(database: database, arguments: ["--local-auth", "required"])
        self.folder = folder
    }

    /// Runs a command; `password` is that of `user`.
    @discardableResult
    func run(
        _ arguments: [String], as user: String? = "ops", password: String? = "it's s3cret",
        new: String? = nil, input: String = "", status: Int32 = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> ProgramResult {
        let who = user.map { $0 + "@" } ?? ""
        let result = try await runProgram(
            "leveret", arguments, input: input,
            environment: [
                "LEVERET_URL": "leveret://\(who)127.0.0.1:\(server.port)", "LEVERET_PASSWORD": password ?? "",
                "LEVERET_NEW_PASSWORD": new ?? "", "NO_COLOR": "1",
            ])
        #expect(result.status == status, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
        return result
    }
}

@Suite struct UserCommandTests {
    @Test func `a login that is answered late is waited for, by top as well`() async throws {
        let locked = try await LockedServer()
        let target = try ServerTarget("leveret://127.0.0.1:\(locked.server.port)")
        let wrong = Login(user: "ops", password: Array("wrong".utf8))
        // A wrong password is answered after a second.
        let failure = #expect(throws: Failure.self) {
            _ = try TopLink(
                target, as: wrong, loginMillisecondsMax: 60_000, silenceMillisecondsMax: 1)
        }
        #expect(failure?.status == .refused)
    }

    @Test func `the first administrator is made in the file, and makes the others`() async throws {
        let locked = try await LockedServer()
        let refused = try await locked.run(["queues"], as: nil, status: 1)
        #expect(
            refused.errors
                == "leveret: log in first: AUTH user password (403 ACCESS_REFUSED); say --url leveret://user@host:port, "
                + "or leverets:// with TLS\n")
        #expect(
            try await locked.run(["user", "add", "app"], input: "pass\r\n").output == "user 'app' is added\n")
        #expect(
            try await locked.run(["permission", "set", "app", "^a", "", ""]).output
                == "the permissions of user 'app' in '/' are set\n")
        #expect(try await locked.run(["queue", "declare", "a"], as: "app", password: "pass").errors == "")
        let other = try await locked.run(["queue", "declare", "b"], as: "app", password: "pass", status: 1)
        #expect(other.errors.contains("configure access to queue 'b' in vhost '/' refused for user 'app'"))
        try await locked.run(["user", "tags", "app", "monitoring", "mine"])
        try await locked.run(["user", "limit", "app", "--max-connections", "7"])
        #expect(
            try await locked.run(["user", "list", "a*", "-o", "json"]).output
                == #"{"name":"app","tags":["mine","monitoring"],"connections":0,"channels":0,"max_connections":7,"#
                + #""max_channels":null}"# + "\n")
        _ = try await locked.run(["user", "passwd", "app"], new: "other")
        try await locked.run(["queues"], as: "app", password: "pass", status: 1)
        try await locked.run(["queues"], as: "app", password: "other")
        try await locked.run(["user", "delete", "app"])
        #expect(try await locked.run(["permission", "list"]).output == "there are no permissions\n")
    }

    /// A server with a user `app` that may enter two of three virtual hosts.
    private static func withHosts() async throws -> LockedServer {
        let locked = try await LockedServer()
        try await locked.run(["user", "add", "app", "--tags", "monitoring"], new: "pass")
        for host in ["/", "shop", "hidden"] { try await locked.run(["vhost", "add", host]) }
        try await locked.run(["permission", "set", "app", "", "", "^a"])
        try await locked.run(["permission", "set", "app", "b", "", "", "--vhost", "shop"])
        return locked
    }

    @Test func `one user is shown, and permissions are those of a virtual host`() async throws {
        let locked = try await Self.withHosts()
        let shown = try await locked.run(["user", "show", "app"]).output
        let below = """

            permissions
            vhost  configure  write  read
            /      ""         ""     ^a
            shop   b          ""     ""

            """
        #expect(shown.hasPrefix("name         app\n") && shown.hasSuffix(below), "\(shown)")
        let json = try await locked.run(["user", "show", "app", "-o", "json", "--columns", "permissions"])
        #expect(json.output.contains(#"{"user":"app","vhost":"shop","configure":"b","write":"","read":""}"#))
        let nobody = try await locked.run(["user", "show", "a*"], status: 5)
        #expect(nobody.errors.contains("no user 'a*'"))
        let csv = ["-o", "csv", "--columns", "vhost,configure"]
        #expect(
            try await locked.run(["permission", "list", "--vhost", "shop"] + csv).output
                == "vhost,configure\nshop,b\n")
        #expect(
            try await locked.run(["permission", "--vhost", "hidden"]).output
                == "there are no permissions in vhost 'hidden'\n")
        #expect(
            try await locked.run(["user", "-o", "csv", "--columns", "name"]).output == "name\napp\nops\n")
        let host = try await locked.run(["vhost", "show", "shop", "-o", "csv", "--columns", "name,queues"])
        #expect(host.output == "name,queues\nshop,0\n")
        try await locked.run(["vhost", "show", "sho?"], status: 5)
        let gone = try await locked.run(["user", "delete", "nobody"], status: 5)
        #expect(gone.errors == "leveret: no user 'nobody' (404 NOT_FOUND); 'leveret user list' lists them\n")
        let tags = try await locked.run(["user", "tags", "nobody", "x"], status: 5)
        #expect(tags.errors == gone.errors)
        let none = try await locked.run(["permission", "clear", "app", "--vhost", "hidden"], status: 5)
        #expect(none.errors.contains("user 'app' has no permissions in 'hidden'"))
    }

    @Test func `a password can be tried, whoever asks`() async throws {
        let locked = try await Self.withHosts()
        let right = try await locked.run(
            ["user", "authenticate", "app"], as: nil, password: nil, input: "pass\n")
        #expect(right.output == "the password of user 'app' is right\n")
        let wrong = try await locked.run(["user", "authenticate", "app"], input: "it's s3cret\n", status: 1)
        #expect(wrong.errors.contains("login refused"))
        let nothing = try await locked.run(["user", "authenticate", "app"], status: 2)
        #expect(nothing.errors.contains("there is no password for user 'app'"))
    }

    @Test func `what a user may not enter or read is told, and keeps a look from nothing else`() async throws
    {
        let locked = try await Self.withHosts()
        let check = try await locked.run(["check"], as: "app", password: "pass")
        #expect(
            check.output.hasPrefix("WARNING: vhost 'hidden' can't be looked at: access to vhost 'hidden'"))
        let all = try await locked.run(
            ["queues", "--all-vhosts", "-o", "csv", "--columns", "name"], as: "app", password: "pass")
        #expect(all.output == "name\n" && all.errors.hasPrefix("leveret: vhost 'hidden' can't be looked at"))
        try await locked.run(["permission", "set", "ops", ".*", ".*", ".*", "--vhost", "shop"])
        try await locked.run(["queue", "declare", "q", "--vhost", "shop"])
        try await locked.run(["publish", "", "q", "x", "--count", "2", "--vhost", "shop"])
        let client = try LineSocket(port: locked.server.port)
        for request in ["AUTH ops \"it's s3cret\"", "VHOST shop"] {
            #expect(try client.ask(request).line == "OK", "\(request)")
        }
        #expect(try client.ask("GET q").words.first == "MSG")
        let found = try await locked.run(
            ["doctor", "-o", "csv", "--columns", "rule,subject"], as: "app", password: "pass", status: 1)
        #expect(
            found.output == "rule,subject\nno_consumer,queue 'shop/q'\nunseen,vhost 'hidden'\n", "\(found)")
        for host in ["/", "shop"] { try await locked.run(["permission", "clear", "app", "--vhost", host]) }
        try await locked.run(["check"], as: "app", password: "pass", status: 1)
    }

    @Test func `a password comes from the environment or a terminal, never from an argument`() async throws {
        let locked = try await LockedServer()
        let wrong = try await locked.run(["queues"], password: "guess", status: 1)
        #expect(
            wrong.errors
                == "leveret: login refused: there is no such user, or the password is another (403 ACCESS_REFUSED)\n"
        )
        let none = try await locked.run(["queues"], password: nil, status: 2)
        #expect(
            none.errors.contains(
                "there is no password for user 'ops' and nobody to ask; set LEVERET_PASSWORD"))
        let address = "127.0.0.1:\(locked.server.port)"
        let argument = try await leveret(["queues", "--url", "leveret://ops:s3cret@\(address)"])
        #expect(
            argument.status == 2 && argument.errors.contains("a password in --url can be seen by everybody"))
        #expect(!argument.errors.contains("s3cret"))
        let url = "leveret://ops:it%27s%20s3cret@\(address)"
        let inside = try await leveret(["queues"], environment: ["LEVERET_URL": url])
        #expect(inside.status == 0 && inside.output == "there are no queues\n", "\(inside.errors)")
        try await locked.run(["permission", "set", "ops", ".*", ".*", ".*"])
        for command in [["top", "--once"], ["status"], ["bench", "--messages", "10"]] {
            #expect(try await leveret(command, environment: ["LEVERET_URL": url]).status == 0, "\(command)")
        }
    }

    @Test func `a user is not put into a file that a server has open`() async throws {
        let locked = try await LockedServer()
        let result = try await runProgram(
            "leveret", ["user", "passwd", "ops", "--db", locked.database],
            environment: ["LEVERET_NEW_PASSWORD": "x", "LEVERET_URL": ""])
        #expect(result.status == 6 && result.errors.contains("is in use by process"), "\(result.errors)")
        _ = locked.server.stop()
        let again = try await runProgram(
            "leveret", ["user", "passwd", "ops", "--db", locked.database],
            environment: ["LEVERET_NEW_PASSWORD": "x", "LEVERET_URL": ""])
        #expect(again.status == 0 && again.output == "user 'ops' has another password\n", "\(again.errors)")
        #expect(!again.errors.contains("database opened"))
        // The rest of what there is for users, too.
        for arguments in [
            ["user", "tags", "ops", "monitoring", "mine"], ["user", "limit", "ops", "--max-channels", "9"],
            ["permission", "set", "ops", "a", "b", "c"],
        ] {
            #expect(try await leveret(arguments + ["--db", locked.database]).status == 0, "\(arguments)")
        }
        let list = try await leveret(["user", "list", "--db", locked.database, "--columns", "name,tags"])
        #expect(list.output == "name  tags\nops   mine,monitoring\n", "\(list)")
        let shown = try await leveret(["user", "show", "ops", "--db", locked.database])
        #expect(shown.output.hasSuffix("/      a          b      c\n"), "\(shown)")
        let permissions = try await leveret(["permission", "--db", locked.database, "-o", "csv"])
        #expect(permissions.output == "user,vhost,configure,write,read\nops,/,a,b,c\n")
        for words in [["permission", "clear", "ops"], ["user", "delete", "ops"]] {
            #expect(try await leveret(words + ["--db", locked.database]).status == 0, "\(words)")
        }
        let unknown = try await runProgram(
            "leveret", ["user", "passwd", "nobody", "--db", locked.database],
            environment: ["LEVERET_NEW_PASSWORD": "x", "LEVERET_URL": ""])
        #expect(unknown.status == 5 && unknown.errors.contains("no user 'nobody'"), "\(unknown.errors)")
    }

    @Test func `users go from one server to another with passwords, tags, limits and permissions`()
        async throws
    {
        let first = try await LockedServer()
        try await first.run(["user", "add", "app", "--tags", "a,b"], new: "pass")
        try await first.run(["user", "limit", "app", "--max-channels", "9"])
        try await first.run(["permission", "set", "app", "", "^x", ".*"])
        #expect(
            try await first.run(["permission", "set-topics", "app", "events", "^{username}", ""]).output
                == "the keys of exchange 'events' in '/' that user 'app' may use are set\n")
        let topics = #"{"user":"app","vhost":"/","exchange":"events","write":"^{username}","read":""}"#
        #expect(
            try await first.run(["permission", "list-topics", "-o", "json"]).output.contains("^{username}"))
        let file = try await first.run(["export"]).output
        let json = try #require(JSON(file.utf8))
        #expect(
            json["permissions"]?.compact
                == #"[{"user":"app","vhost":"/","configure":"","write":"^x","read":".*"}]"#)
        #expect(json["topic_permissions"]?.compact == "[\(topics)]")
        let second = try await LockedServer()
        #expect(
            try await second.run(["import", "-"], input: file).output
                == "2 users, 1 user limit, 1 permission, 1 topic permission there\n")
        #expect(try await second.run(["export"]).output == file)
        try await second.run(["publish", "", "x", "hello"], as: "app", password: "pass", status: 1)
        #expect(
            try await second.run(["permission", "clear-topics", "app"]).output
                == "the keys of all exchanges in '/' are free to user 'app'\n")
        #expect(try await second.run(["permission", "list-topics"]).output.hasPrefix("there are no topic"))
        // Who is no administrator gets all else.
        try await second.run(["user", "tags", "app", "management"])
        let partly = try await second.run(["export"], as: "app", password: "pass")
        #expect(partly.errors.contains("users and permissions are left out: "))
        #expect(JSON(partly.output.utf8)?["users"] == .array([]))
        // A file has them, too.
        let copy = try await leveret(["export", "--db", second.database])
        #expect(
            try #require(JSON(copy.output.utf8))["users"]?.compact.contains("leveret_password_hashing_scrypt")
                == true)
    }
}
