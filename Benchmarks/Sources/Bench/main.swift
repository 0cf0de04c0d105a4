// Runs the cases whose names contain one of the given words, or all, and prints a table of medians. Called
// by `Benchmarks/run`, which builds the server and names it in LEVERET_PROGRAM.

import Foundation

let environment = ProcessInfo.processInfo.environment
guard let program = environment["LEVERET_PROGRAM"], let folder = environment["LEVERET_BENCH_FOLDER"] else {
    print("LEVERET_PROGRAM and LEVERET_BENCH_FOLDER must be set; use Benchmarks/run")
    exit(2)
}
let rounds = environment["ROUNDS"].flatMap { Int($0) } ?? 3
let words = CommandLine.arguments.dropFirst()
let all =
    embeddedCases + orderCases + featureCases + searchCases + jobCases + lineCases + growthCases
    + (environment["LEVERET_OTHER"].map { [against($0)] } ?? [])
let chosen = words.isEmpty ? all : all.filter { one in words.contains { one.name.contains($0) } }
guard !chosen.isEmpty else {
    print("no case is called so; there are:")
    for one in all { print("    \(one.name)") }
    exit(2)
}

let bench = Workbench(folder: folder, program: program)
var results = Results()
var failures = 0
for round in 1...max(1, rounds) {
    for one in chosen where round == 1 || !one.isLong {
        FileHandle.standardError.write(Data("round \(round): \(one.name)\n".utf8))
        bench.clean()
        do {
            let found = try await one.run(bench)
            results.add(found, of: one.name)
            // In case it doesn't come to the table.
            let lines = found.map { "    \($0.name): \($0.text)\n" }.joined()
            FileHandle.standardError.write(Data(lines.utf8))
        } catch {
            failures += 1
            FileHandle.standardError.write(Data("    failed: \(error)\n".utf8))
        }
    }
}
bench.clean()
print(results.table())
exit(failures == 0 ? 0 : 1)
