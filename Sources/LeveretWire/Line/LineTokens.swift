// One line as tokens: what is quoted, where the name of an option ends, and whether a body follows. It knows
// no verb, so that the body of any request, refused ones too, can be told from the next line.

import LeveretCore

/// One token of a line, its quotes and escapes undone.
struct LineToken: Sendable, Hashable {
    /// The bytes it stands for. Escapes may make them anything.
    var bytes: [UInt8]
    /// It begins with a quote: never a tag, an option, a length or an inline body.
    var beginsQuoted: Bool
    /// There is a quote anywhere in it.
    var hasQuote: Bool
    /// Where its first unquoted `=` stands in `bytes`, unless it begins with a quote.
    var equals: Int?
    /// There is a quote behind the `=`.
    var valueHasQuote = false
    /// The quote opens right behind the `=`.
    var valueBeginsQuoted = false

    /// Its text, if that is UTF-8.
    var text: String? { String(validating: bytes, as: UTF8.self) }
    /// For error texts: whatever it says, shortened.
    var shown: String { LineText.shown(bytes) }
}

/// What follows a line, as its last token says.
enum LineBody: Sendable, Hashable {
    /// Nothing.
    case none
    /// So many bytes and an end of line.
    case counted(Int)
    /// The rest of the line.
    case inline([UInt8])
}

/// A line cut into tokens.
struct LineTokens: Sendable, Hashable {
    /// The request's tag without its `#`, or none.
    var tag: [UInt8] = []
    /// The verb and what follows it, without tag and body.
    var tokens: [LineToken] = []
    /// What follows.
    var body = LineBody.none

    /// Why a line has no tokens.
    struct Failure: Error, Hashable {
        /// What to answer.
        var error: BrokerError
        /// Nobody can know whether a body follows, so the connection can't go on.
        var closes: Bool
        /// The tag, where it could be read.
        var tag: [UInt8] = []
    }

    /// Cuts `line`, given without its end.
    init(_ line: UnsafeRawBufferPointer, limits: LineLimits) throws(Failure) {
        var cursor = Cursor(line: line)
        var failure: BrokerError?
        do throws(BrokerError) {
            tag = try cursor.tag(lengthMax: limits.tagBytesMax)
            guard line.isUTF8 else {
                throw BrokerError(.syntaxError, "the line is not UTF-8; send bytes as {N}")
            }
            while let token = try cursor.next() {
                if let inline = token.inline {
                    body = .inline(inline)
                } else {
                    tokens.append(token.token)
                }
            }
        } catch { failure = error }
        if let failure {
            let closes = line.last == .closeBrace
            let error = closes ? BrokerError(.frameError, failure.text + "; closing") : failure
            throw Failure(error: error, closes: closes, tag: tag)
        }
        try takeLength(limits: limits)
    }

    /// Takes `{N}` off the end.
    private mutating func takeLength(limits: LineLimits) throws(Failure) {
        guard case .none = body, let last = tokens.last, !last.beginsQuoted, last.bytes.first == .openBrace,
            last.bytes.last == .closeBrace
        else { return }
        let digits = last.bytes.dropFirst().dropLast()
        guard !digits.isEmpty, !last.hasQuote, digits.allSatisfy({ $0.digitValue != nil }) else {
            let text = "a body's length is a plain decimal in braces, not \(last.shown); closing"
            throw Failure(error: BrokerError(.frameError, text), closes: true, tag: tag)
        }
        guard let length = Int(String(decoding: digits, as: UTF8.self)), length <= limits.bodyBytesHardCap
        else {
            let text = "a body of \(last.shown) bytes is over the cap of \(limits.bodyBytesHardCap); closing"
            throw Failure(error: BrokerError(.frameError, text), closes: true, tag: tag)
        }
        tokens.removeLast()
        body = .counted(length)
    }
}

/// Walks along one line.
private struct Cursor {
    let line: UnsafeRawBufferPointer
    var index = 0

    mutating func skipSpaces() {
        while index < line.count, line[index] == .space { index += 1 }
    }

    /// The tag at the beginning of the line, if there is one.
    mutating func tag(lengthMax: Int) throws(BrokerError) -> [UInt8] {
        skipSpaces()
        guard index < line.count, line[index] == .hash else { return [] }
        let start = index + 1
        while index < line.count, line[index] != .space { index += 1 }
        let tag = line[start..<index]
        guard !tag.isEmpty, tag.count <= lengthMax, tag.allSatisfy({ $0.isVisible && $0 != .quote }) else {
            throw BrokerError(
                .syntaxError,
                "a tag is # and 1 to \(lengthMax) visible ASCII characters without quotes"
            )
        }
        return Array(tag)
    }

    /// The next token, or the inline body that is the rest of the line.
    mutating func next() throws(BrokerError) -> (token: LineToken, inline: [UInt8]?)? {
        skipSpaces()
        guard index < line.count else { return nil }
        var token = LineToken(bytes: [], beginsQuoted: line[index] == .quote, hasQuote: false)
        if line[index] == .colon {
            defer { index = line.count }
            return (token, Array(line[(index + 1)...]))
        }
        while index < line.count, line[index] != .space {
            let byte = line[index]
            index += 1
            if byte == .quote {
                token.hasQuote = true
                if let equals = token.equals {
                    token.valueHasQuote = true
                    if token.bytes.count == equals + 1 { token.valueBeginsQuoted = true }
                }
                try quoted(into: &token.bytes)
            } else {
                if byte == .equals, token.equals == nil, !token.beginsQuoted {
                    token.equals = token.bytes.count
                }
                token.bytes.append(byte)
            }
        }
        return (token, nil)
    }

    /// What stands between quotes, the first of which has been read.
    private mutating func quoted(into bytes: inout [UInt8]) throws(BrokerError) {
        while index < line.count {
            let byte = line[index]
            index += 1
            if byte == .quote { return }
            guard byte == .backslash else {
                bytes.append(byte)
                continue
            }
            guard index < line.count else { break }
            let escaped = line[index]
            index += 1
            switch escaped {
            case .quote, .backslash: bytes.append(escaped)
            case UInt8(ascii: "n"): bytes.append(.lineFeed)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "x"):
                guard index + 2 <= line.count, let high = line[index].hexValue,
                    let low = line[index + 1].hexValue
                else { throw BrokerError(.syntaxError, "\\x in quotes takes two hexadecimal digits") }
                bytes.append(high << 4 | low)
                index += 2
            default:
                throw BrokerError(
                    .syntaxError,
                    "quotes know the escapes \\\" \\\\ \\n \\t \\xNN, not \\\(LineText.shown([escaped]))"
                )
            }
        }
        throw BrokerError(
            .syntaxError,
            "a quote is open at the end of the line; close it, and write a quote within as \\\""
        )
    }
}
