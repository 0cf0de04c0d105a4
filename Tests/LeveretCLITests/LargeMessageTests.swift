// Messages of which one answer holds some fifty, however many are asked for: commands go on until all are there.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct LargeMessageTests {
    /// A server whose queue `jobs.dead` has 150 dead letters and 60 messages that are delayed, each of 20 KB.
    private func shell() async throws -> Shell {
        let shell = try Shell()
        let file = shell.folder.path("large")
        try String(repeating: "x", count: 20_000).write(toFile: file, atomically: true, encoding: .utf8)
        try await shell.run(["queue", "declare", "jobs.dead"])
        let dead = ["--ttl", "0", "--dead-letter-exchange", "", "--dead-letter-key", "jobs.dead"]
        try await shell.run(["queue", "declare", "jobs"] + dead)
        try await shell.run(["publish", "", "jobs", "--file", file, "--count", "150"])
        let later = ["--count", "60", "--delay", "3600000"]
        try await shell.run(["publish", "", "jobs.dead", "--file", file] + later)
        return shell
    }

    @Test func `all of them are shown, found and exported`() async throws {
        let shell = try await shell()
        let rows = ["-o", "csv", "--columns", "position"]
        for (command, count) in [
            (["peek", "jobs.dead", "-n", "1000"], 150), (["peek", "jobs.dead", "-n", "100"], 100),
            (["peek", "jobs.dead", "-n", "1000", "--state", "all"], 210),
            (["peek", "jobs.dead", "-n", "1000", "--state", "all", "--db", shell.database], 210),
            (["peek", "jobs.dead", "-n", "1000", "--where", "size > 5"], 150),
            (["delayed", "-n", "100"], 60), (["grep", "jobs.dead", "xx"], 210),
        ] {
            let shown = try await shell.run(command + rows).output.split(separator: "\n")
            #expect(Set(shown).count == count + 1 && shown.count == count + 1, "\(command)")
        }
        // An address that doesn't say that it is this machine.
        let elsewhere = ["--url", "leveret://0.0.0.0:\(shell.server.port)"]
        let exported = try await shell.run(["export", "--all"] + elsewhere).output
        #expect(exported.split(separator: "\n").count == 210)
    }

    @Test func `all of them are counted before anything is done to them`() async throws {
        let shell = try await shell()
        func asked(_ command: [String], _ words: String) async throws {
            let dry = try await shell.run(command + ["--dry-run"])
            #expect(dry.output.contains(words), "\(dry.output)")
            #expect(try await shell.run(command, status: 2).errors.contains("say --yes"))
        }
        try await asked(["move", "jobs.dead", "jobs", "--where", "size > 5"], "would move 150 messages")
        try await asked(["dead", "replay", "jobs.dead", "--to", "jobs"], "would replay 150 dead letters")
        try await asked(["dead", "drop", "jobs.dead"], "would remove 150 dead letters")
        let dropped = try await shell.run(["dead", "drop", "jobs.dead", "--yes"])
        #expect(dropped.output == "150 dead letters removed from queue 'jobs.dead'\n")
    }
}
