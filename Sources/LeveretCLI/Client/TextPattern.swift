// The text that `grep` looks for: as a condition for the server, and as what is marked in what it finds. Both
// compare alike: byte for byte, or with the letters A to Z like a to z.

/// A literal text to be found.
struct TextPattern: Equatable {
    /// Where a message can be searched.
    enum Field: String, CaseIterable {
        case body
        case headers
        case properties
        case key
        case error

        /// The field holds JSON, in which text is escaped.
        var isJSON: Bool { self == .headers || self == .properties }
    }

    /// Longer texts would not fit into one request.
    static let bytesMax = 1000

    private let text: String
    private let ignoresCase: Bool

    /// A pattern of 1 to 1,000 bytes.
    init(_ text: String, ignoringCase: Bool) {
        self.text = ignoringCase ? text.lowercasedASCII : text
        ignoresCase = ignoringCase
    }

    /// The condition that it stands in one of these fields.
    func condition(in fields: [Field]) -> String {
        fields.map { field in
            let name = ignoresCase ? "lower(\(field.rawValue))" : field.rawValue
            return "instr(\(name), \(SQLText.literal(spelled(in: field)))) > 0"
        }.joined(separator: " OR ")
    }

    /// The first of these fields of a message in which it stands, and that place with a little around it.
    func find(in message: JSON, _ fields: [Field]) -> (field: Field, excerpt: String)? {
        for field in fields {
            let text = Self.text(of: field, message)
            if let range = range(of: spelled(in: field), in: text) {
                return (field, Self.excerpt(of: text, around: range))
            }
        }
        return nil
    }

    /// A line of output with every place marked where it stands.
    func marked(_ line: String) -> String {
        let bytes = Array(line.utf8)
        let shown = text.printable
        guard !shown.isEmpty else { return line }
        var marked = ""
        var start = 0
        while let found = range(of: shown, in: bytes, from: start) {
            marked += String(decoding: bytes[start..<found.lowerBound], as: UTF8.self)
            marked += "\u{1B}[1;31m" + String(decoding: bytes[found], as: UTF8.self) + "\u{1B}[0m"
            start = found.upperBound
        }
        return marked + String(decoding: bytes[start...], as: UTF8.self)
    }

    private func spelled(in field: Field) -> String {
        field.isJSON ? String(JSON.string(text).compact.dropFirst().dropLast()) : text
    }

    private func range(of text: String, in bytes: [UInt8], from start: Int = 0) -> Range<Int>? {
        let wanted = Array(text.utf8)
        guard let first = wanted.first, bytes.count >= wanted.count else { return nil }
        var index = start
        while index + wanted.count <= bytes.count {
            if folded(bytes[index]) == first,
                zip(bytes[index...], wanted).allSatisfy({ folded($0) == $1 })
            {
                return index..<index + wanted.count
            }
            index += 1
        }
        return nil
    }

    private func folded(_ byte: UInt8) -> UInt8 { ignoresCase ? byte.lowercasedASCII : byte }

    private static func text(of field: Field, _ message: JSON) -> [UInt8] {
        switch field {
        case .body: message.bodyBytes
        case .headers, .properties: Array((message[field.rawValue] ?? .null).compact.utf8)
        case .key, .error: Array((message[field.rawValue]?.text ?? "").utf8)
        }
    }

    /// Some thirty bytes on either side, cut between characters.
    private static func excerpt(of bytes: [UInt8], around range: Range<Int>) -> String {
        var start = max(0, range.lowerBound - 30)
        var end = min(bytes.count, range.upperBound + 30)
        while start > 0, start < range.lowerBound, bytes[start] & 0xC0 == 0x80 { start += 1 }
        while end < bytes.count, end > range.upperBound, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return (start > 0 ? "…" : "") + String(decoding: bytes[start..<end], as: UTF8.self)
            + (end < bytes.count ? "…" : "")
    }
}

extension String {
    /// With the letters A to Z made small, as SQLite's `lower` does.
    fileprivate var lowercasedASCII: String { String(decoding: utf8.map(\.lowercasedASCII), as: UTF8.self) }
}

extension UInt8 {
    fileprivate var lowercasedASCII: UInt8 { (0x41...0x5A).contains(self) ? self + 0x20 : self }
}
