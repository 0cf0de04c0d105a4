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
        let lines = queueLines(ready) + workLines(done)
        let dates = Set(flights.map(\.date)).sorted().joined(separator: " and ")
        let fates = Flight.Fate.allCases.map { fate in "\(count { $0.fate == fate }) \(fate.rawValue)" }
        Swift.print("\(flights.count) departures on \(dates): \(fates.joined(separator: ", "))\n")
        Swift.print(row("queue", "holds", "table", "broker"))
        for line in lines {
            let mark = line.expected == line.found ? "" : "  WRONG"
            Swift.print(row(line.queue, line.holds, "\(line.expected)", "\(line.found)") + mark)
        }
        let wrong = lines.count { $0.expected != $0.found }
        Swift.print("\n\(lines.count - wrong) of \(lines.count) counts agree")
        return wrong == 0
    }

    private func queueLines(_ ready: [String: Int]) -> [Line] {
        var lines: [Line] = []
        func add(_ queue: String, _ holds: String, _ expected: Int) {
            lines.append(Line(queue: queue, holds: holds, expected: expected, found: ready[queue] ?? -1))
        }
        for carrier in Set(flights.map(\.carrier)).sorted() {
            add("airline.\(carrier)", "events of the airline", count { $0.carrier == carrier })
        }
        for origin in Set(flights.map(\.origin)).sorted() {
            add("origin.\(origin)", "events at the airport", count { $0.origin == origin })
        }
        add("delays", "more than 60 minutes late", count { $0.fate == .delayed })
        add("cancellations", "cancellations still open", 0)
        add("review", "failed too often", count { $0.fate == .cancelled && !$0.hasAircraft })
        add("desk.EWR", "notices still at the desk", 0)
        add("supervisor", "not served within 30 minutes", count { isNotice($0) && $0.day == "23" })
        return lines
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

    /// What passengers at Newark are told at the desk.
    private func isNotice(_ flight: Flight) -> Bool { flight.origin == "EWR" && flight.fate != .departed }

    private func count(_ condition: (Flight) -> Bool) -> Int { flights.count(where: condition) }

    private func row(_ queue: String, _ holds: String, _ expected: String, _ found: String) -> String {
        let left = queue + String(repeating: " ", count: 15 - queue.count) + holds
        let middle = String(repeating: " ", count: 45 - left.count) + pad(expected)
        return left + middle + pad(found)
    }

    private func pad(_ number: String) -> String {
        String(repeating: " ", count: 8 - number.count) + number
    }
}
