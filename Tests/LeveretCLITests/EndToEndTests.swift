// The built `leveret` as a person uses it: a real server on a free port and a temporary file, and the real
// commands against it. PublishTests and TerminalTests have what these two leave out.

import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct EndToEndTests {
    @Test func `messages go in, are seen, and come out once`() async throws {
        let shell = try Shell()
        #expect(try await shell.run(["queue", "declare", "jobs"]).output == "queue 'jobs' is there\n")
        #expect(try await shell.run(["publish", "", "jobs", "one"]).output == "1 message published\n")
        try await shell.run(["publish", "", "jobs", "-H", "n=5", "-H", "s=\"5\"", "--", "-two"])
        let peek = try await shell.run([
            "peek", "jobs", "-o", "json", "--columns", "position,key,headers,body",
        ])
        #expect(
            peek.output == #"{"position":1,"key":"jobs","headers":{},"body":"one"}"# + "\n"
                + #"{"position":2,"key":"jobs","headers":{"n":5,"s":"5"},"body":"-two"}"# + "\n"
        )
        let look = try await shell.run([
            "get", "jobs", "-o", "csv", "--columns", "body,redelivered,deliveries",
        ])
        #expect(look.output == "body,redelivered,deliveries\none,false,1\n")
        #expect(
            try await shell.run(["get", "jobs", "-n", "9", "--ack", "--body", "raw"]).output == "one\n-two\n")
        let empty = try await shell.run(["get", "jobs", "--ack"])
        #expect(empty.output == "queue 'jobs' has no message that is ready\n")
    }

    @Test func `a message per line is published, by line and by key`() async throws {
        let shell = try Shell()
        try await shell.run(["exchange", "declare", "flights", "topic"])
        try await shell.run(["queue", "declare", "delays"])
        try await shell.run(["bind", "delays", "flights", "delayed.#"])
        let lines = (1...2500).map { "\($0 % 5 == 0 ? "delayed" : "departed").\($0)\tflight \($0)\n" }
        let publish = try await shell.run(["publish", "flights", "-", "--lines"], input: lines.joined())
        #expect(publish.output.hasPrefix("2,500 messages published in "))
        #expect(publish.errors.contains("no queue took 2,000 of them"))
        let queues = try await shell.run(["queues", "-o", "csv", "--columns", "name,ready"])
        #expect(queues.output == "name,ready\ndelays,500\n")
        let all = try await shell.run(["peek", "delays", "-n", "2000", "--body", "raw"])
        #expect(all.output.split(separator: "\n").count == 500)
        #expect(all.output.hasPrefix("flight 5\nflight 10\n"))

        let wrong = try await shell.run(
            ["publish", "flights", "-", "--lines"], input: "delayed.a\tx\nno tab\n", status: 1
        )
        #expect(wrong.errors.contains("line 2 has no tab"))
        #expect(wrong.errors.contains("1 message published before it"))
        let each = try await shell.run(["publish", "", "delays", "--lines"], input: "a\n\nlast")
        #expect(each.output.hasPrefix("3 messages published"))
    }

    @Test func `peek pages through what was delayed, each message once`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "mails"])
        try await shell.run(["publish", "", "mails", "hello", "--count", "1500", "--delay", "1"])
        while try await shell.run(["queues", "-o", "csv", "--columns", "ready"]).output != "ready\n1500\n" {}
        let all = try await shell.run([
            "peek", "mails", "-n", "3000", "-o", "csv", "--columns", "position",
        ])
        let positions = all.output.split(separator: "\n").dropFirst().compactMap { Int($0) }
        #expect(positions.count == 1500)
        #expect(Set(positions).count == 1500)
    }

    @Test func `peek pages through a queue with priorities, the highest first`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs", "--max-priority", "5"])
        let publisher = try LineSocket(port: shell.server.port)
        for priority in [0, 9, 3] {
            for _ in 0..<700 { publisher.say("PUB \"\" jobs priority=\(priority) :x") }
            for _ in 0..<700 { #expect(try publisher.waitForNext()?.words[0] == "OK") }
        }
        let expected = Array(701...2100) + Array(100...700)
        for more in [[], ["--where", "size = 1"]] {
            let peek = ["peek", "jobs", "-n", "3000", "--from", "100", "-o", "csv", "--columns", "position"]
            let all = try await shell.run(peek + more)
            #expect(all.output.split(separator: "\n").dropFirst().compactMap { Int($0) } == expected)
        }
        let some = try await shell.run(["peek", "jobs", "-n", "1500", "-o", "csv", "--columns", "position"])
        #expect(some.output.split(separator: "\n").count == 1501)
    }

    @Test func `what goes wrong with a file is a failure as from a server`() async throws {
        let shell = try Shell()
        let source = try FileSource(path: shell.database)
        let gone = #expect(throws: Failure.self) { try source.queue("none") }
        #expect(gone?.status == .notFound)
        let wrong = #expect(throws: Failure.self) { try source.query("frob") { _ in } }
        #expect(wrong?.status == .refused)
    }

    @Test func `a body comes from a file, and goes out byte for byte`() async throws {
        let shell = try Shell()
        let file = shell.folder.path("body")
        let bytes = Data((0...255).map { UInt8($0) })
        try bytes.write(to: URL(filePath: file))
        try await shell.run(["queue", "declare", "q"])
        try await shell.run(["publish", "", "q", "--file", file, "--count", "3"])
        let dump = try await shell.run(["peek", "q", "-n", "1", "--body", "hex"])
        #expect(dump.output.contains("00000040  40 41 42"))
        let json = try await shell.run(["peek", "q", "-n", "1", "-o", "json", "--columns", "size,body64"])
        #expect(json.output == "{\"size\":256,\"body64\":\"\(bytes.base64EncodedString())\"}\n")
        #expect(try await shell.run(["queue", "show", "q", "-o", "json"]).output.contains("\"ready\":3"))
    }

    @Test func `messages move, and routes are shown`() async throws {
        let shell = try Shell()
        for queue in ["a", "b"] { try await shell.run(["queue", "declare", queue]) }
        try await shell.run(["publish", "", "a", "x", "--count", "5"])
        #expect(
            try await shell.run(["move", "a", "b", "-n", "2"]).output
                == "2 messages moved from queue 'a' to queue 'b'\n")
        #expect(
            try await shell.run(["move", "a", "b"], status: 2).errors
                == "leveret: this moves all ready messages and nobody is here to ask; say --yes to go ahead\n"
        )
        try await shell.run(["exchange", "declare", "again", "fanout"])
        try await shell.run(["bind", "b", "again"])
        try await shell.run(["move", "a", "--exchange", "again", "--yes"])
        #expect(
            try await shell.run(["queues", "-o", "csv", "--columns", "name,ready"]).output
                == "name,ready\na,0\nb,5\n")
        let route = try await shell.run(["route", "again", "any", "-o", "json"])
        #expect(route.output.contains(#""destination":"b","destination_type":"queue","reason":"binding""#))
        try await shell.run(["unbind", "b", "again"])
        #expect(try await shell.run(["route", "again", "any"]).output == "it would reach no queue\n")
    }

    @Test func `a move takes what was there when it began, and ends between two batches`() async throws {
        let shell = try Shell()
        for queue in ["a", "b"] { try await shell.run(["queue", "declare", queue]) }
        let lines = (1...2500).map { "\($0)\n" }.joined()
        try await shell.run(["publish", "", "a", "--lines"], input: lines)
        // Into itself: each goes round once.
        #expect(
            try await shell.run(["move", "a", "a", "--yes"]).output
                == "2,500 messages moved from queue 'a' to queue 'a'\n")
        let even = "CAST(body AS INTEGER) % 2 = 0"
        #expect(
            try await shell.run(["move", "a", "a", "--where", even, "--yes"]).output
                == "1,250 messages moved from queue 'a' to queue 'a'\n")
        #expect(
            try await shell.run(["move", "a", "b", "--where", even, "-n", "1100"]).output
                == "1,100 messages moved from queue 'a' to queue 'b'\n")
        let wrong = try await shell.run(["move", "a", "b", "--where", "1) OR (1", "--yes"], status: 1)
        #expect(wrong.errors.contains("where is wrong at character 2"), "\(wrong.errors)")
        try await shell.run(["move", "a", "none", "--yes"], status: 5)
        #expect(
            try await shell.run(["queues", "-o", "csv", "--columns", "name,ready"]).output
                == "name,ready\na,1400\nb,1100\n")
    }

    @Test func `removing for good needs a yes`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        try await shell.run(["exchange", "declare", "e", "direct"])
        try await shell.run(["publish", "", "q", "x", "--count", "3"])
        for command in [["purge", "q"], ["queue", "delete", "q"], ["exchange", "delete", "e"]] {
            #expect(try await shell.run(command, status: 2).errors.contains("say --yes to go ahead"))
        }
        #expect(
            try await shell.run(["queue", "delete", "q", "--if-empty", "--yes"], status: 6).errors.contains(
                "q"))
        for (command, says) in [
            (["purge", "q"], "remove all ready messages of queue 'q': 3 messages ready"),
            (["queue", "delete", "q"], "delete queue 'q' and what is in it: 3 messages ready"),
            (["exchange", "delete", "e"], "delete exchange 'e' and its bindings"),
            (["move", "q", "--exchange", "e"], "move 3 messages from queue 'q' to exchange 'e'"),
            (["move", "q", "q", "-n", "2"], "move 2 messages from queue 'q' to queue 'q'"),
        ] {
            #expect(try await shell.run(command + ["--dry-run"]).output == "this would \(says)\n")
        }
        #expect(try await shell.run(["purge", "q", "--yes"]).output == "3 messages removed from queue 'q'\n")
        #expect(try await shell.run(["queue", "delete", "q", "--yes"]).output == "queue 'q' is deleted\n")
        #expect(
            try await shell.run(["exchange", "delete", "e", "--yes"]).output == "exchange 'e' is deleted\n")
    }

    @Test func `refusals have their exit status and name what was wrong`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        let refusals: [([String], Int32, String)] = [
            (["get", "none"], 5, "'none'"), (["peek", "none"], 5, "'none'"),
            (["queue", "show", "none"], 5, "'none'"),
            (["purge", "none", "--yes"], 5, "'none'"),
            (["publish", "none", "k", "x"], 5, "nothing was published"),
            (["route", "none", "k"], 5, "'none'"), (["bind", "q", "none"], 5, "'none'"),
            (["move", "none", "q", "--yes"], 5, "'none'"), (["move", "q", "none", "--dry-run"], 5, "'none'"),
            (["move", "q", "--exchange", "none", "--dry-run"], 5, "'none'"),
            (["queue", "delete", "none", "--yes"], 5, "'leveret queues' lists them"),
            (["exchange", "delete", "none", "--yes"], 5, "'leveret exchange declare'"),
            (["exchange", "delete", "", "--yes"], 1, "default exchange"),
            (["unbind", "q", "amq.topic", "typo"], 5, "nothing binds exchange 'amq.topic'"),
            (["unbind", "none", "amq.topic", "typo"], 5, "'none'"),
            (["queue", "declare", "q", "--ttl", "5"], 6, "ttl"),
            (["exchange", "declare", "e", "magic"], 1, "magic"),
            (["queue", "declare", "q", "--ttl=-5"], 6, "-5"),
            (["queue", "declare", "amq.x"], 1, "amq."),
            (["queue", "declare", "q", "--overflow", "burst"], 1, "burst"),
            (["publish", "", "q", "--file", "/nowhere"], 5, "/nowhere"),
            (["publish", "", "q", "--file", "/"], 1, "'/'"),
            (["queues", "--columns", "nope"], 2, "nope"), (["queues", "--sort", "nope"], 2, "nope"),
        ]
        for (arguments, status, text) in refusals {
            let result = try await shell.run(arguments, status: status)
            #expect(result.errors.hasPrefix("leveret: ") && result.errors.contains(text), "\(result.errors)")
            #expect(result.output == "")
        }
    }

    @Test func `a file is read beside its server and without it`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q"])
        try await shell.run(["exchange", "declare", "e", "topic"])
        try await shell.run(["bind", "q", "e", "a.*"])
        try await shell.run(["publish", "e", "a.b", "hello", "-H", "n=1"])
        try await shell.run(["publish", "", "q", "later", "--delay", "3600000"])
        let catchAll = ["--apply-to", "exchanges", "--alternate", "amq.direct"]
        try await shell.run(["policy", "set", "catch", "^e$"] + catchAll)
        try await shell.run(["vhost", "add", "shop"])
        try await shell.run(["queue", "declare", "other", "--vhost", "shop"])
        try await shell.run(["publish", "", "other", "x", "--count", "2", "--vhost", "shop"])
        let commands = [
            ["queues", "-o", "csv", "--columns", "name,ready"],
            ["peek", "q", "-o", "json", "--columns", "position,headers,body"],
            ["peek", "q", "--state", "delayed", "-o", "json", "--columns", "position,due,body"],
            ["route", "e", "a.c", "-o", "json"], ["route", "", "q", "-o", "json"],
            ["route", "e", "z", "-o", "json"],
            ["exchanges", "e", "-o", "json", "--columns", "name,type,bindings,policy,effective,origins"],
            ["exchanges", "-o", "json", "--columns", "name,type,bindings"],
            ["exchange", "show", "e", "-o", "csv", "--columns", "policy,effective"],
            ["queue", "show", "q", "-o", "json", "--columns", "name,ready,bindings"],
            ["queues", "-o", "json", "--columns", "durable,arguments,ready_bytes,dead_letter_exchange"],
            ["status", "-o", "json", "--columns", "queues,exchanges,ready"],
        ]
        var said: [String] = []
        for command in commands {
            said.append(try await shell.run(command).output)
            #expect(try await leveret(command + ["--db", shell.database]).output == said.last)
        }
        #expect(said.contains { $0.contains("\"reason\":\"alternate\"") })
        #expect(
            said.contains("policy,effective\ncatch,\"{\"\"alternate-exchange\"\":\"\"amq.direct\"\"}\"\n"))
        #expect(shell.server.stop().status == 0)
        for (command, output) in zip(commands, said) {
            #expect(try await leveret(command + ["--db", shell.database]).output == output)
        }
        let shop = ["status", "--vhost", "shop", "-o", "json", "--columns", "queues,ready"]
        #expect(
            try await leveret(shop + ["--db", shell.database]).output == "{\"queues\":1,\"ready\":2}\n")
        #expect(try await leveret(["status", "--vhost", "none", "--db", shell.database]).status == 5)
        #expect(try await leveret(["peek", "none", "--db", shell.database]).status == 5)
        #expect(try await leveret(["exchange", "show", "none", "--db", shell.database]).status == 5)
        let unknown = try await leveret(["queues", "--db", shell.database, "--columns", "consumers,in_rate"])
        #expect(unknown.output == "consumers  in_rate\n        -        -\n")
    }
}

@Suite struct BadInputTests {
    @Test func `no server is status 3 and says what to do`() async throws {
        let result = try await leveret(["status", "--url", "leveret://127.0.0.1:1"])
        #expect(result.status == 3)
        #expect(result.errors.contains("start one with 'leveret serve'"))
        #expect(result.errors.contains("--db FILE reads a database without a server"))
        #expect(try await leveret(["queues", "--url", "leveret://no.such.host.invalid"]).status == 3)
        #expect(try await leveret(["queues"], environment: ["LEVERET_URL": "ftp://x"]).status == 2)
    }

    @Test func `a file that is no database is refused`() async throws {
        let folder = try TemporaryFolder()
        let text = folder.path("text")
        try Data("hello, this is not a database at all".utf8).write(to: URL(filePath: text))
        for (path, status) in [(folder.path("missing"), 5), (folder.url.path(), 1), (text, 6)]
            as [(String, Int32)]
        {
            let read = try await leveret(["queues", "--db", path])
            #expect(read.status == status, "\(read.errors)")
        }
        for (path, status) in [
            (folder.path("no/folder/x.db"), 1), (folder.url.path(), 1), (text, 6),
        ] as [(String, Int32)] {
            let serve = try await leveret(["serve", "--listen", "127.0.0.1:0", "--db", path])
            #expect(serve.status == status, "\(serve.errors)")
            #expect(serve.errors.contains("leveret: "))
        }
    }

    @Test func `a server's options are checked before anything is opened`() async throws {
        let wrong = [
            (["--listen", "nonsense"], "--listen"), (["--listen", "127.0.0.1:99999"], "--listen"),
            (["--durability", "maybe"], "--durability"), (["--max-connections", "0"], "--max-connections"),
            (["--max-line", "x"], "--max-line"), (["--max-body", "9223372036854775808"], "--max-body"),
            (["--stalled", "-1"], "--stalled"), (["--drain", ""], "--drain"),
        ]
        for (arguments, name) in wrong {
            let result = try await leveret(["serve", "--db", "/nowhere/x.db"] + arguments)
            #expect(result.status == 2)
            #expect(result.errors.contains(name), "\(result.errors)")
        }
        let variable = try await leveret(["serve"], environment: ["LEVERET_MAX_LINE": "7"])
        #expect(variable.status == 2)
        #expect(variable.errors.contains("'7' is no value for LEVERET_MAX_LINE"))
    }

    @Test func `a port in use and a second server on the file are conflicts`() async throws {
        let shell = try Shell()
        let port = try await leveret([
            "serve", "--db", shell.folder.path("other.db"), "--listen", "127.0.0.1:\(shell.server.port)",
        ])
        #expect(port.status == 6)
        #expect(port.errors.contains("the port is in use"))
        let file = try await leveret(["serve", "--db", shell.database, "--listen", "127.0.0.1:0"])
        #expect(file.status == 6)
        #expect(file.errors.contains("in use by process \(shell.server.program.id)"))
        try await shell.run(["queue", "declare", "undisturbed"])
    }

    @Test func `a server ends with status 0 when told to, and keeps what was confirmed`() async throws {
        let folder = try TemporaryFolder()
        let database = folder.path("leveret.db")
        let server = try ServerProcess(database: database, arguments: ["--durability", "normal"])
        let environment = ["LEVERET_URL": server.url]
        _ = try await leveret(["queue", "declare", "q"], environment: environment)
        _ = try await leveret(["publish", "", "q", "x"], environment: environment)
        #expect(server.stop().status == 0)
        let again = try ServerProcess(database: database)
        let get = try await leveret(["get", "q", "--body", "raw"], environment: ["LEVERET_URL": again.url])
        #expect(get.output == "x\n")
    }
}
