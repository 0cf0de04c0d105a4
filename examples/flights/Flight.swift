// One row of the flights table, and the event that is made of it: routing key and JSON. The demo publishes
// these events, and `flights --lines FILE` prints them for `leveret publish EXCHANGE - --lines`.

import Foundation

/// A departure that was planned: it happened, happened late, or was cancelled.
struct Flight: Sendable {
    /// What became of a departure.
    enum Fate: String, CaseIterable {
        /// It left at most 60 minutes late.
        case departed
        /// It left more than 60 minutes late.
        case delayed
        /// It has no departure time.
        case cancelled
    }

    /// The table's columns, in its order.
    static let columns = [
        "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time",
        "arr_delay", "carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour",
        "minute",
        "time_hour",
    ]
    /// Columns that hold text; all others hold whole numbers. `NA` stands for "not known".
    private static let textColumns: Set<Int> = [9, 11, 12, 13, 18]

    /// The row's values, in the order of `columns`.
    private let values: [Substring]

    /// The row of a line, or `nil` if the line has not as many values as there are columns.
    init?(line: Substring) {
        values = line.split(separator: ",", omittingEmptySubsequences: false)
        guard values.count == Self.columns.count else { return nil }
    }

    /// Day of the month.
    var day: Substring { values[2] }
    /// The airline's code.
    var carrier: Substring { values[9] }
    /// The airport it should leave from.
    var origin: Substring { values[12] }
    /// True where an aircraft had been assigned.
    var hasAircraft: Bool { values[11] != "NA" }
    /// The date as people write it.
    var date: String { "\(values[0])-\(pad(values[1]))-\(pad(values[2]))" }

    /// What became of it.
    var fate: Fate {
        if values[3] == "NA" || values[3].isEmpty { return .cancelled }
        return (Int(values[5]) ?? 0) > 60 ? .delayed : .departed
    }

    /// `departed.UA.EWR.IAH`: fate, airline, origin, destination.
    var routingKey: String { "\(fate.rawValue).\(carrier).\(origin).\(values[13])" }

    /// The row as a JSON object, with the columns as names.
    var json: String {
        var text = "{"
        for (index, value) in values.enumerated() {
            if index > 0 { text += "," }
            text += "\"\(Self.columns[index])\":"
            if value == "NA" || value.isEmpty {
                text += "null"
            } else if Self.textColumns.contains(index) {
                text += "\"\(value)\""
            } else {
                text += value
            }
        }
        return text + "}"
    }

    /// The flights of a CSV file with the table's columns; `-` is standard input.
    static func read(_ path: String) throws -> [Flight] {
        let file = path == "-" ? FileHandle.standardInput : FileHandle(forReadingAtPath: path)
        guard let data = try file?.readToEnd() else { throw NotFlights(text: "can't read '\(path)'") }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
        guard let first = lines.first, first.split(separator: ",") == columns.map({ Substring($0) }) else {
            throw NotFlights(text: "'\(path)' is not the flights table: it does not begin with its columns")
        }
        return try lines.dropFirst().enumerated().map { index, line in
            guard let flight = Flight(line: line) else {
                throw NotFlights(text: "line \(index + 2) of '\(path)' has not \(columns.count) values")
            }
            return flight
        }
    }

    private func pad(_ number: Substring) -> String { number.count < 2 ? "0\(number)" : String(number) }
}

/// A file that can't be read as the flights table.
struct NotFlights: Error, CustomStringConvertible {
    /// What is wrong with which file.
    var text: String
    /// The same.
    var description: String { text }
}
