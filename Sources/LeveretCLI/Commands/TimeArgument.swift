// A time on the command line, with its unit.

import ArgumentParser

/// A time as `90s`, `5m`, `2h` or `1d`; a bare number is seconds.
struct TimeArgument: ExpressibleByArgument, Equatable {
    var milliseconds: Int64

    init?(argument: String) {
        let units: [(String, Int64)] = [
            ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
        ]
        let unit = units.first { argument.hasSuffix($0.0) }
        let digits = unit.map { argument.dropLast($0.0.count) } ?? argument[...]
        guard let number = Int64(digits), number >= 0 else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit?.1 ?? 1000)
        if overflow { return nil }
        milliseconds = product
    }
}
