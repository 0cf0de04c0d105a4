// One request of the line protocol as bytes (docs/line-protocol.md). Every name is quoted where the protocol
// could take it for something else, so no command thinks about quoting.

/// A request under construction: verb, arguments, options, then perhaps a body.
struct LineRequest {
    /// What goes over the wire; the line's end comes with `finish` or `body`.
    private(set) var bytes: [UInt8]

    /// A request without arguments.
    init(_ verb: StaticString) {
        bytes = []
        verb.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    /// Adds a word of the protocol's own.
    func word(_ word: StaticString) -> Self {
        var copy = self
        copy.bytes.append(.space)
        word.withUTF8Buffer { copy.bytes.append(contentsOf: $0) }
        return copy
    }

    /// Adds the word where `condition` holds.
    func word(_ word: StaticString, if condition: Bool) -> Self { condition ? self.word(word) : self }

    /// Adds a name that may be anything.
    func argument(_ name: String) -> Self {
        var copy = self
        copy.bytes.append(.space)
        LineRequest.appendToken(name.utf8, to: &copy.bytes)
        return copy
    }

    /// Adds a number.
    func argument(_ number: some FixedWidthInteger) -> Self {
        var copy = self
        copy.bytes.append(contentsOf: " \(number)".utf8)
        return copy
    }

    /// Adds `name=value`, where there is a value.
    func option(_ name: StaticString, _ value: String?) -> Self {
        guard let value else { return self }
        var copy = word(name)
        copy.bytes.append(UInt8(ascii: "="))
        LineRequest.appendToken(value.utf8, to: &copy.bytes)
        return copy
    }

    /// Adds `name=number`, where there is a number.
    func option(_ name: StaticString, _ number: Int?) -> Self {
        guard let number else { return self }
        var copy = word(name)
        copy.bytes.append(contentsOf: "=\(number)".utf8)
        return copy
    }

    /// Adds `x-NAME=value`, the argument of a queue, exchange or policy by its full name. What the protocol can't write
    /// as itself goes as text, which is refused by name where it matters.
    func extra(_ name: String, _ value: JSON) -> Self {
        var copy = self
        copy.bytes.append(contentsOf: " x-".utf8)
        LineRequest.appendToken(name.dropFirst(2).utf8, to: &copy.bytes)
        copy.bytes.append(UInt8(ascii: "="))
        switch value {
        case .bool(let bool): copy.bytes.append(contentsOf: (bool ? "true" : "false").utf8)
        case .string(let text): LineRequest.appendQuoted(text.utf8, to: &copy.bytes)
        case .number(let spelled):
            if let number = Int64(spelled) ?? Double(spelled).flatMap({ Int64(exactly: $0) }), number >= 0 {
                copy.bytes.append(contentsOf: String(number).utf8)
            } else {
                LineRequest.appendQuoted(spelled.utf8, to: &copy.bytes)
            }
        case .null, .array, .object: LineRequest.appendQuoted(value.compact.utf8, to: &copy.bytes)
        }
        return copy
    }

    /// Adds `h.NAME=value`.
    func header(_ name: String, _ value: JSON) -> Self {
        var copy = self
        copy.bytes.append(contentsOf: " h.".utf8)
        LineRequest.appendQuoted(name.utf8, to: &copy.bytes)
        copy.bytes.append(UInt8(ascii: "="))
        switch value {
        case .string(let text): HeaderArgument.Value.string(text).append(to: &copy.bytes)
        case .null, .bool, .number: HeaderArgument.Value.bare(value.compact).append(to: &copy.bytes)
        case .array, .object: HeaderArgument.Value.json(value.compact).append(to: &copy.bytes)
        }
        return copy
    }

    /// Adds `h.NAME=value` for each header.
    func headers(_ headers: [HeaderArgument]) -> Self {
        var copy = self
        for header in headers {
            copy.bytes.append(contentsOf: " h.".utf8)
            LineRequest.appendQuoted(header.name.utf8, to: &copy.bytes)
            copy.bytes.append(UInt8(ascii: "="))
            header.value.append(to: &copy.bytes)
        }
        return copy
    }

    /// Ends the request's line, and appends all of it to `buffer`.
    func append(to buffer: inout [UInt8]) {
        buffer.append(contentsOf: bytes)
        buffer.append(.lineFeed)
    }

    /// Ends the request with a body, and appends all of it to `buffer`.
    func append(to buffer: inout [UInt8], body: some Collection<UInt8>) {
        buffer.append(contentsOf: bytes)
        LineRequest.appendBody(body, to: &buffer)
    }

    /// Appends ` {N}`, the bytes, and the ends of line.
    static func appendBody(_ body: some Collection<UInt8>, to buffer: inout [UInt8]) {
        buffer.append(contentsOf: [.space, UInt8(ascii: "{")])
        buffer.append(contentsOf: String(body.count).utf8)
        buffer.append(contentsOf: [UInt8(ascii: "}"), .lineFeed])
        buffer.append(contentsOf: body)
        buffer.append(.lineFeed)
    }

    /// Appends a token that reads back as these bytes and as nothing else.
    static func appendToken(_ name: some Collection<UInt8>, to buffer: inout [UInt8]) {
        let isPlain = !name.isEmpty && name.allSatisfy(\.isPlain) && name.first != UInt8(ascii: "#")
        if isPlain { buffer.append(contentsOf: name) } else { appendQuoted(name, to: &buffer) }
    }

    /// Appends text in quotes.
    static func appendQuoted(_ text: some Collection<UInt8>, to buffer: inout [UInt8]) {
        buffer.append(.quote)
        for byte in text {
            switch byte {
            case .quote, .backslash: buffer.append(contentsOf: [.backslash, byte])
            case ..<0x20, 0x7F:
                let hex = String(byte, radix: 16)
                buffer.append(contentsOf: ("\\x" + (hex.count == 1 ? "0" : "") + hex).utf8)
            default: buffer.append(byte)
            }
        }
        buffer.append(.quote)
    }
}

extension UInt8 {
    static let space = UInt8(ascii: " ")
    static let lineFeed = UInt8(ascii: "\n")
    static let quote = UInt8(ascii: "\"")
    static let backslash = UInt8(ascii: "\\")

    /// Letters, digits, and the marks that mean nothing to the protocol wherever they stand.
    fileprivate var isPlain: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"),
            UInt8(ascii: "*"), UInt8(ascii: "#"), UInt8(ascii: "/"), UInt8(ascii: "+"):
            true
        default: false
        }
    }
}

/// A header as `-H name=value` gives it.
struct HeaderArgument: Equatable {
    /// A value with the type that its spelling says.
    enum Value: Equatable {
        /// A number, `true`, `false` or `null`, as spelled.
        case bare(String)
        /// Any other word, and what stands in quotes.
        case string(String)
        /// What follows `json:`.
        case json(String)

        /// Appends it in the protocol's spelling.
        func append(to buffer: inout [UInt8]) {
            switch self {
            case .bare(let word): buffer.append(contentsOf: word.utf8)
            case .string(let text): LineRequest.appendQuoted(text.utf8, to: &buffer)
            case .json(let text):
                buffer.append(contentsOf: "json:".utf8)
                LineRequest.appendQuoted(text.utf8, to: &buffer)
            }
        }
    }

    /// Not empty.
    var name: String
    var value: Value

    /// Reads `name=value`; `nil` where there is no name or no `=`, or where `json:` isn't followed by JSON.
    init?(_ argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals > argument.startIndex else { return nil }
        name = String(argument[..<equals])
        let text = argument[argument.index(after: equals)...]
        if text.hasPrefix("json:") {
            guard JSON(text.dropFirst(5).utf8) != nil else { return nil }
            value = .json(String(text.dropFirst(5)))
        } else if text.count >= 2, text.first == "\"", text.last == "\"" {
            value = .string(String(text.dropFirst().dropLast()))
        } else if ["true", "false", "null"].contains(text) || HeaderArgument.isNumber(text) {
            value = .bare(String(text))
        } else {
            value = .string(String(text))
        }
    }

    private static func isNumber(_ text: Substring) -> Bool {
        if Int64(text) != nil { return text.first != "+" }
        guard text.utf8.allSatisfy({ "0123456789.eE+-".utf8.contains($0) }), text.first != "+" else {
            return false
        }
        return text.first != "." && Double(text)?.isFinite == true
    }
}
