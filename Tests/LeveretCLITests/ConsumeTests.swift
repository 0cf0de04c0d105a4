// Commands that take messages as they come: what an exit status means, what a command sees, and how it all ends.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct ConsumeTests {
    /// A server with the queue `jobs`, whose dead letters go to `jobs.dead`.
    private func shell(_ bodies: [String] = []) async throws -> Shell {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs.dead"])
        try await shell.run(
            ["queue", "declare", "jobs", "--dead-letter-exchange", "", "--dead-letter-key", "jobs.dead"])
        for body in bodies { try await shell.run(["publish", "", "jobs", "--", body]) }
        return shell
    }

    private func depths(_ shell: Shell) async throws -> String {
        try await shell.run(["queues", "-o", "csv", "--columns", "name,ready,unacked"]).output
    }

    @Test func `messages are printed and then removed, as many as were asked for`() async throws {
        let shell = try await shell(["one", "two", "three"])
        let two = try await shell.run(["consume", "jobs", "-n", "2", "--body", "raw"])
        #expect(two.output == "one\ntwo\n")
        let rest = try await shell.run([
            "consume", "jobs", "-n", "1", "-o", "json", "--columns", "position,body",
        ])
        #expect(rest.output == "{\"position\":3,\"body\":\"three\"}\n")
        #expect(try await depths(shell) == "name,ready,unacked\njobs,0,0\njobs.dead,0,0\n")
        try await shell.run(["publish", "", "jobs", "four"])
        #expect(
            try await shell.run(["consume", "jobs", "-n", "1", "--auto-ack", "--body", "raw"]).output
                == "four\n")
        #expect(try await shell.run(["consume", "none"], status: 5).errors.contains("'none'"))
    }

    @Test(arguments: [SIGTERM, SIGHUP])
    func `it shows what comes while it waits, and ends when it is told to`(signal: Int32) async throws {
        let shell = try await shell(["one"])
        let consume = try shell.start(["consume", "jobs", "-o", "csv", "--columns", "body"])
        #expect(consume.readLine() == "body")
        #expect(consume.readLine() == "one")
        try await shell.run(["publish", "", "jobs", "two"])
        #expect(consume.readLine() == "two")
        consume.kill(signal)
        #expect(consume.finish().status == 0)
        #expect(try await depths(shell) == "name,ready,unacked\njobs,0,0\njobs.dead,0,0\n")
    }

    @Test func `the exit status decides, and standard error is the reason`() async throws {
        let shell = try await shell(["0", "3", "kill", "silent", "75"])
        let command = """
            read body; case $body in kill) kill -9 $$;; silent) exit 9;; esac
            echo "got $body" >&2; exit $body
            """
        let ran = try await shell.run(["consume", "jobs", "-n", "6", "--exec", command])
        #expect(ran.errors.contains("got 3\n"))
        #expect(
            ran.errors.hasSuffix("leveret: 1 message acked, 2 to be retried, 3 rejected\n"), "\(ran.errors)")
        let dead = try await shell.run(["peek", "jobs.dead", "-o", "csv", "--columns", "body,reason,error"])
        for row in ["3,rejected,got 3", "kill,rejected,killed by signal 9", "silent,rejected,exit status 9"] {
            #expect(dead.output.contains(row + "\n"), "\(dead.output)")
        }
        let left = try await shell.run(["peek", "jobs", "-o", "csv", "--columns", "body,failed"])
        #expect(left.output == "body,failed\n75,2\n")
    }

    @Test func `a command sees the message in its environment, and its bytes on standard input`() async throws
    {
        let shell = try await shell()
        let socket = try LineSocket(port: shell.server.port)
        let bytes: [UInt8] = [0, 255, 10, 65]
        let publish =
            #"PUB "" jobs id=a1 content-type=text/x h.tenant=red h."odd name!"=5 h.PATH=/bad h.n=json:"[1]""#
        #expect(try socket.ask(publish, body: bytes).line == "OK 1")
        let command =
            "od -An -tx1; env | grep ^LEVERET_ | grep -Ev '^LEVERET_(URL|SIM_|CRASH_)' | sort; echo \"path $PATH\""
        let ran = try await shell.run(["consume", "jobs", "-n", "1", "--exec", command])
        let lines = ran.output.split(separator: "\n")
        #expect(lines.first == " 00 ff 0a 41")
        #expect(
            lines.dropFirst().dropLast() == [
                "LEVERET_CONTENT_TYPE=text/x", "LEVERET_DELIVERIES=1", "LEVERET_EXCHANGE=",
                "LEVERET_HEADER_N=[1]", "LEVERET_HEADER_ODD_NAME_=5", "LEVERET_HEADER_PATH=/bad",
                "LEVERET_HEADER_TENANT=red", "LEVERET_ID=a1", "LEVERET_KEY=jobs", "LEVERET_POSITION=1",
                "LEVERET_QUEUE=jobs", "LEVERET_REDELIVERED=0",
            ])
        #expect(lines.last?.contains("/bad") == false)
    }

    @Test func `the last 1,024 bytes of standard error are kept, between characters`() async throws {
        let shell = try await shell(["x"])
        let command = "i=0; while [ $i -lt 3000 ]; do printf '€' >&2; i=$((i+1)); done; exit 1"
        try await shell.run(["consume", "jobs", "-n", "1", "--exec", command])
        let dead = try await shell.run(["peek", "jobs.dead", "-o", "csv", "--columns", "error"])
        #expect(dead.output.hasPrefix("error\n"))
        #expect((1000...1024).contains(dead.output.dropFirst(6).dropLast().utf8.count))
        #expect(dead.output.contains("€€€"))
    }

    @Test func `several commands run at a time`() async throws {
        let shell = try await shell(["1", "2", "3"])
        // Each waits until all three have begun.
        let folder = shell.folder.path("begun")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let command = "touch \(folder)/$LEVERET_POSITION; until [ $(ls \(folder) | wc -l) = 3 ]; do :; done"
        let ran = try await shell.run(["consume", "jobs", "-n", "3", "--parallel", "3", "--exec", command])
        #expect(ran.errors.hasSuffix("leveret: 3 messages acked\n"))
    }

    @Test func `a first Ctrl-C lets the commands finish, a second gives their messages back`() async throws {
        let shell = try await shell(["1", "2"])
        let command = "echo began; until [ -e \(shell.folder.path("go")) ]; do :; done"
        let gentle = try shell.start(["consume", "jobs", "--prefetch", "2", "--exec", command])
        #expect(gentle.readLine() == "began")
        gentle.kill(SIGINT)
        #expect(FileManager.default.createFile(atPath: shell.folder.path("go"), contents: nil))
        let finished = gentle.finish()
        #expect(finished.status == SIGINT)
        #expect(finished.errors.hasSuffix("leveret: interrupted; 1 message acked\n"), "\(finished.errors)")
        #expect(try await depths(shell) == "name,ready,unacked\njobs,1,0\njobs.dead,0,0\n")

        let harsh = try shell.start(["consume", "jobs", "--exec", "echo began; while :; do :; done"])
        #expect(harsh.readLine() == "began")
        harsh.kill(SIGINT)
        harsh.kill(SIGTERM)
        let ended = harsh.finish()
        #expect(ended.errors.contains("1 given back"), "\(ended.errors)")
        let left = try await shell.run(["peek", "jobs", "-o", "csv", "--columns", "body,failed"])
        #expect(left.output == "body,failed\n2,0\n")
    }

    @Test func `what a command worked on when the connection was lost is not said to be acked`() async throws
    {
        let shell = try await shell(["1"])
        let command = "echo began; until [ -e \(shell.folder.path("go")) ]; do :; done"
        let consume = try shell.start(["consume", "jobs", "--exec", command])
        #expect(consume.readLine() == "began")
        shell.server.crash()
        #expect(FileManager.default.createFile(atPath: shell.folder.path("go"), contents: nil))
        let ended = consume.finish()
        #expect(ended.status == 3)
        #expect(!ended.errors.contains("1 message acked"), "\(ended.errors)")
    }

    @Test func `headers that the system has no room for are left out`() async throws {
        let shell = try await shell()
        let headers = (0..<100).map { "\"h\($0)\":\"\(String(repeating: "x", count: 30_000))\"" }.joined(
            separator: ",")
        let document = "{\"body\":\"hello\",\"headers\":{\(headers)}}"
        let socket = try LineSocket(port: shell.server.port)
        #expect(try socket.ask("IMPORT jobs", body: Array(document.utf8)).line == "OK 1")
        let ran = try await shell.run([
            "consume", "jobs", "-n", "1", "--exec", "cat; env | grep -c LEVERET_HEADER_H",
        ])
        #expect(ran.output == "hello2\n" && ran.status == 0, "\(ran.errors)")
    }

    @Test func `with --auto-ack what fails is counted as that`() async throws {
        let shell = try await shell(["0", "75", "3"])
        let ran = try await shell.run([
            "consume", "jobs", "-n", "3", "--auto-ack", "--exec", "read status; exit $status",
        ])
        #expect(ran.errors.hasSuffix("leveret: 1 message acked, 2 failed and gone\n"), "\(ran.errors)")
    }

    @Test func `a second Ctrl-C ends it also while nobody reads what it prints`() async throws {
        let shell = try await shell()
        let program = try shell.start(["consume", "jobs", "--body", "raw"])
        let body = String(repeating: "x", count: 1 << 20)  // more than a pipe takes
        try await shell.run(["publish", "", "jobs", "--file", "-"], input: body)
        while try await !shell.run(["queues", "-o", "csv", "--columns", "unacked"]).output.contains("1\n") {}
        // To read what it printed would let it go on, so nothing is read before it is gone.
        while try await !shell.script("ps -o stat= -p \(program.id)").output.hasPrefix("Z") {
            program.kill(SIGINT)
        }
        #expect(program.finish().status == SIGINT)
        while try await !shell.run(["queues", "-o", "csv", "--columns", "ready"]).output.contains("1\n") {}
    }

    @Test func `it ends when its queue or its server goes, and says so`() async throws {
        let shell = try await shell()
        let command = try shell.start(["consume", "jobs", "--exec", "true"])
        let printing = try shell.start(["consume", "jobs.dead"])
        while try await shell.run(["queue", "show", "jobs", "-o", "csv", "--columns", "consumers"]).output
            != "consumers\n1\n"
        {}
        try await shell.run(["queue", "delete", "jobs", "--yes"])
        let deleted = command.finish()
        #expect(deleted.status == 5)
        #expect(deleted.errors.contains("queue 'jobs' was deleted meanwhile"))
        while try await shell.run(["queue", "show", "jobs.dead", "-o", "csv", "--columns", "consumers"])
            .output != "consumers\n1\n"
        {}
        #expect(shell.server.stop().status == 0)
        #expect(printing.finish().status == 3)
    }

    @Test func `what would be dropped is told beforehand`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        try await shell.run(["publish", "", "jobs", "x"])
        let ran = try await shell.run(["consume", "jobs", "-n", "1", "--exec", "true"])
        #expect(ran.errors.contains("has no dead-letter exchange: what the command fails on is dropped"))
    }
}

@Suite struct TailTests {
    @Test func `copies are shown as they pass, and nothing is taken`() async throws {
        let shell = try Shell()
        try await shell.run(["exchange", "declare", "orders", "topic"])
        try await shell.run(["queue", "declare", "all"])
        try await shell.run(["bind", "all", "orders", "#"])
        let everything = try shell.start(["tail", "orders", "-n", "2", "-o", "csv", "--columns", "key,body"])
        let some = try shell.start(["tail", "orders", "*.eu", "-n", "1", "--body", "raw"])
        while try await shell.run(["queues", "-o", "csv", "--columns", "consumers"]).output
            .split(separator: "\n").count(where: { $0 == "1" }) < 2
        {}
        try await shell.run(["publish", "orders", "new.us", "first"])
        try await shell.run(["publish", "orders", "new.eu", "second"])
        #expect(everything.finish().output == "key,body\nnew.us,first\nnew.eu,second\n")
        #expect(some.finish().output == "second\n")
        #expect(
            try await shell.run(["queues", "-o", "csv", "--columns", "name,ready"]).output
                == "name,ready\nall,2\n")
    }

    @Test func `it ends when its exchange goes, and says so`() async throws {
        let shell = try Shell()
        try await shell.run(["exchange", "declare", "orders", "topic"])
        let tail = try shell.start(["tail", "orders"])
        while try await !shell.run(["queues", "-o", "csv", "--columns", "consumers"]).output.contains("1\n") {
        }
        try await shell.run(["exchange", "delete", "orders", "--yes"])
        let end = tail.finish()
        #expect(end.status == 5)
        #expect(end.errors.contains("exchange 'orders' was deleted meanwhile"))
    }

    @Test func `of a direct exchange it shows every key that is bound`() async throws {
        let shell = try Shell()
        #expect(try await shell.run(["tail", "amq.direct"], status: 1).errors.contains("say which key"))
        #expect(try await shell.run(["tail", ""], status: 1).errors.contains("'leveret peek'"))
        #expect(try await shell.run(["tail", "none"], status: 5).errors.contains("'none'"))
        for name in ["a", "b"] {
            try await shell.run(["queue", "declare", name])
            try await shell.run(["bind", name, "amq.direct", name])
        }
        let tail = try shell.start(["tail", "amq.direct", "-n", "2", "--body", "raw"])
        while try await !shell.run(["queues", "-o", "csv", "--columns", "consumers"]).output.contains("1\n") {
        }
        for name in ["a", "b"] { try await shell.run(["publish", "amq.direct", name, name]) }
        #expect(tail.finish().output == "a\nb\n")
    }
}
