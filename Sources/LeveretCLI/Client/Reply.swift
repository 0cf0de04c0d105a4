// What a server says, a line at a time (docs/line-protocol.md, Replies). LineClient reads these from the
// socket; commands turn them into rows and failures.

/// One reply.
enum Reply {
    /// `ERR code name text`: nothing was done.
    struct Refusal: Error, Equatable {
        /// AMQP's reply code.
        var code: Int
        /// Its name.
        var name: String
        /// What was refused and why.
        var text: String
    }

    /// `OK`, and what follows it.
    case done(String)
    /// `ERR …`.
    case refused(Refusal)
    /// `NIL`: nothing there.
    case nothing
    /// `MSG …{N}` and its bytes.
    case message(Delivered)
    /// `ROW {json}`.
    case row(JSON)
    /// `TEXT …`.
    case text(String)
    /// `NOTE …` and `END …`: pushes that answer nothing.
    case push(String)
}

/// A message as `MSG` brings it.
struct Delivered: Equatable {
    /// What ACK and NACK name it by.
    var tag: String
    /// Where it was taken.
    var queue: String
    /// Where it was published, with which key.
    var exchange: String
    /// The key it was published with.
    var key: String
    /// `redelivered`, `deliveries`, `position`, properties and headers (`h.NAME`), in the server's order.
    var options: [(name: String, value: JSON)]
    /// The bytes the publisher gave.
    var body: [UInt8]

    static func == (a: Delivered, b: Delivered) -> Bool {
        (a.tag, a.queue, a.exchange, a.key) == (b.tag, b.queue, b.exchange, b.key) && a.body == b.body
            && a.options.elementsEqual(b.options) { $0.name == $1.name && $0.value == $1.value }
    }

    /// The value of an option.
    subscript(name: String) -> JSON? { options.first { $0.name == name }?.value }
}

extension Reply {
    /// How a row begins.
    static let rowPrefix = Array("ROW ".utf8)

    /// What a line says, and how many bytes of body follow it; `nil` when it is no reply.
    static func parse(_ line: some BidirectionalCollection<UInt8>) -> (reply: Reply, bodyBytes: Int?)? {
        if line.starts(with: rowPrefix) {
            guard let row = JSON(line.dropFirst(rowPrefix.count)) else { return nil }
            return (.row(row), nil)
        }
        let text = String(decoding: line, as: UTF8.self)
        let (verb, rest) = split(Substring(text))
        switch verb {
        case "OK": return (.done(String(rest)), nil)
        case "NIL": return (.nothing, nil)
        case "TEXT": return (.text(String(rest)), nil)
        case "NOTE", "END": return (.push(text), nil)
        case "ERR":
            let (code, tail) = split(rest)
            let (name, sentence) = split(tail)
            guard let code = Int(code) else { return nil }
            return (.refused(Refusal(code: code, name: String(name), text: String(sentence))), nil)
        case "MSG": return message(rest)
        default: return nil
        }
    }

    private static func split(_ text: Substring) -> (word: Substring, rest: Substring) {
        guard let space = text.utf8.firstIndex(of: .space) else { return (text, "") }
        return (text[..<space], text[text.utf8.index(after: space)...])
    }

    private static func message(_ text: Substring) -> (reply: Reply, bodyBytes: Int?)? {
        guard var tokens = ReplyToken.cut(text), tokens.count >= 5, let last = tokens.popLast(),
            !last.isQuoted,
            last.text.first == "{", last.text.last == "}", let count = Int(last.text.dropFirst().dropLast()),
            (0...Int(Int32.max)).contains(count)
        else { return nil }
        let options = tokens.dropFirst(4).compactMap(\.option)
        let delivered = Delivered(
            tag: tokens[0].text,
            queue: tokens[1].text,
            exchange: tokens[2].text,
            key: tokens[3].text,
            options: options,
            body: []
        )
        return (.message(delivered), count)
    }
}

/// A token of a `MSG` line, its quotes undone.
private struct ReplyToken {
    var text = ""
    var isQuoted = false
    /// `name=value` taken apart, where the token is that.
    var option: (name: String, value: JSON)?

    /// Cuts at the spaces that stand outside quotes; `nil` where a quote stays open.
    static func cut(_ line: Substring) -> [ReplyToken]? {
        var tokens: [ReplyToken] = []
        var rest = line.utf8[...]
        while true {
            rest = rest.drop { $0 == .space }
            if rest.isEmpty { return tokens }
            guard let token = next(&rest) else { return nil }
            tokens.append(token)
        }
    }

    private static func next(_ rest: inout Substring.UTF8View.SubSequence) -> ReplyToken? {
        var token = ReplyToken()
        var bytes: [UInt8] = []
        var equals: Int?
        var quotedFrom: Int?
        token.isQuoted = rest.first == .quote
        while let byte = rest.first, byte != .space {
            rest = rest.dropFirst()
            if byte == .quote {
                if equals != nil, quotedFrom == nil { quotedFrom = bytes.count }
                guard unquote(&rest, into: &bytes) else { return nil }
            } else {
                if byte == UInt8(ascii: "="), equals == nil, !token.isQuoted { equals = bytes.count }
                bytes.append(byte)
            }
        }
        token.text = String(decoding: bytes, as: UTF8.self)
        if let equals {
            let name = String(decoding: bytes[..<equals], as: UTF8.self)
            let value = String(decoding: bytes[(equals + 1)...], as: UTF8.self)
            token.option = (name, typed(value, quotedFrom: quotedFrom.map { $0 - equals - 1 }))
        }
        return token
    }

    /// A value of a header: quotes make it text, `json:` JSON, and a bare word what it spells.
    private static func typed(_ value: String, quotedFrom: Int?) -> JSON {
        if quotedFrom == 5, value.hasPrefix("json:"), let json = JSON(value.dropFirst(5).utf8) { return json }
        if quotedFrom != nil { return .string(value) }
        guard
            value.first == "-" || value.first?.isNumber == true || ["true", "false", "null"].contains(value)
        else {
            return .string(value)
        }
        return JSON(value.utf8) ?? .string(value)
    }

    private static func unquote(
        _ rest: inout Substring.UTF8View.SubSequence,
        into bytes: inout [UInt8]
    ) -> Bool {
        while let byte = rest.popFirst() {
            if byte == .quote { return true }
            guard byte == .backslash else {
                bytes.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "n"): bytes.append(.lineFeed)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "x"):
                let digits = String(decoding: rest.prefix(2), as: UTF8.self)
                guard digits.count == 2, let value = UInt8(digits, radix: 16) else { return false }
                bytes.append(value)
                rest = rest.dropFirst(2)
            case let other?: bytes.append(other)
            case nil: return false
            }
        }
        return false
    }
}
