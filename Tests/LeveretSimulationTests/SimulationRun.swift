// One seed or one script from its beginning to its end, and what is left of it when it fails.

import Foundation
import LeveretCore
import LeveretTestSupport

/// A run that broke a promise.
struct Failure: Error, CustomStringConvertible {
    var script: Script
    var violation: String
    /// True where fewer operations than were made fail as well.
    var isShrunk = false

    var description: String {
        let last = Script(header: script.header, operations: script.operations.suffix(30))
        return """
            seed \(script.header.seed) failed at step \(script.operations.count)\(isShrunk ? " (shrunk)" : ""): \
            \(violation)
            \(script.operations.count > 30 ? "its last operations" : "the script"):
            \(last.text)
            """
    }

    /// Writes the whole script to a file that `LEVERET_SIM_SCRIPT` can name; says where it is.
    func written() -> String {
        let name = "leveret-simulation-\(script.header.seed).jsonl"
        let file = FileManager.default.temporaryDirectory.appending(path: name)
        do {
            try Data(script.text.utf8).write(to: file)
            return "replay it with LEVERET_SIM_SCRIPT=\(file.path)"
        } catch {
            return "its script can't be written to \(file.path): \(error)"
        }
    }
}

/// Runs seeds and scripts.
enum SimulationRun {
    /// Makes up a run of so many steps; returns the hash of everything the core did.
    static func seed(
        _ seed: UInt64, steps: Int, vintage: Int = Style.vintage, trace: FileHandle? = nil
    ) throws -> UInt64 {
        var random = SplitMix64(seed: seed)
        let style = Style(using: &random, usesSQLite: seed % 10 == 0, vintage: vintage)
        var script = Script(header: Script.Header(seed: seed, style: style), operations: [])
        trace?.write(Data(script.text.utf8))
        var generator = Generator(style: style, random: random)
        do {
            let simulator = try Simulator(
                seed: seed, style: style, store: try store(for: style), comparesEvery: 4)
            for _ in 0..<steps {
                let operation = generator.next(simulator)
                script.operations.append(operation)
                trace?.write(Data(Script(header: script.header, operations: [operation]).text.utf8))
                try simulator.perform(operation)
            }
            script.operations.append(.settleAll)
            try simulator.perform(.settleAll)
            return simulator.outputHash
        } catch {
            throw Failure(script: script, violation: "\(error)")
        }
    }

    /// Replays a script; `nil` when it does not fail.
    static func replay(_ script: Script, trace: FileHandle? = nil) -> Failure? {
        var played = Script(header: script.header, operations: [])
        do {
            let simulator = try Simulator(
                seed: script.header.seed, style: script.header.style,
                store: try store(for: script.header.style))
            for operation in script.operations {
                played.operations.append(operation)
                trace?.write(Data(Script(header: script.header, operations: [operation]).text.utf8))
                try simulator.perform(operation)
            }
            return nil
        } catch {
            return Failure(script: played, violation: "\(error)")
        }
    }

    /// Leaves out stretches of a failing script, ever shorter ones, as long as it still fails.
    static func shrink(_ failure: Failure, stepsMax: Int = 500_000) -> Failure {
        var best = failure
        var length = max(1, best.script.operations.count / 2)
        var steps = 0
        while length > 0, steps < stepsMax {
            var start = 0
            while start < best.script.operations.count, steps < stepsMax {
                var shorter = best.script
                shorter.operations.removeSubrange(start..<min(start + length, shorter.operations.count))
                steps += shorter.operations.count
                if let again = replay(shorter) {
                    best = again
                    best.isShrunk = true
                } else {
                    start += length
                }
            }
            length /= 2
        }
        return best
    }

    private static func store(for style: Style) throws -> any SimulatedStore {
        style.usesSQLite
            ? try SQLiteStore(rangeRowsMax: style.rangeRowsMax) : ModelStore(rangeRowsMax: style.rangeRowsMax)
    }
}
