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
let all = embeddedCases + orderCases + searchCases + lineCases + growthCases
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
    for one in chosen {
        FileHandle.standardError.write(Data("round \(round): \(one.name)\n".utf8))
        bench.clean()
        do {
            results.add(try await one.run(bench), of: one.name)
        } catch {
            failures += 1
            FileHandle.standardError.write(Data("    failed: \(error)\n".utf8))
        }
    }
}
bench.clean()
print(results.table())
exit(failures == 0 ? 0 : 1)
