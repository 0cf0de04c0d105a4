// Values of options as people write them: times and sizes.

import ArgumentParser

/// A time as `90s`, `5m`, `2h` or `1d`; a number without a unit is none, but 0.
struct TimeArgument: Equatable {
    var milliseconds: Int64

    init(_ argument: String) throws(ValidationError) {
        let units: [(String, Int64)] = [
            ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
        ]
        let unit = units.first { argument.hasSuffix($0.0) } ?? ("", 0)
        guard let number = Int64(argument.dropLast(unit.0.count)), number >= 0, number == 0 || unit.1 > 0
        else {
            throw ValidationError("A time is a number and its unit, ms, s, m, h or d: 90s, 5m, 2h, 1d.")
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit.1)
        if overflow { throw ValidationError("So long a time can't be counted.") }
        milliseconds = product
    }
}

/// A number of bytes as `500M`, `5G` or `5GiB`, in powers of 1024.
struct SizeArgument: ExpressibleByArgument, Equatable {
    var bytes: Int

    init?(argument: String) {
        var text = argument.uppercased()[...]
        for ending in ["IB", "B"] where text.hasSuffix(ending) {
            text = text.dropLast(ending.count)
            break
        }
        var factor = 1
        if let place = ["K", "M", "G", "T"].firstIndex(where: { text.hasSuffix($0) }) {
            factor = 1 << (10 * (place + 1))
            text = text.dropLast()
        }
        guard let number = Int(text), number >= 0 else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        if overflow { return nil }
        bytes = product
    }
}
