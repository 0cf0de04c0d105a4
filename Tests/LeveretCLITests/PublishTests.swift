// `leveret publish` where something is in the way: refusals in the middle, lines that can't be sent, a server
// that goes, a person who presses Ctrl-C.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct PublishTests {
    @Test func `a refused line ends the run and is named with all that were refused`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "q", "--max-length", "5", "--overflow", "reject-publish"])
        let lines = (1...3000).map { "\($0)\n" }.joined()
        let full = try await shell.run(["publish", "", "q", "--lines"], input: lines, status: 1)
        #expect(full.errors.hasPrefix("leveret: line 6: queue 'q' is full and rejects publishes"))
        #expect(
            full.errors.hasSuffix(
                "; 5 messages published, 995 refused: lines 6-1000; no line after 1000 was sent\n"))
        #expect(full.output == "")
        let none = try await shell.run(["publish", "none", "k", "--lines"], input: "a\nb\n", status: 5)
        #expect(none.errors.contains("line 1: no exchange 'none'"))
        #expect(
            none.errors.hasSuffix("; 0 messages published, 2 refused: lines 1-2; no line after 2 was sent\n"))
        let mixed = try await shell.run(
            ["publish", "", "-", "--lines", "--mandatory"],
            input: "q\ta\nnone\tb\nq\tc\nnone\td\n", status: 1)
        #expect(mixed.errors.contains("; 0 messages published, 4 refused: lines 1-4;"))
        try await shell.run(["purge", "q", "--yes"])
        let some = try await shell.run(
            ["publish", "", "-", "--lines", "--mandatory"],
            input: "q\ta\nnone\tb\nq\tc\nnone\td\n", status: 1)
        #expect(
            some.errors.contains("line 2: no queue is bound to exchange '' with key 'none' (312 NO_ROUTE)"))
        #expect(some.errors.contains("; 2 messages published, 2 refused: lines 2, 4;"))
    }

    @Test func `a line that would end the connection is not sent`() async throws {
        let shell = try Shell(["--max-body", "1000"])
        try await shell.run(["queue", "declare", "q"])
        let long = String(repeating: "k", count: 9000)
        for (line, says) in [
            ("\(long)\tx", "line 2: the routing key has 9000 bytes; at most 255 are allowed"),
            ("q\t\(long)", "line 2: the body has 9000 bytes; the server takes 1000 (serve --max-body)"),
        ] {
            let result = try await shell.run(
                ["publish", "", "-", "--lines"], input: "q\tfirst\n\(line)\nq\tthird\n", status: 1)
            #expect(result.errors == "leveret: \(says); 1 message published before it\n")
        }
        let bytes = try await shell.script(
            #"printf 'q\tx\n\xff\xfe\tx\n' | leveret publish "" - --lines; echo $?"#)
        #expect(
            bytes.output
                == "leveret: line 2: the routing key is not UTF-8; 1 message published before it\n1\n")
        let one = try await shell.run(["publish", "", "q", long], status: 1)
        #expect(one.errors.hasSuffix("(serve --max-body); nothing was published\n"))
        #expect(try await shell.run(["queues", "--columns", "ready"]).output == "ready\n    3\n")
    }

    @Test func `lines that come one by one are published as they come`() async throws {
        try await onOwnThread {
            let shell = try Shell()
            let socket = try LineSocket(port: shell.server.port)
            _ = try socket.ask("QUEUE q")
            let publish = try shell.start(["publish", "", "q", "--lines"])
            for line in ["one", "two"] {
                try publish.write(line + "\n")
                let reply = try socket.ask("GET q wait=60000 auto-ack")
                #expect(reply.body == Array(line.utf8))
            }
            #expect(publish.finish().output.hasPrefix("2 messages published in "))
        }
    }

    @Test func `Ctrl-C stops at a line's end and says what is published`() async throws {
        try await onOwnThread {
            let shell = try Shell()
            let socket = try LineSocket(port: shell.server.port)
            _ = try socket.ask("QUEUE q")
            let publish = try shell.start(["publish", "", "q", "--lines"])
            try publish.write("one\nhalf a li")
            _ = try socket.ask("GET q wait=60000 auto-ack")
            publish.kill(SIGINT)
            let result = publish.finish()
            #expect(result.errors == "leveret: interrupted; 1 message published, one a line from the first\n")
            #expect(result.status == SIGINT)
            #expect(try socket.ask("STAT q").line.contains("\"ready\":0"))
        }
    }

    @Test func `a server that goes in the midst is told with what is safe`() async throws {
        try await onOwnThread {
            let shell = try Shell()
            let socket = try LineSocket(port: shell.server.port)
            _ = try socket.ask("QUEUE q")
            let publish = try shell.start(["publish", "", "q", "--lines"])
            try publish.write("one\n")
            _ = try socket.ask("GET q wait=60000 auto-ack")
            // The second line comes out only when the first has been confirmed to the command.
            try publish.write("two\n")
            _ = try socket.ask("GET q wait=60000 auto-ack")
            shell.server.crash()
            try publish.write("three\n")
            let result = publish.finish()
            #expect(result.status == 3)
            #expect(
                result.errors.hasPrefix(
                    "leveret: the connection to 127.0.0.1:\(shell.server.port) was lost: "))
            let counts = try #require(
                result.errors.firstMatch(
                    of: /; (\d) messages? published before it, (\d) more sent but not answered/))
            let (published, unanswered) = (Int(counts.1) ?? 0, Int(counts.2) ?? 0)
            #expect(published >= 1 && unanswered >= 1)
            let lines = unanswered == 1 ? "line" : "lines \(published + 1) to"
            #expect(result.errors.hasSuffix("which may be stored: \(lines) \(published + unanswered)\n"))
        }
    }

    @Test func `a server that shuts down is told from a refusal`() async throws {
        try await onOwnThread {
            let shell = try Shell()
            let socket = try LineSocket(port: shell.server.port)
            _ = try socket.ask("QUEUE q")
            let publish = try shell.start(["publish", "", "q", "--lines"])
            try publish.write("one\n")
            _ = try socket.ask("GET q wait=60000 auto-ack")
            #expect(shell.server.stop().status == 0)
            try publish.write("two\n")
            let result = publish.finish()
            #expect(result.status == 3)
            #expect(result.errors.contains("published"), "\(result.errors)")
        }
    }
}
