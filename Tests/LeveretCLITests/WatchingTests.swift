// The commands with which a person watches a server, against a real one: bindings, consumers, connections, queues
// --watch, check, doctor, and completion of names.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct WatchingTests {
    @Test func `bindings are listed, chosen and drawn, from a file too`() async throws {
        let shell = try Shell()
        try await shell.run(["exchange", "declare", "e", "topic"])
        for queue in ["a", "b"] { try await shell.run(["queue", "declare", queue]) }
        try await shell.run(["bind", "a", "e", "x.#"])
        try await shell.run(["bind", "b", "e", "y.#"])
        let commands: [([String], String)] = [
            (
                ["-o", "csv"],
                "source,destination,destination_type,pattern,arguments\ne,a,queue,x.#,{}\ne,b,queue,y.#,{}\n"
            ),
            (
                ["--queue", "b", "-o", "json", "--columns", "source,pattern"],
                "{\"source\":\"e\",\"pattern\":\"y.#\"}\n"
            ),
            (["--tree"], "e\n├─ x.# → a\n└─ y.# → b\n"),
            (
                ["--exchange", "amq.topic"],
                "nothing is bound; every queue gets what is published to \"\" with its name as the key\n"
            ),
        ]
        for (arguments, output) in commands {
            #expect(try await shell.run(["bindings"] + arguments).output == output)
            if arguments.contains("amq.topic") { continue }  // which a file does not have
            #expect(try await leveret(["bindings", "--db", shell.database] + arguments).output == output)
        }
        #expect(
            try await shell.run(["bindings", "--dot"]).output.contains(
                #""exchange e" -> "queue a" [label="x.#"];"#))
        try await shell.run(["bindings", "--queue", "none"], status: 5)
        try await shell.run(["bindings", "--exchange", "none"], status: 5)
        try await shell.run(["bindings", "--tree", "--dot"], status: 2)
        try await shell.run(["bindings", "--tree", "-o", "json"], status: 2)
    }

    @Test func `consumers and connections are listed, and a connection is closed with a reason`() async throws
    {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        let worker = try LineSocket(port: shell.server.port)
        #expect(try worker.ask("HELLO name=worker").words.first == "OK")
        #expect(try worker.ask("SUB jobs as=w prefetch=5").line == "OK w")
        let consumers = try await shell.run([
            "consumers", "-o", "csv", "--columns", "queue,name,prefetch,unacked",
        ])
        #expect(consumers.output == "queue,name,prefetch,unacked\njobs,w,5,0\n")
        #expect(try await shell.run(["consumers", "mails*"]).output == "'mails*' has no consumer\n")
        try await shell.run(["consumers", "mails"], status: 5)
        let names = try await shell.run(["connections", "worker*", "-o", "csv", "--columns", "name"])
        #expect(names.output.contains(/^name\nworker 127\.0\.0\.1:\d+\n$/), "\(names.output)")
        let listed = try await shell.run([
            "connections", "worker*", "-o", "csv", "--columns", "id,consumers,unacked",
        ])
        let id = try #require(listed.output.firstMatch(of: /\n(\d+),1,0\n/)?.1)
        let closed = try await shell.run(["connections", "close", String(id), "--reason", "stuck"])
        #expect(closed.output == "1 connection closed\n")
        #expect(try worker.waitForNext()?.line == "NOTE killed stuck")
        #expect(
            try await shell.run(["connections", "list", "worker*"]).output
                == "no connection matches 'worker*'\n")
        try await shell.run(["connections", "close", String(id)], status: 5)
        try await shell.run(["connections", "close", "embedded"], status: 1)
    }

    @Test func `several connections of one name are not closed without a yes`() async throws {
        let shell = try Shell()
        let workers = try (0..<2).map { _ in try LineSocket(port: shell.server.port) }
        for request in ["HELLO name=worker", "QUEUE jobs"] {
            for worker in workers { #expect(try worker.ask(request).words.first == "OK") }
        }
        let list = ["connections", "worker*", "-o", "csv", "--columns", "id"]
        let ids = try await shell.run(list).output.split(separator: "\n").dropFirst().joined(separator: ", ")
        let close = ["connections", "close", "worker"]
        let refused = try await shell.run(close, status: 2)
        #expect(refused.errors.contains("this closes 2 connections: \(ids), and nobody is here to ask"))
        #expect(
            try await shell.run(close + ["--dry-run"]).output == "this would close 2 connections: \(ids)\n")
        #expect(try await shell.run(close + ["--yes"]).output == "2 connections closed\n")
        for worker in workers { #expect(try worker.waitForNext()?.words.first == "NOTE") }
    }

    @Test func `a paused queue is marked, and who consumes from it is told`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        try await shell.run(["pause", "jobs"])
        #expect(try await shell.run(["queues"]).output.contains("\njobs (paused)  "))
        #expect(try await shell.run(["queues", "--columns", "name"]).output == "name\njobs\n")
        for options in ["", "--exec true"] {
            let line = "exec leveret consume jobs \(options) 2>&1"
            let consume = try shell.start(path: "/bin/sh", ["-c", line])
            #expect(
                consume.readLine() == "leveret: queue 'jobs' is paused; 'leveret resume jobs' lets it go on")
            consume.kill(SIGINT)
            _ = consume.finish()
        }
    }

    @Test
    func `a queue that refuses publishes is a warning, and a wrong option is named as the command has it`()
        async throws
    {
        let shell = try Shell()
        try await shell.run([
            "queue", "declare", "small", "--max-bytes", "1", "--overflow", "reject-publish",
        ])
        try await shell.run(["publish", "", "small", "x"])
        #expect(
            try await shell.run(["check"]).output
                == "WARNING: queue 'small' is full and refuses publishes: 1 B of 1 B\n")
        let wrong = try await shell.run(["publish", "", "small", "x", "--delay", "-5"], status: 6)
        #expect(wrong.errors.hasPrefix("leveret: --delay -5 is out of range; "), "\(wrong.errors)")
    }

    @Test func `what is delayed is shown with its time`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "late"])
        try await shell.run(["publish", "", "late", "x", "--delay", "3600000"])
        let peek = try await shell.run(["peek", "late", "--state", "delayed"]).output
        #expect(peek.contains("  due  ") && peek.contains("in 59m"), "\(peek)")
    }

    @Test func `queues are listed again and again, sorted`() async throws {
        let shell = try Shell()
        for (queue, count) in [("a", 1), ("b", 3), ("c", 2)] {
            try await shell.run(["queue", "declare", queue])
            try await shell.run(["publish", "", queue, "x", "--count", String(count)])
        }
        let watch = try shell.start(
            ["queues", "--sort", "ready", "--watch", "0.1", "-o", "csv", "--columns", "name,ready"])
        let round = ["name,ready", "b,3", "c,2", "a,1"]
        for line in round + round { #expect(watch.readLine() == line) }
        watch.kill(SIGINT)
        #expect(watch.finish().status == SIGINT)
        let gone = try shell.start(["queues", "--watch", "0.1", "-o", "json", "--columns", "name"])
        #expect(gone.readLine() == #"{"name":"a"}"#)
        _ = shell.server.stop()
        #expect(gone.finish().status == 3)
        try await shell.run(["queues", "--watch", "0"], status: 2)
    }

    @Test func `a check says in one line and by its status how things are`() async throws {
        let shell = try Shell()
        try await shell.run([
            "queue", "declare", "jobs", "--dead-letter-exchange", "", "--dead-letter-key", "jobs.dead",
        ])
        try await shell.run(["queue", "declare", "jobs.dead"])
        try await shell.run(["publish", "", "jobs", "x", "--count", "3"])
        #expect(try await shell.run(["check"]).output.hasPrefix("OK: 2 queues, 3 ready, 0 unacked"))
        let crossed = try await shell.run(["check", "--ready-max", "2"], status: 4)
        #expect(
            crossed.output == "CRITICAL: queue 'jobs' has 3 ready (more than 2)\n" && crossed.errors == "")
        try await shell.run(["check", "jobs.*", "--ready-max", "2"])
        let none = try await shell.run(["check", "jobs", "--consumers-min", "1", "--nagios"], status: 2)
        #expect(
            none.output.hasPrefix(
                "LEVERET CRITICAL - queue 'jobs' has 0 consumers (fewer than 1)|ready=3;;;0 "))
        try await shell.run(["check", "--dead-max", "0"])
        let client = try LineSocket(port: shell.server.port)
        #expect(try client.ask("GET jobs").words.first == "MSG")
        #expect(try client.ask("REJECT 1 error=bad").line == "OK")
        let dead = try await shell.run(["check", "jobs", "--dead-max", "0"], status: 4)
        #expect(dead.output == "CRITICAL: 1 dead letter waits in queue 'jobs.dead' (more than 0)\n")
        try await shell.run(["pause", "jobs"])
        #expect(try await shell.run(["check", "jobs"]).output == "WARNING: queue 'jobs' is paused\n")
        try await shell.run(["check", "jobs", "--nagios"], status: 1)
        let json = try await shell.run(["check", "-o", "json", "--columns", "status,ready,dead"])
        #expect(json.output == "{\"status\":\"warning\",\"ready\":3,\"dead\":0}\n")
        #expect(try await leveret(["check", "--db", shell.database, "--ready-max", "0"]).status == 4)
        #expect(
            try await shell.run(["check", "--disk-free-min", "1000000T"], status: 4).output.contains(
                "are free on the disk"))
        #expect(try await shell.run(["check", "none"], status: 5).errors.contains("no queue matches 'none'"))
        let unknown = try await shell.run(["check", "none", "--nagios"], status: 3)
        #expect(unknown.output.hasPrefix("LEVERET UNKNOWN - no queue matches 'none'"))
        for wrong in [["--ready-max=-1"], ["--age-max", "soon"], ["--nagios", "-o", "json"]] {
            try await shell.run(["check"] + wrong, status: 2)
        }
        let nobody = try await leveret(["check", "--nagios", "--url", "leveret://127.0.0.1:1"])
        #expect(
            nobody.status == 2 && nobody.output.hasPrefix("LEVERET CRITICAL - no server answers"))
        #expect(try await leveret(["check", "--url", "leveret://127.0.0.1:1"]).status == 3)
    }

    @Test func `a doctor finds faults, and none where there are none`() async throws {
        let shell = try Shell()
        #expect(try await shell.run(["doctor"]).output == "nothing was found\n")
        try await shell.run(["queue", "declare", "jobs", "--dead-letter-exchange", "gone"])
        try await shell.run(["publish", "", "jobs", "x"])
        try await shell.run(["publish", "", "nowhere", "x"])
        let found = try await shell.run(
            ["doctor", "-o", "csv", "--columns", "severity,rule,subject"], status: 1)
        #expect(
            found.output == """
                severity,rule,subject
                warning,no_consumer,queue 'jobs'
                warning,dead_end,queue 'jobs'
                warning,unroutable,the default exchange

                """)
        let text = try await shell.run(["doctor"], status: 1).output
        #expect(
            text.contains(
                "warning   queue 'jobs': 1 message is ready and no consumer takes it\n          start"))
        let file = try await leveret(["doctor", "--db", shell.database, "-o", "json", "--columns", "rule"])
        #expect(file.status == 1 && file.output == "{\"rule\":\"dead_end\"}\n")
    }

    @Test func `check, doctor and queues see all virtual hosts, or the one that is named`() async throws {
        let shell = try Shell()
        try await shell.run(["vhost", "add", "shop"])
        try await shell.run(["queue", "declare", "x.dead", "--vhost", "shop"])
        try await shell.run(
            ["queue", "declare", "x", "--vhost", "shop", "--dead-letter-exchange", ""]
                + ["--dead-letter-key", "x.dead"])
        #expect(
            try await shell.run(["queues"]).output
                == "there are no queues in vhost '/', but 2 in others: 'leveret queues --all-vhosts' lists them\n"
        )
        try await shell.run(["queue", "declare", "jobs"])
        try await shell.run(["publish", "", "x", "1", "--vhost", "shop", "--count", "11"])
        let crossed = "CRITICAL: queue 'shop/x' has 11 ready (more than 5)\n"
        let most = ["check", "--ready-max", "5"]
        for arguments in [most, most + ["shop/x", "jobs"], most + ["s*"]] {
            #expect(try await shell.run(arguments, status: 4).output == crossed)
        }
        #expect(try await leveret(most + ["--db", shell.database]).output == crossed)
        for arguments in [most + ["jobs"], most + ["--vhost", "/"], ["check", "shop/*", "--dead-max", "0"]] {
            try await shell.run(arguments)
        }
        try await shell.run(most + ["x"], status: 5)
        #expect(
            try await shell.run(most + ["x", "--vhost", "shop"], status: 4).output
                == "CRITICAL: queue 'x' has 11 ready (more than 5)\n")
        let client = try LineSocket(port: shell.server.port)
        #expect(try client.ask("VHOST shop").line == "OK")
        #expect(try client.ask("GET x").words.first == "MSG")
        #expect(try client.ask("REJECT 1 error=bad").line == "OK")
        for name in [[], ["shop/x"]] {
            #expect(
                try await shell.run(["check", "--dead-max", "0"] + name, status: 4).output
                    == "CRITICAL: 1 dead letter waits in queue 'shop/x.dead' (more than 0)\n")
        }
        let doctor = ["doctor", "-o", "csv", "--columns", "rule,subject"]
        #expect(
            try await shell.run(doctor, status: 1).output
                == "rule,subject\nno_consumer,queue 'shop/x'\ndead_letters,queue 'shop/x.dead'\n")
        let file = try await leveret(doctor + ["--db", shell.database])
        #expect(file.output == "rule,subject\ndead_letters,queue 'shop/x.dead'\n")
        #expect(try await shell.run(["doctor", "--vhost", "/"]).output == "nothing was found\n")
        let all = ["queues", "--all-vhosts", "-o", "csv", "--columns", "vhost,name,ready", "--sort", "ready"]
        let listed = "vhost,name,ready\nshop,x,10\nshop,x.dead,1\n/,jobs,0\n"
        #expect(try await shell.run(all).output == listed)
        #expect(try await leveret(all + ["--db", shell.database]).output == listed)
        let whole = try await shell.run(["queues", "x", "--all-vhosts", "-o", "json"]).output
        #expect(whole.hasPrefix(#"{"vhost":"shop","name":"x","ready":10,"#), "\(whole)")
        try await shell.run(["queues", "--all-vhosts", "--vhost", "shop"], status: 2)
        #expect(try await shell.run(["top", "--once", "-o", "json"]).output.contains(#""name":"jobs""#))
    }

    @Test func `names are completed from the server, and nothing is said where none answers`() async throws {
        let shell = try Shell()
        for queue in ["jobs", "jobs.dead", "mails", "two words"] {
            try await shell.run(["queue", "declare", queue])
        }
        let words = ["---completion", "peek", "--", "positional@0", "2", "2", "leveret", "peek", "jo"]
        var completed = try await shell.run(words)
        // A busy machine may be too slow an answer for it.
        for _ in 0..<30 where completed.output.isEmpty { completed = try await shell.run(words) }
        #expect(completed.output.split(separator: "\n").sorted() == ["jobs", "jobs.dead"], "\(completed)")
        let nobody = try await leveret(words, environment: ["LEVERET_URL": "leveret://127.0.0.1:1"])
        #expect(nobody.status == 0 && nobody.output == "" && nobody.errors == "")
    }
}
