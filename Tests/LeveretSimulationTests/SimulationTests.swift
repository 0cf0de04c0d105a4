// Runs seeds: those that failed once and are kept, and a share of others at every test run. From the
// environment: LEVERET_SIM_SEEDS says how many, LEVERET_SIM_STEPS how long, LEVERET_SIM_FIRST from which on;
// LEVERET_SIM_SCRIPT names a script to replay instead; LEVERET_SIM_TRACE a file that gets each operation
// before it is carried out, for a seed that ends the process.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct SimulationTests {
    private static let environment = ProcessInfo.processInfo.environment

    private static func number(_ name: String, default value: Int) -> Int {
        environment[name].flatMap { Int($0) } ?? value
    }

    private static let steps = number("LEVERET_SIM_STEPS", default: 10_000)
    private static let first = number("LEVERET_SIM_FIRST", default: 1)
    /// Two shares, as many as the machine is sure to have cores.
    private static let shares = [0, 1]
    private static var seeds: [UInt64] {
        (first..<first + number("LEVERET_SIM_SEEDS", default: 50)).map { UInt64($0) }
    }

    /// A trace is of one seed at a time.
    private static func trace() -> FileHandle? {
        guard let path = environment["LEVERET_SIM_TRACE"] else { return nil }
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        return FileHandle(forWritingAtPath: path)
    }

    private func check(_ seed: UInt64, steps: Int = Self.steps, vintage: Int = Style.vintage) {
        do {
            _ = try SimulationRun.seed(seed, steps: steps, vintage: vintage, trace: Self.trace())
        } catch let failure as Failure {
            let shrunk = SimulationRun.shrink(failure)
            Issue.record("\(shrunk)\(shrunk.written())")
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test(arguments: shares) func `core and store keep every promise of the reference model`(share: Int) {
        guard Self.environment["LEVERET_SIM_SCRIPT"] == nil else { return }
        for seed in Self.seeds where Int(seed) % Self.shares.count == share { check(seed) }
    }

    /// A line of Seeds.txt: a seed that failed once, how long to run it, the vintage of the generator that found it.
    struct KeptSeed: CustomTestStringConvertible {
        let seed: UInt64
        let steps: Int
        let vintage: Int
        let found: String
        var testDescription: String { "\(seed): \(found)" }

        static func all() throws -> [KeptSeed] {
            let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Seeds.txt")
            let text = try String(contentsOf: file, encoding: .utf8)
            return try text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
                let words = line.split(separator: " ", maxSplits: 3)
                guard words.count == 4, let seed = UInt64(words[0]), let steps = Int(words[1]),
                    let vintage = Int(words[2])
                else { throw Violation("not a seed, its steps, its vintage and what it found: \(line)") }
                return KeptSeed(seed: seed, steps: steps, vintage: vintage, found: String(words[3]))
            }
        }
    }

    @Test(arguments: try KeptSeed.all()) func `seeds that failed once stay fixed`(kept: KeptSeed) {
        guard Self.environment["LEVERET_SIM_SCRIPT"] == nil else { return }
        check(kept.seed, steps: kept.steps, vintage: kept.vintage)
    }

    @Test func `a seed run twice gives the same outputs`() throws {
        for seed in Self.seeds.prefix(3) {
            let steps = min(2000, Self.steps)
            let once = try SimulationRun.seed(seed, steps: steps)
            #expect(try SimulationRun.seed(seed, steps: steps) == once)
        }
    }

    @Test func `a script can be read back`() throws {
        var random = SplitMix64(seed: 1)
        let style = Style(using: &random, usesSQLite: false)
        let script = Script(
            header: Script.Header(seed: 1, style: style),
            operations: [.open(session: 1), .call(session: 1, .purge(queue: "q0")), .crash(commits: true)])
        #expect(try Script(text: script.text).operations == script.operations)
    }

    @Test func `the script that the environment names is replayed`() throws {
        guard let path = Self.environment["LEVERET_SIM_SCRIPT"] else { return }
        let script = try Script(text: String(contentsOfFile: path, encoding: .utf8))
        if let failure = SimulationRun.replay(script, trace: Self.trace()) { Issue.record("\(failure)") }
    }
}
