// What a person sees on a terminal: colour, the bar, and questions. `script` (util-linux) gives the commands a
// terminal of their own.

import Foundation
import LeveretTestSupport
import Testing

extension Shell {
    /// Runs a line of shell on a terminal of 80 columns, and types `typed`.
    fileprivate func onTerminal(
        _ line: String, typed: String = "", colour: Bool = true
    ) async throws -> String {
        let quoted = line.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#)
        let result = try await script(
            "script -qec 'stty cols 80; \(quoted)' /dev/null", input: typed,
            without: colour ? ["NO_COLOR"] : [])
        return result.output
    }
}

@Suite struct TerminalTests {
    @Test func `a table's head is bold on a terminal, unless NO_COLOR says no`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        let bold = try await shell.onTerminal("leveret queues --columns name,ready")
        #expect(bold == "\u{1B}[1mname  ready\u{1B}[0m\r\njobs      0\r\n")
        let plain = try await shell.onTerminal("leveret queues --columns name,ready", colour: false)
        #expect(plain == "name  ready\r\njobs      0\r\n")
        let dumb = try await shell.onTerminal("TERM=dumb leveret queues --columns name,ready")
        #expect(dumb == plain)
    }

    @Test func `a table ends at the terminal's edge`() async throws {
        let shell = try Shell()
        let name = String(repeating: "n", count: 120)
        try await shell.run(["queue", "declare", name])
        let text = try await shell.onTerminal("leveret queues", colour: false)
        for line in text.split(separator: "\r\n") {
            #expect(line.count == 80 && line.hasSuffix("…"), "\(line)")
        }
    }

    @Test func `a question waits for the answer`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        try await shell.run(["publish", "", "jobs", "x"])
        let question = "this removes all ready messages of queue 'jobs': 1 message ready. Go ahead? [y/N] "
        for answer in ["n\n", "\n", "what\n"] {
            let no = try await shell.onTerminal("leveret purge jobs; echo $?", typed: answer)
            #expect(no.contains(question))
            #expect(no.hasSuffix("leveret: not done: the answer was no\r\n1\r\n"))
        }
        let yes = try await shell.onTerminal("leveret purge jobs", typed: "y\n")
        #expect(yes.hasSuffix("1 message removed from queue 'jobs'\r\n"))
    }

    @Test func `many lines show a bar that is wiped when they are done`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        let text = try await shell.onTerminal(
            "seq 60000 >lines; leveret publish \"\" jobs --lines <lines")
        #expect(text.contains("\r\u{1B}[K[##"))
        #expect(text.contains("%  "))
        let last = text.components(separatedBy: "\u{1B}[K").last ?? ""
        #expect(last.hasPrefix("60,000 messages published in "), "\(last)")
    }

    @Test func `a reader that goes ends a command quietly`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        try await shell.run(["publish", "", "jobs", "x", "--count", "20000"])
        let text = try await shell.script(
            "leveret peek jobs -n 20000 -o csv --columns position | head -n 1; echo ${PIPESTATUS[0]}")
        #expect(text.output == "position\n141\n")
    }

    @Test func `output that can't be written is a failure, and nothing is removed for it`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        try await shell.run(["publish", "", "jobs", "x"])
        for command in ["queues", "consume jobs -n 1", "get jobs --ack"] {
            let text = try await shell.script("leveret \(command) 2>&1 >/dev/full; echo $?")
            #expect(
                text.output
                    == "leveret: the output can't be written, it is not whole: no space left on device\n1\n",
                "\(command)")
        }
        #expect(try await shell.run(["queues", "-o", "csv", "--columns", "ready"]).output == "ready\n1\n")
    }

    @Test func `a password prompt that is ended gives the terminal back`() async throws {
        let shell = try Shell()
        let ask = "sh -c 'echo $$ >asker; exec leveret user add app'"
        let script = "\(ask); echo ended by $?; echo \"terminal: $(stty -a | grep -o -- '-*echo ')\""
        try script.write(toFile: shell.folder.path("ask"), atomically: true, encoding: .utf8)
        let screen = try await Screen(shell)
        try await screen.enter("sh ask")
        try await screen.shows("New password of app:")
        _ = try await shell.script("kill $(cat asker)")
        try await screen.shows("ended by 143")
        try await screen.shows("terminal: echo")
    }
}
