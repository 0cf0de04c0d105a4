// Text as a terminal shows it: how many columns it takes, and without what could steer the terminal.

extension String {
    /// The text with control characters, and those that turn the writing direction, spelled out: what a message
    /// says can't move the cursor or hide a line.
    var printable: String {
        if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return self }
        var text = ""
        for scalar in unicodeScalars {
            switch scalar.value {
            case 0x0A: text += "\\n"
            case 0x0D: text += "\\r"
            case 0x09: text += "\\t"
            case _ where scalar.isSteering: text += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// Columns that a terminal uses for it.
    var columns: Int {
        if utf8.allSatisfy({ $0 < 0x80 }) { return utf8.count }
        return reduce(0) { $0 + $1.columns }
    }

    /// As much of it as fits, ended by `…` where that isn't all.
    func clipped(to columnsMax: Int) -> String {
        if columns <= columnsMax { return self }
        var text = ""
        var used = 1
        for character in self {
            used += character.columns
            if used > columnsMax { break }
            text.append(character)
        }
        return columnsMax > 0 ? text + "…" : ""
    }

    /// Filled up with spaces to so many columns.
    func padded(to width: Int, right: Bool) -> String {
        let space = String(repeating: " ", count: max(0, width - columns))
        return right ? space + self : self + space
    }
}

extension Character {
    /// 2 for the wide scripts and pictures, else 1.
    fileprivate var columns: Int {
        guard let first = unicodeScalars.first?.value else { return 0 }
        switch first {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
            0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}

extension Unicode.Scalar {
    /// True for what could steer a terminal: control characters, and those that turn the writing direction.
    var isSteering: Bool {
        switch value {
        case ..<0x20, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}

extension UInt8 {
    /// True for what may begin such a character in UTF-8.
    var maySteer: Bool { self < 0x20 || self == 0x7F || self == 0xC2 || self == 0xE2 }
}
