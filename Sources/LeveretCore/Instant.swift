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

    /// Later than any moment that matters: "never".
    public static let distantFuture = Instant(milliseconds: .max)

    /// This moment and `milliseconds` more, or `distantFuture` where that can't be expressed.
    public func advanced(byMilliseconds milliseconds: Int64) -> Instant {
        let (sum, overflow) = self.milliseconds.addingReportingOverflow(milliseconds)
        return overflow ? .distantFuture : Instant(milliseconds: sum)
    }

    /// Orders moments in time.
    public static func < (a: Self, b: Self) -> Bool { a.milliseconds < b.milliseconds }
}
