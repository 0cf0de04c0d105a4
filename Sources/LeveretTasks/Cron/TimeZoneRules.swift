// What a clock on the wall shows in a time zone: the offset from UTC at any moment. The rules come from the system's
// tz database (TimeZoneFile reads it); Foundation's TimeZone would bring all of ICU into the program.

/// The rules of a time zone: how far its clocks are from UTC, when.
///
/// They are read once, when the value is made; an update of the system's tz database counts from the next start on.
public struct TimeZoneRules: Hashable, Sendable, CustomStringConvertible {
    /// The name in the tz database, such as `Europe/Berlin`.
    public let description: String
    /// The offset before the first transition.
    private let first: Int
    /// In order of time.
    private let transitions: [Transition]
    /// What holds after the last transition.
    private let tail: PosixZone

    /// A change of the offset.
    struct Transition: Hashable, Sendable {
        /// In seconds since 1970: from then on `offset` holds.
        let moment: Int64
        /// In seconds east of UTC.
        let offset: Int
    }

    /// Coordinated Universal Time, which needs no database.
    public static let utc = TimeZoneRules(name: "UTC", first: 0, transitions: [], tail: PosixZone(offset: 0))

    /// The rules of a zone of the tz database, such as `America/New_York`; `UTC` and `GMT` are always there.
    ///
    /// - Throws: a `TimeZoneError` when the system has no such zone.
    public init(named name: String) throws(TimeZoneError) {
        if name == "UTC" || name == "GMT" {
            self = .utc
        } else {
            self = try TimeZoneFile.rules(named: name)
        }
    }

    init(name: String, first: Int, transitions: [Transition], tail: PosixZone) {
        description = name
        self.first = first
        self.transitions = transitions
        self.tail = tail
    }

    /// Seconds east of UTC at a moment, in seconds since 1970.
    func offset(at moment: Int64) -> Int {
        let index = countOfTransitions(until: moment)
        if index == transitions.count, let offset = tail.offset(at: moment, after: transitions.last) {
            return offset
        }
        return index == 0 ? first : transitions[index - 1].offset
    }

    /// The first moment after `moment` at which the offset may change.
    func transition(after moment: Int64) -> Int64? {
        let index = countOfTransitions(until: moment)
        return index < transitions.count ? transitions[index].moment : tail.transition(after: moment)?.moment
    }

    /// The first moment at which a clock shows `wall`, which is seconds since 1970 without an offset. What no clock
    /// shows, because it is skipped, is the moment when it has been skipped.
    func firstMoment(showing wall: Int64) -> Int64 {
        var start = wall - Self.offsetMax
        while true {
            let moment = wall - Int64(offset(at: start))
            if moment < start { return start }
            guard let end = transition(after: start), moment >= end else { return moment }
            start = end
        }
    }

    /// No zone is further from UTC than that.
    private static let offsetMax: Int64 = 26 * 3_600

    /// How many transitions have happened at `moment`.
    private func countOfTransitions(until moment: Int64) -> Int {
        var low = 0
        var high = transitions.count
        while low < high {
            let middle = (low + high) / 2
            if transitions[middle].moment <= moment { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
