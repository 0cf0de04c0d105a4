// Bytes to frames, in whatever pieces they come (AMQP 0-9-1 §4.2.3). AMQPSession owns it. A payload is a view of the
// bytes as they came: nothing is copied for a frame that came whole.

import NIOCore

/// One frame.
struct AMQPFrame {
    /// What a frame carries.
    enum Kind: UInt8 {
        case method = 1
        case header = 2
        case body = 3
        case heartbeat = 8
    }

    static let end: UInt8 = 0xCE

    var kind: Kind
    var channel: UInt16
    var payload: ByteBuffer
}

/// Cuts a byte stream into frames. Any split of the stream gives the same frames.
struct AMQPFrameDecoder {
    private static let headBytes = 7
    private static let protocolHeaderBytes = 8

    private var buffer = ByteBuffer()
    /// What was negotiated; a larger frame is an error.
    var frameBytesMax: Int

    init(frameBytesMax: Int) { self.frameBytesMax = frameBytesMax }

    /// Bytes that came and are not decoded.
    var waitingBytes: Int { buffer.readableBytes }

    mutating func received(_ bytes: ByteBuffer) {
        guard buffer.readableBytes > 0 else {
            buffer = bytes
            return
        }
        if buffer.readerIndex > buffer.capacity / 2 { buffer.discardReadBytes() }
        buffer.writeImmutableBuffer(bytes)
    }

    /// Lets go of all bytes.
    mutating func end() { buffer = ByteBuffer() }

    /// The eight octets that a client begins with, or `nil` until they are there.
    mutating func protocolHeader() -> [UInt8]? { buffer.readBytes(length: Self.protocolHeaderBytes) }

    /// True where the next frame is there as a whole and belongs to this channel.
    private func nextIs(on channel: UInt16) -> Bool {
        buffer.getInteger(at: buffer.readerIndex + 1, as: UInt16.self) == channel
    }

    /// True where the next frame is of this channel and may join requests that are not submitted yet. A method that is
    /// answered may not: what they bring, such as a return, comes before its answer.
    func nextJoins(on channel: UInt16) -> Bool {
        guard nextIs(on: channel) else { return false }
        guard buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) == AMQPFrame.Kind.method.rawValue,
            let name: UInt32 = buffer.getInteger(at: buffer.readerIndex + Self.headBytes)
        else { return true }
        return AMQPMethodID(rawValue: name)?.isBatched ?? false
    }

    /// Octets that have come of the next frame, where that is one of a body on this channel.
    func bodyBytes(on channel: UInt16) -> Int {
        let start = buffer.readerIndex
        guard nextIs(on: channel), let length: UInt32 = buffer.getInteger(at: start + 3),
            buffer.getInteger(at: start, as: UInt8.self) == AMQPFrame.Kind.body.rawValue
        else { return 0 }
        return min(Int(length), buffer.readableBytes - Self.headBytes)
    }

    /// The next frame, or `nil` until more bytes come.
    mutating func next() throws(AMQPFailure) -> AMQPFrame? {
        let start = buffer.readerIndex
        // A silent connection keeps no room for bytes.
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        guard buffer.readableBytes >= Self.headBytes,
            let type: UInt8 = buffer.getInteger(at: start),
            let channel: UInt16 = buffer.getInteger(at: start + 1),
            let length: UInt32 = buffer.getInteger(at: start + 3)
        else { return nil }
        guard let kind = AMQPFrame.Kind(rawValue: type) else {
            throw .frameError("type \(type), all octets = <<>>: unknown_frame")
        }
        let size = Int(length)
        // Some clients count only what a frame carries; as in RabbitMQ they get away with it.
        guard size <= frameBytesMax else {
            let sizeMax = frameBytesMax - AMQPLimits.frameOverhead
            throw .frameError("type \(type), all octets = <<>>: {frame_too_large,\(size),\(sizeMax)}")
        }
        guard buffer.readableBytes >= Self.headBytes + size + 1,
            let payload = buffer.getSlice(at: start + Self.headBytes, length: size),
            let end: UInt8 = buffer.getInteger(at: start + Self.headBytes + size)
        else { return nil }
        guard end == AMQPFrame.end else {
            let octets = payload.readableBytesView.prefix(64).map { String($0) }.joined(separator: ",")
            throw .frameError("type \(type), all octets = <<\(octets)>>: {invalid_frame_end_marker,\(end)}")
        }
        buffer.moveReaderIndex(forwardBy: Self.headBytes + size + 1)
        return AMQPFrame(kind: kind, channel: channel, payload: payload)
    }
}
