// How bytes, names and numbers are written: in error texts, in replies and in pushes. The inverse of
// LineTokens.

import LeveretCore

/// Writes text for a line.
enum LineText {
    /// Bytes for an error text: control characters and bad UTF-8 replaced, at most 60 characters.
    static func shown(_ bytes: some Sequence<UInt8>) -> String {
        let text = String(decoding: Array(bytes.prefix(240)), as: UTF8.self)
        let clean = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? "?" : $0 }))
        return clean.count > 60 ? clean.prefix(60) + "…" : clean
    }

    /// True where a token of these bytes must be quoted to be read back as itself.
    static func needsQuotes(_ text: String) -> Bool {
        guard let first = text.utf8.first else { return true }
        if first == .hash || first == .colon || first == .openBrace || first == UInt8(ascii: "?") {
            return true
        }
        return text.utf8.contains {
            $0 <= 0x20 || $0 == .quote || $0 == .backslash || $0 == .equals || $0 == 0x7F
        }
    }

    /// Appends an argument: a name, quoted where it must be.
    static func appendName(_ text: String, to out: inout [UInt8]) {
        if needsQuotes(text) { appendQuoted(text.utf8, to: &out) } else { out.append(contentsOf: text.utf8) }
    }

    /// Appends bytes in quotes.
    static func appendQuoted(_ bytes: some Sequence<UInt8>, to out: inout [UInt8]) {
        out.append(.quote)
        for byte in bytes {
            switch byte {
            case .quote, .backslash: out.append(contentsOf: [.backslash, byte])
            case .lineFeed: out.append(contentsOf: "\\n".utf8)
            case 0x09: out.append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7F: appendHex(byte, to: &out)
            default: out.append(byte)
            }
        }
        out.append(.quote)
    }

    /// Appends bytes that aren't UTF-8, in quotes.
    static func appendQuotedRaw(_ bytes: [UInt8], to out: inout [UInt8]) {
        out.append(.quote)
        for byte in bytes {
            if byte.isVisible, byte != .quote, byte != .backslash {
                out.append(byte)
            } else {
                appendHex(byte, to: &out)
            }
        }
        out.append(.quote)
    }

    private static func appendHex(_ byte: UInt8, to out: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        out.append(contentsOf: [
            .backslash, UInt8(ascii: "x"), digits[Int(byte >> 4)], digits[Int(byte & 15)],
        ])
    }

    /// Appends a header's value so that it is read back with its type.
    static func appendValue(_ value: FieldValue, to out: inout [UInt8]) {
        switch value {
        case .bool(let bool): out.append(contentsOf: (bool ? "true" : "false").utf8)
        case .int(let number), .timestamp(let number): out.append(contentsOf: String(number).utf8)
        case .double(let number):
            if number.isFinite {
                out.append(contentsOf: number.description.utf8)
            } else {
                appendQuoted(number.description.utf8, to: &out)
            }
        case .decimal: out.append(contentsOf: JSONText.write(value).utf8)
        case .string(let text): appendString(text, to: &out)
        case .bytes(let bytes): appendQuotedRaw(bytes, to: &out)
        case .void: out.append(contentsOf: "null".utf8)
        case .array, .table:
            out.append(contentsOf: "json:".utf8)
            appendQuoted(JSONText.write(value).utf8, to: &out)
        }
    }

    /// Appends a string so that it isn't taken for a number, a word with a meaning, or JSON.
    static func appendString(_ text: String, to out: inout [UInt8]) {
        let plain = Array(text.utf8)
        let isWord =
            !needsQuotes(text) && !plain.starts(with: "json:".utf8) && LineValue.bare(plain) == .string(text)
        if isWord { out.append(contentsOf: plain) } else { appendQuoted(plain, to: &out) }
    }
}

/// Reads header values.
enum LineValue {
    /// A value without quotes: a number, `true`, `false`, `null`, or a word; `nil` for what isn't UTF-8 and
    /// for a whole number that doesn't fit in 64 bits.
    static func bare(_ bytes: some Collection<UInt8>) -> FieldValue? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        switch text {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null": return .void
        default: break
        }
        guard let first = bytes.first, first.digitValue != nil || first == UInt8(ascii: "-") else {
            return .string(text)
        }
        if let number = Int64(text) { return .int(number) }
        let looksLikeNumber = bytes.dropFirst().allSatisfy {
            $0.digitValue != nil
                || [
                    UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"),
                    UInt8(ascii: "-"),
                ].contains($0)
        }
        let isDecimal = bytes.contains {
            [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains($0)
        }
        if looksLikeNumber, isDecimal, let number = Double(text), number.isFinite { return .double(number) }
        let isTooLong = bytes.count > 1 && bytes.dropFirst().allSatisfy { $0.digitValue != nil }
        return isTooLong ? nil : .string(text)
    }
}
