// Rows as comma-separated values, for `-o csv`. RowPrinter decides when and which columns; here is only how a
// record is written.

/// Comma-separated values (RFC 4180, with LF).
enum CSV {
    /// One record.
    static func line(_ fields: [String]) -> String {
        fields.map(quoted).joined(separator: ",") + "\n"
    }

    /// A value as a field: text as it is, what nests as JSON.
    static func field(_ value: JSON?) -> String {
        switch value {
        case nil, .null: ""
        case .string(let text): text
        case .bool, .number, .array, .object: (value ?? .null).compact
        }
    }

    private static func quoted(_ field: String) -> String {
        let isPlain = field.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: ","), .quote, .lineFeed, 0x0D: false
            default: true
            }
        }
        if isPlain { return field }
        var bytes: [UInt8] = [.quote]
        for byte in field.utf8 {
            if byte == .quote { bytes.append(.quote) }
            bytes.append(byte)
        }
        bytes.append(.quote)
        return String(decoding: bytes, as: UTF8.self)
    }
}
