// What the broker says, as frames. Methods are written as they come; a message, which makes up nearly all of what is
// written, goes out as method, header and body frames from remembered pieces, in one go.

import LeveretCore
import NIOCore

/// Writes frames of one connection.
struct AMQPWriter: Sendable {
    /// What was negotiated: a body is cut to frames of at most so many bytes.
    var frameBytesMax: Int
    private var source: DeliverySource?
    private var tag: [UInt8] = []
    private var exchange = ""
    private var key = ""
    private var names: [UInt8] = [0, 0]
    private var repeated = RepeatedProperties()

    init(frameBytesMax: Int) { self.frameBytesMax = frameBytesMax }

    // MARK: methods

    /// Writes a method frame with what `arguments` appends.
    static func method(
        _ id: AMQPMethodID, on channel: UInt16, to out: inout ByteBuffer,
        _ arguments: (inout ByteBuffer) -> Void = { _ in }
    ) {
        out.writeInteger(AMQPFrame.Kind.method.rawValue)
        out.writeInteger(channel)
        let start = out.writerIndex
        out.writeInteger(UInt32(0))
        out.writeInteger(id.rawValue)
        arguments(&out)
        out.setInteger(UInt32(out.writerIndex - start - 4), at: start)
        out.writeInteger(AMQPFrame.end)
    }

    /// Writes channel.close or connection.close.
    static func close(
        _ id: AMQPMethodID, on channel: UInt16, _ failure: AMQPFailure, to out: inout ByteBuffer
    ) {
        method(id, on: channel, to: &out) { out in
            out.writeInteger(failure.code)
            out.write(shortString: failure.text)
            out.writeInteger(failure.method)
        }
    }

    /// Writes basic.ack as a confirm.
    static func ack(_ number: UInt64, multiple: Bool, on channel: UInt16, to out: inout ByteBuffer) {
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: 21) { raw in
            var pen = AMQPPen(raw: raw)
            pen.head(.method, channel, 13)
            pen.write(AMQPMethodID.basicAck.rawValue)
            pen.write(number)
            pen.write(multiple ? 1 : 0 as UInt8)
            pen.write(AMQPFrame.end)
            return pen.count
        }
    }

    /// Writes basic.nack as a confirm.
    static func nack(_ number: UInt64, on channel: UInt16, to out: inout ByteBuffer) {
        method(.basicNack, on: channel, to: &out) { out in
            out.writeInteger(number)
            out.writeInteger(0 as UInt8)
        }
    }

    /// Writes a heartbeat.
    static func heartbeat(to out: inout ByteBuffer) {
        out.writeBytes([AMQPFrame.Kind.heartbeat.rawValue, 0, 0, 0, 0, 0, 0, AMQPFrame.end])
    }

    // MARK: messages

    /// Writes basic.deliver.
    mutating func deliver(_ delivery: Delivery, on channel: UInt16, to out: inout ByteBuffer) {
        if source !== delivery.source { remember(delivery.source) }
        write(
            delivery.message, properties(of: delivery), .basicDeliver, on: channel,
            before: tag, place: (delivery.tag.rawValue, delivery.isRedelivered), to: &out)
    }

    /// Writes basic.get-ok.
    mutating func got(_ delivery: Delivery, remaining: Int, on channel: UInt16, to out: inout ByteBuffer) {
        var after: [UInt8] = []
        let count = UInt32(clamping: remaining)
        for shift in [24, 16, 8, 0] as [UInt32] { after.append(UInt8(truncatingIfNeeded: count >> shift)) }
        write(
            delivery.message, properties(of: delivery), .basicGetOk, on: channel,
            place: (delivery.tag.rawValue, delivery.isRedelivered), after: after, to: &out)
    }

    /// Writes basic.return for a message that no queue took.
    mutating func returned(_ message: Message, on channel: UInt16, to out: inout ByteBuffer) {
        let text = ReplyCode.noRoute.name
        var before: [UInt8] = [0x01, 0x38, UInt8(text.utf8.count)]  // 312
        before += text.utf8
        write(
            message, Self.properties(of: message, &repeated), .basicReturn, on: channel, before: before,
            to: &out)
    }

    private mutating func write(
        _ message: Message, _ properties: [UInt8], _ id: AMQPMethodID, on channel: UInt16,
        before: [UInt8] = [], place: (tag: UInt64, isRedelivered: Bool)? = nil, after: [UInt8] = [],
        to out: inout ByteBuffer
    ) {
        if !exchange.hasSameBytes(as: message.exchange.rawValue) || !key.hasSameBytes(as: message.routingKey)
        {
            remember(message)
        }
        let chunkMax = max(1, frameBytesMax - AMQPLimits.frameOverhead)
        let body = message.body
        let arguments = 4 + before.count + (place == nil ? 0 : 9) + names.count + after.count
        let header = 12 + properties.count
        let frames = 2 + (body.count + chunkMax - 1) / chunkMax
        let total = arguments + header + body.count + frames * AMQPLimits.frameOverhead
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { raw in
            var pen = AMQPPen(raw: raw)
            pen.head(.method, channel, arguments)
            pen.write(id.rawValue)
            pen.write(before[...])
            if let place {
                pen.write(place.tag)
                pen.write(place.isRedelivered ? 1 : 0 as UInt8)
            }
            pen.write(names[...])
            pen.write(after[...])
            pen.write(AMQPFrame.end)
            pen.head(.header, channel, header)
            pen.write(60 as UInt16)
            pen.write(0 as UInt16)
            pen.write(UInt64(body.count))
            pen.write(properties[...])
            pen.write(AMQPFrame.end)
            var start = 0
            while start < body.count {
                let end = min(body.count, start + chunkMax)
                pen.head(.body, channel, end - start)
                pen.write(body[start..<end])
                pen.write(AMQPFrame.end)
                start = end
            }
            return pen.count
        }
    }

    /// The property list of a delivery: as it came, where nothing was added since.
    private mutating func properties(of delivery: Delivery) -> [UInt8] {
        guard let deaths = delivery.deaths else { return Self.properties(of: delivery.message, &repeated) }
        var properties = delivery.message.properties ?? MessageProperties()
        let headers = deaths.xDeathHeaders(after: properties.headers)
        for field in headers.fields { properties.headers[field.name] = field.value }
        return PropertiesCodec.encode(properties, isPersistent: delivery.message.isPersistent)
    }

    private static func properties(of message: Message, _ repeated: inout RepeatedProperties) -> [UInt8] {
        guard let shared = message.shared else {
            return message.isPersistent ? [0x10, 0x00, 2] : PropertiesCodec.none
        }
        if let encoded = shared.encoded { return encoded }
        let isPersistent = message.isPersistent
        return repeated.bytes(shared) { PropertiesCodec.encode($0, isPersistent: isPersistent) }
    }

    private mutating func remember(_ source: DeliverySource) {
        self.source = source
        tag = Self.shortString(source.consumer?.rawValue ?? "")
    }

    private mutating func remember(_ message: Message) {
        exchange = message.exchange.rawValue
        key = message.routingKey
        names = Self.shortString(exchange) + Self.shortString(key)
    }

    private static func shortString(_ text: String) -> [UInt8] {
        // No name or key that the broker takes is longer.
        let bytes = text.utf8.prefix(255)
        return [UInt8(bytes.count)] + bytes
    }
}

extension ByteBuffer {
    /// Writes a short string, cut to 255 octets.
    mutating func write(shortString text: String) {
        let bytes = text.utf8.prefix(255)
        writeInteger(UInt8(bytes.count))
        writeBytes(bytes)
    }

    /// Writes a long string.
    mutating func write(longString text: String) {
        writeInteger(UInt32(text.utf8.count))
        writeString(text)
    }
}

/// Writes into memory that is known to be large enough.
private struct AMQPPen {
    let raw: UnsafeMutableRawBufferPointer
    var count = 0

    mutating func head(_ kind: AMQPFrame.Kind, _ channel: UInt16, _ size: Int) {
        write(kind.rawValue)
        write(channel)
        write(UInt32(size))
    }

    mutating func write<T: FixedWidthInteger>(_ value: T) {
        raw.storeBytes(of: value.bigEndian, toByteOffset: count, as: T.self)
        count += MemoryLayout<T>.size
    }

    mutating func write(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { bytes in
            guard let from = bytes.baseAddress, let to = raw.baseAddress else { return }
            precondition(bytes.count <= raw.count - count, "room for a message was counted wrongly")
            (to + count).copyMemory(from: from, byteCount: bytes.count)
            count += bytes.count
        }
    }
}
