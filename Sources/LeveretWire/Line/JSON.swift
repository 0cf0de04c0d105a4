// JSON for rows and for `json:"…"` headers, without Foundation: a writer into bytes and a small parser.

import LeveretCore

/// Writes JSON into bytes: one value, or an object field by field.
struct JSONWriter {
    /// What was written so far.
    var bytes: [UInt8] = []
    private var needsComma = false

    /// Opens an object.
    mutating func open() {
        bytes.append(.openBrace)
        needsComma = false
    }

    /// Closes the object that is open.
    mutating func close() {
        bytes.append(.closeBrace)
        needsComma = true
    }

    /// Writes a field's name; its value must follow.
    mutating func key(_ name: String) {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
        string(name)
        bytes.append(.colon)
    }

    mutating func field(_ name: String, _ value: String) {
        key(name)
        string(value)
    }

    mutating func field(_ name: String, _ value: some BinaryInteger) {
        key(name)
        bytes.append(contentsOf: String(value).utf8)
    }

    mutating func field(_ name: String, _ value: Bool) {
        key(name)
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }

    /// A rate: one decimal.
    mutating func field(_ name: String, rate: Double) {
        key(name)
        let tenths = rate.isFinite && rate >= 0 && rate < 1e15 ? Int((rate * 10).rounded()) : 0
        bytes.append(contentsOf: "\(tenths / 10).\(tenths % 10)".utf8)
    }

    mutating func field(_ name: String, _ table: FieldTable) {
        key(name)
        value(.table(table))
    }

    mutating func null(_ name: String) {
        key(name)
        bytes.append(contentsOf: "null".utf8)
    }

    /// Writes a string with JSON's escapes.
    mutating func string(_ text: String) {
        bytes.append(.quote)
        for byte in text.utf8 {
            switch byte {
            case .quote, .backslash: bytes.append(contentsOf: [.backslash, byte])
            case .lineFeed: bytes.append(contentsOf: "\\n".utf8)
            case .carriageReturn: bytes.append(contentsOf: "\\r".utf8)
            case 0x09: bytes.append(contentsOf: "\\t".utf8)
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(contentsOf: [digits[Int(byte >> 4)], digits[Int(byte & 15)]])
            default: bytes.append(byte)
            }
        }
        bytes.append(.quote)
    }

    /// Writes a field table's value; bytes become base64 text.
    mutating func value(_ value: FieldValue) {
        switch value {
        case .bool(let bool): bytes.append(contentsOf: (bool ? "true" : "false").utf8)
        case .int(let number), .timestamp(let number): bytes.append(contentsOf: String(number).utf8)
        case .double(let number):
            bytes.append(contentsOf: (number.isFinite ? number.description : "null").utf8)
        case .decimal(let scale, let value): self.value(.double(JSON.double(scale: scale, value: value)))
        case .string(let text): string(text)
        case .bytes(let raw): string(JSON.base64(raw))
        case .void: bytes.append(contentsOf: "null".utf8)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                self.value(value)
            }
            bytes.append(UInt8(ascii: "]"))
        case .table(let table):
            open()
            for field in table.fields {
                key(field.name)
                self.value(field.value)
            }
            close()
        }
        needsComma = true
    }
}

/// Reads JSON.
enum JSON {
    private static let depthMax = 32

    /// The value that `bytes` write, or `nil` where they aren't JSON or nest deeper than 32.
    static func parse(_ bytes: [UInt8]) -> FieldValue? {
        var reader = Reader(bytes: bytes)
        guard let value = reader.value(depth: 0) else { return nil }
        reader.skipSpace()
        return reader.index == bytes.count ? value : nil
    }

    /// AMQP's decimal as a number.
    static func double(scale: UInt8, value: Int32) -> Double {
        var number = Double(value)
        for _ in 0..<scale { number /= 10 }
        return number
    }

    /// Base64 with padding (RFC 4648 §4).
    static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var word = 0
            for offset in 0..<3 { word = word << 8 | (offset < count ? Int(bytes[start + offset]) : 0) }
            for offset in 0..<4 {
                out.append(offset <= count ? alphabet[word >> (18 - 6 * offset) & 63] : .equals)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        mutating func skipSpace() {
            while let byte = peek, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { index += 1 }
        }

        var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

        mutating func take(_ text: StaticString) -> Bool {
            let end = index + text.utf8CodeUnitCount
            let matches = text.withUTF8Buffer { bytes[index..<min(end, bytes.count)].elementsEqual($0) }
            if matches { index = end }
            return matches
        }

        mutating func value(depth: Int) -> FieldValue? {
            guard depth <= depthMax else { return nil }
            skipSpace()
            switch peek {
            case UInt8.openBrace: return object(depth: depth)
            case UInt8(ascii: "["): return array(depth: depth)
            case UInt8.quote: return string().map { .string($0) }
            case UInt8(ascii: "t"): return take("true") ? .bool(true) : nil
            case UInt8(ascii: "f"): return take("false") ? .bool(false) : nil
            case UInt8(ascii: "n"): return take("null") ? .void : nil
            default: return number()
            }
        }

        mutating func object(depth: Int) -> FieldValue? {
            index += 1
            var table = FieldTable()
            skipSpace()
            if take("}") { return .table(table) }
            while true {
                skipSpace()
                guard let name = string(), name.utf8.count <= LineLimits.nameBytesMax else { return nil }
                skipSpace()
                guard take(":"), let value = value(depth: depth + 1) else { return nil }
                table[name] = value
                skipSpace()
                if take("}") { return .table(table) }
                guard take(",") else { return nil }
            }
        }

        mutating func array(depth: Int) -> FieldValue? {
            index += 1
            var values: [FieldValue] = []
            skipSpace()
            if take("]") { return .array(values) }
            while true {
                guard let value = value(depth: depth + 1) else { return nil }
                values.append(value)
                skipSpace()
                if take("]") { return .array(values) }
                guard take(",") else { return nil }
            }
        }

        mutating func number() -> FieldValue? {
            let start = index
            while let byte = peek, byte.digitValue != nil || "+-.eE".utf8.contains(byte) { index += 1 }
            guard let first = bytes[start..<index].first,
                first == UInt8(ascii: "-") || first.digitValue != nil
            else { return nil }
            let text = String(decoding: bytes[start..<index], as: UTF8.self)
            if let number = Int64(text) { return .int(number) }
            guard let number = Double(text), number.isFinite else { return nil }
            return .double(number)
        }

        mutating func string() -> String? {
            guard take("\"") else { return nil }
            var out: [UInt8] = []
            while let byte = peek {
                index += 1
                switch byte {
                case .quote: return String(validating: out, as: UTF8.self)
                case 0..<0x20: return nil
                case .backslash:
                    guard escape(into: &out) else { return nil }
                default: out.append(byte)
                }
            }
            return nil
        }

        private mutating func escape(into out: inout [UInt8]) -> Bool {
            guard let byte = peek else { return false }
            index += 1
            switch byte {
            case .quote, .backslash, UInt8(ascii: "/"): out.append(byte)
            case UInt8(ascii: "n"): out.append(.lineFeed)
            case UInt8(ascii: "r"): out.append(.carriageReturn)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "u"):
                guard var code = hex4() else { return false }
                if code >= 0xD800, code < 0xDC00 {
                    guard take("\\u"), let low = hex4(), low >= 0xDC00, low < 0xE000 else { return false }
                    code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
                }
                guard let scalar = Unicode.Scalar(code) else { return false }
                out.append(contentsOf: String(Character(scalar)).utf8)
            default: return false
            }
            return true
        }

        private mutating func hex4() -> UInt32? {
            var code: UInt32 = 0
            for _ in 0..<4 {
                guard let digit = peek?.hexValue else { return nil }
                code = code << 4 | UInt32(digit)
                index += 1
            }
            return code
        }
    }
}
