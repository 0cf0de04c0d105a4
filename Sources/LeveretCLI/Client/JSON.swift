// JSON as the server's rows and our output need it: fields keep their order and numbers their spelling, which
// Foundation's decoder would lose. Reading is strict; nothing here knows what the fields mean.

/// A value in JSON.
indirect enum JSON: Equatable {
    case null
    case bool(Bool)
    /// As it was spelled.
    case number(String)
    case string(String)
    case array([JSON])
    case object([Field])

    /// A named value of an object.
    struct Field: Equatable {
        var name: String
        var value: JSON
    }

    /// The field called `name`, where this is an object that has it.
    subscript(name: String) -> JSON? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.name == name }?.value
    }

    /// The whole number, where this is one.
    var int: Int? {
        if case .number(let text) = self { Int(text) } else { nil }
    }

    /// The text, where this is text.
    var text: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The value of a whole number.
    static func int(_ value: some FixedWidthInteger) -> JSON { .number(String(value)) }
}

// MARK: - Writing

extension JSON {
    /// One line, without spaces.
    var compact: String {
        var text = ""
        write(into: &text, indent: nil)
        return text
    }

    /// Many lines, indented by two spaces a level.
    var indented: String {
        var text = ""
        write(into: &text, indent: 0)
        return text
    }

    private func write(into text: inout String, indent: Int?) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let spelled): text += spelled
        case .string(let string): JSON.quote(string, into: &text)
        case .array(let values):
            text += "["
            let inner = indent.map { $0 + 2 }
            for (index, value) in values.enumerated() {
                JSON.begin(isFirst: index == 0, indent: inner, into: &text)
                value.write(into: &text, indent: inner)
            }
            JSON.end("]", isEmpty: values.isEmpty, indent: indent, into: &text)
        case .object(let fields):
            text += "{"
            let inner = indent.map { $0 + 2 }
            for (index, field) in fields.enumerated() {
                JSON.begin(isFirst: index == 0, indent: inner, into: &text)
                JSON.quote(field.name, into: &text)
                text += indent == nil ? ":" : ": "
                field.value.write(into: &text, indent: inner)
            }
            JSON.end("}", isEmpty: fields.isEmpty, indent: indent, into: &text)
        }
    }

    /// What stands before a value of a list or an object.
    private static func begin(isFirst: Bool, indent: Int?, into text: inout String) {
        if !isFirst { text += "," }
        if let indent { text += "\n" + String(repeating: " ", count: indent) }
    }

    /// What stands behind the last one.
    private static func end(_ bracket: String, isEmpty: Bool, indent: Int?, into text: inout String) {
        if let indent, !isEmpty { text += "\n" + String(repeating: " ", count: indent) }
        text += bracket
    }

    private static func quote(_ string: String, into text: inout String) {
        text += "\""
        // Nearly every name and body is plain.
        if string.utf8.allSatisfy({ !$0.maySteer && $0 != .quote && $0 != .backslash }) {
            text += string
            text += "\""
            return
        }
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.isSteering:
                let hex = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

// MARK: - Reading

extension JSON {
    /// Reads one value that fills `bytes`; `nil` when that isn't JSON, or nests deeper than 128.
    init?(_ bytes: some Sequence<UInt8>) {
        var reader = JSONReader(bytes: Array(bytes))
        guard let value = try? reader.document() else { return nil }  // the caller says what was unreadable
        self = value
    }
}

extension JSON {
    /// Where `bytes` stop being JSON, as `line 3, column 7`, each from 1; `nil` where they are JSON.
    static func fault(in bytes: [UInt8]) -> String? {
        var reader = JSONReader(bytes: bytes)
        do {
            _ = try reader.document()
            return nil
        } catch {
            let before = bytes[..<min(reader.position, bytes.count)]
            let lineStart = before.lastIndex(of: .lineFeed).map { $0 + 1 } ?? 0
            let line = before.count { $0 == .lineFeed } + 1
            return "line \(line), column \(before.count - lineStart + 1)"
        }
    }
}

private struct JSONReader {
    struct Malformed: Error {}

    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(Malformed) -> JSON {
        let value = try value(depth: 0)
        skipSpace()
        if position < bytes.count { throw Malformed() }
        return value
    }

    private mutating func value(depth: Int) throws(Malformed) -> JSON {
        if depth > 128 { throw Malformed() }
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws(Malformed) -> JSON {
        var fields: [JSON.Field] = []
        position += 1
        skipSpace()
        if take("}") { return .object(fields) }
        repeat {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw Malformed() }
            let name = try string()
            skipSpace()
            guard take(":") else { throw Malformed() }
            fields.append(JSON.Field(name: name, value: try value(depth: depth + 1)))
            skipSpace()
        } while take(",")
        guard take("}") else { throw Malformed() }
        return .object(fields)
    }

    private mutating func array(depth: Int) throws(Malformed) -> JSON {
        var values: [JSON] = []
        position += 1
        skipSpace()
        if take("]") { return .array(values) }
        repeat {
            values.append(try value(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("]") else { throw Malformed() }
        return .array(values)
    }

    private mutating func string() throws(Malformed) -> String {
        position += 1
        let start = position
        while let byte = peek, byte >= 0x20, byte != .quote, byte != .backslash { position += 1 }
        if peek == .quote {
            // Nearly every one has nothing to undo.
            guard let string = String(validating: bytes[start..<position], as: UTF8.self) else {
                throw Malformed()
            }
            position += 1
            return string
        }
        var text = Array(bytes[start..<position])
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else { throw Malformed() }
                return string
            case UInt8(ascii: "\\"): text += try escape()
            case ..<0x20: throw Malformed()
            default: text.append(byte)
            }
        }
        throw Malformed()
    }

    private mutating func escape() throws(Malformed) -> [UInt8] {
        guard let byte = peek else { throw Malformed() }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var code = UInt32(try codeUnit())
            if (0xD800..<0xDC00).contains(code), take("\\"), take("u") {
                let low = UInt32(try codeUnit())
                guard (0xDC00..<0xE000).contains(low) else { throw Malformed() }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw Malformed() }
            return Array(String(Character(scalar)).utf8)
        default: throw Malformed()
        }
    }

    private mutating func codeUnit() throws(Malformed) -> UInt16 {
        guard position + 4 <= bytes.count else { throw Malformed() }
        let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
        guard digits.allSatisfy(\.isHexDigit), let unit = UInt16(digits, radix: 16) else { throw Malformed() }
        position += 4
        return unit
    }

    private mutating func number() throws(Malformed) -> JSON {
        let start = position
        _ = take("-")
        if take("0") {
            if let byte = peek, (0x30...0x39).contains(byte) { throw Malformed() }
        } else {
            try digits()
        }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("-") { _ = take("+") }
            try digits()
        }
        return .number(String(decoding: bytes[start..<position], as: UTF8.self))
    }

    /// One digit or more.
    private mutating func digits() throws(Malformed) {
        let start = position
        while let byte = peek, (0x30...0x39).contains(byte) { position += 1 }
        if position == start { throw Malformed() }
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws(Malformed) -> JSON {
        guard bytes[position...].starts(with: word.description.utf8) else { throw Malformed() }
        position += word.utf8CodeUnitCount
        return value
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let byte = peek, byte == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }
}
