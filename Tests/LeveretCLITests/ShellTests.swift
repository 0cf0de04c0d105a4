// `shell` without a terminal: lines to words, keys to a line, what Tab finds, and what is remembered. And with one, as
// a person uses it.

import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct ShellWordsTests {
    @Test(
        arguments: [
            ("", []), ("  a  b\tc ", ["a", "b", "c"]),
            (#"publish "" jobs 'two words'"#, ["publish", "", "jobs", "two words"]),
            (#"a\ b "c\"d\\e\n" '\n'"#, ["a b", #"c"d\e\n"#, #"\n"#]), (#"it's' fine"#, ["its", "fine"]),
            ("a # b", ["a"]), ("a#b '#'", ["a#b", "#"]), ("ö 長", ["ö", "長"]),
        ] as [(String, [String])])
    func `a line is cut into words as sh does`(line: String, words: [String]) {
        let parsed = ShellWords(line)
        #expect(parsed.all == words && !parsed.isOpen)
    }

    @Test(arguments: ["'a", #""a"#, #"a \"#, #"'a' "b"#])
    func `an open quote is noticed`(line: String) { #expect(ShellWords(line).isOpen) }

    @Test(arguments: ["jobs", "two words", "it's", "", "a\"b", "$x", "#1", "ö"])
    func `a text becomes a word that is read as it`(text: String) {
        let word = ShellWords.quoted(text, isFinished: true)
        #expect(ShellWords("peek \(word) -n 3").all == ["peek", text, "-n", "3"])
    }

    @Test func `the word at the end is what may grow`() {
        let parsed = ShellWords("peek 'two wo")
        #expect(parsed.words == ["peek"] && parsed.last == "two wo" && parsed.lastStart == 5)
        let next = ShellWords("peek jobs ")
        #expect(next.words == ["peek", "jobs"] && next.last == nil && next.lastStart == 10)
    }
}

extension LineEdit {
    fileprivate mutating func type(_ text: String) {
        for character in text { _ = pressed(.character(character)) }
    }
}

@Suite struct LineEditTests {
    @Test func `keys write, move and erase`() {
        var edit = LineEdit()
        edit.type("peek jbs")
        for key in [TerminalKey.left, .left, .character("o")] { _ = edit.pressed(key) }
        #expect(edit.text == "peek jobs" && edit.textBeforeCursor == "peek jo")
        for key in [TerminalKey.home, .delete, .character("P"), .end, .backspace] { _ = edit.pressed(key) }
        #expect(edit.text == "Peek job")
        _ = edit.pressed(.control("w"))
        #expect(edit.text == "Peek ")
        _ = edit.pressed(.control("u"))
        #expect(edit.text == "" && edit.cursor == 0)
        for key in [TerminalKey.left, .right, .backspace, .delete, .control("k"), .control("x"), .escape] {
            #expect(edit.pressed(key) == nil && edit.text == "")
        }
        edit.type("abc")
        for key in [TerminalKey.control("a"), .control("f"), .control("k")] { _ = edit.pressed(key) }
        #expect(edit.text == "a")
    }

    @Test func `keys say what is to be done`() {
        var edit = LineEdit()
        #expect(edit.pressed(.control("d")) == .ended)
        edit.type("ab")
        _ = edit.pressed(.home)
        #expect(edit.pressed(.control("d")) == nil && edit.text == "b")
        #expect(edit.pressed(.enter) == .entered("b"))
        #expect(edit.pressed(.interrupt) == .dropped && edit.pressed(.gone) == .ended)
        #expect(edit.pressed(.tab) == .completion && edit.pressed(.control("l")) == .wipe)
    }

    @Test func `earlier lines come back, and what was typed with them`() {
        var edit = LineEdit(earlier: ["queues", "peek jobs", "queues -o json"])
        edit.type("pe")
        _ = edit.pressed(.up)
        #expect(edit.text == "queues -o json")
        for _ in 0..<5 { _ = edit.pressed(.up) }
        #expect(edit.text == "queues")
        for _ in 0..<5 { _ = edit.pressed(.control("n")) }
        #expect(edit.text == "pe")
        _ = edit.pressed(.control("u"))
        edit.type("queues")
        _ = edit.pressed(.control("r"))
        #expect(edit.text == "queues -o json")
        _ = edit.pressed(.control("r"))
        #expect(edit.text == "queues")
        _ = edit.pressed(.control("r"))
        #expect(edit.text == "queues")
    }

    @Test func `a long line is shown around its cursor`() {
        var edit = LineEdit()
        edit.type("0123456789abcdef")
        #expect(edit.drawn(behind: "> ", width: 40).text == "> 0123456789abcdef")
        let end = edit.drawn(behind: "> ", width: 12)
        #expect(end.text == "> 789abcdef" && end.column == 11)
        _ = edit.pressed(.home)
        let start = edit.drawn(behind: "> ", width: 12)
        #expect(start.text == "> 012345678" && start.column == 2)
        var wide = LineEdit()
        wide.type("長長")
        #expect(wide.drawn(behind: "> ", width: 40).column == 6)
    }
}

@Suite struct CompletionTests {
    private let completion = Completion(tree: .leveret) { command, argument, prefix in
        let names = ["jobs", "jobs.dead", "two words"].filter { $0.hasPrefix(prefix) }
        return argument == "positional@0" ? names : names.map { "\(argument) \(command) \($0)" }
    }

    private func find(_ line: String) -> [String] { completion.candidates(for: line).words }

    @Test func `commands and options are completed`() {
        #expect(find("que") == ["queue", "queues"])
        #expect(find("queue ") == ["declare", "delete", "show"])
        #expect(find("queue de") == ["declare", "delete"])
        #expect(find("ex").contains("exit") && find("help").contains("help"))
        #expect(find("help queue d") == ["declare", "delete"])
        #expect(find("queues --so") == ["--sort"])
        #expect(find("nonsense ") == [])
    }

    @Test func `values and live names are completed where they belong`() {
        #expect(find("queues -o ") == ["csv", "json", "table"])
        #expect(find("queues --output j") == ["json"])
        #expect(find("policy set p ^x --apply-to q") == ["queues", "quorum_queues"])
        #expect(find("queue declare q --overflow d") == ["drop-head"])
        #expect(find("exchange declare e t") == ["topic"])
        #expect(find("user tags ops mo") == ["monitoring"] && find("user tags ops a b m").count == 2)
        #expect(find("serve --durability ") == ["full", "normal"])
        #expect(find("peek jo") == ["jobs", "jobs.dead"])
        #expect(find("peek -n 3 jo") == ["jobs", "jobs.dead"])
        #expect(find("peek jobs ") == [])
        #expect(find("check jobs j") == ["jobs", "jobs.dead"])
        #expect(find("bindings --queue tw") == [#"--queue ["bindings"] two words"#])
        let quoted = completion.candidates(for: "peek 'two")
        #expect(quoted.start == 5 && quoted.words == ["two words"])
    }

    @Test func `files are completed`() throws {
        let folder = try TemporaryFolder()
        for name in ["one.db", "other", ".hidden"] {
            try "".write(toFile: folder.path(name), atomically: true, encoding: .utf8)
        }
        try FileManager.default.createDirectory(
            atPath: folder.path("older"), withIntermediateDirectories: true)
        let visible = find("import " + folder.path("o"))
        let names = ["older/", "one.db", "other"]
        #expect(visible.count == 3 && zip(visible, names).allSatisfy { $0.hasSuffix("/" + $1) }, "\(visible)")
        let hidden = find("import " + folder.path("."))
        #expect(hidden.count == 1 && hidden[0].hasSuffix("/.hidden"), "\(hidden)")
        #expect(find("import /nowhere/at/all/") == [])
    }

    @Test func `what several candidates share is known`() {
        #expect(Completion.common(["jobs", "jobs.dead"]) == "jobs")
        #expect(Completion.common(["a", "b"]) == "" && Completion.common([]) == "")
        #expect(ShellPrompt.table(["a", "b", "c"], width: 7) == "a  c\nb\n")
    }
}

@Suite struct ShellHistoryTests {
    @Test func `lines outlive the shell, for this user alone`() throws {
        let folder = try TemporaryFolder()
        let state = folder.path("state")
        let environment = { (name: String) in name == "XDG_STATE_HOME" ? state : nil }
        var history = ShellHistory(environment: environment)
        #expect(history.lines == [])
        for line in ["queues", "queues", " secret", "", "peek 'ö'"] { history.add(line) }
        #expect(history.lines == ["queues", "peek 'ö'"])
        let path = try #require(ShellHistory.path(environment))
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        #expect(ShellHistory(environment: environment).lines == history.lines)
        for number in 0..<2 * ShellHistory.linesMax { history.add("\(number)") }
        let kept = ShellHistory(environment: environment)
        #expect(kept.lines.count == ShellHistory.linesMax && kept.lines.last == history.lines.last)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.split(separator: "\n").count == ShellHistory.linesMax)
    }

    @Test func `without a place to keep them they last as long as the shell`() {
        #expect(
            ShellHistory.path { $0 == "HOME" ? "/a" : nil }
                == "/a/.local/state/leveret/shell-history")
        #expect(ShellHistory.path { $0 == "XDG_STATE_HOME" ? "relative" : nil } == nil)
        var history = ShellHistory { _ in nil }
        history.add("queues")
        #expect(history.lines == ["queues"])
    }
}

@Suite struct ShellTerminalTests {
    /// A shell at its prompt, on a terminal.
    private func begin(_ shell: Shell, _ rest: String = "") async throws -> Screen {
        let screen = try await Screen(shell)
        try await screen.enter("export XDG_STATE_HOME=\(shell.folder.path("state")); leveret shell\(rest)")
        try await screen.shows("127.0.0.1:\(shell.server.port)>")
        return screen
    }

    @Test func `commands run, Tab completes live names, and lines come back`() async throws {
        let shell = try Shell()
        for queue in ["orders", "orders dead"] { try await shell.run(["queue", "declare", queue]) }
        let screen = try await begin(shell, "; echo status $?")
        try await screen.enter("publish \"\" orders hello")
        try await screen.shows("1 message published")
        try await screen.press("p", "e", "e", "Tab", "o", "Tab")
        try await screen.shows("peek orders")
        try await screen.press("Tab")
        try await screen.shows("orders dead")
        try await screen.enter(" -o json --columns body")
        try await screen.shows(#"{"body":"hello"}"#)
        try await screen.press("Up", "C-a", "x", "Enter")
        try await screen.shows("'xpeek'")
        try await screen.press("o", "C-c")
        try await screen.shows("> o^C")
        try await screen.enter("consume orders")
        try await screen.shows("5 B  hello")
        try await screen.press("C-c")
        try await screen.enter("exit")
        #expect(try await screen.shows("status 0").contains("ready:"))
        let again = try await begin(shell)
        try await again.press("C-r", "Up", "Enter")
        try await again.shows("consume orders")
    }

    @Test func `who may only work with messages gets a prompt, too`() async throws {
        let shell = try Shell()
        try await shell.run(["user", "add", "app"], input: "pass\n")
        try await shell.run(["permission", "set", "app", ".*", ".*", ".*"])
        let user = "app@127.0.0.1:\(shell.server.port)"
        let screen = try await Screen(shell)
        try await screen.enter("LEVERET_PASSWORD=pass leveret shell --url leveret://\(user)")
        try await screen.shows("\(user)>")
        try await screen.enter("queue declare mine")
        try await screen.shows("queue 'mine' is there")
    }

    @Test func `what takes the terminal over gives it back to the prompt`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        let screen = try await begin(shell)
        try await screen.enter("top")
        try await screen.shows("1 queue  ? help")
        try await screen.press("q")
        try await screen.shows("> top")
        try await screen.enter("queues -o json --columns name")
        try await screen.shows(#"{"name":"jobs"}"#)
    }

    @Test(arguments: ["C-d", "TERM", "HUP"])
    func `the terminal is as before however it ends`(how: String) async throws {
        let shell = try Shell()
        let screen = try await Screen(shell)
        try await screen.enter("stty -g >before; sh -c 'echo $$ >pid; exec leveret shell'")
        try await screen.shows("127.0.0.1:\(shell.server.port)>")
        if how == "C-d" {
            try await screen.press("C-d")
        } else {
            _ = try await shell.script("kill -\(how) $(cat pid)")
        }
        // What is typed before it has ended is still for it.
        _ = try await shell.script("while kill -0 $(cat pid) 2>&-; do sleep 0.05; done")
        try await screen.enter("stty -g >after; echo do''ne")
        try await screen.shows("done")
        #expect(try await shell.script("cmp before after").output == "")
    }

    @Test func `a pipe of lines is run to its end, and the first failure is its status`() async throws {
        let shell = try Shell()
        let lines = """
            # what nobody reads
            queue declare jobs

            get nowhere
            queue declare 'open
            purge jobs
            shell
            consume jobs --nonsense
            publish --lines "" jobs
            queues --columns name
            exit
            queue declare late
            """
        let result = try await shell.run(["shell"], input: lines, status: 5)
        #expect(result.output.contains("queue 'jobs' is there\n") && result.output.hasSuffix("name\njobs\n"))
        for words in [
            "no queue 'nowhere'", "ends within quotes", "say --yes", "a shell already", "--nonsense",
        ] {
            #expect(result.errors.contains(words), "\(result.errors)")
        }
        #expect(try await shell.run(["shell"], input: "queues\n").status == 0)
        #expect(
            try await leveret(["shell"], environment: ["LEVERET_URL": "leveret://127.0.0.1:1"]).status == 0)
    }
}
