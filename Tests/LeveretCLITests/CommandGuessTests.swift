// A mistyped command gets the one that was meant, and `policy set` tells what it did.

import ArgumentParser
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct CommandGuessTests {
    @Test(arguments: [
        ("quueues", ["queues"]), ("que", ["queues", "queue"]), ("stauts", ["status"]), ("pek", ["peek"]),
        ("replay", ["dead replay"]), ("declare", ["queue declare", "exchange declare"]),
        ("list_queues", ["queues"]), ("list-connections", ["connections"]), ("xylophone", []), ("", []),
    ])
    func `what is like a word is proposed`(word: String, meant: [String]) {
        #expect(CommandGuess.proposals(for: word, in: LeveretCommand.self) == meant)
    }

    @Test(arguments: [
        (
            ["quueues", "--watch"],
            "there is no command 'quueues'; did you mean 'leveret queues'? 'leveret --help' lists them"
        ),
        (
            ["queue", "shwo", "jobs"],
            "there is no command 'queue shwo'; did you mean 'leveret queue show'? "
                + "'leveret queue --help' lists them"
        ),
        (
            ["vhost", "shwo", "shop"],
            "there is no command 'vhost shwo'; did you mean 'leveret vhost show'? 'leveret vhost --help' lists them"
        ),
        (
            ["queue", "my mails"],
            "there is no command 'queue my mails'; did you mean 'leveret queue show 'my mails''? "
                + "'leveret queue --help' lists them"
        ),
        (["help", "xylophone"], "there is no command 'xylophone'; 'leveret --help' lists them"),
        (["xylophone"], "there is no command 'xylophone'; 'leveret --help' lists them"),
    ])
    func `the sentence names the word, what was meant, and where all are`(words: [String], text: String) {
        #expect(CommandGuess.failure(in: words, of: LeveretCommand.self) == Failure(.usage, text))
    }

    @Test(arguments: [
        ["queues"], ["queue", "show", "quueues"], ["connections", "worker*"], ["--version"], ["user"],
        ["vhost", "a*", "-o", "json"],
        ["help", "queues"], ["help", "queue", "show"], ["help"], [],
        ["queue"], ["queue", "--help"], ["---completion", "x"],
    ])
    func `words that name a command are left to the parser`(words: [String]) {
        #expect(CommandGuess.failure(in: words, of: LeveretCommand.self) == nil)
    }

    @Test func `the distance counts letters that were left out, added, changed or swapped`() {
        #expect(CommandGuess.distance("queues", "queues") == 0)
        #expect(CommandGuess.distance("", "peek") == 4)
        #expect(CommandGuess.distance("queeus", "queues") == 1)
        #expect(CommandGuess.distance("kitten", "sitting") == 3)
    }
}

@Suite struct PolicyReportTests {
    private func row(_ text: String) throws -> JSON { try #require(JSON(text.utf8)) }

    private func policy(_ counts: String, isOperator: Bool = false) throws -> JSON {
        try row(
            #"{"name":"p","operator":\#(isOperator),"definition":{"x-max-length":10,"x-message-ttl":5},\#(counts)}"#
        )
    }

    @Test func `it says how much has the policy`() throws {
        func text(_ counts: String) throws -> String {
            PolicyReport("p", isOperator: false, policies: [try policy(counts)], rows: []).text
        }
        #expect(
            try text(#""queues":2,"exchanges":1"#) == "policy 'p' is in force for 2 queues and 1 exchange")
        #expect(try text(#""queues":1,"exchanges":0"#) == "policy 'p' is in force for 1 queue")
        #expect(
            try text(#""queues":0,"exchanges":0"#) == "policy 'p' is set; no queue and no exchange has it yet"
        )
    }

    @Test func `it says what counts in its place`() throws {
        let own = try row(
            #"{"name":"q","policy":"p","effective":{"x-max-length":7,"x-message-ttl":5},"origins":"#
                + #"{"x-max-length":"argument","x-message-ttl":"policy 'p'"}}"#)
        let limited = try row(
            #"{"name":"r","policy":"p","effective":{"x-max-length":3,"x-message-ttl":5},"origins":"#
                + #"{"x-max-length":"operator policy 'roof'","x-message-ttl":"policy 'p'"}}"#)
        let other = try row(
            #"{"name":"s","policy":"other","effective":{},"origins":{"x-max-length":"argument"}}"#)
        let rows = [own, limited, other].map { (kind: "queue", row: $0) }
        let counts = #""queues":2,"exchanges":0"#
        #expect(
            PolicyReport("p", isOperator: false, policies: [try policy(counts)], rows: rows).text == """
                policy 'p' is in force for 2 queues
                  but queue 'q' was declared with x-max-length 7, which counts
                  but queue 'r' has x-max-length 3 from operator policy 'roof'
                """)
        let many = Array(repeating: (kind: "queue", row: own), count: 8)
        #expect(
            PolicyReport("p", isOperator: false, policies: [try policy(counts)], rows: many).text
                .hasSuffix("\n  but 3 more like these"))
        // An operator policy leaves what asks for less.
        #expect(
            PolicyReport("p", isOperator: true, policies: [try policy(counts, isOperator: true)], rows: rows)
                .text
                == "policy 'p' is in force for 2 queues")
    }

    @Test func `a policy is told of with what a queue was declared with, and listings show what counts`()
        async throws
    {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "loop", "--delivery-limit", "100000"])
        try await shell.run(["queue", "declare", "loop.dead"])
        let set = try await shell.run([
            "policy", "set", "dl", "^loop$", "--delivery-limit", "5", "--dead-letter-exchange", "",
            "--dead-letter-key", "loop.dead",
        ])
        #expect(
            set.output == """
                policy 'dl' is in force for 1 queue
                  but queue 'loop' was declared with x-delivery-limit 100000, which counts

                """)
        let list = try await shell.run([
            "queues", "loop", "--columns", "name,dead_letter_exchange,dead_letter_key",
        ])
        #expect(list.output.hasSuffix("loop  \"\"                    loop.dead\n"), "\(list.output)")
        let show = try await shell.run(["queue", "show", "loop"])
        #expect(show.output.contains("dead_letter_key       loop.dead\n"), "\(show.output)")
        let file = try await leveret([
            "queues", "loop", "-o", "csv", "--columns", "dead_letter_key", "--db", shell.database,
        ])
        #expect(file.output == "dead_letter_key\nloop.dead\n")
    }
}
