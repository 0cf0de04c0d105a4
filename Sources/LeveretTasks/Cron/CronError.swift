// What is wrong with the text of a schedule, and where in it; and with the name of a time zone.

/// A cron expression or the name of a time zone that makes no sense.
public struct CronError: Error, Hashable, CustomStringConvertible {
    /// The text as it was given.
    public let text: String
    /// Where in `text` the mistake begins: 0 is its first character.
    public let position: Int
    /// What is wrong, and what would be right.
    public let reason: String

    /// One sentence: `cron expression '0 25 * * *', character 3: hour 25 is not one of 0–23`.
    public var description: String { "cron expression '\(text)', character \(position + 1): \(reason)" }

    /// The text, and below it a caret under the mistake.
    public var marked: String { text + "\n" + String(repeating: " ", count: position) + "^" }
}

/// A time zone that this system does not know.
public struct TimeZoneError: Error, Hashable, CustomStringConvertible {
    /// The name as it was given.
    public let name: String
    /// What is wrong, and what to do.
    public let reason: String

    /// One sentence: `time zone 'Berlin' is not known: …`.
    public var description: String { "time zone '\(name)' is not known: \(reason)" }
}
