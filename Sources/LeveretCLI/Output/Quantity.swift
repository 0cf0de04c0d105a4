// Numbers and durations as a person reads them. Column uses it for the cells of tables, and Progress for its
// line; JSON and CSV never do.

import LeveretCore

/// Numbers as a person reads them.
enum Quantity {
    /// `1,234,567`.
    static func count(_ number: Int) -> String { Amount.count(number) }

    /// `512 B`, `1.5 KiB`, `20 MiB`.
    static func bytes(_ number: Int) -> String { Amount.bytes(number) }

    /// `0`, `0.4`, `1,250`; `-` for what no rate can be.
    static func rate(_ number: Double) -> String {
        guard (0..<1e15).contains(number) else { return "-" }
        return number < 10 ? Amount.decimal(number) : count(Int(number.rounded()))
    }

    /// `now`, `12s ago`, `3h 5m ago`, `in 20s`.
    static func age(milliseconds: Int64) -> String {
        if milliseconds.magnitude < 1000 { return "now" }
        let text = duration(seconds: Int(milliseconds.magnitude / 1000))
        return milliseconds < 0 ? "in \(text)" : "\(text) ago"
    }

    /// The two largest units: `12s`, `3h 5m`, `2d 1h`.
    static func duration(seconds: Int) -> String {
        let parts = [
            (seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ]
        guard let first = parts.firstIndex(where: { $0.0 > 0 }) else { return "0s" }
        return parts[first...].prefix(2).filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined(separator: " ")
    }

    /// The two largest units; below a second `400ms`.
    static func duration(milliseconds: Int64) -> String {
        milliseconds < 1000 ? "\(milliseconds)ms" : duration(seconds: Int(milliseconds / 1000))
    }

    /// Seconds with up to three digits behind the point, as programs read them.
    static func seconds(_ milliseconds: Int64) -> String {
        let rest = String(1000 + milliseconds % 1000).dropFirst()
        return rest == "000" ? String(milliseconds / 1000) : "\(milliseconds / 1000).\(rest)"
    }
}

extension Int {
    /// The sum, or the largest number where that is larger still: what a server counts may be any number.
    func adding(_ other: Int) -> Int {
        let (sum, isTooLarge) = addingReportingOverflow(other)
        return isTooLarge ? (other > 0 ? .max : .min) : sum
    }
}
