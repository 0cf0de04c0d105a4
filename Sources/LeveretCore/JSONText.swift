// Field values as JSON text (RFC 8259), for people, for the line protocol and for the column `deaths`.
// The writer never fails; the strict reader is JSONParser.

/// Writes and reads field values as JSON text.
///
/// JSON has fewer types than AMQP, so bytes become a string of base64, decimals and timestamps become
/// numbers, and a double that isn't finite becomes null. What the reader makes of a text is `void`, `bool`,
/// `int` (whole numbers of 64 bits), `double`, `string`, `array` or `table`.
public enum JSONText {
    /// How deep the reader lets objects and arrays stand in each other.
    public static let depthMax = 32
    /// Values of one text, those within others among them.
    public static let valuesMax = 65_536

    /// The table as a JSON object, its fields in order.
    public static func write(_ table: FieldTable) -> String { write(.table(table)) }

    /// The value as JSON.
    public static func write(_ value: FieldValue) -> String {
        String(decoding: bytes(of: value), as: UTF8.self)
    }

    /// The value as JSON, in UTF-8.
    package static func bytes(of value: FieldValue) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(128)
        append(value, to: &bytes)
        return bytes
    }

    /// Appends the value as JSON, in UTF-8.
    public static func append(_ value: FieldValue, to bytes: inout [UInt8]) {
        switch value {
        case .void: append(plain: "null", to: &bytes)
        case .bool(let value): append(plain: value ? "true" : "false", to: &bytes)
        case .int(let value), .timestamp(let value): append(plain: String(value), to: &bytes)
        case .double(let value): append(plain: value.isFinite ? value.description : "null", to: &bytes)
        case .decimal(let scale, let value):
            append(plain: text(decimal: value, scale: Int(scale)), to: &bytes)
        case .string(let value): append(value, to: &bytes)
        case .bytes(let value): append(base64(value), to: &bytes)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                append(value, to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .table(let table):
            bytes.append(UInt8(ascii: "{"))
            for (index, field) in table.fields.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                append(field.name, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                append(field.value, to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// Appends a JSON string: quoted, and escaped where JSON asks for it.
    public static func append(_ string: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        var string = string
        string.withUTF8 { text in
            // Nearly every one is plain.
            guard text.contains(where: mustEscape) else { return bytes.append(contentsOf: text) }
            for byte in text {
                if mustEscape(byte) { escape(byte, to: &bytes) } else { bytes.append(byte) }
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Appends what is JSON already.
    public static func append(plain string: String, to bytes: inout [UInt8]) {
        var string = string
        string.withUTF8 { bytes.append(contentsOf: $0) }
    }

    private static func escape(_ byte: UInt8, to bytes: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""): append(plain: "\\\"", to: &bytes)
        case UInt8(ascii: "\\"): append(plain: "\\\\", to: &bytes)
        case UInt8(ascii: "\n"): append(plain: "\\n", to: &bytes)
        case UInt8(ascii: "\r"): append(plain: "\\r", to: &bytes)
        case UInt8(ascii: "\t"): append(plain: "\\t", to: &bytes)
        default:
            let hex = String(byte, radix: 16)
            append(plain: "\\u" + String(repeating: "0", count: 4 - hex.count) + hex, to: &bytes)
        }
    }

    private static func mustEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7F
    }

    /// The value that `text` is. Throws 502, naming the place, for text that isn't one JSON value, for a
    /// name that an object has twice, for a number beyond a double, for nesting beyond `depthMax`, and for more
    /// values than `valuesMax`.
    public static func read(_ text: String) throws(BrokerError) -> FieldValue {
        var parser = JSONParser(Array(text.utf8))
        return try parser.document()
    }

    /// The table that `text` is. Throws 502 for what `read` refuses and for a value that isn't an object.
    public static func readTable(_ text: String) throws(BrokerError) -> FieldTable {
        guard case .table(let table) = try read(text) else {
            throw BrokerError(.syntaxError, "the JSON text is not an object")
        }
        return table
    }

    /// Bytes as base64 (RFC 4648 §4), padded.
    public static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let left = min(3, bytes.count - start)
            var bits = 0
            for offset in 0..<3 { bits = bits << 8 | (offset < left ? Int(bytes[start + offset]) : 0) }
            for digit in 0..<4 {
                out.append(digit <= left ? digits[bits >> (18 - 6 * digit) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func text(decimal value: Int32, scale: Int) -> String {
        guard scale > 0 else { return String(value) }
        let digits = String(value.magnitude)
        let padded = String(repeating: "0", count: max(0, scale + 1 - digits.count)) + digits
        return (value < 0 ? "-" : "") + padded.dropLast(scale) + "." + padded.suffix(scale)
    }
}
