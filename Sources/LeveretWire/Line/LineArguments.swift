// The arguments and options of one request, checked against its verb's table: how many there are, which are
// known, that none stands twice, and that numbers and names are within their ranges.

import LeveretCore

/// What stands behind a verb.
struct LineArguments {
    let verb: LineVerb
    /// In order, as many as the verb takes.
    private(set) var positional: [LineToken] = []
    /// `h.NAME=value`.
    private(set) var headers = FieldTable()
    /// `x-NAME=value`.
    private(set) var extra = FieldTable()
    private var options: [String: Value] = [:]

    private enum Value {
        case flag
        case bytes([UInt8])
    }

    /// Sorts the tokens behind `verb`.
    init(_ verb: LineVerb, _ tokens: ArraySlice<LineToken>) throws(BrokerError) {
        self.verb = verb
        for token in tokens {
            let isRequired = positional.count < verb.arguments.lowerBound
            let isOptional = positional.count < verb.arguments.upperBound
            if isRequired || (isOptional && !isOption(token) && options.isEmpty && headers.isEmpty) {
                positional.append(token)
            } else {
                try add(option: token)
            }
        }
        guard positional.count >= verb.arguments.lowerBound else {
            throw BrokerError(.syntaxError, "arguments are missing; the syntax is: \(verb.syntax)")
        }
    }

    /// It looks like an option. A verb without any has arguments only, and a password may have any character.
    private func isOption(_ token: LineToken) -> Bool {
        guard let equals = token.equals else { return false }
        if verb.hasSecret {
            return String(validating: token.bytes[..<equals], as: UTF8.self).map(verb.options.contains)
                ?? false
        }
        return !verb.options.isEmpty || verb.takesHeaders || verb.takesExtraArguments
    }

    private mutating func add(option token: LineToken) throws(BrokerError) {
        guard !verb.hasSecret || isOption(token) else {
            throw BrokerError(
                .syntaxError,
                "an argument is one too many; quote a password with spaces in it, or send it as a body {N}; the "
                    + "syntax is: \(verb.syntax)")
        }
        guard !token.beginsQuoted else { throw tooMany(token) }
        guard
            let name = String(validating: token.bytes[..<(token.equals ?? token.bytes.count)], as: UTF8.self)
        else { throw BrokerError(.syntaxError, "the name of option \(token.shown) is not UTF-8") }
        let value = token.equals.map { Array(token.bytes[($0 + 1)...]) }
        if verb.takesHeaders, name.hasPrefix("h.") {
            let header = String(name.dropFirst(2))
            try add(header, try Self.fieldValue(token), to: &headers)
        } else if verb.takesExtraArguments, name.hasPrefix("x-"), let value {
            try add(name, try Self.extraValue(name, value, isQuoted: token.valueHasQuote), to: &extra)
        } else if verb.options.contains(name) {
            guard options.updateValue(value.map { .bytes($0) } ?? .flag, forKey: name) == nil else {
                throw BrokerError(.syntaxError, "option \(name) is given twice; give it once")
            }
        } else if token.equals == nil, verb.options.isEmpty {
            throw tooMany(token)
        } else {
            let shown = LineText.shown(Array(name.utf8))
            throw BrokerError(.syntaxError, "unknown option '\(shown)'; the syntax is: \(verb.syntax)")
        }
    }

    private func tooMany(_ token: LineToken) -> BrokerError {
        BrokerError(.syntaxError, "'\(token.shown)' is one argument too many; the syntax is: \(verb.syntax)")
    }

    private func add(_ name: String, _ value: FieldValue, to table: inout FieldTable) throws(BrokerError) {
        guard !name.isEmpty, name.utf8.count <= LineLimits.nameBytesMax else {
            throw BrokerError(
                .syntaxError,
                "a header's or argument's name has 1 to \(LineLimits.nameBytesMax) bytes, not \(name.utf8.count)"
            )
        }
        guard table[name] == nil else {
            throw BrokerError(.syntaxError, "'\(LineText.shown(name.utf8))' is given twice; give it once")
        }
        table[name] = value
    }

    /// The typed value of `h.NAME=value`.
    private static func fieldValue(_ token: LineToken) throws(BrokerError) -> FieldValue {
        guard let equals = token.equals else {
            throw BrokerError(
                .syntaxError,
                "the header \(token.shown) has no value; write \(token.shown)=value"
            )
        }
        let bytes = Array(token.bytes[(equals + 1)...])
        let prefix = Array("json:".utf8)
        if bytes.starts(with: prefix), !token.valueBeginsQuoted {
            guard let json = String(validating: bytes.dropFirst(prefix.count), as: UTF8.self) else {
                throw BrokerError(.syntaxError, "the value of header \(token.shown) is not UTF-8")
            }
            return try JSONText.read(json)
        }
        if token.valueHasQuote {
            return String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .bytes(bytes)
        }
        guard let value = LineValue.bare(bytes) else {
            throw BrokerError(.syntaxError, "the number in \(token.shown) does not fit in 64 bits; quote it")
        }
        return value
    }

    /// The value of `x-NAME=value`: digits are an integer, `true` and `false` themselves, all else a string.
    private static func extraValue(
        _ name: String,
        _ bytes: [UInt8],
        isQuoted: Bool
    ) throws(BrokerError) -> FieldValue {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw BrokerError(
                .syntaxError, "the value of \(name) is not UTF-8; only headers and bodies may be bytes")
        }
        if !isQuoted, text == "true" || text == "false" { return .bool(text == "true") }
        guard !isQuoted, !bytes.isEmpty, bytes.allSatisfy({ $0.digitValue != nil }) else {
            return .string(text)
        }
        guard let number = Int64(text) else {
            throw BrokerError(
                .syntaxError,
                "\(name)=\(LineText.shown(bytes)) does not fit in 64 bits; quote it to send text")
        }
        return .int(number)
    }

    /// True where the option stands there, with or without a value.
    func has(_ name: String) -> Bool { options[name] != nil }

    /// `name`, `name=yes` and `name=no`.
    func flag(_ name: String, default fallback: Bool = false) throws(BrokerError) -> Bool {
        switch options[name] {
        case nil: return fallback
        case .flag: return true
        case .bytes(let bytes):
            if bytes.elementsEqual("yes".utf8) { return true }
            if bytes.elementsEqual("no".utf8) { return false }
            throw BrokerError(.syntaxError, "option \(name)=\(LineText.shown(bytes)) must be yes or no")
        }
    }

    /// The text of `name=text`, at most `bytesMax` bytes of UTF-8.
    func text(_ name: String, bytesMax: Int = LineLimits.nameBytesMax) throws(BrokerError) -> String? {
        switch options[name] {
        case nil: return nil
        case .flag: throw BrokerError(.syntaxError, "option \(name) needs a value: \(name)=…")
        case .bytes(let bytes):
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw BrokerError(
                    .syntaxError,
                    "the value of option \(name) is not UTF-8; only headers and bodies may be bytes")
            }
            guard bytes.count <= bytesMax else {
                throw BrokerError(
                    .syntaxError,
                    "the value of option \(name) has \(bytes.count) bytes; at most \(bytesMax) are allowed"
                )
            }
            return text
        }
    }

    /// The number of `name=number`.
    func number(_ name: String, in range: ClosedRange<Int64>) throws(BrokerError) -> Int64? {
        guard let text = try text(name) else { return nil }
        return try Self.number(text, in: range, what: "option \(name)=")
    }

    /// One of these words.
    func word<Word: RawRepresentable & CaseIterable>(
        _ name: String,
        as type: Word.Type
    ) throws(BrokerError) -> Word? where Word.RawValue == String {
        guard let text = try text(name) else { return nil }
        if let word = Word(rawValue: text) { return word }
        let words = Word.allCases.map(\.rawValue).joined(separator: ", ")
        throw BrokerError(.syntaxError, "option \(name)=\(LineText.shown(text.utf8)) must be one of \(words)")
    }

    /// The text of an argument, at most `bytesMax` bytes of UTF-8.
    func name(
        _ index: Int, _ what: String, bytesMax: Int = LineLimits.nameBytesMax
    ) throws(BrokerError) -> String {
        guard let text = positional[index].text else {
            throw BrokerError(.syntaxError, "the \(what) is not UTF-8; only headers and bodies may be bytes")
        }
        let count = text.utf8.count
        guard count <= bytesMax else {
            throw BrokerError(
                .syntaxError,
                "the \(what) has \(count) bytes; at most \(bytesMax) are allowed"
            )
        }
        return text
    }

    /// An argument that is a delivery tag.
    func deliveryTag() throws(BrokerError) -> DeliveryTag {
        let number = try Self.number(positional[0].shown, in: 0...Int64.max, what: "the delivery tag ")
        return DeliveryTag(UInt64(number))
    }

    private static func number(
        _ text: String,
        in range: ClosedRange<Int64>,
        what: String
    ) throws(BrokerError) -> Int64 {
        let shown = LineText.shown(text.utf8)
        let allowed = "allowed is \(range.lowerBound) to \(range.upperBound)"
        let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
        guard !digits.isEmpty, digits.allSatisfy({ $0.digitValue != nil }) else {
            throw BrokerError(.syntaxError, "\(what)\(shown) is not a whole number; \(allowed)")
        }
        guard let number = Int64(text), range.contains(number) else {
            throw BrokerError(.preconditionFailed, "\(what)\(shown) is out of range; \(allowed)")
        }
        return number
    }
}
