// Bytes in base64 and back, without Foundation. Rows carry bodies in it that are no text: `get` writes such
// rows, and MessagePrinter reads them back.

/// Bytes as text (RFC 4648 §4), as rows carry bodies that aren't UTF-8.
enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )

    /// The bytes that `text` stands for, or `nil` where it isn't base64.
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits = 0
        var bitCount = 0
        for character in text.utf8 where character != UInt8(ascii: "=") {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            bits = (bits << 6 | value) & 0xFFF
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
            }
        }
        return bytes
    }

    /// Bytes as text.
    static func encode(_ bytes: [UInt8]) -> String {
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[start..<min(start + 3, bytes.count)]
            let word = part.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - part.count))
            for index in 0..<4 {
                let digit = alphabet[word >> (18 - 6 * index) & 63]
                text.append(index <= part.count ? Character(Unicode.Scalar(digit)) : "=")
            }
        }
        return text
    }
}
