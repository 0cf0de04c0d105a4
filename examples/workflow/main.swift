// Two days of real departures, counted by a workflow: one job for each airline, and a summary when all of them have
// completed. In the middle of it the program kills itself, starts again, and goes on where it was; in the end all
// counts are compared with those taken straight from the table.
//
// The table is that of examples/flights. The broker's file is in a temporary folder, which is removed at the end.

import Foundation
import Leveret
import LeveretTasks
import Logging

/// What became of departures.
struct Counts: Codable, Hashable, Sendable, CustomStringConvertible {
    var flights = 0
    /// More than an hour late.
    var delayed = 0
    var cancelled = 0

    var description: String { "\(flights) flights, \(delayed) late, \(cancelled) cancelled" }

    mutating func add(_ other: Counts) {
        flights += other.flights
        delayed += other.delayed
        cancelled += other.cancelled
    }
}

/// The table, as far as it is counted.
struct Table: Sendable {
    /// What became of the departures of each airline.
    private(set) var counts: [String: Counts] = [:]
    static let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../flights/flights.csv")

    /// Counts the departures of one airline, or of all.
    init(of airline: String? = nil) throws {
        for line in try String(contentsOf: Self.file, encoding: .utf8).split(separator: "\n").dropFirst() {
            let values = line.split(separator: ",", omittingEmptySubsequences: false)
            guard values.count == 19, airline == nil || values[9] == airline ?? "" else { continue }
            let isCancelled = values[3] == "NA"
            let isDelayed = !isCancelled && (Int(values[5]) ?? 0) > 60
            counts[String(values[9]), default: Counts()].add(
                Counts(flights: 1, delayed: isDelayed ? 1 : 0, cancelled: isCancelled ? 1 : 0))
        }
    }
}

struct CountAirline: Job {
    struct Output: Codable, Sendable {
        var airline: String
        var counts: Counts
    }

    static let name = "count-airline"
    var airline: String
}

/// Runs when all airlines are counted.
struct Summarize: Job {
    static let name = "summarize"
}

/// Runs when one can't be counted.
struct Alert: Job {
    static let name = "alert"
}

/// Enqueues the workflow: all of it, or nothing.
func begin(_ jobs: Jobs, _ airlines: [String]) async throws {
    var flow = Workflow()
    let parts = airlines.map { flow.add(CountAirline(airline: $0)) }
    flow.add(Summarize(), after: parts)
    flow.add(Alert(), after: parts, when: .anyFailed)
    try await jobs.enqueue(flow)
}

/// Prints the summary beside what the table says. Returns whether both agree.
func summarize(_ parts: [CountAirline.Output]) throws -> Bool {
    var total = Counts()
    for part in parts.sorted(by: { $0.airline < $1.airline }) {
        print("  \(part.airline): \(part.counts)")
        total.add(part.counts)
    }
    print("  all: \(total)")
    let table = try Table().counts
    let isRight = table == Dictionary(parts.map { ($0.airline, $0.counts) }) { one, _ in one }
    print(isRight ? "all counts agree with the table" : "the table says \(table)")
    return isRight
}

/// A life of the program: works until the summary is there, or dies at the airline `end`.
func live(_ jobs: Jobs, dyingAt end: String?) async throws -> Bool {
    let (summaries, summary) = AsyncStream.makeStream(of: Bool.self)
    let worker = try JobWorker(jobs, queues: [.default: 1]) { handlers in
        handlers.add(CountAirline.self) { job in
            if job.airline == end { try await die(jobs) }
            let counts = try Table(of: job.airline).counts[job.airline] ?? Counts()
            return .init(airline: job.airline, counts: counts)
        }
        handlers.add(Summarize.self) { _, context in
            summary.yield(try summarize(context.outputs()))
        }
        handlers.add(Alert.self) { _ in print("  an airline could not be counted") }
    }
    return await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await worker.run() }
        var isRight = false
        for await result in summaries {
            isRight = result
            break
        }
        group.cancelAll()
        return isRight
    }
}

/// Ends the process in the middle of a job, when the six before it are written down.
func die(_ jobs: Jobs) async throws {
    while try await jobs.list(.completed).count < 6 { try await Task.sleep(for: .milliseconds(2)) }
    _exit(9)
}

/// The life that dies, in a process of its own.
func liveAndDie(_ file: String) throws {
    let child = Process()
    child.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    child.arguments = [file]
    try child.run()
    child.waitUntilExit()
    print("the program died with \(child.terminationStatus)")
}

/// The broker on the file, silent unless something is wrong.
func open(_ file: String) throws -> Broker {
    var configuration = Broker.Configuration()
    configuration.logger.logLevel = .warning
    return try Broker(.file(file), configuration: configuration)
}

/// One life of the program, or, with a file as its argument, the one that dies.
func runDemo() async throws {
    let airlines = try Table().counts.keys.sorted()
    if let file = CommandLine.arguments.dropFirst().first {
        let jobs = Jobs(try open(file))
        try await begin(jobs, airlines)
        _ = try await live(jobs, dyingAt: airlines[6])
    } else {
        let folder = FileManager.default.temporaryDirectory.appending(path: "workflow-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appending(path: "jobs.db").path()
        print("\(airlines.count) airlines to be counted, and a summary:")
        try liveAndDie(file)
        let broker = try open(file)
        let jobs = Jobs(broker)
        let done = try await jobs.list(.completed).count
        let dependent = try await jobs.list(.dependent).count
        print("it starts again; \(done) are counted, and \(dependent) jobs wait for them all:")
        let isRight = try await live(jobs, dyingAt: nil)
        try await broker.shutdown()
        try? FileManager.default.removeItem(at: folder)  // the system cleans up what is left
        exit(isRight ? 0 : 1)
    }
}

try await runDemo()
