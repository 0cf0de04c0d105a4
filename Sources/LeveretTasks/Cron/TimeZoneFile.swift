// Reads a zone of the system's tz database, a file in the format TZif (RFC 9636). Used by TimeZoneRules only.

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

enum TimeZoneFile {
    /// Where systems keep the database.
    private static let folders = ["/usr/share/zoneinfo", "/var/db/timezone/zoneinfo", "/usr/lib/zoneinfo"]
    /// The largest zone has 4 KB.
    private static let bytesMax = 1 << 20

    /// The rules of the zone `name`.
    static func rules(named name: String) throws(TimeZoneError) -> TimeZoneRules {
        // A name leads nowhere outside of the database.
        let isName = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "_"),
                UInt8(ascii: "-"), UInt8(ascii: "+"):
                true
            default: false
            }
        }
        guard isName, !name.isEmpty, !name.hasPrefix("/") else {
            throw unknown(name, "write a name of the tz database, such as Europe/Berlin")
        }
        let content = folders.lazy.compactMap { FileManager.default.contents(atPath: "\($0)/\(name)") }.first
        guard let content, content.count <= bytesMax else {
            let hasDatabase = folders.contains { FileManager.default.fileExists(atPath: $0) }
            throw unknown(
                name,
                hasDatabase
                    ? "the tz database has none of that name; write one such as Europe/Berlin"
                    : "this system has no tz database; install the package tzdata")
        }
        guard let rules = rules(named: name, in: Array(content)) else {
            throw unknown(name, "its file in the tz database can't be read")
        }
        return rules
    }

    private static func unknown(_ name: String, _ reason: String) -> TimeZoneError {
        TimeZoneError(name: name, reason: reason)
    }

    /// The rules in the bytes of a file; `nil` when they are not TZif of version 2 or later.
    static func rules(named name: String, in bytes: [UInt8]) -> TimeZoneRules? {
        // The first part has times of 32 bits, and is passed over for the second.
        var reader = Reader(bytes: bytes)
        guard let short = reader.header(), short.version >= UInt8(ascii: "2"),
            reader.skip(short.size(timeBytes: 4)),
            let counts = reader.header()
        else { return nil }
        let moments = (0..<counts.transitions).compactMap { _ in reader.number(bytes: 8) }
        let kinds = (0..<counts.transitions).compactMap { _ in reader.number(bytes: 1) }
        let offsets = (0..<counts.kinds).compactMap { _ -> Int? in
            guard let offset = reader.number(bytes: 4), reader.skip(2) else { return nil }
            return Int(offset)
        }
        guard moments.count == counts.transitions, kinds.count == counts.transitions,
            let first = offsets.first,
            kinds.allSatisfy({ $0 >= 0 && $0 < offsets.count }),
            zip(moments, moments.dropFirst()).allSatisfy(<),
            offsets.allSatisfy({ abs($0) < 93_600 }), reader.skip(counts.rest(timeBytes: 8)),
            let footer = reader.footer()
        else { return nil }
        let transitions = zip(moments, kinds).map {
            TimeZoneRules.Transition(moment: $0, offset: offsets[Int($1)])
        }
        // Without a rule, what held last holds on.
        let last = transitions.last?.offset ?? first
        guard let tail = footer.isEmpty ? PosixZone(offset: last) : PosixZone(footer) else { return nil }
        return TimeZoneRules(name: name, first: first, transitions: transitions, tail: tail)
    }

    private struct Header {
        var version: UInt8
        var universal: Int
        var standard: Int
        var leaps: Int
        var transitions: Int
        var kinds: Int
        var letters: Int

        /// The bytes of what follows the header.
        func size(timeBytes: Int) -> Int {
            transitions * (timeBytes + 1) + kinds * 6 + rest(timeBytes: timeBytes)
        }

        /// The bytes of what follows the kinds: names, leap seconds, and where the rules came from.
        func rest(timeBytes: Int) -> Int { letters + leaps * (timeBytes + 4) + standard + universal }
    }

    private struct Reader {
        let bytes: [UInt8]
        var place = 0

        mutating func skip(_ count: Int) -> Bool {
            guard count >= 0, count <= bytes.count - place else { return false }
            place += count
            return true
        }

        /// A number of so many bytes, big end first; with one byte it is not negative.
        mutating func number(bytes count: Int) -> Int64? {
            let start = place
            guard skip(count) else { return nil }
            let magnitude = bytes[start..<place].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return count == 4 ? Int64(Int32(truncatingIfNeeded: magnitude)) : Int64(bitPattern: magnitude)
        }

        mutating func header() -> Header? {
            guard bytes[place...].starts(with: Array("TZif".utf8)), skip(4), let version = number(bytes: 1),
                skip(15)
            else { return nil }
            let counts = (0..<6).compactMap { _ in number(bytes: 4).map(Int.init) }
            guard counts.count == 6, counts.allSatisfy({ $0 >= 0 && $0 <= bytes.count }) else { return nil }
            return Header(
                version: UInt8(version), universal: counts[0], standard: counts[1], leaps: counts[2],
                transitions: counts[3], kinds: counts[4], letters: counts[5])
        }

        /// What stands between two line feeds at the end.
        func footer() -> ArraySlice<UInt8>? {
            guard bytes.count - place >= 2, bytes[place] == 10, bytes.last == 10 else { return nil }
            return bytes[(place + 1)..<(bytes.count - 1)]
        }
    }
}
