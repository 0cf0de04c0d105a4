// Commands of users who have the rights for the work, and none of the tags that administrators have.

import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct RightsTests {
    /// A server with the user `app`, whose queue `jobs` lets everything die at once; six wait in `jobs.dead`.
    private func locked(tags: [String], write: String, read: String) async throws -> LockedServer {
        let locked = try await LockedServer()
        try await locked.run(["permission", "set", "ops", ".*", ".*", ".*"])
        let tags = tags.isEmpty ? [] : ["--tags"] + tags
        try await locked.run(["user", "add", "app"] + tags, new: "pass")
        try await locked.run(["permission", "set", "app", "", write, read])
        try await locked.run(["queue", "declare", "jobs.dead"])
        let dead = ["--dead-letter-exchange", "", "--dead-letter-key", "jobs.dead"]
        try await locked.run(["queue", "declare", "jobs", "--ttl", "0"] + dead)
        try await locked.run(["queue", "declare", "later"])
        try await locked.run(["bind", "later", "amq.fanout", ""])
        try await locked.run(["publish", "", "jobs", "x", "--count", "6"])
        return locked
    }

    @Test func `who may read a queue counts its dead letters as an administrator does`() async throws {
        let locked = try await locked(tags: ["management"], write: "", read: "^jobs")
        let peek = ["peek", "jobs.dead", "-n", "1", "-o", "csv", "--columns", "position"]
        let position = try await locked.run(peek).output.split(separator: "\n")[1]
        try await locked.run(["msg", "edit", "jobs.dead", String(position), "--delay", "3600000"])
        try await locked.run(["queue", "declare", "jobs.moved"])
        try await locked.run(["move", "jobs.dead", "jobs.moved", "-n", "1"])
        for command in [["dead", "list"], ["dead", "list", "jobs.dead"], ["dead", "list", "jobs.moved"]] {
            let list = command + ["-o", "csv"]
            let expected = try await locked.run(list).output
            #expect(expected.contains(",jobs,expired,"), "\(expected)")
            #expect(try await locked.run(list, as: "app", password: "pass").output == expected)
        }
        try await locked.run(["dead", "list", "later"], as: "app", password: "pass", status: 1)
    }

    @Test func `who may move messages may do so by condition, replay them and drop them`() async throws {
        let locked = try await locked(tags: [], write: "^later$|^amq\\.fanout$", read: "^jobs\\.dead$")
        for (command, said) in [
            (["move", "jobs.dead", "later", "--where", "size > 0", "-n", "1"], "1 message moved"),
            (["move", "jobs.dead", "--exchange", "amq.fanout", "-n", "1"], "1 message moved"),
            (["dead", "replay", "jobs.dead", "--to", "later", "--limit", "1"], "1 dead letter replayed"),
            (
                ["dead", "replay", "jobs.dead", "--exchange", "amq.fanout", "--limit", "1"],
                "1 dead letter replayed"
            ),
            (["dead", "drop", "jobs.dead", "--limit", "1", "--yes"], "1 dead letter removed"),
        ] {
            let done = try await locked.run(command, as: "app", password: "pass")
            #expect(done.output.hasPrefix(said), "\(command): \(done.output)")
        }
        let home = ["dead", "replay", "jobs.dead"]
        let refused = try await locked.run(home, as: "app", password: "pass", status: 1)
        #expect(refused.errors.contains("write access to queue 'jobs'"), "\(refused.errors)")
    }

    @Test func `who may declare in a virtual host imports into it`() async throws {
        let locked = try await LockedServer()
        try await locked.run(["vhost", "add", "shop"])
        try await locked.run(["user", "add", "app"], new: "pass")
        try await locked.run(["permission", "set", "app", ".*", ".*", ".*", "--vhost", "shop"])
        let definitions = #"{"queues":[{"name":"q","vhost":"shop","durable":true,"arguments":{}}]}"#
        let done = try await locked.run(
            ["import", "-", "--vhost", "shop"], as: "app", password: "pass", input: definitions)
        #expect(done.output == "1 virtual host, 1 queue there\n")
        let other = #"{"vhosts":[{"name":"other"}],"queues":[]}"#
        try await locked.run(
            ["import", "-", "--vhost", "other"], as: "app", password: "pass", input: other, status: 1)
        try await locked.run(["import", "-", "--vhost", "other"], input: other)
        let hosts = try await locked.run(["vhost", "list", "-o", "csv", "--columns", "name"]).output
        #expect(hosts.contains("other\n"))
    }
}
