// Reads AMQP's values from the payload of a frame that nobody vouches for: a value or 501, whatever the bytes.

import LeveretCore
import NIOCore

/// A cursor over the arguments of a method.
struct AMQPReader {
    private var bytes: ByteBuffer
    private let method: UInt32

    init(_ bytes: ByteBuffer, of method: UInt32) {
        self.bytes = bytes
        self.method = method
    }

    /// What goes wrong where the bytes don't hold what they should.
    var failure: AMQPFailure {
        .frameError(
            "cannot decode the arguments of class \(method >> 16) method \(method & 0xFFFF)", method: method)
    }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(AMQPFailure) -> T {
        guard let value = bytes.readInteger(as: T.self) else { throw failure }
        return value
    }

    /// The name of a queue or an exchange, without line ends, as in RabbitMQ.
    mutating func name() throws(AMQPFailure) -> String {
        let bytes = try shortString().utf8.filter { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
        return String(decoding: bytes, as: UTF8.self)
    }

    mutating func shortString() throws(AMQPFailure) -> String {
        let count = Int(try integer(UInt8.self))
        guard count <= bytes.readableBytes else { throw failure }
        let text = bytes.readableBytesView.prefix(count)
        guard let string = String(validating: text, as: UTF8.self) else { throw failure }
        bytes.moveReaderIndex(forwardBy: count)
        return string
    }

    mutating func longString() throws(AMQPFailure) -> [UInt8] {
        let count = Int(try integer(UInt32.self))
        guard let value = bytes.readBytes(length: count) else { throw failure }
        return value
    }

    mutating func table() throws(AMQPFailure) -> FieldTable {
        let count: UInt32? = bytes.getInteger(at: bytes.readerIndex)
        guard let count, let value = bytes.readBytes(length: 4 + Int(count)) else { throw failure }
        do throws(BrokerError) { return try FieldTableCodec.decode(value) } catch {
            throw AMQPFailure(.syntaxError, error.text, AMQPMethodID(rawValue: method))
        }
    }

    /// The bits of one octet.
    mutating func bits() throws(AMQPFailure) -> AMQPBits { AMQPBits(octet: try integer(UInt8.self)) }

    /// What is left.
    var rest: ByteBuffer { bytes }
}

/// AMQP's bits, packed into an octet from the lowest on (§4.2.5.2).
struct AMQPBits {
    let octet: UInt8

    subscript(place: UInt8) -> Bool { octet >> place & 1 == 1 }
}
