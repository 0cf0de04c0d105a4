// Messages to standard output, for `peek` and `get`: as rows like any other, or body by body.

/// How bodies are shown.
enum BodyFormat: String, CaseIterable, Sendable {
    /// Indented, where the body is JSON.
    case json
    /// As text, whatever it is.
    case text
    /// As bytes in hexadecimal.
    case hex
    /// The bodies alone, byte for byte, each followed by an end of line.
    case raw
}

/// Writes messages as rows whose field `body` (text) or `body64` (bytes in base64) is the body.
struct MessagePrinter {
    private var rows: RowPrinter
    private let columns: [Column]
    private let output: Output
    private let body: BodyFormat?
    /// A heading and the body below it, instead of a row.
    private let isBlock: Bool
    private let isTable: Bool
    private var count = 0

    /// A printer of messages in the form that the options say.
    init(_ options: OutputOptions, body: BodyFormat?, columns: [Column], to output: Output) throws(Failure) {
        if body == .raw, options.output != .table || options.columns != nil {
            throw Failure(.usage, "--body raw writes bodies and nothing else: leave out -o and --columns")
        }
        isTable = options.output == .table
        isBlock = options.output == .table && body != nil && body != .raw
        self.columns = try Column.choose(options.chosen, of: columns, all: false).filter { $0.style != .body }
        self.output = output
        self.body = body
        rows = try options.printer(of: columns, to: output)
    }

    /// Writes one.
    mutating func print(_ message: JSON) {
        count += 1
        let bytes = message.bodyBytes
        switch body {
        case nil:
            rows.print(
                isTable && message["body64"] != nil
                    ? Self.replacing(message, .string("0x" + Hex.digits(bytes))) : message
            )
        case .raw:
            output.write(bytes: bytes)
            output.write("\n")
        case .json where isBlock:
            heading(message)
            output.write((JSON(bytes)?.indented ?? Self.text(bytes)) + "\n")
        case .text where isBlock, .hex where isBlock:
            heading(message)
            output.write(MessageSheet.body(bytes, as: body))
        case .json: rows.print(Self.replacing(message, JSON(bytes) ?? .string(Self.text(bytes))))
        case .text: rows.print(Self.replacing(message, .string(String(decoding: bytes, as: UTF8.self))))
        case .hex: rows.print(Self.replacing(message, .string(Hex.digits(bytes))))
        }
    }

    /// Hands over the messages so far; false when nobody reads any more.
    mutating func settle() -> Bool { rows.settle() }

    /// Hands over the last messages, or says that there are none.
    mutating func finish(none: String) {
        if body == nil || (!isBlock && body != .raw) {
            rows.finish(none: none)
        } else if count == 0, isBlock {
            output.write(none + "\n")
        }
        output.flush()
    }

    private func heading(_ message: JSON) {
        let now = Terminal.now
        let facts = columns.map { "\($0.name) \($0.cell(message[$0.name], now: now))" }
        output.write((count > 1 ? "\n" : "") + facts.joined(separator: "  ") + "\n")
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self).printable }

    private static func replacing(_ message: JSON, _ body: JSON) -> JSON {
        guard case .object(let fields) = message else { return message }
        let rest = fields.filter { $0.name != "body" && $0.name != "body64" }
        return .object(rest + [JSON.Field(name: "body", value: body)])
    }
}
