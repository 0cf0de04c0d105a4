// `top` on a terminal, as a person uses it: tmux presses the keys and says what stands on the screen.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct TopTerminalTests {
    @Test func `keys sort, filter, look into a queue, peek, pause and quit`() async throws {
        let shell = try Shell()
        for queue in ["jobs", "mails"] { try await shell.run(["queue", "declare", queue]) }
        try await shell.run(["publish", "", "jobs", "hello", "--count", "3"])
        let screen = try await Screen(shell)
        try await screen.enter("leveret top; echo status $?")
        #expect(try await screen.shows("2 queues  ? help  q quit").contains("ready▼"))
        try await screen.press("s")
        try await screen.shows("unacked▼")
        try await screen.press("/", "m", "a", "Enter")
        let filtered = try await screen.shows("1 queue of 2 with 'ma'")
        #expect(filtered.contains("mails ") && !filtered.contains("jobs "))
        try await screen.press("Escape")
        try await screen.shows("2 queues  ? help")
        try await screen.press("s", "s", "s", "s", "s", "s", "g", "Enter")
        try await screen.shows("queue 'jobs' has 3 messages ready and no consumer")
        try await screen.press("v")
        try await screen.shows("jobs  5 B  hello")
        try await screen.press("p")
        try await screen.shows("pause queue 'jobs'? [y/N]")
        try await screen.press("y")
        try await screen.shows("queue 'jobs' is paused")
        #expect(try await shell.run(["why", "jobs"]).output.contains("is paused since"))
        try await screen.press("?")
        try await screen.shows("sort by the next column")
        try await screen.press("q")
        #expect(try await screen.shows("status 0").contains("leveret top; echo"))
    }

    @Test func `it lives on 20 by 5 cells and follows a change of size`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        let screen = try await Screen(shell, columns: 20, rows: 5)
        try await screen.enter("leveret top")
        try await screen.shows("name          ready▼")
        try await screen.tmux("resize-window -x 100 -y 30")
        try await screen.shows("disk free")
        try await screen.tmux("resize-window -x 20 -y 5")
        try await screen.shows("1 queue  ? help  q …")
    }

    @Test func `a server that goes is told of and found again`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        let screen = try await Screen(shell)
        try await screen.enter("leveret top")
        try await screen.shows("1 queue  ? help")
        shell.server.crash()
        try await screen.shows("trying again: ")
        let again = try Program(
            "leveret", ["serve", "--db", shell.database, "--listen", "127.0.0.1:\(shell.server.port)"])
        while let line = again.readLine(), !line.contains("listening on") {}
        try await screen.shows("1 queue  ? help")
        try await screen.press("q")
        try await screen.shows("ready:")
        again.kill(SIGTERM)
        _ = again.finish()
    }

    @Test(arguments: ["C-c", "TERM", "INT", "HUP", "QUIT"])
    func `the terminal is as before however it ends`(how: String) async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        let screen = try await Screen(shell)
        try await screen.enter("stty -g >before; sh -c 'echo $$ >pid; exec leveret top'")
        try await screen.shows("1 queue  ? help")
        if how == "C-c" {
            try await screen.press("C-c")
        } else {
            _ = try await shell.script("kill -\(how) $(cat pid)")
        }
        // The screen that was there before is back.
        try await screen.shows("exec leveret top")
        try await screen.enter("stty -g >after; echo do''ne")
        try await screen.shows("done")
        #expect(try await shell.script("cmp before after").output == "")
    }

    @Test func `a stop gives the terminal back, and it goes on where it was`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        let screen = try await Screen(shell)
        try await screen.enter("set -m; stty -g >before; sh -c 'echo $$ >pid; exec leveret top'")
        try await screen.shows("1 queue  ? help")
        _ = try await shell.script("kill -TSTP $(cat pid)")
        try await screen.shows("Stopped")
        try await screen.enter("stty -g >after; echo do''ne")
        try await screen.shows("done")
        #expect(try await shell.script("cmp before after").output == "")
        try await screen.enter("fg")
        try await screen.shows("1 queue  ? help")
        try await screen.press("q")
        try await screen.shows("Stopped")
    }

    @Test func `where there is no terminal it says so, and prints once`() async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        #expect(try await shell.run(["top"], status: 2).errors.contains("--once prints what it would show"))
        let text = try await shell.run(["top", "--once"]).output
        #expect(text.contains("ready▼") && text.contains("jobs ") && !text.contains("\u{1B}"))
        let json = try await shell.run(["top", "--once", "-o", "json"]).output
        #expect(
            json.hasPrefix(#"{"totals":{"version":""#)
                && json.contains(#""queues":[{"name":"jobs","ready":0,"#))
        #expect(try await leveret(["top", "--once", "--url", "leveret://127.0.0.1:1"]).status == 3)
        for wrong in [["-o", "json"], ["--once", "-o", "csv"]] {
            try await shell.run(["top"] + wrong, status: 2)
        }
    }

    @Test(arguments: [
        ("monitoring", "queue 'jobs' has 3 messages ready and no consumer"),
        ("management", "read access to queue 'jobs' in vhost '/' refused for user 'app'"),
    ])
    func `who may not read a queue sees what else may be seen, and stays connected`(
        tag: String, shown: String
    ) async throws {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs"])
        try await shell.run(["publish", "", "jobs", "hello", "--count", "3"])
        try await shell.run(["user", "add", "app", "--tags", tag], input: "pass\n")
        try await shell.run(["permission", "set", "app", "", "", "^mine$"])
        let screen = try await Screen(shell, columns: 120)
        // A busy machine may be too slow with the password for it.
        let url = "leveret://app@127.0.0.1:\(shell.server.port)"
        try await screen.enter("until LEVERET_PASSWORD=pass leveret top --url \(url); do clear; done")
        try await screen.shows("1 queue  ? help")
        try await screen.press("Enter")
        let text = try await screen.shows(shown)
        #expect(!text.contains("trying again"), "\(text)")
    }
}
