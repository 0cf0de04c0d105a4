// Reads AMQP's big-endian values from bytes that nobody vouches for: whatever they are, it either returns
// a value or throws 502. Used by the codecs of this module.

/// A cursor over bytes.
struct ByteReader {
    private let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int

    init(_ bytes: [UInt8], from start: Int = 0) {
        self.bytes = bytes
        position = start
        end = bytes.count
    }

    private init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position == end }

    /// A whole number of as many bytes as its type has.
    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(BrokerError) -> T {
        let size = T.bitWidth / 8
        try need(size)
        var value: T = 0
        for byte in bytes[position..<position + size] {
            value = T.bitWidth == 8 ? T(truncatingIfNeeded: byte) : value << 8 | T(byte)
        }
        position += size
        return value
    }

    mutating func take(_ count: Int) throws(BrokerError) -> ArraySlice<UInt8> {
        try need(count)
        defer { position += count }
        return bytes[position..<position + count]
    }

    /// A reader of the next `count` bytes, which this one skips.
    mutating func nested(_ count: Int) throws(BrokerError) -> ByteReader {
        try need(count)
        defer { position += count }
        return ByteReader(bytes, position..<position + count)
    }

    /// AMQP's short string: a byte's worth of UTF-8.
    mutating func shortString() throws(BrokerError) -> String {
        let start = position
        let count = Int(try integer(UInt8.self))
        guard let text = String(validating: try take(count), as: UTF8.self) else {
            throw error("a short string is not UTF-8", at: start)
        }
        return text
    }

    func error(_ text: String, at position: Int? = nil) -> BrokerError {
        BrokerError(.syntaxError, "\(text), at byte \(position ?? self.position) of \(bytes.count)")
    }

    private func need(_ count: Int) throws(BrokerError) {
        guard count <= end - position else {
            throw error("\(count) bytes are needed and \(end - position) are left")
        }
    }
}

extension [UInt8] {
    /// Appends a whole number, big-endian.
    mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
        for shift in stride(from: T.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }

    /// Appends AMQP's short string; what doesn't fit into 255 bytes is left out, by whole characters.
    mutating func append(shortString text: String) {
        var text = text
        while text.utf8.count > ShortString.bytesMax { text.removeLast() }
        append(UInt8(text.utf8.count))
        append(contentsOf: text.utf8)
    }

    /// Runs `body` and puts the number of bytes that it appended, in four bytes, before them.
    mutating func appendCounted(_ body: (inout [UInt8]) -> Void) {
        let start = count
        append(bigEndian: UInt32(0))
        body(&self)
        let size = UInt32(count - start - 4)
        for index in 0..<4 { self[start + index] = UInt8(truncatingIfNeeded: size >> UInt32(24 - 8 * index)) }
    }
}
