// docs/cli.md beside the program: its examples run word for word, and its options, fields and exit statuses are
// those of the program, none more and none less.

import ArgumentParser
import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct CommandPageTests {
    /// One box with a `$`.
    struct Box: CustomTestStringConvertible {
        fileprivate var steps: [(line: String, output: String)] = []
        /// Its place in the page.
        var line = 0
        var testDescription: String { "the box at line \(line)" }
    }

    private static let page: [Substring] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/cli.md")
        // Without the page there is no box, which the first test says.
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        return text.split(separator: "\n", omittingEmptySubsequences: false)
    }()

    private static let boxes: [Box] = {
        var boxes: [Box] = []
        var isInside = false
        for (index, line) in page.enumerated() {
            if line == "```console" {
                isInside = true
                boxes.append(Box(line: index + 1))
            } else if line.hasPrefix("```") {
                isInside = false
            } else if isInside, line.hasPrefix("$ ") {
                boxes[boxes.count - 1].steps.append((String(line.dropFirst(2)), ""))
            } else if isInside, let last = boxes[boxes.count - 1].steps.indices.last {
                boxes[boxes.count - 1].steps[last].output += line + "\n"
            }
        }
        return boxes
    }()

    @Test func `the page has examples`() {
        #expect(Self.boxes.count >= 9)
        #expect(Self.boxes.allSatisfy { !$0.steps.isEmpty })
    }

    @Test(arguments: boxes)
    func `an example goes as it is printed`(box: Box) async throws {
        let shell = try Shell()
        for step in box.steps {
            let output = try await shell.script(step.line).output
            #expect(
                Transcript.agrees(output, with: step.output),
                "$ \(step.line)\n\(output)\nthe page says:\n\(step.output)")
        }
    }

    /// Every command, as its words.
    private static let commands = leaves(of: LeveretCommand.self, words: [])

    private static func leaves(of command: any ParsableCommand.Type, words: [String]) -> [String] {
        let inner = command.configuration.subcommands
        if inner.isEmpty { return [words.joined(separator: " ")] }
        return inner.flatMap { leaves(of: $0, words: words + [name(of: $0)]) }
    }

    private static func name(of command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? String(describing: command).lowercased()
    }

    /// The page's part on a command.
    private static func section(of command: String) -> String? {
        let heading = "### `leveret \(command)"
        guard let start = page.firstIndex(where: { $0.hasPrefix(heading + " ") || $0 == heading + "`" })
        else {
            return nil
        }
        return page[(start + 1)...].prefix { !$0.hasPrefix("#") }.joined(separator: "\n")
    }

    private static func help(of command: String) -> String {
        do {
            var parsed = try LeveretCommand.parseAsRoot(
                command.split(separator: " ").map(String.init) + ["--help"])
            try parsed.run()
            return ""
        } catch { return LeveretCommand.report(error).text }
    }

    @Test(arguments: commands)
    func `the page names the options of a command, and no others`(command: String) throws {
        let common: Set<String> = ["--url", "--vhost", "--output", "--columns", "--version", "--help"]
        let usage = try #require(Self.help(of: command).firstMatch(of: /\nOPTIONS:([\s\S]*)$/)).1
        var known: Set<String> = []
        for match in usage.matches(of: /\n  (?:-\w, )?(--[a-z-]+|-n\b)/) { known.insert(String(match.1)) }
        // Two flags of one choice share a line of the help.
        for match in usage.matches(of: /\n  --[a-z]+\/(--[a-z]+)/) { known.insert(String(match.1)) }
        let section = try #require(Self.section(of: command))
        var written: Set<String> = []
        for line in section.split(separator: "\n") where line.hasPrefix("| `-") {
            let cell = line.split(separator: "|").first ?? ""
            for match in cell.matches(of: /`(--[a-z-]+|-n\b)/) { written.insert(String(match.1)) }
        }
        if command != "serve" { known.remove("--db") }
        #expect(written == known.subtracting(common))
        let row = try #require(Self.page.firstIndex { $0.hasPrefix("| `--db FILE` |") })
        // Those that read, and in the next row those that write.
        let takers = Self.page[row] + Self.page[row + 1]
        #expect(usage.contains("--db") == (takers.contains("`\(command)`") || command == "serve"))
    }

    @Test func `every command is in the page and in the help, with examples`() {
        #expect(Self.commands.count > 30)
        let headings = Self.page.filter { $0.hasPrefix("### `leveret ") }
        #expect(headings.count == Self.commands.count)
        for command in Self.commands {
            #expect(Self.section(of: command) != nil, "\(command)")
            #expect(Self.help(of: command).contains(/Examples?:\n/), "\(command)")
        }
    }

    /// Every command, those with commands inside as well.
    private static let allCommands =
        [LeveretCommand.self as any ParsableCommand.Type] + inner(LeveretCommand.self)

    private static func inner(_ command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
        command.configuration.subcommands.flatMap { [$0] + inner($0) }
    }

    @Test func `examples of the help can be pasted as they stand, on a terminal of 80 columns`() {
        for command in Self.allCommands {
            let help = LeveretCommand.helpMessage(for: command, columns: 80)
            guard let start = help.firstRange(of: "Examples:\n") else { continue }
            let lines = help[start.upperBound...].split(separator: "\n", omittingEmptySubsequences: false)
            var isContinued = false
            for line in lines.prefix(while: { !$0.isEmpty }) {
                #expect(
                    isContinued || line.hasPrefix("  ") && line.contains("leveret "), "\(command): '\(line)'")
                isContinued = line.hasSuffix("\\")
            }
        }
    }

    @Test(arguments: [
        ("status", Columns.status), ("queues", Columns.queues), ("queue show", Columns.queue),
        ("check", Columns.check), ("doctor", Columns.doctor), ("bindings", Columns.allBindings),
        ("consumers", Columns.allConsumers), ("connections list", Columns.connections),
        ("channels", Columns.channels),
        ("vhost list", Columns.virtualHosts), ("vhost show", Columns.virtualHosts),
        ("exchanges", Columns.exchanges), ("exchange show", Columns.exchange), ("why", Columns.why),
        ("policy list", Columns.policies), ("user list", Columns.users), ("user show", Columns.user),
        ("permission list", Columns.permissions),
        ("permission list-topics", Columns.topicPermissions), ("verify", Columns.faults),
        ("bench", Columns.bench),
        ("route", Columns.routes), ("peek", Columns.peek), ("get", Columns.get), ("grep", Columns.grep),
        ("delayed", Columns.delayed), ("msg show", Columns.message), ("dead list", Columns.deadLetters),
        ("dead show", Columns.message), ("jobs list", Columns.jobs), ("jobs show", Columns.job),
        ("cron", Columns.schedules),
        ("consume", Columns.get), ("tail", Columns.tail),
    ])
    func `the page names the fields that a command prints`(command: String, columns: [Column]) throws {
        let start = try #require(Self.page.firstIndex(of: "## Fields"))
        let row = try #require(Self.page[start...].first { $0.hasPrefix("| `\(command)` |") })
        let names = row.split(separator: "|").last?.matches(of: /`([a-z0-9_]+)`/).map { String($0.1) }
        #expect(names == columns.map(\.name))
    }

    @Test func `the page has the exit statuses`() throws {
        let start = try #require(Self.page.firstIndex(of: "## How it ends"))
        let rows = Self.page[start...].prefix { !$0.hasPrefix("```") }
        let written = rows.compactMap { $0.firstMatch(of: /^\| (\d) \|/).flatMap { Int32($0.1) } }
        #expect(written == (0...9).filter { CommandStatus(rawValue: $0) != nil })
    }
}
