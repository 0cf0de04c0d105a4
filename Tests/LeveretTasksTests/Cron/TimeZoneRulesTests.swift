// Offsets and changes of time zones: the tz database as it is read, and the rule for the years it does not list.

import Foundation
import Leveret
import LeveretTestSupport
import Testing

@testable import LeveretTasks

@Suite struct TimeZoneRulesTests {
    private struct Tail: Sendable, CustomTestStringConvertible {
        let rule: String
        /// Seconds since 1970, and the offset in minutes that holds then.
        let offsets: [(Int64, Int)]

        var testDescription: String { rule }
    }

    /// 2050-01-01, -04-01, -07-01 and -11-15, at noon UTC.
    private static let tails = [
        Tail(rule: "UTC0", offsets: [(2_524_651_200, 0)]),
        Tail(rule: "<+0545>-5:45", offsets: [(2_524_651_200, 345), (2_540_289_600, 345)]),
        Tail(rule: "EST5EDT,M3.2.0,M11.1.0", offsets: [(2_524_651_200, -300), (2_540_289_600, -240)]),
        Tail(rule: "CET-1CEST,M3.5.0,M10.5.0/3", offsets: [(2_524_651_200, 60), (2_540_289_600, 120)]),
        Tail(
            rule: "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
            offsets: [(2_524_651_200, 660), (2_540_289_600, 630)]),
        // Ireland's winter is the exception, so it saves in winter, backwards.
        Tail(rule: "IST-1GMT0,M10.5.0,M3.5.0/1", offsets: [(2_524_651_200, 0), (2_540_289_600, 60)]),
        Tail(rule: "AAA3BBB,J60/0,J300/0", offsets: [(2_524_651_200, -180), (2_540_289_600, -120)]),
        Tail(rule: "AAA3BBB,59/-1,299/26", offsets: [(2_524_651_200, -180), (2_540_289_600, -120)]),
    ]

    @Test(arguments: tails)
    private func `a rule of POSIX gives the offset of any year`(tail: Tail) throws {
        let rule = try #require(PosixZone(tail.rule.utf8))
        let zone = TimeZoneRules(name: "test", first: rule.offset, transitions: [], tail: rule)
        for (moment, minutes) in tail.offsets { #expect(zone.offset(at: moment) == minutes * 60) }
    }

    @Test(arguments: [
        "", "E5", "5", "EST", "EST5EDT,", "EST5EDT,M13.1.0,M11.1.0", "EST5EDT,M3.2.0", "<+03-3", "<",
        "EST200", "EST5 ", "EST5EDT,J0,J1", "EST5EDT,M3.2.0,M11.1.0,", "EST5EDT,366,1", "EST5:61",
    ])
    func `what is no rule of POSIX is refused`(text: String) {
        #expect(PosixZone(text.utf8) == nil)
    }

    @Test func `a zone goes on by its rule when its list of changes ends`() throws {
        let zone = try TimeZoneRules(named: "Europe/Berlin")
        // 2099-07-01 and 2099-12-01; Berlin may give up summer time, then this changes with the system's database.
        let summer = zone.offset(at: 4_086_504_000)
        let winter = zone.offset(at: 4_099_723_200)
        #expect([summer, winter] == [7_200, 3_600] || summer == winter)
        #expect(summer == winter || zone.transition(after: 4_086_504_000) != nil)
    }

    @Test func `UTC needs no database and never changes`() throws {
        let zone = try TimeZoneRules(named: "UTC")
        #expect(zone.offset(at: 0) == 0)
        #expect(zone.transition(after: 0) == nil)
    }

    @Test(arguments: [
        "", "Europe/Berln", "Europe", "../../etc/passwd", "/etc/passwd", "Europe/Berlin\0", "tzdata.zi",
        "Köln",
    ])
    func `an unknown zone is refused, and no name leads out of the database`(name: String) {
        let error = #expect(throws: TimeZoneError.self) { try TimeZoneRules(named: name) }
        #expect(error?.name == name)
    }

    private static func file(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(filePath: "/usr/share/zoneinfo/\(name)")))
    }

    @Test func `a file that is cut off anywhere is refused`() throws {
        let bytes = try Self.file("America/New_York")
        #expect(TimeZoneFile.rules(named: "test", in: bytes) != nil)
        for count in 0..<bytes.count {
            #expect(TimeZoneFile.rules(named: "test", in: Array(bytes.prefix(count))) == nil)
        }
    }

    @Test func `a damaged file is refused or read, and does no harm`() throws {
        let bytes = try Self.file("Africa/Casablanca")
        var chance = SplitMix64(seed: 7)
        let expression = try CronExpression("30 2 * * *")
        for _ in 0..<2_000 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...4, using: &chance) {
                damaged[Int.random(in: 0..<damaged.count, using: &chance)] = .random(
                    in: 0...255, using: &chance)
            }
            guard let zone = TimeZoneFile.rules(named: "test", in: damaged) else { continue }
            var moment = Instant(milliseconds: 1_700_000_000_000)
            for _ in 0..<5 {
                guard let next = expression.next(after: moment, in: zone) else { break }
                #expect(next > moment)
                moment = next
            }
        }
    }
}
