// The short way for the lines that make up nearly all traffic: PUB with no options or the most common ones, and
// ACK. It looks at the bytes in place, makes no tokens, and declines whatever it isn't sure of: the long way then
// decides.

import LeveretCore

/// The names of the last publish and the options of the last few, so that publishing alike over and over makes
/// neither strings nor properties.
struct LinePublishMemo: Sendable {
    private var exchangeBytes: [UInt8] = []
    private var exchange = ExchangeName("")
    private var keyBytes: [UInt8] = []
    private var key = ""
    /// At a place that follows from the text; made when first used.
    private var options: [(text: [UInt8], options: LineQuick.Options)] = []

    fileprivate func options(_ text: UnsafeRawBufferPointer) -> LineQuick.Options? {
        guard !options.isEmpty else { return nil }
        let known = options[Self.place(of: text)]
        return text.equals(known.text) ? known.options : nil
    }

    fileprivate mutating func keep(_ new: LineQuick.Options, for text: UnsafeRawBufferPointer) {
        if options.isEmpty { options = Array(repeating: ([], LineQuick.Options()), count: 16) }
        options[Self.place(of: text)] = (Array(text), new)
    }

    /// The options end in a space; what stands before it differs most.
    private static func place(of text: UnsafeRawBufferPointer) -> Int {
        text.count < 2 ? 0 : (text.count &+ Int(text[text.count - 2])) & 15
    }

    fileprivate mutating func exchange(_ bytes: UnsafeRawBufferPointer) -> ExchangeName {
        if !bytes.equals(exchangeBytes) {
            exchangeBytes = Array(bytes)
            exchange = ExchangeName(String(decoding: bytes, as: UTF8.self))
        }
        return exchange
    }

    fileprivate mutating func key(_ bytes: UnsafeRawBufferPointer) -> String {
        if !bytes.equals(keyBytes) {
            keyBytes = Array(bytes)
            key = String(decoding: bytes, as: UTF8.self)
        }
        return key
    }
}

/// A line of a common shape.
enum LineQuick {
    /// Nothing follows it.
    case complete(LineCommand)
    /// So many bytes of body follow it.
    case publish(Publish, length: Int)

    /// What stands between a publish's key and its body: `transient`, `priority`, `delay` and `id` at most.
    struct Options: Sendable {
        fileprivate var properties: SharedProperties?
        fileprivate var isPersistent = true
    }

    /// A publish.
    struct Publish {
        fileprivate var exchange: ExchangeName
        fileprivate var routingKey: String
        fileprivate var options: Options

        /// The request with its body.
        func command(_ body: [UInt8]) -> LineCommand {
            let message = Message(
                exchange: exchange, routingKey: routingKey, shared: options.properties,
                isPersistent: options.isPersistent, body: body)
            return .submit(.publish(message, mandatory: false), .plain)
        }
    }

    /// Understands `line`, or is `nil` where it has another shape.
    init?(_ line: UnsafeRawBufferPointer, limits: LineLimits, memo: inout LinePublishMemo) {
        guard line.count > 4 else { return nil }
        switch line.loadUnaligned(as: UInt32.self) {
        case Self.pub:
            guard let quick = Self.publish(line, limits: limits, memo: &memo) else { return nil }
            self = quick
        case Self.ack:
            guard let quick = Self.acknowledge(line) else { return nil }
            self = quick
        default: return nil
        }
    }

    private static let pub = word("PUB ")
    private static let ack = word("ACK ")

    /// Four bytes as they lie in memory.
    private static func word(_ text: StaticString) -> UInt32 {
        text.withUTF8Buffer { UnsafeRawBufferPointer($0).loadUnaligned(as: UInt32.self) }
    }

    private static func acknowledge(_ line: UnsafeRawBufferPointer) -> LineQuick? {
        var index = 4
        guard let tag = digits(line, &index) else { return nil }
        var multiple = false
        if index < line.count {
            guard line.count == index + 9, line.hasWord(" multiple", at: index) else { return nil }
            multiple = true
        }
        let settlement = Settlement(.ack, DeliveryTag(UInt64(tag)), multiple: multiple)
        return .complete(.submit(.settle(settlement), .plain))
    }

    private static func publish(
        _ line: UnsafeRawBufferPointer,
        limits: LineLimits,
        memo: inout LinePublishMemo
    ) -> LineQuick? {
        var index = 4
        guard let exchange = argument(line, &index), let key = argument(line, &index) else { return nil }
        var options = Options()
        if line[index] != .openBrace, line[index] != .colon {
            guard let known = self.options(line, &index, memo: &memo) else { return nil }
            options = known
        }
        let publish = Publish(
            exchange: memo.exchange(exchange), routingKey: memo.key(key), options: options)
        let start = line[index]
        index += 1
        if start == .openBrace {
            guard let length = digits(line, &index), length <= limits.bodyBytesMax, index == line.count - 1,
                line[index] == .closeBrace
            else { return nil }
            return .publish(publish, length: length)
        }
        let rest = line.slice(index..<line.count)
        guard rest.isASCII else { return nil }
        return .complete(publish.command(Array(rest)))
    }

    /// The options, up to the body; `nil` where one of them is none of the common ones, or given twice, or where
    /// no body follows.
    private static func options(
        _ line: UnsafeRawBufferPointer, _ index: inout Int, memo: inout LinePublishMemo
    ) -> Options? {
        var end = index + 1
        while end < line.count, line[end - 1] != .space || line[end] != .openBrace && line[end] != .colon {
            end += 1
        }
        guard end < line.count else { return nil }
        let text = line.slice(index..<end)
        defer { index = end }
        if let known = memo.options(text) { return known }
        var options = Options()
        var properties = MessageProperties()
        while index < end {
            guard option(line, &index, &options, &properties) else { return nil }
        }
        let isRepeated = properties.messageID == nil
        if properties != MessageProperties() {
            options.properties = SharedProperties(properties, isRepeated: isRepeated)
        }
        if isRepeated { memo.keep(options, for: text) }
        return options
    }

    /// Reads one option and the space behind it; false where it is none of the common ones, or given twice.
    private static func option(
        _ line: UnsafeRawBufferPointer, _ index: inout Int, _ options: inout Options,
        _ properties: inout MessageProperties
    ) -> Bool {
        if line.hasWord("transient ", at: index) {
            index += 10
            defer { options.isPersistent = false }
            return options.isPersistent
        }
        if line.hasWord("priority=", at: index) {
            index += 9
            guard let value = digits(line, &index), let priority = UInt8(exactly: value),
                properties.priority == nil
            else { return false }
            properties.priority = priority
        } else if line.hasWord("delay=", at: index) {
            index += 6
            guard let value = digits(line, &index), value <= QueueSettings.millisecondsMax,
                properties.headers.isEmpty
            else { return false }
            properties.headers[HeaderName.delay] = .int(Int64(value))
        } else if line.hasWord("id=", at: index) {
            index += 3
            let start = index
            while index < line.count, line[index] != .space {
                guard (0x21..<0x7f).contains(line[index]), line[index] != .quote, line[index] != .backslash
                else {
                    return false
                }
                index += 1
            }
            guard index > start, index - start <= LineLimits.nameBytesMax, properties.messageID == nil else {
                return false
            }
            properties.messageID = String(decoding: line.slice(start..<index), as: UTF8.self)
        } else {
            return false
        }
        guard index < line.count, line[index] == .space else { return false }
        index += 1
        return true
    }

    /// A plain ASCII argument, or `""`, and the one space behind it; more of the line follows.
    private static func argument(
        _ line: UnsafeRawBufferPointer,
        _ index: inout Int
    ) -> UnsafeRawBufferPointer? {
        let start = index
        if index + 2 < line.count, line[index] == .quote, line[index + 1] == .quote, line[index + 2] == .space
        {
            index += 3
            return index < line.count ? line.slice(start..<start) : nil
        }
        guard start < line.count, line[start] != .colon else { return nil }
        while index < line.count, line[index] != .space {
            guard line[index] < 0x80, line[index] != .quote else { return nil }
            index += 1
        }
        let end = index
        index += 1
        guard index < line.count, end > start, end - start <= LineLimits.nameBytesMax else { return nil }
        return line.slice(start..<end)
    }

    /// A decimal of up to 18 digits.
    private static func digits(_ line: UnsafeRawBufferPointer, _ index: inout Int) -> Int? {
        let start = index
        var value = 0
        while index < line.count, let digit = line[index].digitValue {
            guard index - start < 18 else { return nil }
            value = value * 10 + digit
            index += 1
        }
        return index > start ? value : nil
    }
}
