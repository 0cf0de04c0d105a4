// What an AMQP server sends, as text: a method's name and its arguments, and for a message its properties and its body.

/// Reads frames.
package enum AMQPText {
    /// Names of methods and their arguments: `o` an octet, `b` a bit, `h` `l` `L` numbers of 16, 32 and 64 bits,
    /// `s` `S` strings, `t` a table.
    private static let methods: [UInt32: (name: String, arguments: String)] = [
        0x000A_000A: ("connection.start", "ootSS"), 0x000A_001E: ("connection.tune", "hlh"),
        0x000A_0029: ("connection.open-ok", "s"), 0x000A_0032: ("connection.close", "hshh"),
        0x000A_0033: ("connection.close-ok", ""), 0x000A_003C: ("connection.blocked", "s"),
        0x000A_003D: ("connection.unblocked", ""), 0x000A_0047: ("connection.update-secret-ok", ""),
        0x0014_000B: ("channel.open-ok", "S"), 0x0014_0015: ("channel.flow-ok", "b"),
        0x0014_0028: ("channel.close", "hshh"), 0x0014_0029: ("channel.close-ok", ""),
        0x0028_000B: ("exchange.declare-ok", ""), 0x0028_0015: ("exchange.delete-ok", ""),
        0x0028_001F: ("exchange.bind-ok", ""), 0x0028_0033: ("exchange.unbind-ok", ""),
        0x0032_000B: ("queue.declare-ok", "sll"), 0x0032_0015: ("queue.bind-ok", ""),
        0x0032_001F: ("queue.purge-ok", "l"), 0x0032_0029: ("queue.delete-ok", "l"),
        0x0032_0033: ("queue.unbind-ok", ""), 0x003C_000B: ("basic.qos-ok", ""),
        0x003C_0015: ("basic.consume-ok", "s"), 0x003C_001E: ("basic.cancel", "sb"),
        0x003C_001F: ("basic.cancel-ok", "s"), 0x003C_0032: ("basic.return", "hsss"),
        0x003C_003C: ("basic.deliver", "sLbss"), 0x003C_0047: ("basic.get-ok", "Lbssl"),
        0x003C_0048: ("basic.get-empty", "s"), 0x003C_0050: ("basic.ack", "Lb"),
        0x003C_006F: ("basic.recover-ok", ""), 0x003C_0078: ("basic.nack", "Lo"),
        0x0055_000B: ("confirm.select-ok", ""), 0x005A_000B: ("tx.select-ok", ""),
        0x005A_0015: ("tx.commit-ok", ""), 0x005A_001F: ("tx.rollback-ok", ""),
    ]
    private static let withContent: Set<String> = ["basic.return", "basic.deliver", "basic.get-ok"]

    /// Takes the next method, with its content, from the front of `input` once it is there as a whole.
    package static func take(from input: inout [UInt8]) throws -> String? {
        if input.starts(with: "AMQP".utf8), input.count >= 8 {
            defer { input.removeFirst(8) }
            return "protocol \(input[4]) \(input[5]) \(input[6]) \(input[7])"
        }
        var reader = FrameReader(bytes: input)
        guard let first = try reader.frame() else { return nil }
        var text = try self.text(of: first)
        if withContent.contains(String(text.prefix { $0 != " " })) {
            guard let content = try content(&reader) else { return nil }
            text += content
        }
        input.removeFirst(reader.position)
        return (first.channel > 1 ? "[\(first.channel)] " : "") + text
    }

    private static func content(_ reader: inout FrameReader) throws -> String? {
        guard let header = try reader.frame() else { return nil }
        let size = header.payload[4..<12].reduce(0) { $0 << 8 | Int($1) }
        let properties = header.payload[12...].map { String($0, radix: 16) }.joined(separator: " ")
        var body: [UInt8] = []
        var frames = 0
        while body.count < size {
            guard let frame = try reader.frame() else { return nil }
            body += frame.payload
            frames += 1
        }
        let shown = size <= 64 ? String(decoding: body, as: UTF8.self) : "\(size) bytes in \(frames) frames"
        return " {\(properties)} \(shown)"
    }

    private static func text(of frame: FrameReader.Frame) throws -> String {
        if frame.type == 8 { return "heartbeat" }
        var reader = ItemReader(bytes: frame.payload)
        let number = UInt32(truncatingIfNeeded: try reader.number(4))
        guard frame.type == 1, let method = methods[number] else {
            throw SocketFailure(
                description: "frame \(frame.type) with \(String(number, radix: 16)) is unknown")
        }
        var words = [method.name]
        for kind in method.arguments {
            switch kind {
            case "o": words.append("\(try reader.number(1))")
            case "b": words.append(try reader.number(1) == 0 ? "false" : "true")
            case "h": words.append("\(try reader.number(2))")
            case "l": words.append("\(try reader.number(4))")
            case "L": words.append("\(try reader.number(8))")
            case "s": words.append(try reader.text(try reader.number(1)))
            case "S": words.append(try reader.text(try reader.number(4)))
            default: words.append("table of \(try reader.text(try reader.number(4)).utf8.count)")
            }
        }
        guard reader.isAtEnd else { throw SocketFailure(description: "\(method.name) is too long") }
        return words.map { $0.isEmpty ? "''" : $0 }.joined(separator: " ")
    }
}

private struct FrameReader {
    struct Frame {
        var type: UInt8
        var channel: Int
        var payload: [UInt8]
    }

    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func frame() throws -> Frame? {
        guard bytes.count - position >= 8 else { return nil }
        let head = bytes[position..<position + 7].map { Int($0) }
        let size = head[3] << 24 | head[4] << 16 | head[5] << 8 | head[6]
        guard bytes.count - position >= size + 8 else { return nil }
        guard bytes[position + 7 + size] == 0xCE else {
            throw SocketFailure(
                description: "a frame of type \(head[0]) ends in \(bytes[position + 7 + size])")
        }
        defer { position += size + 8 }
        return Frame(
            type: UInt8(head[0]), channel: head[1] << 8 | head[2],
            payload: Array(bytes[(position + 7)..<(position + 7 + size)]))
    }
}

private struct ItemReader {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func number(_ size: Int) throws -> Int {
        try take(size).reduce(0) { $0 << 8 | Int($1) }
    }

    mutating func text(_ size: Int) throws -> String { String(decoding: try take(size), as: UTF8.self) }

    private mutating func take(_ size: Int) throws -> ArraySlice<UInt8> {
        guard size <= bytes.count - position else {
            throw SocketFailure(description: "a method is too short")
        }
        defer { position += size }
        return bytes[position..<position + size]
    }
}
