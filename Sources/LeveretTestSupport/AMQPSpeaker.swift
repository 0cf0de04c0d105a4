// What an AMQP client says, as bytes: methods by their numbers, and messages.

/// Somebody who says AMQP's frames.
package protocol AMQPSpeaker: AnyObject {
    /// Bytes of a frame that a body is cut to.
    var frameBytesMax: Int { get }
    /// Takes the bytes of a frame.
    func say(_ bytes: [UInt8])
}

extension AMQPSpeaker {
    /// Says connection.start-ok. `properties` are what the client says of itself beside its capabilities.
    package func startOk(
        user: String = "guest", password: String = "guest", mechanism: String = "PLAIN",
        capabilities: [String] = ["authentication_failure_close"], properties: [(String, AMQPField)] = []
    ) {
        let response = mechanism == "PLAIN" ? AMQPItem.long("\0\(user)\0\(password)") : .long(password)
        call(
            10, 11,
            .table([("capabilities", .nested(capabilities.map { ($0, .bool(true)) }))] + properties),
            .short(mechanism), response, .short("en_US"))
    }

    /// Says connection.tune-ok.
    package func tuneOk(channelMax: UInt16 = 2047, frameMax: UInt32 = 131_072, heartbeat: UInt16 = 0) {
        call(10, 31, .int16(channelMax), .int32(frameMax), .int16(heartbeat))
    }

    /// Adds a method frame to what will be sent.
    package func call(_ classID: UInt16, _ methodID: UInt16, _ items: AMQPItem..., on channel: UInt16 = 0) {
        var payload: [UInt8] = []
        AMQPItem.int16(classID).write(to: &payload)
        AMQPItem.int16(methodID).write(to: &payload)
        for item in items { item.write(to: &payload) }
        frame(1, payload, on: channel)
    }

    /// Adds a frame to what will be sent.
    package func frame(_ type: UInt8, _ payload: [UInt8], on channel: UInt16, end: UInt8 = 0xCE) {
        var bytes = [type]
        AMQPItem.int16(channel).write(to: &bytes)
        AMQPItem.int32(UInt32(payload.count)).write(to: &bytes)
        say(bytes + payload + [end])
    }

    /// Adds a publish: method, header and body. `properties` are flags and values as AMQP writes them.
    package func publish(
        _ body: String, to key: String, exchange: String = "", mandatory: Bool = false,
        immediate: Bool = false, properties: [UInt8] = [0x10, 0, 2], on channel: UInt16 = 1
    ) {
        call(
            60, 40, .int16(0), .short(exchange), .short(key),
            .octet((mandatory ? 1 : 0) | (immediate ? 2 : 0)),
            on: channel)
        content(Array(body.utf8), properties: properties, on: channel)
    }

    /// Adds a content header and the body's frames.
    package func content(_ body: [UInt8], properties: [UInt8] = [0, 0], on channel: UInt16 = 1) {
        var header: [UInt8] = [0, 60, 0, 0]
        AMQPItem.int64(UInt64(body.count)).write(to: &header)
        frame(2, header + properties, on: channel)
        var start = 0
        while start < body.count {
            let end = min(body.count, start + frameBytesMax - 8)
            frame(3, Array(body[start..<end]), on: channel)
            start = end
        }
    }
}

/// An argument of a method.
package indirect enum AMQPItem: Sendable {
    case octet(UInt8)
    case int16(UInt16)
    case int32(UInt32)
    case int64(UInt64)
    case short(String)
    case long(String)
    case table([(String, AMQPField)])

    /// It as it is sent.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes
    }

    func write(to bytes: inout [UInt8]) {
        func integer(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
        }
        switch self {
        case .octet(let value): bytes.append(value)
        case .int16(let value): integer(value)
        case .int32(let value): integer(value)
        case .int64(let value): integer(value)
        case .short(let text):
            bytes.append(UInt8(text.utf8.count))
            bytes += text.utf8
        case .long(let text):
            integer(UInt32(text.utf8.count))
            bytes += text.utf8
        case .table(let fields):
            var inside: [UInt8] = []
            for (name, value) in fields {
                AMQPItem.short(name).write(to: &inside)
                value.write(to: &inside)
            }
            integer(UInt32(inside.count))
            bytes += inside
        }
    }
}

/// A value in a table.
package indirect enum AMQPField: Sendable {
    case bool(Bool)
    case byte(Int8)
    case int(Int32)
    case double(Double)
    case text(String)
    case list([AMQPField])
    case nested([(String, AMQPField)])

    func write(to bytes: inout [UInt8]) {
        switch self {
        case .bool(let value): bytes += [UInt8(ascii: "t"), value ? 1 : 0]
        case .byte(let value): bytes += [UInt8(ascii: "b"), UInt8(bitPattern: value)]
        case .int(let value):
            bytes.append(UInt8(ascii: "I"))
            AMQPItem.int32(UInt32(bitPattern: value)).write(to: &bytes)
        case .double(let value):
            bytes.append(UInt8(ascii: "d"))
            AMQPItem.int64(value.bitPattern).write(to: &bytes)
        case .text(let text):
            bytes.append(UInt8(ascii: "S"))
            AMQPItem.long(text).write(to: &bytes)
        case .list(let values):
            var inside: [UInt8] = []
            for value in values { value.write(to: &inside) }
            bytes.append(UInt8(ascii: "A"))
            AMQPItem.int32(UInt32(inside.count)).write(to: &bytes)
            bytes += inside
        case .nested(let fields):
            bytes.append(UInt8(ascii: "F"))
            AMQPItem.table(fields).write(to: &bytes)
        }
    }
}
