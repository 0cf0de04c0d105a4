// A strict reader of JSON text (RFC 8259) for JSONText: one pass, bounded depth, and an error that names
// the place for everything else. Numbers without fraction and exponent are whole numbers.

/// Reads one JSON value from UTF-8.
struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0
    private var count = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The value that the whole text is.
    mutating func document() throws(BrokerError) -> FieldValue {
        let value = try value(depth: 1)
        skipSpace()
        guard position == bytes.count else { throw error("expected the end of the text") }
        return value
    }

    private mutating func value(depth: Int) throws(BrokerError) -> FieldValue {
        skipSpace()
        count += 1
        guard count <= JSONText.valuesMax else {
            throw error("there are more than \(JSONText.valuesMax) values")
        }
        switch peek {
        case UInt8(ascii: "{"): return .table(try object(depth: depth))
        case UInt8(ascii: "["): return .array(try array(depth: depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .void)
        case let byte? where byte == UInt8(ascii: "-") || Self.isDigit(byte): return try number()
        default: throw error("expected a value")
        }
    }

    private mutating func object(depth: Int) throws(BrokerError) -> FieldTable {
        try enter(depth)
        var table = FieldTableBuilder()
        skipSpace()
        if take("}") { return table.table }
        repeat {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw error("expected a name in quotes") }
            let name = try string()
            guard !table.contains(name) else { throw error("the object has this name twice") }
            skipSpace()
            guard take(":") else { throw error("expected ':'") }
            table.set(name, try value(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("}") else { throw error("expected ',' or '}'") }
        return table.table
    }

    private mutating func array(depth: Int) throws(BrokerError) -> [FieldValue] {
        try enter(depth)
        var values: [FieldValue] = []
        skipSpace()
        if take("]") { return values }
        repeat {
            values.append(try value(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("]") else { throw error("expected ',' or ']'") }
        return values
    }

    private mutating func enter(_ depth: Int) throws(BrokerError) {
        guard depth <= JSONText.depthMax else {
            throw error("objects and arrays are nested more than \(JSONText.depthMax) deep")
        }
        position += 1
    }

    private mutating func string() throws(BrokerError) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: text, as: UTF8.self) else {
                    throw error("the string is not UTF-8")
                }
                position += 1
                return text
            case UInt8(ascii: "\\"): text.append(contentsOf: try escape().utf8)
            case 0..<0x20: throw error("a control character must be escaped")
            default:
                text.append(byte)
                position += 1
            }
        }
        throw error("the string has no end")
    }

    private mutating func escape() throws(BrokerError) -> String {
        position += 1
        guard let byte = peek else { throw error("the string has no end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicodeEscape()
        default:
            position -= 1
            throw error("unknown escape")
        }
    }

    private mutating func unicodeEscape() throws(BrokerError) -> String {
        let first = try hexUnit()
        var value = first
        if 0xD800..<0xDC00 ~= first {
            guard take("\\"), take("u") else { throw error("half of a surrogate pair is missing") }
            let second = try hexUnit()
            guard 0xDC00..<0xE000 ~= second else { throw error("half of a surrogate pair is missing") }
            value = 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(value) else {
            throw error("half of a surrogate pair is missing")
        }
        return String(Character(scalar))
    }

    private mutating func hexUnit() throws(BrokerError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80
            else { throw error("expected four hexadecimal digits") }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    private mutating func number() throws(BrokerError) -> FieldValue {
        let start = position
        _ = take("-")
        let whole = position
        try digits()
        guard bytes[whole] != UInt8(ascii: "0") || position == whole + 1 else {
            throw error("a number must not begin with 0")
        }
        var isWhole = true
        if take(".") {
            isWhole = false
            try digits()
        }
        if take("e") || take("E") {
            isWhole = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else { throw error("the number is out of range") }
        return .double(value)
    }

    private mutating func digits() throws(BrokerError) {
        let start = position
        while let byte = peek, Self.isDigit(byte) { position += 1 }
        guard position > start else { throw error("expected a digit") }
    }

    private mutating func word(_ text: String, _ value: FieldValue) throws(BrokerError) -> FieldValue {
        guard bytes[position...].starts(with: text.utf8) else { throw error("expected a value") }
        position += text.utf8.count
        return value
    }

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let byte = peek, byte == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private func error(_ text: String) -> BrokerError {
        BrokerError(.syntaxError, "bad JSON: \(text), at byte \(position) of \(bytes.count)")
    }
}
