// The load of `bench`: what it counts, and that it leaves nothing behind.

import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct LatencyHistogramTests {
    @Test func `any duration is known to 3 percent`() {
        var value: UInt64 = 1
        while value < 1 << 62 {
            for value in [value, value + value / 3, value * 2 - 1] {
                var histogram = LatencyHistogram()
                histogram.record(value)
                histogram.record(.max)
                let found = histogram.quantile(0.5)
                #expect(found >= value && Double(found) <= Double(value) * 1.04, "\(value) became \(found)")
            }
            value *= 2
        }
    }

    @Test func `quantiles and doublings count what was recorded`() {
        var histogram = LatencyHistogram()
        #expect(histogram.quantile(0.5) == 0 && histogram.doublings.isEmpty)
        for value in 1...1000 { histogram.record(UInt64(value)) }
        #expect(
            abs(Int(histogram.quantile(0.5)) - 500) <= 16 && abs(Int(histogram.quantile(0.99)) - 990) <= 32)
        #expect(histogram.quantile(1) == 1000 && histogram.max == 1000 && histogram.count == 1000)
        #expect(histogram.doublings.map(\.below) == [32, 64, 128, 256, 512, 1024])
        #expect(histogram.doublings.map(\.count) == [31, 32, 64, 128, 256, 489])
        var both = histogram
        both.add(histogram)
        #expect(both.count == 2000 && both.quantile(0.5) == histogram.quantile(0.5))
    }
}

@Suite struct BenchTests {
    private let columns = ["-o", "csv", "--columns", "side,messages"]

    @Test func `every message is confirmed and delivered, and the queue is gone at the end`() async throws {
        let shell = try Shell()
        let bench = try await shell.run(
            [
                "bench", "--messages", "3000", "--producers", "3", "--consumers", "2", "--durable", "--size",
                "8",
            ] + columns)
        #expect(bench.output == "side,messages\npublish,3000\ndeliver,3000\n")
        let one = try await shell.run(["bench", "--messages", "100", "--prefetch", "1"] + columns)
        #expect(one.output == "side,messages\npublish,100\ndeliver,100\n")
        let none = try await shell.run(["bench", "--messages", "100", "--consumers", "0"] + columns)
        #expect(none.output == "side,messages\npublish,100\n")
        #expect(try await shell.run(["queues", "-o", "csv", "--columns", "name"]).output == "name\n")
    }

    @Test func `the table has rates and latencies, and a picture of them`() async throws {
        let shell = try Shell()
        let bench = try await shell.run(["bench", "--messages", "500"])
        #expect(bench.output.contains("p99_us") && bench.output.contains("publish to confirm\n  < "))
        #expect(bench.output.contains("publish to delivery\n  < ") && bench.output.contains("#"))
        let json = try await shell.run(["bench", "--seconds", "1", "-o", "json", "--size", "1000"])
        let rows = json.output.split(separator: "\n").compactMap { JSON($0.utf8) }
        #expect(rows.count == 2)
        for row in rows {
            #expect((row["rate"]?.int ?? 0) > 0 && (row["max_us"]?.int ?? 0) >= (row["p50_us"]?.int ?? 1))
            guard case .array(let buckets)? = row["histogram"] else { return #expect(Bool(false)) }
            #expect(!buckets.isEmpty)
        }
    }

    @Test func `Ctrl-C ends it in good order`() async throws {
        let shell = try Shell()
        let result = try await onOwnThread { [port = shell.server.port, environment = shell.environment] in
            let program = try Program(
                "leveret", ["bench", "--seconds", "600", "-o", "csv"], environment: environment)
            let socket = try LineSocket(port: port)
            while true {
                let status = try socket.ask("STAT").line
                _ = try socket.waitForNext()  // OK 1
                if status.contains(#""consumers":1"#), !status.contains(#""acked":0"#) { break }
            }
            program.kill(2)
            return program.finish()
        }
        #expect(result.status == 2)  // the signal
        #expect(result.output.hasPrefix("side,messages,"))
        #expect(try await shell.run(["queues", "-o", "csv", "--columns", "name"]).output == "name\n")
    }

    @Test func `bad input is refused before anything is sent`() async throws {
        for arguments in [
            ["--size", "7"], ["--producers", "0"], ["--consumers", "257"], ["--messages", "0"],
            ["--seconds", "0"],
            ["--prefetch", "65536"], ["--messages", "1", "--seconds", "1"],
        ] { #expect(try await leveret(["bench"] + arguments).status == 2) }
        #expect(try await leveret(["bench", "--url", "leveret://127.0.0.1:1"]).status == 3)
        let shell = try Shell(["--max-body", "100"])
        #expect(try await shell.run(["bench", "--size", "101"], status: 1).errors.contains("--max-body"))
    }
}
