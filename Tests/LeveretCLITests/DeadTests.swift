// Dead letters from the shell: counted, looked at, sent back and dropped, by whom they are asked and in what bounds.

import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

extension Shell {
    /// Makes the queue `jobs` with the dead-letter queue `jobs.dead`, and lets `count` messages of it die, `0` and so on;
    /// every third with another error than the others.
    fileprivate func declareDead(_ count: Int) async throws {
        try await run(["queue", "declare", "jobs.dead"])
        try await run(
            ["queue", "declare", "jobs", "--dead-letter-exchange", "", "--dead-letter-key", "jobs.dead"])
        let lines = (0..<count).map { "\($0)\n" }.joined()
        if count > 0 { try await run(["publish", "", "jobs", "--lines"], input: lines) }
        try kill(count)
    }

    /// Lets the next messages of `jobs` die.
    fileprivate func kill(_ count: Int) throws {
        let socket = try LineSocket(port: server.port)
        for index in 0..<count {
            let message = try socket.ask("GET jobs")
            let error = index % 3 == 0 ? "timeout after 30 s" : "no such file"
            #expect(try socket.ask("REJECT \(message.words[1]) error=\"\(error)\"").line == "OK")
        }
    }

    fileprivate func bodies(_ queue: String) async throws -> [Substring] {
        try await run(["peek", queue, "-n", "1000", "--body", "raw"]).output.split(separator: "\n")
    }
}

@Suite struct DeadTests {
    @Test func `dead letters are counted by origin, reason and error, in a file as beside its server`()
        async throws
    {
        let shell = try Shell()
        try await shell.declareDead(9)
        try await shell.run(["queue", "declare", "plain"])
        try await shell.run(["publish", "", "plain", "never died"])
        let groups = """
            queue,origin,reason,error,count
            jobs.dead,jobs,rejected,no such file,6
            jobs.dead,jobs,rejected,timeout after 30 s,3

            """
        let list = ["dead", "list", "-o", "csv", "--columns", "queue,origin,reason,error,count"]
        #expect(try await shell.run(list).output == groups)
        #expect(try await shell.run(list + ["jobs.dead"]).output == groups)
        #expect(try await leveret(list + ["--db", shell.database]).output == groups)
        #expect(
            try await shell.run(["dead", "list", "plain"]).output == "queue 'plain' holds no dead letters\n")
        #expect(try await shell.run(["dead", "list", "none"], status: 5).errors.contains("'none'"))
    }

    @Test func `each goes back to where it came from, and is no dead letter there`() async throws {
        let shell = try Shell()
        try await shell.declareDead(9)
        let filtered = try await shell.run(["dead", "replay", "jobs.dead", "--where", "error LIKE 'time%'"])
        #expect(
            filtered.output == "3 dead letters replayed from queue 'jobs.dead' to where each came from\n")
        #expect(try await shell.bodies("jobs") == ["0", "3", "6"])
        #expect(
            try await shell.run(["dead", "list", "jobs"]).output == "queue 'jobs' holds no dead letters\n")
        try await shell.run(["dead", "replay", "jobs.dead", "--limit", "2", "--rate", "1000"])
        #expect(try await shell.bodies("jobs") == ["0", "3", "6", "1", "2"])
        try await shell.run(["dead", "replay", "jobs.dead", "--position", "15", "--reason", "rejected"])
        #expect(try await shell.bodies("jobs") == ["0", "3", "6", "1", "2", "5"])
        for nothing in [
            ["--older-than", "1h"], ["--reason", "expired"], ["--origin", "other"],
        ] {
            let none = try await shell.run(["dead", "replay", "jobs.dead"] + nothing)
            #expect(none.output == "no dead letter of queue 'jobs.dead' meets the options\n")
        }
        for act in ["replay", "drop"] {
            let none = try await shell.run(["dead", act, "jobs.dead", "--position", "1"], status: 5)
            #expect(none.errors.contains("no message at position 1 of queue 'jobs.dead'"))
        }
        let marks = try await shell.run([
            "peek", "jobs", "-n", "1", "-o", "json", "--columns", "key,headers",
        ])
        #expect(marks.output.contains(#"{"key":"jobs","headers":{"x-replayed-from":"jobs.dead""#))
    }

    @Test func `it says how many die again, and replays none of them twice`() async throws {
        let shell = try Shell()
        try await shell.declareDead(5)
        let worker = try shell.start(["consume", "jobs", "--exec", "exit 1"])
        let replay = try await shell.run(["dead", "replay", "jobs.dead", "--rate", "100"])
        #expect(replay.output.hasPrefix("5 dead letters replayed"))
        worker.kill(SIGTERM)
        #expect(worker.finish().status == 0)
        let left = try await shell.run(["queues", "-o", "csv", "--columns", "name,ready"])
        #expect(left.output.contains("jobs,") && left.output.contains("jobs.dead,"))
        let counts = left.output.matches(of: /,(\d+)/).compactMap { Int($0.1) }
        #expect(counts.reduce(0, +) == 5)
    }

    @Test func `more than a hundred are shown first, and it asks`() async throws {
        let shell = try Shell()
        try await shell.declareDead(101)
        let refused = try await shell.run(["dead", "replay", "jobs.dead"], status: 2)
        #expect(refused.errors.contains("more than 100 and nobody is here to ask; say --yes"))
        #expect(refused.output.contains("   67  jobs    rejected  no such file"))
        let dry = try await shell.run(["dead", "replay", "jobs.dead", "--to", "jobs", "--dry-run"])
        #expect(
            dry.output.hasSuffix(
                "this would replay 101 dead letters from queue 'jobs.dead' to queue 'jobs'\n"))
        #expect(try await shell.bodies("jobs") == [])
        try await shell.run(["dead", "replay", "jobs.dead", "--yes"])
        #expect(try await shell.bodies("jobs").count == 101)
    }

    @Test func `what a full queue would drop is said first, and it asks`() async throws {
        let shell = try Shell()
        try await shell.declareDead(5)
        try await shell.run(["policy", "set", "small", "^jobs$", "--max-length", "2"])
        let text =
            "queue 'jobs' holds at most 2 messages and drops its oldest for more: 3 would leave it as dead letters"
        let replay = ["dead", "replay", "jobs.dead"]
        #expect(try await shell.run(replay, status: 2).errors.contains("\(text) and nobody is here to ask"))
        let dry = try await shell.run(replay + ["--to", "jobs", "--dry-run"]).output
        #expect(dry.hasSuffix("from queue 'jobs.dead' to queue 'jobs'; \(text)\n"), "\(dry)")
        let move = ["move", "jobs.dead", "jobs"]
        #expect(try await shell.run(move + ["-n", "5"], status: 2).errors.contains(text))
        let all = try await shell.run(move + ["--where", "size > 0", "--dry-run"]).output
        #expect(all == "this would move 5 messages from queue 'jobs.dead' to queue 'jobs'; \(text)\n")
        #expect(try await shell.bodies("jobs.dead").count == 5)
        try await shell.run(replay + ["--limit", "1"])
        try await shell.run(move + ["-n", "1"])
        #expect(try await shell.bodies("jobs") == ["0", "1"])
        try await shell.run(["policy", "set", "small", "^jobs$", "--max-bytes", "3"])
        let bytes = try await shell.run(replay, status: 2).errors
        #expect(
            bytes.contains("holds at most 3 B and drops its oldest for more: some would leave it"), "\(bytes)"
        )
        try await shell.run(["policy", "set", "small", "^jobs$", "--max-length", "4"])
        try await shell.run(replay + ["--yes"])
        #expect(try await shell.bodies("jobs") == ["1", "2", "3", "4"])
    }

    @Test func `where they would go is looked at before anything is done`() async throws {
        let shell = try Shell()
        try await shell.declareDead(3)
        for (options, name) in [(["--to", "none"], "'none'"), (["--exchange", "gone"], "'gone'")] {
            let refused = try await shell.run(["dead", "replay", "jobs.dead"] + options, status: 5)
            #expect(refused.errors.contains(name))
        }
        try await shell.run(["queue", "delete", "jobs", "--yes"])
        let gone = try await shell.run(["dead", "replay", "jobs.dead"], status: 5)
        #expect(gone.errors.contains("some came from queue 'jobs', which is gone, so nothing was replayed"))
        #expect(try await shell.run(["dead", "replay", "none"], status: 5).errors.contains("'none'"))
        let wrong = try await shell.run(["dead", "replay", "jobs.dead", "--where", "1) OR (1"], status: 1)
        #expect(wrong.errors.contains("where is wrong at character 2"))
        try await shell.run(["queue", "declare", "jobs"])
        try await shell.run(["dead", "replay", "jobs.dead", "--exchange", "amq.direct"], status: 1)
        try await shell.run(["bind", "jobs", "amq.direct", "jobs"])
        try await shell.run(["dead", "replay", "jobs.dead", "--exchange", "amq.direct"])
        #expect(try await shell.bodies("jobs") == ["0", "1", "2"])
    }

    @Test func `many errors are put together, and no origin is overlooked`() throws {
        var survey = DeadSurvey(condition: "1")
        for index in 0..<100 {
            let text = #"{"origin":"q\#(index % 50)","reason":"rejected","error":"no \#(index)"}"#
            survey.add(try #require(JSON(text.utf8)))
        }
        #expect(Set(survey.origins.keys) == Set((0..<50).map { "q\($0)" }))
        #expect(survey.groups.count == 50 && survey.groups.allSatisfy { $0.count == 2 })
        #expect(survey.groups.first?.names == ["q0", "rejected", "no %"])
    }

    @Test(arguments: [
        ("no such file: 102.png", "no such file: %.png"), ("a-b_c d", "a-b_c d"), ("", ""), ("404", "%"),
        ("tenant 3f2a-77e0 at 2026-11-26T21:29:58.319Z", "tenant % at %:%:%.%"),
    ])
    func `the shape of an error has a mark for each word with a digit`(text: String, shape: String) {
        #expect(ErrorShape.of(text) == shape)
    }

    @Test func `a few errors of one shape are told apart, many are one`() {
        let few = (1...3).map { "exit status \($0)" }
        let many = (1...4).map { "no file \($0)" }
        let standIns = ErrorShape.standIns(for: few + many + many)
        #expect(Set(standIns.keys) == Set(many) && Set(standIns.values) == ["no file %"])
    }

    @Test func `thousands of errors that differ in an id are one row, which a condition finds`() async throws
    {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs.dead"])
        try await shell.run(
            ["queue", "declare", "jobs", "--dead-letter-exchange", "", "--dead-letter-key", "jobs.dead"])
        try await shell.run(["publish", "", "jobs", "x", "--count", "6"])
        let socket = try LineSocket(port: shell.server.port)
        for index in 0..<6 {
            let message = try socket.ask("GET jobs")
            let error = index == 0 ? "quota" : "no such file: \(index).png"
            #expect(try socket.ask("REJECT \(message.words[1]) error=\"\(error)\"").line == "OK")
        }
        let list = try await shell.run(["dead", "list", "-o", "csv", "--columns", "error,count"])
        #expect(list.output == "error,count\nno such file: %.png,5\nquota,1\n")
        let dry = try await shell.run([
            "dead", "replay", "jobs.dead", "--where", "error LIKE 'no such file: %.png'", "--dry-run",
        ])
        #expect(
            dry.output == """
                count  origin  reason    error
                    5  jobs    rejected  no such file: %.png
                this would replay 5 dead letters from queue 'jobs.dead' to where each came from

                """)
    }

    @Test func `nobody to edit leaves no copy of the body behind`() async throws {
        let shell = try Shell()
        try await shell.declareDead(1)
        let edit = "mkdir copies; TMPDIR=copies leveret dead replay jobs.dead --edit; ls copies"
        let refused = try await shell.script(edit)
        #expect(refused.output.contains("there is no terminal to edit on"), "\(refused.output)")
        #expect(!refused.output.contains("leveret-"))
    }

    @Test func `a body is mended in an editor on its way, or stays where it is`() async throws {
        let shell = try Shell()
        try await shell.declareDead(2)
        let edit = "leveret dead replay jobs.dead --edit"
        let failed = try await shell.script("EDITOR='echo mine >\"$1\"; false' \(edit) --limit 1; echo $?")
        #expect(failed.output.contains("so nothing was done; your text is kept in "))
        #expect(failed.output.hasSuffix("\n1\n"))
        #expect(try await shell.bodies("jobs.dead") == ["0", "1"])
        let changed = "leveret msg edit jobs.dead 3 --body other; echo mine >"
        let late = try await shell.script("EDITOR='\(changed)' \(edit) --position 3; echo $?")
        #expect(late.output.contains("version 2, not 1; look at it again"))
        #expect(late.output.hasSuffix("\n6\n"))
        let mended = try await shell.script("VISUAL='sed -i s/^/mended-/' \(edit)")
        #expect(mended.output.hasPrefix("2 dead letters replayed"))
        #expect(try await shell.bodies("jobs") == ["mended-other", "mended-1"])
        let none = try await shell.script("EDITOR=true \(edit)")
        #expect(none.output == "no dead letter of queue 'jobs.dead' meets the options\n")
    }

    @Test func `they are dropped for good after a question, and nothing else is`() async throws {
        let shell = try Shell()
        try await shell.declareDead(6)
        try await shell.run(["publish", "", "jobs.dead", "plain"])
        let drop = ["dead", "drop", "jobs.dead"]
        #expect(try await shell.run(drop, status: 2).errors.contains("this removes for good"))
        let dry = try await shell.run(drop + ["--where", "error LIKE 'time%'", "--dry-run"])
        #expect(dry.output.hasSuffix("this would remove 2 dead letters of queue 'jobs.dead'\n"))
        let some = try await shell.run(drop + ["--where", "error LIKE 'time%'", "--yes"])
        #expect(some.output == "2 dead letters removed from queue 'jobs.dead'\n")
        #expect(try await shell.bodies("jobs.dead") == ["1", "2", "4", "5", "plain"])
        try await shell.run(drop + ["--yes"])
        #expect(try await shell.bodies("jobs.dead") == ["plain"])
    }

    @Test func `Ctrl-C ends a replay between two batches and says how many went`() async throws {
        let shell = try Shell()
        try await shell.declareDead(100)
        let replay = try shell.start(["dead", "replay", "jobs.dead", "--rate", "1"])
        while try await shell.bodies("jobs").isEmpty {}
        replay.kill(SIGINT)
        let ended = replay.finish()
        #expect(ended.status == SIGINT)
        let went = try await shell.bodies("jobs").count
        let counted = went == 1 ? "1 dead letter" : "\(went) dead letters"
        #expect(ended.errors.hasPrefix("leveret: interrupted; \(counted) replayed"), "\(ended.errors)")
        #expect(try await shell.bodies("jobs.dead").count == 100 - went)
    }

    @Test func `dead letters are those of one virtual host, delayed ones as well`() async throws {
        let shell = try Shell()
        try await shell.run(["vhost", "add", "shop"])
        for (host, count) in [("/", "2"), ("shop", "3")] {
            let host = ["--vhost", host]
            try await shell.run(["queue", "declare", "jobs.dead"] + host)
            let dead = ["--ttl", "0", "--dead-letter-exchange", "", "--dead-letter-key", "jobs.dead"]
            try await shell.run(["queue", "declare", "jobs"] + dead + host)
            try await shell.run(["publish", "", "jobs", "x", "--count", count] + host)
        }
        let position = try await shell.run([
            "peek", "jobs.dead", "-n", "1", "-o", "csv", "--columns", "position",
        ])
        .output.split(separator: "\n")[1]
        try await shell.run(["msg", "edit", "jobs.dead", String(position), "--delay", "3600000"])
        let list = ["dead", "list", "-o", "csv", "--columns", "queue,origin,count"]
        for (host, count) in [("/", 2), ("shop", 3)] {
            for name in [[], ["jobs.dead"]] {
                let found = try await shell.run(list + name + ["--vhost", host])
                #expect(found.output == "queue,origin,count\njobs.dead,jobs,\(count)\n")
            }
        }
    }

    @Test func `a row of a dead letter tells when it died first, and last where that is known`() throws {
        func row(_ deaths: String) throws -> JSON {
            try #require(JSON(#"{"entered":"2027-01-01","deaths":[\#(deaths)]}"#.utf8))
        }
        let (early, late) = (#""time":"2025-01-01"}"#, #""time":"2026-01-01"}"#)
        let moved = try row(#"{"count":1,\#(late),{"count":3,\#(early)"#)
        #expect(moved.firstDeath == "2025-01-01" && moved.lastDeath == "2026-01-01")
        // Since its first death there it has died elsewhere, and then there again.
        let again = try row(#"{"count":2,\#(early),{"count":1,\#(late)"#)
        #expect(again.firstDeath == "2025-01-01" && again.lastDeath == nil)
    }

    @Test func `where a later editor fails it says how many were replayed before`() async throws {
        let shell = try Shell()
        try await shell.declareDead(2)
        let edit = "EDITOR='test ! -e once && touch once' leveret dead replay jobs.dead --edit; echo $?"
        let failed = try await shell.script(edit)
        #expect(failed.output.hasSuffix("; 1 dead letter replayed before\n1\n"), "\(failed.output)")
        #expect(try await shell.bodies("jobs") == ["0"])
    }
}
