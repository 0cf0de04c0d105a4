// A message as one JSON object, with all that another broker needs to have it back: what `leveret export` writes a
// line of, EXPORT shows and IMPORT reads. The fields are a promise (docs/line-protocol.md, IMPORT): they are added to
// and never changed. Times are milliseconds since 1970, as in the database.

public import LeveretCore

/// Messages as JSON objects.
public enum MessageDocument {
    private static let names: Set<String> = [
        "queue", "exchange", "key", "properties", "headers", "entered", "due", "deaths", "body", "body64",
        "position", "place",
    ]

    /// The object, on one line without its end.
    public static func write(_ message: PeekedMessage, in queue: QueueName) -> String {
        var row = JSONRow()
        write(message, in: queue, to: &row)
        row.end()
        return row.text
    }

    /// Its fields.
    static func write(_ message: PeekedMessage, in queue: QueueName, to row: inout JSONRow) {
        let properties = message.message.properties ?? MessageProperties()
        row.field("queue", queue.rawValue)
        row.field("exchange", message.message.exchange.rawValue)
        row.field("key", message.message.routingKey)
        var listed = properties.listed(isPersistent: message.message.isPersistent)
        listed["priority"] = properties.priority.map { .int(Int64($0)) }
        row.field("properties", .table(listed))
        if !properties.headers.isEmpty { row.field("headers", .table(properties.headers)) }
        row.field("entered", message.entered.milliseconds)
        if let due = message.due { row.field("due", due.milliseconds) }
        if let deaths = message.deaths { row.json("deaths", deaths.jsonText()) }
        let body = message.message.body
        if body.count > escapedBodyBytesMax, textBytes(of: body) > (body.count + 2) / 3 * 4 {
            row.field("body64", JSONText.base64(body))
        } else {
            row.bytes("body", body)
        }
    }

    /// Larger bodies are written as text only where that is shorter than base64: a line of nothing but `\u0001` would
    /// be six times the body, and longer than IMPORT takes.
    private static let escapedBodyBytesMax = 64 << 10

    /// About how many bytes a JSON string of these has.
    private static func textBytes(of body: [UInt8]) -> Int {
        body.reduce(0) { count, byte in
            switch byte {
            case 0x09, 0x0A, 0x0D, UInt8(ascii: "\""), UInt8(ascii: "\\"): count + 2
            case ..<0x20, 0x7F: count + 6
            default: count + 1
            }
        }
    }

    /// The message that `bytes` describe; `queue` gets it, whatever queue it was in.
    ///
    /// - Throws: 502 for what is no such object, naming the field.
    package static func read(_ bytes: [UInt8], for queue: QueueName) throws(BrokerError) -> RestoredMessage {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw BrokerError(.syntaxError, "the message is no JSON: it is not UTF-8")
        }
        let fields = DocumentFields(try JSONText.readTable(text))
        try fields.checkNames(names)
        var (properties, isPersistent) = try properties(fields.table("properties"))
        properties.headers = try fields.table("headers")
        let message = Message(
            exchange: ExchangeName(try fields.text("exchange") ?? ""),
            routingKey: try fields.text("key") ?? "",
            properties: properties.isEmpty ? nil : properties, isPersistent: isPersistent,
            body: try fields.body())
        return RestoredMessage(
            message, to: queue, deaths: try deaths(fields.table("deaths")),
            due: try fields.time("due").map { Instant(milliseconds: $0) })
    }

    private static func deaths(_ table: FieldTable) throws(BrokerError) -> DeathHistory? {
        guard !table.isEmpty else { return nil }
        let history = try DeathHistory(jsonText: JSONText.write(table))
        guard history.deaths.count <= CoreLimits().deathsMax else {
            throw DocumentFields.wrong("deaths", "an object with at most \(CoreLimits().deathsMax) deaths")
        }
        let times = [history.firstTime, history.lastTime] + history.deaths.map(\.time)
        let queues = [history.originQueue] + history.deaths.map(\.queue)
        let exchanges = [history.firstExchange] + history.deaths.map(\.exchange)
        guard times.allSatisfy({ DocumentFields.times.contains($0.milliseconds) }) else {
            throw DocumentFields.wrong("deaths", "an object whose times are \(DocumentFields.timesText)")
        }
        guard queues.allSatisfy({ (1...LineLimits.nameBytesMax).contains($0.rawValue.utf8.count) }),
            exchanges.allSatisfy({ $0.rawValue.utf8.count <= LineLimits.nameBytesMax })
        else {
            throw DocumentFields.wrong(
                "deaths",
                "an object whose names have at most \(LineLimits.nameBytesMax) bytes, queues at least one")
        }
        return history
    }

    private static let propertyNames: Set<String> = [
        "delivery_mode", "priority", "timestamp", "message_id", "expiration", "type", "reply_to",
        "correlation_id", "content_type", "content_encoding", "user_id", "app_id", "cluster_id",
    ]

    private static func properties(
        _ table: FieldTable
    ) throws(BrokerError) -> (MessageProperties, isPersistent: Bool) {
        let fields = DocumentFields(table)
        try fields.checkNames(propertyNames)
        var properties = MessageProperties()
        properties.messageID = try fields.text("message_id")
        properties.expiration = try fields.text("expiration")
        properties.type = try fields.text("type")
        properties.replyTo = try fields.text("reply_to")
        properties.correlationID = try fields.text("correlation_id")
        properties.contentType = try fields.text("content_type")
        properties.contentEncoding = try fields.text("content_encoding")
        properties.userID = try fields.text("user_id")
        properties.appID = try fields.text("app_id")
        properties.clusterID = try fields.text("cluster_id")
        properties.timestamp = try fields.number("timestamp")
        if let priority = try fields.number("priority") {
            guard let byte = UInt8(exactly: priority) else {
                throw DocumentFields.wrong("priority", "0 to 255")
            }
            properties.priority = byte
        }
        let mode = try fields.number("delivery_mode") ?? 2
        guard mode == 1 || mode == 2 else { throw DocumentFields.wrong("delivery_mode", "1 or 2") }
        return (properties, mode == 2)
    }
}

/// Takes typed values out of one object.
private struct DocumentFields {
    private let fields: FieldTable

    init(_ fields: FieldTable) { self.fields = fields }

    func checkNames(_ known: Set<String>) throws(BrokerError) {
        for field in fields.fields where !known.contains(field.name) {
            let names = known.sorted().joined(separator: ", ")
            throw BrokerError(
                .syntaxError,
                "the message has a field '\(LineText.shown(field.name.utf8))', which this version doesn't know; it "
                    + "knows \(names)")
        }
    }

    func text(_ name: String) throws(BrokerError) -> String? {
        switch fields[name] {
        case nil, .void: return nil
        case .string(let text) where text.utf8.count <= LineLimits.nameBytesMax: return text
        default: throw Self.wrong(name, "a string of at most \(LineLimits.nameBytesMax) bytes")
        }
    }

    func number(_ name: String) throws(BrokerError) -> Int64? {
        switch fields[name] {
        case nil, .void: return nil
        case .int(let number): return number
        default: throw Self.wrong(name, "a whole number")
        }
    }

    func time(_ name: String) throws(BrokerError) -> Int64? {
        let time = try number(name)
        if let time, !Self.times.contains(time) { throw Self.wrong(name, Self.timesText) }
        return time
    }

    func table(_ name: String) throws(BrokerError) -> FieldTable {
        switch fields[name] {
        case nil, .void: return FieldTable()
        case .table(let table): return table
        default: throw Self.wrong(name, "an object")
        }
    }

    /// The bytes of `body`, or those that `body64` stands for.
    func body() throws(BrokerError) -> [UInt8] {
        switch (fields["body"], fields["body64"]) {
        case (.string(let text)?, nil): return Array(text.utf8)
        case (nil, .string(let text)?):
            guard let bytes = Self.bytes(base64: text) else {
                throw Self.wrong("body64", "base64 (RFC 4648)")
            }
            return bytes
        default: throw BrokerError(.syntaxError, "the message needs one of 'body' and 'body64', a string")
        }
    }

    /// Years of four digits.
    static let times: ClosedRange<Int64> = 0...253_402_300_799_999
    static let timesText = "milliseconds since 1970, in years up to 9999"

    static func wrong(_ name: String, _ expected: String) -> BrokerError {
        BrokerError(.syntaxError, "the message's field '\(name)' must be \(expected)")
    }

    /// What each byte stands for in base64; 64 for one that stands for nothing.
    private static let digits: [UInt8] = {
        var digits = [UInt8](repeating: 64, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        for (value, character) in alphabet.utf8.enumerated() { digits[Int(character)] = UInt8(value) }
        return digits
    }()

    private static func bytes(base64 text: String) -> [UInt8]? {
        guard text.utf8.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 4 * 3)
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        for character in text.utf8 {
            let value = digits[Int(character)]
            if character == UInt8(ascii: "="), padding < 2 {
                padding += 1
            } else if value == 64 || padding > 0 {
                return nil
            }
            bits = bits << 6 | UInt32(value & 63)
            count += 1
            if count % 4 == 0 {
                bytes.append(UInt8(truncatingIfNeeded: bits >> 16))
                if padding < 2 { bytes.append(UInt8(truncatingIfNeeded: bits >> 8)) }
                if padding < 1 { bytes.append(UInt8(truncatingIfNeeded: bits)) }
                if padding > 0 { return count == text.utf8.count ? bytes : nil }
            }
        }
        return bytes
    }
}
