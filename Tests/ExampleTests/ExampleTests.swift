// Runs each example as its README line says and compares what it prints with the file beside it.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct ExampleTests {
    private static let examples = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "examples")

    private static func expected(_ path: String) throws -> String {
        try String(contentsOf: examples.appending(path: path), encoding: .utf8)
    }

    @Test(arguments: [
        "flights", "embedded-queue", "dead-letters", "retry-and-delay", "nightly", "signup", "thumbnails",
        "workflow",
    ])
    func `an example prints what stands beside it`(name: String) async throws {
        let folder = try TemporaryFolder()
        let result = try await runProgram(name, folder: folder.url)
        let expected = try Self.expected("\(name)/expected.txt")
        #expect(result.output == expected)
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test func `the worker in shell prints what stands beside it`() async throws {
        let expected = try Self.expected("line-client.expected.txt")
        let script = Self.examples.appending(path: "line-client.sh").path()
        let result = try await onOwnThread {
            let folder = try TemporaryFolder()
            let server = try ServerProcess(database: folder.path("line.db"))
            let result = try Program("/bin/bash", [script, "127.0.0.1", "\(server.port)"]).finish()
            _ = server.stop()
            return result
        }
        #expect(result.output == expected)
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test func `flights prints the events of a table that it is given`() async throws {
        let table = Self.examples.appending(path: "flights/flights.csv").path()
        let result = try await runProgram("flights", ["--lines", table])
        let lines = result.output.split(separator: "\n")
        #expect(result.status == 0, "\(result.errors)")
        #expect(lines.count == 1_997)
        let first =
            #"departed.B6.JFK.BOS"# + "\t"
            + #"{"year":2013,"month":7,"day":22,"dep_time":1,"sched_dep_time":2305,"dep_delay":56,"#
            + #""arr_time":135,"sched_arr_time":13,"arr_delay":82,"carrier":"B6","flight":718,"#
            + #""tailnum":"N373JB","origin":"JFK","dest":"BOS","air_time":32,"distance":187,"hour":23,"#
            + #""minute":5,"time_hour":"2013-07-23T03:00:00Z"}"#
        #expect(lines.first.map(String.init) == first)
    }

    @Test func `flights refuses a file that is not the table`() async throws {
        let result = try await runProgram("flights", ["--lines", "-"], input: "a,b\n1,2\n")
        #expect(result.status != 0)
        #expect(result.errors.contains("not the flights table"))
    }

    /// The modules named `module` (a regular expression) whose symbols `program` has.
    private func modules(in program: String, _ module: String) async throws -> Set<String> {
        let path = Program.folder.appending(path: program).path()
        // A mangled symbol has its module's name after the name's length.
        let result = try await runProgram("/usr/bin/env", ["grep", "-aoE", "[0-9]+(\(module))", path])
        return Set(
            result.output.split(separator: "\n").compactMap { found in
                let name = found.drop { $0.isNumber }
                return found.hasPrefix("\(name.count)") ? String(name) : nil
            })
    }

    @Test
    func `a program that embeds the broker links no NIO, no HTTP, no cryptography and no ArgumentParser`()
        async throws
    {
        let unwanted =
            "C?NIO[A-Z][A-Za-z]*|HTTP[A-Za-z0-9]*|FoundationNetworking|ArgumentParser|Leveret(Wire|Server)"
            + "|C?Crypto[A-Za-z]*|SwiftASN1"
        #expect(try await modules(in: "embedded-queue", unwanted) == [])
        #expect(try await modules(in: "embedded-queue", "LeveretCore|Logging") == ["LeveretCore", "Logging"])
        // The same look at the server finds them, so it would have found them above.
        let server = try await modules(in: "leveret", "NIOCore|ArgumentParser|LeveretWire|CryptoExtras")
        #expect(server == ["NIOCore", "ArgumentParser", "LeveretWire", "CryptoExtras"])
    }
}
