// Replies and pushes as bytes. MSG, which makes up nearly all of them, is written from remembered pieces
// straight into the output buffer; everything else is put together as it comes.

import LeveretCore
import NIOCore

/// Writes answers, deliveries and notices. `prefix` is `#tag ` or empty, and stands before each line.
struct LineWriter: Sendable {
    private var source: DeliverySource?
    private var sourceQueue: [UInt8] = []
    private var sourceName: [UInt8] = []
    private var exchange = ""
    private var key = ""
    private var names = Array(" \"\" \"\" ".utf8)
    private var repeated = RepeatedProperties()

    /// Writes a message, as a push or as GET's reply.
    mutating func message(_ delivery: Delivery, prefix: [UInt8], to out: inout ByteBuffer) {
        let message = delivery.message
        if source !== delivery.source { remember(delivery.source) }
        if !exchange.hasSameBytes(as: message.exchange.rawValue) || !key.hasSameBytes(as: message.routingKey)
        {
            remember(message)
        }
        let extras = extras(of: delivery)
        let fixed = 128 + prefix.count + sourceQueue.count + sourceName.count + names.count
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: fixed + extras.count + message.body.count) {
            raw in
            var pen = Pen(raw: raw)
            pen.write(prefix)
            pen.write("MSG ")
            pen.write(number: delivery.tag.rawValue)
            pen.write(sourceQueue)
            pen.write(names)
            pen.write(delivery.isRedelivered ? "redelivered=1 deliveries=" : "redelivered=0 deliveries=")
            pen.write(number: UInt64(max(0, delivery.deliveries)))
            pen.write(" position=")
            pen.write(number: UInt64(max(0, delivery.number.rawValue)))
            pen.write(sourceName)
            pen.write(extras)
            pen.write(" {")
            pen.write(number: UInt64(message.body.count))
            pen.write("}\n")
            pen.write(message.body)
            pen.write("\n")
            return pen.count
        }
    }

    /// Properties, headers and history as options.
    private mutating func extras(of delivery: Delivery) -> [UInt8] {
        let shared = delivery.message.shared
        if let shared, delivery.deaths == nil {
            return repeated.bytes(shared) { LineProperties.text(of: $0, nil) }
        }
        guard shared != nil || delivery.deaths != nil else { return [] }
        return LineProperties.text(of: shared?.properties, delivery.deaths)
    }

    private mutating func remember(_ source: DeliverySource) {
        self.source = source
        sourceQueue = [.space]
        LineText.appendName(source.queue.rawValue, to: &sourceQueue)
        sourceName = []
        if let consumer = source.consumer {
            sourceName.append(contentsOf: " sub=".utf8)
            LineText.appendName(consumer.rawValue, to: &sourceName)
        }
    }

    private mutating func remember(_ message: Message) {
        exchange = message.exchange.rawValue
        key = message.routingKey
        names = [.space]
        LineText.appendName(exchange, to: &names)
        names.append(.space)
        LineText.appendName(key, to: &names)
        names.append(.space)
    }

    /// Writes `OK n`.
    static func count(_ count: Int, prefix: [UInt8] = [], to out: inout ByteBuffer) {
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: 32 + prefix.count) { raw in
            var pen = Pen(raw: raw)
            pen.write(prefix)
            pen.write("OK ")
            pen.write(number: UInt64(max(0, count)))
            pen.write("\n")
            return pen.count
        }
    }

    /// Writes one line.
    static func line(_ text: String, prefix: [UInt8] = [], to out: inout ByteBuffer) {
        out.writeBytes(prefix)
        out.writeString(text)
        out.writeString("\n")
    }

    /// Writes `OK` and names or numbers.
    static func ok(_ name: String, rest: String = "", prefix: [UInt8], to out: inout ByteBuffer) {
        var bytes = Array("OK ".utf8)
        LineText.appendName(name, to: &bytes)
        out.writeBytes(prefix)
        out.writeBytes(bytes)
        out.writeString(rest)
        out.writeString("\n")
    }

    /// Writes a refusal.
    static func error(_ error: BrokerError, prefix: [UInt8] = [], to out: inout ByteBuffer) {
        let text = oneLine(error.text)
        line("ERR \(error.code.rawValue) \(error.code.name) \(text)", prefix: prefix, to: &out)
    }

    /// A text that may quote a client's words: it stays one line whatever they held.
    static func oneLine(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? "?" : $0 }))
    }

    /// Writes rows, of each the fields that are named, or with `nil` all.
    static func rows(
        _ count: Int,
        fields: Set<String>? = nil,
        prefix: [UInt8],
        to out: inout ByteBuffer,
        row: (Int, inout JSONRow) -> Void
    ) {
        for index in 0..<count {
            var json = JSONRow(fields: fields)
            row(index, &json)
            out.writeBytes(prefix)
            out.writeString("ROW ")
            out.writeBytes(json.bytes)
            out.writeString("\n")
        }
    }
}

/// Writes into memory that is known to be large enough.
private struct Pen {
    let raw: UnsafeMutableRawBufferPointer
    var count = 0

    mutating func write(_ text: StaticString) {
        write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func write(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { write($0) }
    }

    private mutating func write(_ bytes: UnsafeRawBufferPointer) {
        guard let from = bytes.baseAddress, let to = raw.baseAddress else { return }
        precondition(bytes.count <= raw.count - count, "room for a line was counted wrongly")
        (to + count).copyMemory(from: from, byteCount: bytes.count)
        count += bytes.count
    }

    mutating func write(number: UInt64) {
        var length = 1
        var rest = number / 10
        while rest > 0 {
            length += 1
            rest /= 10
        }
        rest = number
        var index = count + length
        repeat {
            index -= 1
            raw[index] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
            rest /= 10
        } while index > count
        count += length
    }
}
