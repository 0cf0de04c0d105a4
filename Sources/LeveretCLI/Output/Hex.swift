// Bytes in hexadecimal, for `--body hex`: digits in a row of JSON or CSV, a dump for a person. MessagePrinter calls it.
// Base64 is Base64.swift.

/// Bytes in hexadecimal.
enum Hex {
    /// Two digits a byte.
    static func digits(_ bytes: some Collection<UInt8>) -> String {
        bytes.reduce(into: "") { text, byte in text += (byte < 16 ? "0" : "") + String(byte, radix: 16) }
    }

    /// Sixteen bytes a line, with their place before and their characters behind.
    static func dump(_ bytes: [UInt8]) -> String {
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let line = bytes[start..<min(start + 16, bytes.count)]
            let place = String(start, radix: 16)
            let shown = line.map { (0x20..<0x7F).contains($0) ? Character(Unicode.Scalar($0)) : "." }
            text += String(repeating: "0", count: max(0, 8 - place.count)) + place + "  "
            text += line.map { digits([$0]) }.joined(separator: " ").padded(to: 49, right: false)
            text += "|" + String(shown) + "|\n"
        }
        return text
    }
}
