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
    public static func write(_ table: FieldTable) -> String {
        var text = ""
        write(.table(table), into: &text)
        return text
    }

    /// The value as JSON.
    public static func write(_ value: FieldValue) -> String {
        var text = ""
        write(value, into: &text)
        return text
    }

    /// Appends the value as JSON.
    public static func write(_ value: FieldValue, into text: inout String) {
        switch value {
        case .void: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .int(let value), .timestamp(let value): text += String(value)
        case .double(let value): text += value.isFinite ? value.description : "null"
        case .decimal(let scale, let value): write(decimal: value, scale: Int(scale), into: &text)
        case .string(let value): write(value, into: &text)
        case .bytes(let bytes): write(base64(bytes), into: &text)
        case .array(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                write(value, into: &text)
            }
            text += "]"
        case .table(let table):
            text += "{"
            for (index, field) in table.fields.enumerated() {
                if index > 0 { text += "," }
                write(field.name, into: &text)
                text += ":"
                write(field.value, into: &text)
            }
            text += "}"
        }
    }

    /// Appends a JSON string: quoted, and escaped where JSON asks for it.
    public static func write(_ string: String, into text: inout String) {
        text += "\""
        var start = string.startIndex
        while let place = string.utf8[start...].firstIndex(where: { mustEscape($0) }) {
            text += string[start..<place]
            start = string.utf8.index(after: place)
            switch string.utf8[place] {
            case UInt8(ascii: "\""): text += "\\\""
            case UInt8(ascii: "\\"): text += "\\\\"
            case UInt8(ascii: "\n"): text += "\\n"
            case UInt8(ascii: "\r"): text += "\\r"
            case UInt8(ascii: "\t"): text += "\\t"
            case let byte:
                let hex = String(byte, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            }
        }
        text += string[start...]
        text += "\""
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

    private static func write(decimal value: Int32, scale: Int, into text: inout String) {
        guard scale > 0 else {
            text += String(value)
            return
        }
        let digits = String(value.magnitude)
        let padded = String(repeating: "0", count: max(0, scale + 1 - digits.count)) + digits
        if value < 0 { text += "-" }
        text += padded.dropLast(scale) + "." + padded.suffix(scale)
    }
}
