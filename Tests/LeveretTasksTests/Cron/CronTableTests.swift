// Holds cron expressions against instants.txt, which instants.py makes from Python's cronsim and croniter and from a
// definition of its own.

import Foundation
import Leveret
import LeveretTasks
import Testing

@Suite struct CronTableTests {
    private struct Row: Sendable, CustomTestStringConvertible {
        let zone: String
        let expression: String
        let start: String
        let instants: [String]

        var testDescription: String { "\(expression) in \(zone) after \(start)" }
    }

    private static let table: [Row] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "instants.txt")
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map { line in
            let columns = line.split(separator: "\t").map(String.init)
            return Row(
                zone: columns[0], expression: columns[1], start: columns[2], instants: Array(columns[3...]))
        }
    }()

    private static func instant(_ text: String) throws -> Instant {
        let date = try Date(text.replacing("Z", with: ":00Z"), strategy: .iso8601)
        return Instant(milliseconds: Int64(date.timeIntervalSince1970) * 1_000)
    }

    @Test func `the table is there`() { #expect(Self.table.count > 300) }

    @Test(arguments: table)
    private func `an expression happens when cronsim and croniter say`(row: Row) throws {
        let expression = try CronExpression(row.expression)
        let zone = try TimeZoneRules(named: row.zone)
        var moment = try Self.instant(row.start)
        for expected in row.instants {
            moment = try #require(expression.next(after: moment, in: zone))
            #expect(moment == (try Self.instant(expected)), "\(moment.iso8601), not \(expected)")
        }
    }

    @Test(arguments: table)
    private func `an expression seen from any moment before an instant leads to it`(row: Row) throws {
        let expression = try CronExpression(row.expression)
        let zone = try TimeZoneRules(named: row.zone)
        let before = try row.instants.dropLast().map(Self.instant)
        let after = try row.instants.dropFirst().map(Self.instant)
        for (before, after) in zip(before, after) {
            let middle = Instant(milliseconds: (before.milliseconds + after.milliseconds) / 2)
            let justBefore = after.advanced(byMilliseconds: -1)
            for moment in [before, middle, justBefore] {
                #expect(expression.next(after: moment, in: zone) == after)
            }
        }
    }
}
