// Numbers and sizes as sentences have them: those of WHY, of alarms, and of the command line. Tables for programs have
// them as they are.

/// Numbers and sizes as a person reads them.
package enum Amount {
    /// `1,234,567`.
    package static func count(_ number: Int) -> String {
        let digits = Array(String(number.magnitude))
        var text = number < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }

    /// `512 B`, `1.5 KiB`, `20 MiB`.
    package static func bytes(_ number: Int) -> String {
        var value = Double(number)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 { return (unit == "B" ? String(number) : decimal(value)) + " " + unit }
            value /= 1024
        }
        return decimal(value) + " TiB"
    }

    /// One digit behind the point, where that isn't 0 and the number is below 10.
    package static func decimal(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return value >= 10 || tenths % 10 == 0 ? count(Int(value.rounded())) : "\(tenths / 10).\(tenths % 10)"
    }
}
