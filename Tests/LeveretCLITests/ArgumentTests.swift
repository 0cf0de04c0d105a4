// Command lines: what is understood, what is refused, and the statuses that scripts see.

import ArgumentParser
import Testing

@testable import LeveretCLI

@Suite struct ArgumentTests {
    /// What a command line that only asks for help, or can't be understood, is answered with.
    private func refusal(of arguments: [String]) -> (text: String, status: CommandStatus)? {
        do {
            var command = try LeveretCommand.parseAsRoot(arguments)
            guard String(describing: type(of: command)) == "HelpCommand" || arguments.count < 2 else {
                return nil
            }
            try command.run()
            return nil
        } catch {
            return LeveretCommand.report(error)
        }
    }

    @Test(arguments: [
        ["publish", "e", "k"], ["publish", "e", "k", "b", "--file", "f"],
        ["publish", "e", "k", "b", "--count", "0"],
        ["publish", "e", "-", "--lines", "--count", "2"], ["publish", "e", "k", "b", "-H", "x"],
        ["publish", "e", "k", "b", "--nope"], ["queues", "--sort"], ["queues", "-o", "xml"],
        ["queue"], ["queue", "show"], ["queue", "declare", "q", "--ttl", "soon"], ["nosuch"],
        ["queue", "declare", "q", "--max-length", "9223372036854775808"], ["get", "q", "-n", "0"],
        ["get", "q", "--ack", "--requeue"], ["peek", "q", "--state", "gone"], ["peek", "q", "--from", "-1"],
        ["peek", "q", "--body", "xml"], ["move", "a"], ["move", "a", "b", "--exchange", "e"],
        ["move", "a", "b", "--key", "k"], ["move", "a", "b", "-n", "0"],
        ["status", "--db", "f", "--url", "u"],
        ["grep", "q"], ["grep", "q", ""],
        ["grep", "q", "x", "-n", "0"], ["grep", "q", "x", "--state", "dead"], ["delayed", "-n", "1001"],
        ["dead", "show", "q"], ["dead", "replay", "q", "--to", "a", "--exchange", "b"],
        ["dead", "replay", "q", "--key", "k"], ["dead", "replay", "q", "--rate", "0"],
        ["dead", "replay", "q", "--reason", "bored"], ["dead", "drop", "q", "--older-than", "long"],
        ["dead", "replay", "q", "--edit", "--dry-run"], ["dead", "drop", "q", "--limit", "0"],
        ["consume", "q", "--parallel", "2"], ["consume", "q", "--exec", "x", "-o", "json"],
        ["consume", "q", "--prefetch", "0"], ["tail"], ["tail", "e", "-n", "0"],
        ["msg", "show", "q"], ["msg", "show", "q", "0"], ["msg", "show", "q", "1", "--body", "xml"],
        ["msg", "edit", "q", "one"],
        ["msg", "edit", "q", "0", "--delay", "0"], ["msg", "edit", "q", "1", "--body", "b", "--file", "f"],
        ["msg", "cancel", "q"], ["msg", "cancel", "q", "0"], ["publish", "e", "k", "b", "--delay", "soon"],
        ["policy", "set", "p", "x", "--delayed-retry-min", "soon"],
        ["bind", "q"], ["route", "e"], ["exchange", "declare", "e"], ["purge"],
    ])
    func `a wrong command line is refused before anything is tried`(arguments: [String]) throws {
        let answer = try #require(refusal(of: arguments))
        // A group by itself shows its help.
        #expect(answer.status == (arguments == ["queue"] ? .done : .usage))
        #expect(answer.text.contains(arguments == ["queue"] ? "USAGE: leveret" : "Usage: leveret"))
    }

    @Test(arguments: [
        (["get", "q", "-n", "-5"], "-n is 1"),
        (["peek", "q", "--from", "-1"], "--from is a position: 0 or more"),
        (["dead", "drop", "q", "--limit", "-1"], "--limit is 1 or more"),
        (["dead", "drop", "q", "--older-than", "-5m"], "'-5m' is invalid for '--older-than"),
        (["check", "--age-max", "-5m"], "'-5m' is invalid for '--age-max"),
        (["publish", "e", "k", "b", "--count", "-1"], "--count is 1 or more"),
    ])
    func `a number below the range is a number, and the answer names the range`(
        arguments: [String], words: String
    ) throws {
        let answer = try #require(refusal(of: arguments))
        #expect(answer.status == .usage && answer.text.contains(words), "\(answer.text)")
    }

    @Test func `help and version are no errors`() {
        for arguments in [[], ["--help"], ["queue", "declare", "--help"], ["--version"]] {
            #expect(refusal(of: arguments)?.status == .done)
        }
    }

    @Test func `every command shows examples`() throws {
        for arguments in [
            ["status"], ["publish"], ["get"], ["peek"], ["move"], ["purge"], ["queues"], ["queue", "show"],
            ["queue", "declare"], ["queue", "delete"], ["exchange", "declare"], ["exchange", "delete"],
            ["bind"],
            ["unbind"], ["route"], ["serve"], ["exchanges"], ["exchange", "show"], ["policy", "set"],
            ["msg", "edit"],
            ["msg", "cancel"], ["msg", "show"], ["grep"], ["delayed"],
            ["dead", "list"], ["dead", "show"], ["dead", "replay"], ["dead", "drop"], ["consume"], ["tail"],
        ] {
            let text = refusal(of: arguments + ["--help"])?.text ?? ""
            #expect(text.contains("Examples:\n  leveret \(arguments.joined(separator: " "))"), "\(arguments)")
        }
    }

    @Test func `empty names and a lone dash are arguments`() throws {
        let publish = try #require(
            try LeveretCommand.parseAsRoot(["publish", "", "-", "--lines"]) as? PublishCommand
        )
        #expect(publish.exchange == "")
        #expect(publish.key == "-")
        #expect(publish.lines)
        let negative = try #require(
            try LeveretCommand.parseAsRoot(["publish", "", "k", "--", "-5"]) as? PublishCommand
        )
        #expect(negative.body == "-5")
    }

    @Test(arguments: [
        (320, CommandStatus.unreachable), (404, .notFound), (405, .conflict), (406, .conflict),
        (312, .refused), (403, .refused),
        (506, .refused),
        (540, .refused),
    ])
    func `reply codes have their exit status`(code: Int, status: CommandStatus) {
        #expect(CommandStatus(replyCode: code) == status)
    }

    @Test func `exit statuses are a promise`() {
        let statuses: [CommandStatus] = [.done, .refused, .usage, .unreachable, .notFound, .conflict]
        #expect(statuses.map(\.rawValue) == [0, 1, 2, 3, 5, 6])
    }

    @Test func `a refusal is one line that begins with the program's name`() {
        #expect(
            LeveretCommand.report(Failure(.notFound, "no queue 'q'")) == ("leveret: no queue 'q'", .notFound)
        )
    }
}
