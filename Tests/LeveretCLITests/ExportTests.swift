// Export and import against real servers: what goes out of one comes into another as it was.

import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct ExportTests {
    /// A broker with something of everything.
    private func filled() async throws -> Shell {
        let shell = try Shell()
        for command in [
            ["exchange", "declare", "events", "topic", "--alternate", "amq.fanout"],
            ["exchange", "declare", "inner", "headers", "--internal", "--auto-delete"],
            [
                "queue", "declare", "jobs", "--max-priority", "5", "--dead-letter-exchange", "",
                "--dead-letter-key", "dead",
            ],
            ["queue", "declare", "dead", "--ttl", "3600000"],
            ["queue", "declare", "two words", "--transient"],
            ["bind", "jobs", "events", "a.#"], ["bind", "inner", "events", "*", "--to-exchange"],
            ["bind", "dead", "inner", "-H", "x-match=any", "-H", "n=5", "-H", "s=\"5\""],
            [
                "policy", "set", "short", "^d", "--max-length", "1000", "--apply-to", "queues", "--priority",
                "3",
            ],
            ["policy", "set", "alt", "^ev", "--alternate", "amq.direct", "--apply-to", "exchanges"],
            ["policy", "set", "roof", "", "--operator", "--max-bytes", "1000000"],
            ["publish", "events", "a.b", "one", "-H", "n=5", "-H", "list=json:[1,2]"],
            ["publish", "events", "a.c", "later", "--delay", "3600000"], ["publish", "", "jobs", "bad"],
        ] { try await shell.run(command) }
        let socket = try LineSocket(port: shell.server.port)
        for (request, body) in [
            (
                "PUB events a.d id=7 priority=4 type=t reply-to=r correlation-id=c content-type=x/y ttl=60000",
                [0xff, 0, 1]
            ),
            ("PUB \"\" jobs priority=9", Array("first".utf8)),
        ] as [(String, [UInt8])] {
            #expect(try socket.ask(request, body: body).line == "OK 1")
        }
        // The one of the highest priority dies.
        #expect(try socket.ask("GET jobs").line.hasPrefix("MSG 1"))
        #expect(try socket.ask("REJECT 1 error=\"no such file\"").line == "OK")
        return shell
    }

    private func definitions(_ shell: Shell) async throws -> JSON {
        try #require(JSON(try await shell.run(["export"]).output.utf8))
    }

    /// The lines of an export without what a new place changes.
    private func settled(_ text: String) throws -> [String] {
        try text.split(separator: "\n").map { line in
            guard case .object(let fields)? = JSON(line.utf8) else { throw Failure(.refused, "no object") }
            return JSON.object(fields.filter { $0.name != "entered" }).compact
        }
    }

    @Test func `definitions are written over no database and over no file without --force`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        try await shell.run(["publish", "", "q", "one"])
        for file in [
            shell.database, "\(shell.database)-wal", "\(shell.database)-shm", "\(shell.database)-lock",
        ] {
            for force in [[], ["--force"]] {
                let result = try await shell.run(["export", "--definitions", file] + force, status: 6)
                #expect(result.errors.contains("name another"), "\(result.errors)")
            }
        }
        let named = try await leveret(["export", "--db", shell.database, "--definitions", shell.database])
        #expect(named.status == 6)
        let file = shell.folder.path("d.json")
        try Data("older".utf8).write(to: URL(filePath: file))
        let refused = try await shell.run(["export", "--definitions", file], status: 6)
        #expect(refused.errors.contains("replace it with --force"))
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "older")
        try await shell.run(["export", "--definitions", file, "--force"])
        #expect(JSON(try Data(contentsOf: URL(filePath: file))) != nil)
        #expect(try await shell.run(["get", "q", "--ack"]).output.contains("one"))
    }

    @Test func `files with what stands for passwords are this user's alone, those replaced as they were`()
        async throws
    {
        let shell = try Shell()
        let made = try await shell.script(
            "umask 022; leveret export --definitions d.json; leveret backup b.db")
        #expect(made.status == 0, "\(made)")
        #expect(
            try await shell.script("stat -c %a d.json b.db leveret.db*").output
                == "600\n600\n600\n600\n600\n600\n600\n")
        let replaced = try await shell.script(
            "chmod 640 d.json b.db; leveret export --definitions d.json --force; leveret backup b.db --force")
        #expect(replaced.status == 0, "\(replaced)")
        #expect(try await shell.script("stat -c %a d.json b.db").output == "640\n640\n")
    }

    @Test func `a file of the same name is not taken for that of a server elsewhere`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        try await shell.run(["publish", "", "q", "right"])
        // As behind a forwarded port: the server has its file, and here is another.
        _ = try await shell.script("mv leveret.db aside && cp aside leveret.db")
        let refused = try await shell.run(["backup", shell.folder.path("b.db")], status: 5)
        #expect(
            refused.errors.contains("which is another file here; run this on the machine of the server"))
        try await shell.run(["verify"], status: 5)
        let exported = try await shell.run(["export", "--messages", "q"])
        #expect(exported.output.contains(#""body":"right""#))
    }

    @Test func `what is exported and imported into an empty broker is the same`() async throws {
        let first = try await filled()
        let file = first.folder.path("definitions.json")
        let messages = try await first.run(["export", "--definitions", file, "--all"]).output
        #expect(messages.split(separator: "\n").count == 5)
        let second = try Shell()
        let imported = try await second.run(["import", file])
        #expect(imported.output == "2 exchanges, 3 queues, 3 bindings, 2 policies, 1 operator policy there\n")
        #expect(imported.errors == "")
        #expect(
            try await second.run(["import", "-"], input: messages).output.hasPrefix("5 messages imported"))
        #expect(try await definitions(second) == definitions(first))
        let again = try await second.run(["export", "--all"]).output
        #expect(try settled(again).sorted() == settled(messages).sorted())
        // It is the same to who gets it: by priority, and with the history of its deaths.
        let got = try await second.run([
            "get", "jobs", "-n", "9", "-o", "json", "--columns", "exchange,key,size",
        ])
        #expect(got.output.hasPrefix(#"{"exchange":"events","key":"a.d","size":3}"#))
        let dead = try await second.run([
            "peek", "dead", "-o", "json", "--columns", "origin,reason,error,body",
        ])
        #expect(
            dead.output == #"{"origin":"jobs","reason":"rejected","error":"no such file","body":"first"}"#
                + "\n")
        let delayed = try await second.run(["peek", "jobs", "--state", "delayed", "--columns", "body"])
        #expect(delayed.output == "body\nlater\n")
        #expect(try await second.run(["verify"]).output.contains("is sound"))
    }

    @Test func `definitions are imported again without a change, and what differs is named`() async throws {
        let first = try await filled()
        let file = first.folder.path("definitions.json")
        try await first.run(["export", "--definitions", file])
        let before = try await definitions(first)
        try await first.run(["import", file])
        #expect(try await definitions(first) == before)
        let other = try Shell()
        try await other.run(["queue", "declare", "jobs", "--ttl", "5"])
        let refused = try await other.run(["import", file], status: 6)
        #expect(refused.errors.contains("leveret: queue 'jobs': inequivalent arg"))
        #expect(refused.errors.contains("1 definition refused, see above"))
        #expect(try await other.run(["queues", "dead", "--columns", "name"]).output == "name\ndead\n")
    }

    @Test func `a file is exported like a server, and nothing is half written`() async throws {
        let shell = try await filled()
        let transient = #""two words""#
        let live = try await shell.run(["export"]).output
        #expect(live.contains(transient))
        let file = try await leveret(["export", "--db", shell.database]).output
        #expect(!file.contains(transient) && file.contains(#""name": "jobs""#))
        let some = try await leveret(["export", "--messages", "dead", "jobs", "--db", shell.database]).output
        #expect(some.split(separator: "\n").count == 5)
        #expect(some.hasPrefix(#"{"queue":"dead""#))
        #expect(try await leveret(["export", "--messages", "none", "--db", shell.database]).status == 5)
        #expect(
            try await shell.run(["export", "--definitions", "/nowhere/x"], status: 1).errors.contains(
                "/nowhere/x"))
        #expect(
            try await shell.run(["export", "--all", "--messages", "q"], status: 2).errors.contains("not both")
        )
        #expect(
            try await shell.run(["export", "--all", "--definitions", "-"], status: 2).errors.contains(
                "standard output"))
    }

    @Test func `a refused message ends the run, and nothing has to be guessed`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        let good = #"{"queue":"q","body":"x"}"# + "\n"
        let wrong = try await shell.run(
            ["import", "-"], input: good + good + "{\"queue\":\"none\",\"body\":\"\"}\n", status: 5)
        #expect(wrong.errors.contains("line 3: no queue 'none'"))
        #expect(wrong.errors.contains("2 messages imported, 1 refused: line 3"))
        for (line, says) in [
            ("what is this", "line 2 is no message"), ("", "line 2 is no message"),
            (#"{"queue":"","body":""}"#, "line 2: the queue's name has 0 bytes"),
        ] {
            let result = try await shell.run(["import", "-"], input: good + line + "\n" + good, status: 1)
            #expect(result.errors.contains(says) && result.errors.contains("1 message imported before it"))
        }
        let field = try await shell.run(
            ["import", "-"], input: #"{"queue":"q","body":"x","due":"noon"}"#, status: 1)
        #expect(field.errors.contains("line 1: the message's field 'due' must be a whole number"))
        #expect(try await shell.run(["queues", "-o", "csv", "--columns", "ready"]).output == "ready\n5\n")
    }

    @Test func `what is neither of the two is refused`() async throws {
        let shell = try Shell()
        #expect(try await shell.run(["import", "-"], status: 1).errors.contains("is empty"))
        #expect(
            try await shell.run(["import", "-"], input: "hello\n", status: 1).errors.contains("is no JSON"))
        #expect(try await shell.run(["import", "/nowhere/x"], status: 5).errors.contains("/nowhere/x"))
    }

    @Test func `virtual hosts go out and in with all that is theirs`() async throws {
        let first = try Shell()
        try await first.run(["vhost", "add", "shop"])
        try await first.run(["vhost", "limit", "shop", "--max-queues", "3"])
        for vhost in ["/", "shop"] {
            try await first.run([
                "queue", "declare", "jobs", "--vhost", vhost, "--ttl", vhost == "/" ? "1" : "60000",
            ])
            try await first.run(["exchange", "declare", "x", "topic", "--vhost", vhost])
            try await first.run(["bind", "jobs", "x", "k", "--vhost", vhost])
        }
        try await first.run(["policy", "set", "p", "", "--max-length", "5", "--vhost", "shop"])
        try await first.run(["publish", "x", "k", "there", "--vhost", "shop"])
        let file = first.folder.path("definitions.json")
        try await first.run(["export", "--definitions", file])
        let messages = try await first.run(["export", "--all", "--vhost", "shop"]).output
        #expect(messages.contains("there"))
        let second = try Shell()
        let imported = try await second.run(["import", file])
        #expect(
            imported.output
                == "1 virtual host, 2 exchanges, 2 queues, 2 bindings, 1 policy, 1 virtual host with limits there\n"
        )
        try await second.run(["import", "-", "--vhost", "shop"], input: messages)
        #expect(
            try await second.run(["peek", "jobs", "--vhost", "shop", "--columns", "body"]).output
                == "body\nthere\n")
        #expect(
            try await second.run(["queues", "-o", "csv", "--columns", "name,ready"]).output
                == "name,ready\njobs,0\n")
        // Also from the file, and of one only.
        let again = try await leveret(["export", "--db", second.database]).output
        #expect(again == (try await first.run(["export"]).output))
        let one = try await second.run(["export", "--vhost", "shop"]).output
        #expect(one.contains(#""vhost": "shop""#) && !one.contains(#""vhost": "/""#))
        try await second.run(["export", "--vhost", "none"], status: 5)
        let third = try Shell()
        let some = try await third.run(["import", file, "--vhost", "shop"])
        #expect(some.errors.contains("definitions of other virtual hosts left out"))
        #expect(try await third.run(["queues", "-o", "csv", "--columns", "name"]).output == "name\n")
    }

    @Test func `many messages go out and in`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        try await shell.run(["publish", "", "q", String(repeating: "x", count: 2000), "--count", "5000"])
        let lines = try await shell.run(["export", "--messages", "q"]).output
        #expect(lines.split(separator: "\n").count == 5000)
        #expect(
            try await shell.run(["import", "-"], input: lines).output.hasPrefix("5,000 messages imported"))
        #expect(
            try await shell.run(["queues", "-o", "csv", "--columns", "ready"]).output == "ready\n10000\n")
    }
}
