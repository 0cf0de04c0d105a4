// The broker's time. The core never reads a clock: every input that needs the time brings it.

/// A moment, in milliseconds since 1970 on the wall clock as it stood when the broker opened, moving on
/// monotonically from there: a jump of the wall clock counts at the next open only.
///
/// The database stores `milliseconds` as it is.
public struct Instant: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public var milliseconds: Int64

    /// The moment this many milliseconds after 1970.
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// A moment written as its milliseconds.
    public init(integerLiteral value: Int64) { milliseconds = value }

    /// Before any moment that matters.
    static let distantPast = Instant(milliseconds: .min)

    /// Later than any moment that matters: "never".
    public static let distantFuture = Instant(milliseconds: .max)

    /// A moment as a file has it, kept within 142,000 years of 1970: nothing that reckons with it can overflow.
    package init(stored milliseconds: Int64) {
        self.milliseconds = min(max(milliseconds, -Self.farthest), Self.farthest)
    }

    private static let farthest: Int64 = 1 << 52

    /// This moment and `milliseconds` more, or `distantFuture` where that can't be expressed.
    public func advanced(byMilliseconds milliseconds: Int64) -> Instant {
        let (sum, overflow) = self.milliseconds.addingReportingOverflow(milliseconds)
        return overflow ? .distantFuture : Instant(milliseconds: sum)
    }

    /// Orders moments in time.
    public static func < (a: Self, b: Self) -> Bool { a.milliseconds < b.milliseconds }
}

extension Instant {
    /// `2026-01-31T09:05:00.250Z`; beyond 142,000 years from 1970, the last moment within.
    public var iso8601: String {
        let milliseconds = Int(Instant(stored: milliseconds).milliseconds)
        let day = (milliseconds >= 0 ? milliseconds : milliseconds - 86_399_999) / 86_400_000
        let inDay = milliseconds - day * 86_400_000
        // Days to a civil date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthShifted = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * monthShifted + 2) / 5 + 1
        let month = monthShifted < 10 ? monthShifted + 3 : monthShifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let yearDigits = max(4, String(year.magnitude).utf8.count)
        return String(unsafeUninitializedCapacity: 21 + yearDigits) { text in
            var place = 0
            func put(_ byte: UInt8) {
                text[place] = byte
                place += 1
            }
            func put(_ number: Int, width: Int, then byte: Unicode.Scalar) {
                var rest = number
                for digit in stride(from: place + width - 1, through: place, by: -1) {
                    text[digit] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                    rest /= 10
                }
                place += width
                put(UInt8(ascii: byte))
            }
            if year < 0 { put(UInt8(ascii: "-")) }
            put(abs(year), width: yearDigits, then: "-")
            put(month, width: 2, then: "-")
            put(dayOfMonth, width: 2, then: "T")
            put(inDay / 3_600_000, width: 2, then: ":")
            put(inDay / 60_000 % 60, width: 2, then: ":")
            put(inDay / 1000 % 60, width: 2, then: ".")
            put(inDay % 1000, width: 3, then: "Z")
            return place
        }
    }
}
